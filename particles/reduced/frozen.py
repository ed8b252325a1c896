"""Two near tokens among infinitely many that stay uniform on the sphere: exponent of log(1 - R) at any beta.

m_A(x) = L(beta |Ax|) nrm(Ax), L(z) = I_{d/2}(z)/I_{d/2-1}(z), on S^2 coth z - 1/z.
"""

from typing import NamedTuple

import numpy as np
import scipy

from particles.arrays import Array
from particles.reduced.chi import chi_rule
from particles.reduced.overlap import check_heads, collapse_exponent

STEPS = 60  # of the recurrence; a step divides the error by 2.6 or more
FAR_OUT = 1e8


class FrozenUniform(NamedTuple):
    """s = E |m_A(x)|^2, gain J = E |D m_A(x) v|^2, and the exponent of log(1 - R) in diffusive time."""

    s: float
    gain: float
    exponent: float


def mean_of_von_mises_fisher(z: Array, d: int) -> tuple[Array, Array, Array]:
    """L(z), the length of the mean of the density proportional to e^{z <e, x>} on S^(d-1), L(z)/z and L'(z), z > 0.

    By the recurrence of Bessel functions downwards for z < d, by scipy's above, by L = 1 - (d - 1)/(2 z) far out.
    """
    small = np.minimum(z, d)
    value = small / (d + 2 * STEPS)
    for n in reversed(range(STEPS)):
        value = small / (d + 2 * n + small * value)
    middle = np.clip(z, d, FAR_OUT)
    value = np.where(z < d, value, scipy.special.ive(0.5 * d, middle) / scipy.special.ive(0.5 * d - 1, middle))
    value = np.where(z < FAR_OUT, value, 1 - 0.5 * (d - 1) / z)
    over = value / z
    slope = np.where(z < FAR_OUT, 1 - value**2 - (d - 1) * over, 0.5 * (d - 1) / z**2)
    return value, over, slope


def frozen_uniform(d: int, beta: float, sigma_a: float, head_dim: int) -> FrozenUniform:
    """Exponent of two near tokens in the uniform measure, sigma_v^2 = 1/d.

    With A = W W'^T, x and its tangent v: Ax = sigma_a^2 chi_k g, and Av is a Gaussian multiple of it plus an
    independent sigma_a^2 chi_{k-1} g', k = head_dim, g and g' Gaussian in R^d.  Hence, with r = chi_k chi_d and
    z = beta sigma_a^2 r,
    J = E[(beta sigma_a^2 L'(z))^2 (chi_d^2 + k - 1)] + (d - 1)(k - 1) E[(L(z)/r)^2].

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    beta : inverse temperature.
    sigma_a : standard deviation of the entries of W and W'.
    head_dim : inner dimension of A, between 1 and d.
    """
    check_heads(d, beta, sigma_a, head_dim)
    strength = beta * sigma_a**2
    if strength == 0:
        return FrozenUniform(0.0, 0.0, 0.0)
    (outer, outer_weights), (inner, inner_weights) = chi_rule(d), chi_rule(head_dim)
    radius, weights = np.outer(outer, inner), np.outer(outer_weights, inner_weights)
    value, over, slope = mean_of_von_mises_fisher(strength * radius, d)
    s = float(np.sum(weights * value**2))
    along = np.sum(weights * (strength * slope) ** 2 * (outer[:, None] ** 2 + head_dim - 1))
    across = (d - 1) * (head_dim - 1) * np.sum(weights * (strength * over) ** 2)
    gain = float(along + across)
    return FrozenUniform(s, gain, collapse_exponent(d, s, gain))
