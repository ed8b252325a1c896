"""Two tokens under a random quadratic form and a random shift, the same for both (Engel and Shalova 2603.06187).

dX = P_X o dQ X + gamma P_X o dW, Q = (B + B^T)/2^1/2 of d x d Brownian motions B, W one in R^d.  The overlap R has
drift (1 - R)(gamma^2 (d - 2 - R) - 2 R (1 + R)) and variance 2 (1 - R)^2 (1 + R)(2 (1 + R) + gamma^2).
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from particles.arrays import Array, check_not_negative
from particles.reduced.overlap import OverlapDiffusion, check_dimension, gaps


@dataclass(frozen=True)
class QuadraticForm(OverlapDiffusion):
    """Overlap of two tokens; at gamma = 0 near and opposite tokens are alike, and both hold what reaches them.

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    gamma : strength of the shift, by which opposite tokens part.
    """

    d: int
    gamma: float

    def __post_init__(self) -> None:
        check_dimension(self.d)
        check_not_negative(self.gamma, "gamma")

    def rates(self, y: Array) -> tuple[Array, Array]:
        """Drift gamma^2 (d - 2 + R)/(1 + R) + 2 R and variance 4 + 2 gamma^2/(1 + R) of y = artanh R."""
        above, r = gaps(y)[1], np.tanh(y)
        shift = self.gamma**2 / above
        return shift * (self.d - 2 + r) + 2 * r, 4 + 2 * shift

    @property
    def antipodal_exponent(self) -> float:
        """Limit of log(1 + R)/t near opposite points: -4 at gamma = 0, inf above, where these do not stay opposite."""
        return -4.0 if self.gamma == 0 else math.inf

    @property
    def moment_rate(self) -> float:
        """2 gamma^2 (d - 1)/(gamma^2 + 4), at which E(1 - R)^p falls at least, p = 2/(4 + gamma^2).

        L (1 - R)^p <= -rate (1 - R)^p on the whole interval: the quotient is convex in R and has this value at both
        ends.  No other p has a larger one.
        """
        return 2 * self.gamma**2 * (self.d - 1) / (self.gamma**2 + 4)

    @property
    def small_gap(self) -> float:
        """Spectral gap to first order in gamma: 4 gamma/(pi B((d - 1)/2, 1/2))."""
        return 4 * self.gamma / (math.pi * float(scipy.special.beta(0.5 * (self.d - 1), 0.5)))
