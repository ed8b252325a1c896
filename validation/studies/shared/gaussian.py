"""Gaussian tokens in R^d: attentions under which they stay Gaussian, and points with their moments."""

import numpy as np
from scipy.special import roots_hermitenorm

from particles import L2, EuclideanTokens, Gaussian, Sinkhorn, Softmax
from particles.gaussian_closure import ClosedAttention

KINDS: dict[str, ClosedAttention] = {"softmax": Softmax(1.0), "l2": L2(1.0), "sinkhorn": Sinkhorn(1.0)}
NODES = 20  # Gauss-Hermite points in a direction
SCORE = 0.7  # standard deviation of scores in their strongest direction; another one rescales time


def hermite_tokens(law: Gaussian, nodes: int = NODES) -> EuclideanTokens:
    """Weighted points with the moments of a Gaussian in the plane."""
    x, w = roots_hermitenorm(nodes)
    z = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return EuclideanTokens(law.mean + z @ law.root, np.outer(w, w).ravel())
