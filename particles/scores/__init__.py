"""How softmax attention looks at its keys at initialisation: Gaussian scores, many keys."""

from particles.scores.gaussian import AttentionStatistics, attention_statistics, critical_deviation, random_energy_f

__all__ = ["AttentionStatistics", "attention_statistics", "critical_deviation", "random_energy_f"]
