"""Means over chi_k, the length of a Gaussian vector of k entries: the trapezoidal rule in its logarithm."""

import math

import numpy as np
import scipy

from particles.arrays import Array


def chi_rule(k: int) -> tuple[Array, Array]:
    """Nodes c and weights w with E F(chi_k) = sum_i w_i F(c_i), for bounded F that are smooth in log c.

    Accuracy: 1e-13 for F analytic in |Im log c| < pi/4 (tests/particles/reduced/test_two_token.py); the steps are
    short where log chi_k is narrow, 1/sqrt(2 k).
    """
    step = min(0.1, 0.25 / math.sqrt(k))
    low, high = -37.0 / k, 0.5 * math.log(k + 13 * math.sqrt(k) + 80)  # beyond lie 1e-16 of the mass
    log_c = low + step * np.arange(math.ceil((high - low) / step) + 1)
    log_density = k * log_c - 0.5 * np.exp(2 * log_c) - (0.5 * k - 1) * math.log(2) - scipy.special.gammaln(0.5 * k)
    return np.exp(log_c), step * np.exp(log_density)
