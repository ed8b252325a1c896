"""Numbers of tokens between blocks: how alike they are, how long, how many directions they fill."""

from __future__ import annotations

import numpy as np

from particles import Array
from particles.networks import gaps

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def of_tokens(tokens: Array) -> dict[str, Array]:
    """What is said of tokens (n, d), by name.

    overlap : mean cosine of two different tokens.   log_gap : mean of log(1 - cosine), -inf where two are the same.
    cosine_quantile : (QUANTILES,) of the pairs.   radius : root of the mean square length.
    stable_rank : |X|_F^2/|X|_2^2.

    1 - cosine is half a squared distance of directions: nothing is lost near 1.
    """
    apart = pair_gaps(tokens)
    with np.errstate(divide="ignore"):
        log_gap = np.log(apart).mean()
    squares = np.linalg.eigvalsh(tokens @ tokens.T if len(tokens) < tokens.shape[1] else tokens.T @ tokens)
    total = float((tokens**2).sum())
    return {
        "overlap": np.asarray(1 - apart.mean()),
        "log_gap": np.asarray(log_gap),
        "cosine_quantile": 1 - np.quantile(apart, 1 - np.array(QUANTILES)),
        "radius": np.asarray(np.sqrt(total / len(tokens))),
        "stable_rank": np.asarray(total / squares[-1]),
    }


def pair_gaps(tokens: Array) -> Array:
    """1 - cosine of all pairs i < j of tokens (n, d)."""
    found: Array = gaps(tokens.T)[np.triu_indices(len(tokens), 1)]
    return found


def directions_of(tokens: Array) -> Array:
    """Tokens (..., n, d) at length 1; those of length 0, as some libraries embed padding, stay 0."""
    length = np.linalg.norm(tokens, axis=-1, keepdims=True)
    found: Array = np.divide(tokens, length, out=np.zeros_like(tokens), where=length > 0)
    return found
