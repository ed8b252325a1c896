"""Low temperature: infinitely many tokens first, then beta -> infinity.  mathematics (8).

Softmax then looks in the direction Ax: m_A(x) = nrm(Ax), s_ii = 1, s_ij = E <nrm(A x_i), nrm(A x_j)>.  With one
Gaussian factor that is the mean cosine of two Gaussian vectors whose d pairs of entries have correlation R, the
uncentred sample correlation of d pairs; with A = W W'^T it is averaged over the one of head_dim pairs first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from particles.arrays import Array, check_not_negative
from particles.reduced.overlap import OverlapDiffusion, artanh, check_dimension, collapse_exponent

STEP = 0.2  # trapezoidal rule in artanh of the sample correlation, analytic in a strip of half-width pi/2
SERIES_FROM, TERMS = 30.0, 64  # at c = 30 and x = 1 the rest of the series is 1e-26
CUT = 40.0  # the density is followed down to exp(-CUT) of its peak


def one_factor_cosine(overlap: ArrayLike, d: int) -> Array:
    """F1(R) = E <nrm(Ax), nrm(Ay)>, entries of A (d x d) independent Gaussian, <x, y> = R.

    R (2/d) [Gamma((d+1)/2)/Gamma(d/2)]^2 2F1(1/2, 1/2; (d+2)/2; R^2) = R + (R^3 - R)/(2 d) + O(d^-2).
    """
    check_dimension(d)
    r = np.tanh(artanh(overlap))
    factor = 2 / d * math.exp(2 * (scipy.special.gammaln(0.5 * (d + 1)) - scipy.special.gammaln(0.5 * d)))
    value: Array = np.clip(factor * r * _hypergeometric(0.5 * d + 1, r**2), -1.0, 1.0)  # 1 + rounding at R = 1
    return value


def _hypergeometric(c: float, x: Array) -> Array:
    """2F1(1/2, 1/2; c; x) on [0, 1].  scipy gives NaN near x = 1 for large c, where the series is short."""
    if c < SERIES_FROM:
        return np.asarray(scipy.special.hyp2f1(0.5, 0.5, c, x))
    term = np.ones_like(x)
    total = np.ones_like(x)
    for n in range(TERMS):
        term = term * ((n + 0.5) ** 2 / ((c + n) * (n + 1))) * x
        total = total + term
    return total


def mean_over_sample_correlation(function: Callable[[Array], Array], overlap: ArrayLike, pairs: int) -> Array:
    """E f(R1), R1 the uncentred sample correlation of `pairs` independent Gaussian pairs of correlation `overlap`.

    By the trapezoidal rule in z = artanh R1, with density C (cosh z/cosh y)^(1/2) cosh(z - y)^-(k - 1/2)
    2F1(1/2, 1/2; k + 1/2; (1 + R R1)/2), y = artanh R, k = pairs, C = (k - 1) Gamma(k)/(sqrt(2 pi) Gamma(k + 1/2)).
    One pair has R1 = +-1, with probability arccos(R)/pi of -1.
    """
    if not pairs >= 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    y = np.atleast_1d(artanh(overlap))
    ends = np.tanh(artanh([-1.0, 1.0]))
    if pairs == 1:
        low, high = function(ends)
        value = low + (high - low) * (1 - np.arccos(np.tanh(y)) / np.pi)
        return np.asarray(value).reshape(np.shape(overlap))
    reach = math.acosh(math.exp(CUT / (pairs - 1)))
    step = min(STEP, 0.5 / math.sqrt(pairs))
    shift: Array = step * np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1, dtype=np.float64)
    z = y[:, None] + shift
    ratio = scipy.special.gammaln(pairs) - scipy.special.gammaln(pairs + 0.5)
    constant = math.log((pairs - 1) / math.sqrt(2 * math.pi)) + ratio
    log_density = constant + 0.5 * (_log_cosh(z) - _log_cosh(y)[:, None]) - (pairs - 0.5) * _log_cosh(shift)
    r1 = np.tanh(z)
    density = np.exp(log_density) * _hypergeometric(pairs + 0.5, 0.5 * (1 + np.tanh(y)[:, None] * r1))
    value = step * np.sum(density * function(r1), axis=1)
    return np.asarray(value).reshape(np.shape(overlap))


def two_factor_cosine(overlap: ArrayLike, d: int, head_dim: int) -> Array:
    """F2(R) = E <nrm(Ax), nrm(Ay)>, A = W W'^T with Gaussian W, W' (d x head_dim), <x, y> = R.

    F2 = E F1(R1) = R + (R^3 - R)/2 (1/d + 1/head_dim) + O(d^-2).  mathematics (8).
    Accuracy: 1e-10 (tests/particles/reduced/test_low_temperature.py).
    """
    check_dimension(d, head_dim)
    return mean_over_sample_correlation(lambda r: one_factor_cosine(r, d), overlap, head_dim)


def _log_cosh(z: Array) -> Array:
    value: Array = np.logaddexp(z, -z) - math.log(2)
    return value


def kappa(d: int, head_dim: int | None = None) -> float:
    """Parameter of the limit law: 3/2 + d/(2 head_dim) for A = W W'^T, 3/2 for one factor (head_dim None)."""
    check_dimension(d, head_dim)
    return 1.5 if head_dim is None else 1.5 + d / (2 * head_dim)


def low_temperature_exponent(d: int, head_dim: int) -> float:
    """Limit of log(1 - R)/t at finite d >= 3, two factors; inf for head_dim <= 2 and d >= 4.

    (1/d) [(d - 3) J - (d - 1)], J = (d - 1)(head_dim - 1)/((d - 2)(head_dim - 2)).  For d = 3 it is -2/3 at every
    head_dim: J, finite or not, drops out of the generator of log(1 - R).
    """
    check_dimension(d, head_dim, least=3)
    if d == 3:
        return collapse_exponent(3, 1.0, 0.0)
    if head_dim <= 2:
        return math.inf
    return collapse_exponent(d, 1.0, (d - 1) * (head_dim - 1) / ((d - 2) * (head_dim - 2)))


@dataclass(frozen=True)
class LowTemperatureLimit(OverlapDiffusion):
    """The limit d -> infinity, on diffusive time t = d s': du = -kappa u (1 - u^2) ds' + sqrt(2) (1 - u^2) dB.

    y = artanh u: dy = (2 - kappa) tanh y ds' + sqrt(2) dB.  kappa < 2: |u| -> 1; kappa = 2: y is a Brownian motion;
    kappa > 2: no collapse, stationary density proportional to (1 - u^2)^((kappa - 4)/2).
    """

    kappa: float

    def __post_init__(self) -> None:
        check_not_negative(self.kappa, "kappa")

    def rates(self, y: Array) -> tuple[Array, Array]:
        return (2 - self.kappa) * np.tanh(y), np.full_like(y, 2.0)
