"""Tokens in R^d, moved by x <- x + U (`particles.retraction.translate`).  mathematics, section 6."""

from dataclasses import dataclass, field

import numpy as np

from particles.arrays import Array, as_array
from particles.errors import ArgumentError
from particles.measure import Tokens, WeightedPoints, normalised

ROUNDING = 1e-12  # relative asymmetry, or negative part, of a covariance that passes for rounding


def symmetric_root(covariance: Array, name: str = "covariance") -> Array:
    """S^{1/2} of a symmetric positive semidefinite (d, d) matrix of any rank; ValueError for any other."""
    size = float(np.abs(covariance).max(initial=0.0))
    if not np.abs(covariance - covariance.T).max(initial=0.0) <= ROUNDING * size:
        raise ArgumentError(name, covariance.tolist(), "be symmetric")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if not values.min(initial=0.0) >= -ROUNDING * size * len(values):
        raise ArgumentError(name, covariance.tolist(), f"have no eigenvalue below 0, and has {values.min():.3g}")
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # below zero by rounding only
    return root


@dataclass(frozen=True, eq=False)
class EuclideanTokens(WeightedPoints):
    """Weighted tokens in R^d.

    Parameters
    ----------
    points : (n, d) finite.
    weights : (n,) positive, default 1/n; normalised to sum 1.

    Examples
    --------
    >>> EuclideanTokens([[3.0, 0.0], [0.0, 1.0]]).mean
    array([1.5, 0.5])
    """

    points: Array
    weights: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        points = as_array(self.points, "tokens", (None, None))
        n, d = points.shape
        if n < 1 or d < 1:
            raise ArgumentError("tokens", points.shape, "have shape (n, d) with n >= 1 and d >= 1")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", normalised(self.weights, n))

    @property
    def covariance(self) -> Array:
        """Covariance of a token, shape (d, d)."""
        gap = self.points - self.mean
        return (gap * self.weights[:, None]).T @ gap


AnyTokens = Tokens | EuclideanTokens


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, covariance) on R^d; the covariance may have any rank.

    Parameters
    ----------
    mean : (d,).   covariance : (d, d), symmetric positive semidefinite.
    """

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        mean = as_array(self.mean, "mean", (None,))
        covariance = as_array(self.covariance, "covariance", (len(mean), len(mean)))
        if len(mean) < 1:
            raise ArgumentError("mean", mean.shape, "have at least one entry")
        symmetric_root(covariance)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", (covariance + covariance.T) / 2)

    @property
    def d(self) -> int:
        """Dimension of the space."""
        return len(self.mean)

    @property
    def root(self) -> Array:
        """Symmetric root S^{1/2} of the covariance, (d, d)."""
        return symmetric_root(self.covariance)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        return self.mean + rng.standard_normal((n, self.d)) @ self.root
