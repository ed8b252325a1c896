"""Gaussian tokens in R^d: attentions under which they stay Gaussian, and points with their moments."""

import numpy as np
from scipy.special import roots_hermitenorm

from particles import (
    L2,
    Array,
    Ballistic,
    EuclideanTokens,
    FixedHeads,
    Gaussian,
    Noise,
    Sinkhorn,
    Softmax,
    simulate,
    translate,
)
from particles.reduced import ClosedAttention

KINDS: dict[str, ClosedAttention] = {"softmax": Softmax(1.0), "l2": L2(1.0), "sinkhorn": Sinkhorn(1.0)}
NODES = 20  # Gauss-Hermite points in a direction
SCORE = 0.7  # standard deviation of scores in their strongest direction; another one rescales time


def hermite_tokens(law: Gaussian, nodes: int = NODES) -> EuclideanTokens:
    """Weighted points with the moments of a Gaussian in the plane."""
    x, w = roots_hermitenorm(nodes)
    z = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return EuclideanTokens(law.mean + z @ law.root, np.outer(w, w).ravel())


def course(
    attention: ClosedAttention, tokens: EuclideanTokens, heads: FixedHeads, step: float, steps: int, every: int
) -> Array:
    """Tokens (T, n, d) moved by the mean of the heads in fourth-order steps, every so many of them."""
    law = Ballistic(heads, attention, step, 1, Noise(0), retraction=translate)
    found: Array = simulate(tokens, law, n_steps=steps, save_every=every).tokens.values
    return found


def covariances(tokens: Array, weights: Array) -> Array:
    """Covariances (T, d, d) of tokens (T, n, d)."""
    gaps = tokens - np.einsum("j,tjc->tc", weights, tokens)[:, None]
    found: Array = np.einsum("j,tja,tjb->tab", weights, gaps, gaps)
    return found
