"""Exact Wasserstein distances of weighted points: W_p(mu, nu)^p = min over couplings of sum pi_ij c_ij^p.

The linear programme is solved by the network simplex of POT (Bonneel, van de Panne, Paris and Heidrich
2011, ACM Transactions on Graphics 30:158). Every answer carries its own certificate: the dual potentials
are made feasible on the whole cost matrix, and the difference between the two objectives bounds the error
of the optimum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from particles import Array, check_count
from validation.distances.simplex import REFUSED, TransportError, solve

Points: TypeAlias = npt.ArrayLike
Weights: TypeAlias = npt.ArrayLike | None
Cost = Callable[[Array, Array], Array]

MAX_POINTS = 8192


@dataclass(frozen=True)
class Transport:
    """Optimal transport between two point sets.

    Attributes
    ----------
    distance: W_p, in the units of the cost.
    cost: W_p^p, the value of the optimal coupling that was found.
    dual_gap: cost minus the value of feasible potentials; W_p^p is in [cost - dual_gap, cost], to rounding.
    """

    distance: float
    cost: float
    dual_gap: float


def chordal(x: Array, y: Array) -> Array:
    """Chordal (Euclidean) distances |x_i - y_j|.

    Parameters
    ----------
    x, y: points (n, d), (m, d); on the sphere or anywhere in R^d.

    Returns
    -------
    (n, m), from differences of coordinates, so that nearly equal points keep their digits.
    """
    return np.asarray(cdist(x, y), dtype=np.float64)


def geodesic(x: Array, y: Array) -> Array:
    """Great-circle distances 2 arctan(|x_i - y_j| / |x_i + y_j|), in [0, pi].

    This form (Kahan 2006, "How futile are mindless assessments of roundoff", section 12) is accurate for
    nearly equal and for nearly antipodal points, where the arccosine of the overlap keeps only half of the
    digits.

    Parameters
    ----------
    x, y: unit vectors (n, d), (m, d).

    Returns
    -------
    (n, m), radians.

    Raises
    ------
    ValueError: a point is off the unit sphere by more than 1e-6.
    """
    for name, points in (("x", x), ("y", y)):
        defect = np.abs(np.linalg.norm(points, axis=1) - 1.0)
        if not defect.max() <= 1e-6:
            raise ValueError(
                f"geodesic distances need unit vectors, but the length of {name}[{int(defect.argmax())}] "
                f"differs from 1 by {defect.max():.2e}; normalise the points or use the chordal distance"
            )
    distances = cdist(x, y)
    np.arctan2(distances, cdist(x, -y), out=distances)
    return np.asarray(2.0 * distances, dtype=np.float64)


def transport(
    x: Points, y: Points, x_weights: Weights = None, y_weights: Weights = None,
    *, p: float = 2.0, cost: Cost = chordal, max_iterations: int = 10**9,
) -> Transport:
    """Solve the optimal transport problem between two weighted point sets exactly.

    Large problems are first solved on a sparse graph of near pairs, to which the pairs of negative reduced
    cost are added. Once the potentials are feasible for all pairs, the optimum is that of the dense
    problem; if that takes too many pairs, the dense problem is solved.

    Parameters
    ----------
    x, y: points (n, d), (m, d) with n, m between 1 and 8192 inclusive.
    x_weights, y_weights: positive weights (n,), (m,), normalised here to sum 1; None means equal weights.
    p: order, finite and >= 1.
    cost: function of (x, y) that returns distances (n, m); `chordal` and `geodesic` are given here.
    max_iterations: pivots of the network simplex; 2048 points a side need some 10^4.

    Returns
    -------
    Transport

    Raises
    ------
    ValueError: wrong shapes, values that are not finite, weights that are not positive, too many points.
    TransportError: max_iterations reached, or the duality gap exceeds 1e-9 of the largest cost.

    Accuracy: dual_gap below 1e-11 of the largest cost (tests/validation/distances/test_exact.py).

    Examples
    --------
    >>> transport([[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], p=1, cost=geodesic).distance == np.pi / 2
    True
    """
    if not (p >= 1 and math.isfinite(p)):
        raise ValueError(f"p must be finite and >= 1, got {p}")
    check_count(max_iterations, "max_iterations")
    xs, ys = _points("x", x), _points("y", y)
    if xs.shape[1] != ys.shape[1]:
        raise ValueError(f"x and y must have the same dimension, got shapes {xs.shape} and {ys.shape}")
    a, b = _weights("x_weights", x_weights, len(xs)), _weights("y_weights", y_weights, len(ys))

    distances = cost(xs, ys)
    if distances.shape != (len(xs), len(ys)) or not np.isfinite(distances).all():
        raise ValueError(
            f"cost must return finite distances of shape {(len(xs), len(ys))}, got shape {distances.shape}"
        )
    costs = np.ascontiguousarray(np.maximum(distances, 0.0) ** p)
    scale = float(costs.max())
    if scale == 0.0:
        return Transport(0.0, 0.0, 0.0)
    costs /= scale  # the pivoting rule of the solver has absolute tolerances

    value, gap = solve(costs, xs, ys, a, b, max_iterations)
    if not gap <= REFUSED:
        raise TransportError(
            f"the optimal transport solver left a duality gap of {gap:.1e} of the largest cost (at most "
            f"{REFUSED:.0e} is accepted); weights that span too many orders of magnitude do this"
        )
    value = max(value, 0.0)
    return Transport(distance=(value * scale) ** (1.0 / p), cost=value * scale, dual_gap=gap * scale)


def wasserstein(
    x: Points, y: Points, x_weights: Weights = None, y_weights: Weights = None,
    *, p: float = 2.0, cost: Cost = chordal,
) -> float:
    """Wasserstein distance W_p of two weighted point sets; parameters and errors are those of `transport`."""
    return transport(x, y, x_weights, y_weights, p=p, cost=cost).distance


def w2_chordal(x: Points, y: Points, x_weights: Weights = None, y_weights: Weights = None) -> float:
    """W_2 for the chordal distance: `w2_chordal` and `w2_floor` of a compare file."""
    return wasserstein(x, y, x_weights, y_weights, p=2.0, cost=chordal)


def w1_geodesic(x: Points, y: Points, x_weights: Weights = None, y_weights: Weights = None) -> float:
    """W_1 for the great-circle distance, radians: `w1_geodesic` of a compare file."""
    return wasserstein(x, y, x_weights, y_weights, p=1.0, cost=geodesic)


def _points(name: str, points: Points) -> Array:
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be points of shape (n, d) with n, d >= 1, got shape {array.shape}")
    if len(array) > MAX_POINTS:
        raise ValueError(
            f"{name} has {len(array)} points, at most {MAX_POINTS} are allowed (exact transport takes "
            "more than n^2 operations); take a sample"
        )
    if not np.isfinite(array).all():
        bad = np.count_nonzero(~np.isfinite(array))
        raise ValueError(f"{name} must be finite, got {bad} values that are not")
    return array


def _weights(name: str, weights: Weights, n: int) -> Array:
    if weights is None:
        return np.full(n, 1.0 / n)
    array = np.ascontiguousarray(weights, dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one weight a point, got shape {array.shape}")
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name} must be positive and finite, got a smallest value of {array.min()}")
    array = array / array.max()  # so that the sum does not overflow
    return np.asarray(array / array.sum(), dtype=np.float64)
