"""Expectations by steps on one path: the order of their error, and Richardson's extrapolation with an order of its own.

    E X_h = E X + c h + O(h^2),        2 E X_{h/2} - E X_h = E X + O(h^2)

(Talay and Tubaro 1990).  All steps of a member meet the same noise: differences are known far better than means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from particles import Array
from validation.estimates import Order, order_of_shifts

STEPS = ("layers.refine", "layers.dt")  # keys whose values are steps, or parts of one


@dataclass(frozen=True)
class Expectation:
    """2 E X_{h/2} - E X_h.

    Attributes
    ----------
    value : of the key, at h/2.   mean, error : over members; of a vector, along its mean at the last value.
    """

    value: float
    mean: float
    error: float


@dataclass(frozen=True)
class Weak:
    """What steps do to an expectation.

    Attributes
    ----------
    slope : power law of |E X_h - E X| in the value; None where the noise hides it.
    extrapolated : at all values but the first.   extrapolated_slope : power law of its error, likewise.
    """

    slope: Order | None
    extrapolated: tuple[Expectation, ...]
    extrapolated_slope: Order | None


def weak_of(key: str, values: Sequence[float], columns: Sequence[Array]) -> Weak | None:
    """Orders of an expectation; None where values are no steps, each half the one before, or too few.

    Parameters
    ----------
    values : of the key, coarse to fine.   columns : for each value (R, 1, n), vectors of R >= 2 members on one path.
    """
    ratio = 0.5 if key == "layers.dt" else 2.0
    halving = key in STEPS and all(abs(b / a - ratio) < 1e-9 for a, b in pairwise(values))
    if not halving or len(columns[0]) < 2 or columns[0].shape[1] != 1:
        return None
    direction = columns[-1][:, 0].mean(axis=0)
    length = float(np.linalg.norm(direction))
    if not length > 0:
        return None
    along = np.stack([column[:, 0] @ direction for column in columns], axis=1) / length
    finer = 2 * along[:, 1:] - along[:, :-1]
    errors = finer.std(axis=0, ddof=1) / np.sqrt(len(finer))
    found = zip(values[1:], finer.mean(axis=0), errors, strict=True)
    return Weak(
        _order(values, along), tuple(Expectation(*map(float, one)) for one in found), _order(values[1:], finer)
    )


def _order(values: Sequence[float], samples: Array) -> Order | None:
    """Of numbers (R, K) with a limit; None for fewer than three, or where nothing changes."""
    shifts = samples[:, :-1] - samples[:, 1:]
    if len(values) < 3 or not np.any(shifts != 0, axis=0).all():
        return None
    return order_of_shifts(values, shifts)
