"""Weighted points, on the sphere or in R^d: one of the three ways to hold a measure."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from particles.arrays import Array, as_array
from particles.errors import ArgumentError
from particles.machine.parallel import by_chunks, sum_by_chunks


class Measure(Protocol):
    """Anything with points (n, d) and positive weights (n,) of sum 1."""

    @property
    def points(self) -> Array:
        """Positions, shape (n, d)."""
        ...

    @property
    def weights(self) -> Array:
        """Weights, shape (n,)."""
        ...


class Cloud(NamedTuple):
    """A measure inside a run: points (n, d) and weights (n,), checked when the run began."""

    points: Array
    weights: Array


def mean_token(measure: Measure) -> Array:
    """Mean of the measure, shape (d,)."""
    return measure.weights @ measure.points


def second_moment(measure: Measure) -> Array:
    """Second moment int x x^T mu(dx), shape (d, d); trace 1 on the sphere."""
    points, weights = measure.points, measure.weights

    def share(part: slice) -> Array:
        moment: Array = (points[part] * weights[part, None]).T @ points[part]
        return moment

    return sum_by_chunks(share, len(points))


def normalised(weights: Array, n: int) -> Array:
    """Weights (n,) of sum 1, equal ones for none given; ValueError unless all are positive."""
    checked = np.full(n, 1.0 / n) if np.size(weights) == 0 else as_array(weights, "weights", (n,))
    if not checked.min() > 0:
        worst = int(checked.argmin())
        advice = "; leave tokens of weight 0 out" if checked[worst] == 0 else ""
        raise ValueError(f"weights must be positive, got {checked[worst]:g} for token {worst}{advice}")
    result: Array = checked / checked.sum()
    return result


def unit_lengths(points: Array, name: str) -> Array:
    """Lengths (n,) of points (n, d), n >= 1; ValueError with the worst one unless all are 1 to 1e-6."""
    # In chunks, because the temporaries of numpy's norm are twice the points.
    with np.errstate(over="ignore"):  # an infinite length is told below
        lengths = np.concatenate(by_chunks(lambda part: np.linalg.norm(points[part], axis=1), len(points)))
    worst = int(np.argmax(np.abs(lengths - 1)))
    if not abs(lengths[worst] - 1) <= 1e-6:
        raise ValueError(
            f"{name}s must be unit vectors; {name} {worst} has length {lengths[worst]:.6g}; divide each by its length"
        )
    return lengths


class WeightedPoints:
    """Number, dimension and moments of points (n, d) with weights (n,) of sum 1."""

    points: Array
    weights: Array

    def __len__(self) -> int:
        return int(self.points.shape[0])

    @property
    def d(self) -> int:
        """Dimension of the space the tokens live in."""
        return int(self.points.shape[1])

    @property
    def mean(self) -> Array:
        """Mean token, shape (d,)."""
        return mean_token(self)

    @property
    def second_moment(self) -> Array:
        """Second moment int x x^T mu(dx), shape (d, d)."""
        return second_moment(self)


@dataclass(frozen=True, eq=False)
class Tokens(WeightedPoints):
    """Weighted tokens on the sphere.

    Parameters
    ----------
    points : (n, d) unit vectors (to 1e-6; normalised exactly here).
    weights : (n,) positive, default 1/n; normalised to sum 1.

    Examples
    --------
    >>> Tokens([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).mean
    array([0.5, 0.5, 0. ])
    """

    points: Array
    weights: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        points = as_array(self.points, "tokens", (None, None))
        n, d = points.shape
        if n < 1 or d < 2:
            raise ValueError(f"tokens must have shape (n, d) with n >= 1 and d >= 2, got {points.shape}")
        object.__setattr__(self, "points", points / unit_lengths(points, "token")[:, None])
        object.__setattr__(self, "weights", normalised(self.weights, n))


@dataclass(frozen=True, eq=False)
class EuclideanTokens(WeightedPoints):
    """Weighted tokens in R^d, moved by x <- x + U (`particles.retraction.translate`).  mathematics, section 6.

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
