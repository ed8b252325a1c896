"""Energies of a measure: E with drift b = -grad dE/dmu, and that of attention.  mathematics, section 10.

On S^1 and S^2 a double integral is a sum over degrees, int int w(<x, y>) mu(dx) mu(dy) = sum_lm w_l |mu_lm|^2.
"""

import math

import numpy as np

from particles.arrays import Array, check_positive
from particles.equations.interactions import Exponential, Interaction, multipliers
from particles.harmonics import adjoint_at, power
from particles.measure import Measure

BLOCK = 1 << 16  # values of w held at a time
FEW = 256  # points whose pairs are summed directly
TOLERANCE = 1e-12  # of the series of w


def self_energy(interaction: Interaction, measure: Measure) -> float:
    """int int w(<x, y>) mu(dx) mu(dy): O(n) by series in d = 2 and 3, by pairs for few points and in other d."""
    points, d = measure.points, measure.points.shape[1]
    factors = multipliers(interaction, d, TOLERANCE) if d in (2, 3) and len(points) > FEW else None
    if factors is None:
        return _by_pairs(interaction, points, points, measure.weights)
    if d == 3:
        return float(factors @ power(adjoint_at(measure.weights, points, len(factors) - 1)))
    z = points[:, 0] + 1j * points[:, 1]
    moments = np.array([measure.weights @ z**k for k in range(len(factors))])
    share = np.where(np.arange(len(factors)) > 0, 2, 1) / (2 * math.pi)
    return float((factors * share) @ (moments.real**2 + moments.imag**2))


def attention_energy(measure: Measure, beta: float, form: Array | None = None) -> float:
    """E_beta = (1/(2 beta)) int int e^{beta <Ax, y>} mu(dx) mu(dy), which attention with A = V = I makes larger.

    Parameters
    ----------
    measure : with points (n, d) and weights (n,) on the sphere.   form : A, (d, d); None for the identity.

    Source: Geshkovski, Letrouit, Polyanskiy and Rigollet, arXiv 2312.10794, section 3.
    """
    check_positive(beta, "beta")
    kernel = Exponential(beta)
    if form is None:
        return 0.5 * self_energy(kernel, measure)
    return 0.5 * _by_pairs(kernel, measure.points @ form.T, measure.points, measure.weights)


def _by_pairs(interaction: Interaction, first: Array, second: Array, weights: Array) -> float:
    total, height = 0.0, max(1, BLOCK // len(second))
    for start in range(0, len(first), height):
        rows = slice(start, start + height)
        total += float(weights[rows] @ (interaction.value(first[rows] @ second.T) @ weights))
    return total
