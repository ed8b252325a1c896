"""Many trials of one kind, and what became of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.trial import Trial, Verdict, judge


@dataclass
class Tally:
    """Counts of a kind, and for each loss the shortest input that shows it."""

    kind: str
    tried: int = 0
    taken: int = 0
    refused: int = 0
    stopped: int = 0
    losses: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, trial: Trial, verdict: Verdict) -> None:
        """Count a verdict."""
        self.tried += 1
        self.taken += verdict.code == 0
        self.refused += verdict.code == 2
        self.stopped += verdict.code == 3
        if verdict.loss:
            count, told = self.losses.get(verdict.loss, (0, trial.told))
            self.losses[verdict.loss] = (count + 1, min(told, trial.told, key=len))


def fuzz(
    kind: str,
    trials: st.SearchStrategy[Trial],
    examples: int,
    number: int,
    about_to: Callable[[Trial], None] = lambda trial: None,
) -> Tally:
    """Judge `examples` trials drawn with seed `number`; `about_to` hears of each before it is run."""
    tally = Tally(kind)

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(trials)
    def go(trial: Trial) -> None:
        about_to(trial)
        tally.add(trial, judge(trial))

    go()
    return tally
