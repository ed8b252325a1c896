"""Two tokens and their own measure mu = (delta_1 + delta_2)/2, Gaussian heads.  mathematics (7).

With T_i = tanh(l_i/2), l_i the difference of the two attention logits of token i, m_A(x_i) = (x_1 + x_2)/2 +
T_i (x_1 - x_2)/2 and s_ij = (1 + R)/2 + (1 - R)/2 E[T_i T_j].  For A = W W'^T the two l_i are beta sigma_a^2
sqrt(2 (1 - R)) chi_k times a Gaussian pair of correlation R, k = head_dim: a radius and an angle.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from particles.arrays import Array
from particles.reduced.chi import chi_rule
from particles.reduced.overlap import OverlapDiffusion, artanh, check_heads, gaps

RADIUS_STEP = 0.16  # trapezoidal rule in log radius: error exp(-pi^2/(2 step))
ANGLE_NODES = 40  # Gauss-Legendre in asinh(t angle), in which the steps of tanh are as wide as everything else

_nodes, _weights = np.polynomial.legendre.leggauss(ANGLE_NODES)


def radius_rule(head_dim: int, strength: float) -> tuple[Array, Array]:
    """Nodes p and weights of the radius chi_2 chi_k, k = head_dim: E F(chi_2 chi_k) = sum_i w_i F(p_i).

    For bounded F, smooth in log p, with F(p) = O((strength p)^2) at 0; the density of p is at most of order 1 there.
    """
    chi, chi_weights = chi_rule(head_dim)
    start = -10.0 - (2 / 3) * math.log(max(strength, 1.0))  # leaves out 1e-13 of the mean
    end = math.log(chi[-1]) + 2.2
    p = np.exp(start + RADIUS_STEP * np.arange(math.ceil((end - start) / RADIUS_STEP) + 1))
    squares = (p[:, None] / chi) ** 2  # density of log chi_2: r^2 exp(-r^2/2)
    return p, RADIUS_STEP * (squares * np.exp(-0.5 * squares)) @ chi_weights


def _on_interval(t: Array, length: float) -> tuple[Array, Array]:
    """Angles (t, nodes) on [0, length] and weights, for functions with steps of width 1/t at 0."""
    half = 0.5 * np.arcsinh(t * length)[:, None]
    v = half * (1 + _nodes)
    return np.sinh(v) / t[:, None], half * _weights * np.cosh(v) / t[:, None]


def _difference_over(p: Array, q: Array, difference: Array, scale: float) -> Array:
    """[tanh p - tanh q] / scale with difference = (p - q)/scale given, p, q >= 0: no cancellation, no overflow."""
    gap = np.abs(scale * difference)
    ratio = np.where(gap > 0, -np.expm1(-2 * gap) / np.where(gap > 0, 2 * gap, 1.0), 1.0)  # e^-g sinh(g)/g
    size = 4 * np.exp(gap - p - q) / ((1 + np.exp(-2 * p)) * (1 + np.exp(-2 * q)))
    value: Array = difference * ratio * size
    return value


def step_moments(strength: float, y: float, radii: Array, weights: Array) -> tuple[float, float]:
    """E T_1^2 and E (T_1 + T_2)^2/(2 (1 + R)), T_i = tanh(strength p X_i/2), (X_1, X_2) of correlation R = tanh y.

    Given the radius the pair is (cos phi, cos(phi - theta)), theta = arccos R, phi uniform; on the half circle
    the two cosines are sin a and sin(theta' - a) on an interval of length theta' = pi - theta, and of opposite
    sign on one of length theta.
    """
    theta, rest = 2 * math.atan(math.exp(-y)), 2 * math.atan(math.exp(y))
    t = strength * radii
    a, w = _on_interval(t, 0.5 * math.pi)
    square = 2 / math.pi * np.sum(w * np.tanh(0.5 * t[:, None] * np.sin(a)) ** 2, axis=1)
    above = float(gaps(np.array(y))[1])
    a, w = _on_interval(t, 0.5 * rest)
    total = np.tanh(0.5 * t[:, None] * np.sin(a)) + np.tanh(0.5 * t[:, None] * np.sin(rest - a))
    same = np.sum(w * total**2, axis=1) / above
    a, w = _on_interval(t, 0.5 * theta)
    p, q = 0.5 * t[:, None] * np.sin(a), 0.5 * t[:, None] * np.sin(theta - a)
    scale = math.sin(0.5 * rest)  # above = 2 scale^2
    slope = _difference_over(p, q, t[:, None] * np.sin(a - 0.5 * theta), scale)
    opposite = 0.5 * np.sum(w * slope**2, axis=1)
    return float(weights @ square), float(weights @ (same + opposite)) / math.pi


@dataclass(frozen=True)
class TwoTokens(OverlapDiffusion):
    """Overlap of two tokens under Gaussian heads, sigma_v^2 = 1/d, diffusive time.

    At beta = 0 the drift is (1 - R^2)(d - 2 - R)/(2d) and the diffusion (1 - R^2)/sqrt(d).

    Accuracy of drift and diffusion: 1e-10 (tests/particles/reduced/test_two_token.py).

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    beta : inverse temperature.
    sigma_a : standard deviation of the entries of W and W'.
    head_dim : inner dimension of A, between 1 and d.
    """

    d: int
    beta: float
    sigma_a: float
    head_dim: int

    def __post_init__(self) -> None:
        check_heads(self.d, self.beta, self.sigma_a, self.head_dim)

    def moments(self, y: Array) -> tuple[Array, Array]:
        """E T_1^2 and E (T_1 + T_2)^2/(2 (1 + R)) at R = tanh y, shape as y."""
        strength = self.beta * self.sigma_a**2
        if strength == 0:
            return np.zeros_like(y), np.zeros_like(y)
        rule = radius_rule(self.head_dim, 2 * strength)
        below, _ = gaps(y)
        pairs = [
            step_moments(strength * math.sqrt(2 * b), at, *rule)
            for b, at in zip(below.ravel().tolist(), y.ravel().tolist(), strict=True)
        ]
        square, total = np.array(pairs).T.reshape(2, *y.shape)
        return square, total

    def rates(self, y: Array) -> tuple[Array, Array]:
        """Drift and variance of y = artanh R, from mathematics (7)."""
        square, total = self.moments(y)
        below, above = gaps(y)
        cross = above * total - square  # E T_1 T_2
        s_12 = 0.5 * (above + below * cross)
        variance = (1 + total - cross) / self.d
        drift = (0.5 * (self.d - 1) * (1 + total - square) - s_12) / self.d + np.tanh(y) * variance
        return drift, variance

    def overlaps_of_barycentres(self, overlap: ArrayLike) -> tuple[Array, Array]:
        """s_11 and s_12, E_A <m_A(x_i), m_A(x_j)>, at overlaps R."""
        y = artanh(overlap)
        square, total = self.moments(y)
        below, above = gaps(y)
        return 0.5 * (above + below * square), 0.5 * (above + below * (above * total - square))
