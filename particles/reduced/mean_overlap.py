"""Mean overlap w = |int x mu|^2 at beta = 0: every token gets the same push.  mathematics, section 4.

Centred values, sigma_v^2 = 1/d, diffusive time; all s_ij = w.
"""

import numpy as np
from numpy.typing import ArrayLike

from particles.arrays import Array
from particles.measure import Measure, mean_token, second_moment


def mean_overlap_drift(measure: Measure) -> float:
    """Exact drift of w: (w/d) [(d - 1)(1 - w) - (1 - tr Sigma^2)], Sigma = int x x^T mu."""
    mean, sigma = mean_token(measure), second_moment(measure)
    d, w = len(mean), float(mean @ mean)
    return w / d * ((d - 1) * (1 - w) - (1 - float(np.sum(sigma * sigma))))


def mean_overlap_variance(measure: Measure) -> float:
    """d<w>/dt = (4 w/d) |(I - Sigma) int x mu|^2, of order 1/d: paths spread by d^-1/2 about the logistic law."""
    mean, sigma = mean_token(measure), second_moment(measure)
    rest = mean - sigma @ mean
    return 4 * float(mean @ mean) * float(rest @ rest) / len(mean)


def logistic_overlap(time: ArrayLike, start: float) -> Array:
    """Limit d -> infinity: w' = w (1 - w), w(t) = w_0/(w_0 + (1 - w_0) e^-t), in diffusive time t >= 0."""
    if not 0 <= start <= 1:  # written so that NaN is caught
        raise ValueError(f"start must lie between 0 and 1, got {start}")
    t = np.asarray(time, dtype=np.float64)
    if not np.all(t >= 0):
        raise ValueError("time must be >= 0")
    if start == 0:
        return np.zeros_like(t)
    value: Array = start / (start + (1 - start) * np.exp(-t))
    return value
