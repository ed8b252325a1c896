"""What is recorded of a real network block by block: names of variables, and what they are."""

CURVES = {
    "overlap": "mean cosine of two different tokens",
    "log_gap": "mean of log(1 - cosine) over pairs of tokens",
    "radius": "root mean square length of the tokens",
    "stable_rank": "squared Frobenius norm of the tokens over their squared spectral norm",
    "score_std": "root of the variance of the attention scores over the keys of tokens that see more than one",
    "attention_entropy": "entropy of the attention weights, mean over heads and tokens (nats)",
    "effective_keys": "1/sum of squared attention weights, mean over heads and tokens",
    "gradient": "mean square of the gradient of <X_L, P>, P Gaussian, over that behind the last block",
}
"""Of the given weights by these names, but `radius` over tokens; of other networks behind a prefix."""
OTHERS = {"reinit": "network", "forecast": "forecast_network"}
"""Prefix -> dimension over the networks: fresh ones by the library, and those of the exact chain."""
