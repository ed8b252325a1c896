"""Orders of convergence from values that go from coarse to fine; none of them is taken for exact.

Member r gives a number y_rk for rung k whose mean over members is C g_k(p), p the order in the value v:

    distances  y = the distance, which goes to zero itself  g_k = v_k^p
    shifts     y = X_k - X_{k+1}, with its sign             g_k = v_k^p - v_{k+1}^p
    gaps       y = |X_k - X_{k+1}|^2, both on one path      g_k = a (v_k^p - v_{k+1}^p)^2 + (1-a) |v_k^2p - v_{k+1}^2p|

The error of the finest value is in g.  In gaps the part a of the squared errors is common to all rungs (smooth
problems); the rest is new on each rung and independent of what is finer, E (X_k - X)(X_j - X) = E (X_j - X)^2 for
j > k (steps of a stochastic equation, nested samples).  a comes from the inner products of different gaps; where each
value has the same ratio to the next it plays no role.

Orders and intervals are found by `ladder`.  The 95 percent intervals cover 0.90 to 0.98 of 200 problems of known order
(tests/validation/estimates/test_orders.py::test_intervals_cover).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from particles import Array
from validation.estimates.ladder import Ladder, Order


def order_of_distances(values: ArrayLike, distances: ArrayLike) -> Order | None:
    """Order of numbers that go to zero themselves.

    Parameters
    ----------
    values : (K,) positive, coarse to fine, K >= 2.
    distances : (R, K), R members that may share their noise from value to value.

    Returns
    -------
    Order of distance = c value^p; None where the interval has no end.
    """
    v, samples = _checked(values, distances, 0)
    scale = _scale(v)
    return Ladder(
        v, float(v[-1]), samples, lambda p: (v / scale) ** p, lambda p, level: level * math.exp(-p * math.log(scale))
    ).order()


def order_of_shifts(values: ArrayLike, shifts: ArrayLike) -> Order | None:
    """Order of the mean error of a number, from its differences between neighbouring values.

    Parameters
    ----------
    values : (K,) positive, coarse to fine, K >= 3.
    shifts : (R, K-1), X_k - X_{k+1} of R members; the noise may differ from value to value.

    Returns
    -------
    Order of |mean error| = c value^p; None where the interval has no end.
    """
    v, samples = _checked(values, shifts, 1)
    scale, sign = _scale(v), math.copysign(1.0, float(v[0] - v[1]))

    def prefactor(p: float, level: float) -> float:
        return abs(level / p) * math.exp(-p * math.log(scale))

    return Ladder(
        v[:-1], float(v[-1]), sign * samples, lambda p: sign * _common(v / scale, p), prefactor, positive=False
    ).order()


def order_of_gaps(values: ArrayLike, gaps: Sequence[Array]) -> Order | None:
    """Order of the root mean square error on one path, from differences between neighbouring values.

    Parameters
    ----------
    values : (K,) positive, coarse to fine, K >= 3.
    gaps : K-1 arrays (R, n_k, d), X_k - X_{k+1} of R members: n_k tokens, or n_k = 1 for a vector.  The first tokens of
        all are the same tokens.

    Returns
    -------
    Order of root mean square error = c value^p; None where the interval has no end.
    """
    v, samples = _checked(values, np.stack([squares(gap) for gap in gaps], axis=1), 1)
    scale, common = _scale(v), common_part(gaps)
    units = v / scale

    def shape(p: float) -> Array:
        smooth, rough = _common(units, p) ** 2, np.abs(_common(units, 2 * p))
        total: Array = common * smooth / _scale(smooth) + (1 - common) * rough / _scale(rough)
        return total

    def prefactor(p: float, level: float) -> float:
        first = level * float(shape(p)[0])  # the square of the first gap, and what its two parts say of the error
        square = common * first / (p * _common(units, p)[0]) ** 2
        square += (1 - common) * first / abs(2 * p * _common(units, 2 * p)[0])
        return float(np.sqrt(square)) * math.exp(-p * math.log(scale))

    return Ladder(v[:-1], float(v[-1]), samples, shape, prefactor, power=2).order()


def squares(gap: Array) -> Array:
    """Mean square over tokens, (R, n, d) -> (R,)."""
    found: Array = np.einsum("rnd,rnd->r", gap, gap) / gap.shape[1]
    return found


def common_part(gaps: Sequence[Array]) -> float:
    """Part of the squared errors that all rungs have in common, in [0, 1]."""
    if len(gaps) < 2:
        return 0.0
    n = min(gap.shape[1] for gap in gaps)
    first = [gap[:, :n] for gap in gaps]
    sizes = [float(np.sqrt(np.vdot(gap, gap))) for gap in first]
    pairs = [(j, k) for k in range(len(gaps)) for j in range(k)]
    whole = sum(sizes[j] * sizes[k] for j, k in pairs)
    inner = sum(float(np.vdot(first[j], first[k])) for j, k in pairs)
    return min(1.0, max(0.0, inner / whole)) if whole > 0 else 0.0


def _common(values: Array, p: float) -> Array:
    """(v_k^p - v_{k+1}^p)/p, which is log(v_k/v_{k+1}) at p = 0."""
    ratio: Array = np.log(values[1:] / values[:-1])
    found: Array = -(values[:-1] ** p) * (ratio if abs(p) < 1e-12 else np.expm1(p * ratio) / p)
    return found


def _scale(values: Array) -> float:
    """Geometric mean."""
    return math.exp(float(np.log(values).mean()))


def _checked(values: ArrayLike, samples: ArrayLike, lost: int) -> tuple[Array, Array]:
    v, found = np.asarray(values, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    if v.ndim != 1 or len(v) < 2 + lost or found.ndim != 2 or found.shape[1] != len(v) - lost:
        raise ValueError(
            f"orders need at least {2 + lost} values and members by {'neighbours' if lost else 'values'}, "
            f"got shapes {v.shape} and {found.shape}"
        )
    steps = np.diff(v)
    if not (v.min() > 0 and (np.all(steps > 0) or np.all(steps < 0))):
        raise ValueError("values must be positive and rise or fall throughout")
    if not np.isfinite(found).all():
        raise ValueError("samples must be finite")
    return v, found
