"""Two tokens with A = I and random values (Fedorov et al., as reported): which pairs end opposite each other.

dR is (7) with T_1 = -T_2 = tanh(beta (1 - R)/2); mathematics, section 4.
"""

import math
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, check_not_negative
from particles.reduced.overlap import OverlapDiffusion, check_dimension, gaps


@dataclass(frozen=True)
class ValuesOnly(OverlapDiffusion):
    """Overlap of two tokens under heads with A = I and V of entries N(0, 1/d), diffusive time.

    Scale density in R: (1 - R^2)^-1/2 exp(-(d - 2) int_0^R sech(beta (1 - v))/(1 - v^2) dv).

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    beta : inverse temperature.
    """

    d: int
    beta: float

    def __post_init__(self) -> None:
        check_dimension(self.d)
        check_not_negative(self.beta, "beta")

    @property
    def critical_beta(self) -> float:
        """Antipodal pairs attract above it: cosh(2 beta) = d - 2; 0 for d = 2 and 3."""
        return 0.5 * math.acosh(max(1.0, self.d - 2.0))

    def rates(self, y: Array) -> tuple[Array, Array]:
        below, above = gaps(y)
        square = np.tanh(0.5 * self.beta * below) ** 2
        falling = 1 / np.cosh(np.minimum(0.5 * self.beta * below, 350.0)) ** 2  # 1 - square, without cancellation
        variance = (1 + square) / self.d
        drift = 0.5 * ((self.d - 1) * falling - above + below * square) / self.d + np.tanh(y) * variance
        return drift, variance
