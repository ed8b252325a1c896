"""Diffusions of the overlap R = <x_1, x_2> of two tokens.  mathematics (7).

All of them are written for y = artanh R, on the whole line: there the ends R = 1 and R = -1 lose no digits.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from particles.arrays import Array, check_not_negative
from particles.reduced.scale import FAR, Scale

STRONGEST = 1e15  # largest beta sigma_a^2: a hard maximum to rounding


def overlap_drift(d: int, overlap: ArrayLike, s_ij: ArrayLike, s_ii: ArrayLike, s_jj: ArrayLike) -> Array:
    """Drift of R for Gaussian heads with centred values, sigma_v^2 = 1/d, in diffusive time.  mathematics (7).

    Parameters
    ----------
    d : dimension of the tokens.
    overlap : R.
    s_ij, s_ii, s_jj : E_A <m_A(x_i), m_A(x_j)> between and at the two tokens.
    """
    r = np.asarray(overlap, dtype=np.float64)
    total = np.asarray(s_ii, dtype=np.float64) + np.asarray(s_jj)
    drift: Array = ((d - 2 + r**2) * np.asarray(s_ij) - 0.5 * (d - 1) * r * total) / d
    return drift


def overlap_variance(d: int, overlap: ArrayLike, s_ij: ArrayLike, s_ii: ArrayLike, s_jj: ArrayLike) -> Array:
    """d<R>/dt, the variance of R in diffusive time; arguments as in `overlap_drift`.  mathematics (7)."""
    r = np.asarray(overlap, dtype=np.float64)
    total = np.asarray(s_ii, dtype=np.float64) + np.asarray(s_jj)
    variance: Array = (1 - r**2) * (total - 2 * r * np.asarray(s_ij)) / d
    return variance


def collapse_exponent(d: int, s: float, gain: float) -> float:
    """Limit of log(1 - R)/t near R = 1: (1/d) [(d - 3) J - (d - 1) s].  mathematics, section 4.

    Negative: two near tokens meet; positive: they part.

    Parameters
    ----------
    d : dimension of the tokens.
    s : E |m_A(x)|^2.
    gain : J = E |D m_A(x) v|^2, v a unit tangent at x.
    """
    return ((d - 3) * gain - (d - 1) * s) / d


def check_heads(d: int, beta: float, sigma_a: float, head_dim: int) -> None:
    """Refuse parameters that are none of Gaussian heads."""
    check_dimension(d, head_dim)
    check_not_negative(beta, "beta")
    check_not_negative(sigma_a, "sigma_a")
    if not beta * sigma_a * sigma_a <= STRONGEST:
        raise ValueError(f"beta * sigma_a^2 must be at most {STRONGEST:g}, got {beta * sigma_a * sigma_a:g}")


def check_dimension(d: int, head_dim: int | None = None, least: int = 2) -> None:
    """Refuse dimensions out of range."""
    if not d >= least:
        raise ValueError(f"d must be at least {least}, got {d}")
    if head_dim is not None and not 1 <= head_dim <= d:
        raise ValueError(f"head_dim must be between 1 and d = {d}, got {head_dim}")


def artanh(overlap: ArrayLike) -> Array:
    """Return y = artanh R of overlaps in [-1, 1]; the ends become +-FAR, where 1 - |R| is below rounding."""
    r = np.asarray(overlap, dtype=np.float64)
    outside = ~(np.abs(r) <= 1)
    if outside.any():
        raise ValueError(f"overlap must lie between -1 and 1, got {r[outside].flat[0]:g}")
    with np.errstate(divide="ignore"):
        return np.clip(np.arctanh(r), -FAR, FAR)


def gaps(y: Array) -> tuple[Array, Array]:
    """1 - R and 1 + R at R = tanh y, without cancellation."""
    return 2 / (1 + np.exp(2 * y)), 2 / (1 + np.exp(-2 * y))


class OverlapDiffusion(ABC):
    """dR = drift(R) dt + sqrt(variance(R)) dB on (-1, 1)."""

    @abstractmethod
    def rates(self, y: Array) -> tuple[Array, Array]:
        """Drift and variance of y = artanh R, shape as y, |y| <= FAR."""

    def drift(self, overlap: ArrayLike) -> Array:
        """Drift of R."""
        y = artanh(overlap)
        below, above = gaps(y)
        drift, variance = self.rates(y)
        return below * above * (drift - np.tanh(y) * variance)

    def variance(self, overlap: ArrayLike) -> Array:
        """Variance of R per unit of time, the square of the diffusion coefficient."""
        y = artanh(overlap)
        below, above = gaps(y)
        return (below * above) ** 2 * self.rates(y)[1]

    def diffusion(self, overlap: ArrayLike) -> Array:
        """Diffusion coefficient of R."""
        return np.sqrt(self.variance(overlap))

    @property
    def exponent(self) -> float:
        """Limit of log(1 - R)/t for tokens that stay near each other: negative where they meet."""
        return -2 * float(self.rates(np.array([FAR]))[0][0])

    @property
    def antipodal_exponent(self) -> float:
        """Limit of log(1 + R)/t for tokens that stay near opposite points: negative where these attract."""
        return 2 * float(self.rates(np.array([-FAR]))[0][0])

    def scale(self) -> Scale:
        """Scale function and speed measure, tabulated; ask it several questions at the price of one."""
        return Scale.of(self.rates)

    def hitting_probability(self, overlap: float, low: float = -1.0, high: float = 1.0) -> float:
        """Probability that R reaches `high` before `low`; at -1 and 1 that it tends there.

        Accuracy: 1e-8 (tests/particles/reduced/test_two_token.py).  ValueError where both ends are 1 and -1 and
        neither attracts.
        """
        if not -1 <= low <= overlap <= high <= 1 or not low < high:
            raise ValueError(f"low <= overlap <= high within [-1, 1] is needed, got {low:g}, {overlap:g}, {high:g}")
        below = -np.inf if low == -1 else float(artanh(low))
        above = np.inf if high == 1 else float(artanh(high))
        return self.scale().hitting_probability(float(artanh(overlap)), below, above)

    def antipodal_probability(self, overlap: float) -> float:
        """Probability that R tends to -1."""
        return self.scale().hitting_probability(float(artanh(overlap)), -np.inf, np.inf, upper=False)

    def stationary_density(self, overlap: ArrayLike) -> Array:
        """Stationary density of R on (-1, 1); ValueError where the overlap tends to an end instead."""
        y = artanh(overlap)
        below, above = gaps(y)
        return self.scale().stationary_density(y) / (below * above)
