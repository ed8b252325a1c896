"""Two tokens under isotropic noise of covariance k(<x, y>) I, as a wide MLP block makes it.  mathematics, section 4.

dR = [k(R)(d - 2 + R^2) - k(1)(d - 1) R] dt + sqrt(2 (1 - R^2)(k(1) - R k(R))) dB.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from particles.arrays import Array, check_not_negative
from particles.reduced.overlap import OverlapDiffusion, check_dimension, gaps
from particles.reduced.scale import FAR
from particles.reduced.spectrum import spectral_gap

NEAR = 0.1  # 1 - |R| below which differences of k are taken by integrating k'
ODD = 1e-12  # k(1) + k(-1) below this fraction of k(1): the kernel is odd

_nodes, _weights = np.polynomial.legendre.leggauss(16)
_nodes, _weights = 0.5 * (1 + _nodes), 0.5 * _weights


class Kernel(Protocol):
    """Covariance k(u) of an isotropic field at overlap u, and its derivative; `particles.DualKernel` is one."""

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        ...

    def value(self, u: ArrayLike) -> Array:
        """k(u)."""
        ...

    def derivative(self, u: ArrayLike) -> Array:
        """k'(u)."""
        ...


def angle_exponent(kernel: Kernel) -> float:
    """lambda_1 = (d - 3)/2 k'(1) - (d - 1)/2 k(1), of the angle of two near tokens; log(1 - R) has twice that."""
    return 0.5 * ((kernel.d - 3) * float(kernel.derivative(1.0)) - (kernel.d - 1) * float(kernel.value(1.0)))


def mean_exponent(kernel: Kernel) -> float:
    """lambda_bar = (d - 1) k'(1) - (d - 3) k(1), of E(1 - R) for near tokens."""
    return (kernel.d - 1) * float(kernel.derivative(1.0)) - (kernel.d - 3) * float(kernel.value(1.0))


@dataclass(frozen=True, eq=False)
class IsotropicNoise(OverlapDiffusion):
    """Overlap of two tokens under isotropic noise; time is that of the kernel (eps = 1).

    No collapse where lambda_1 > 0: then there is a stationary density.

    Parameters
    ----------
    kernel : k and k' on [-1, 1] and the dimension d of the tokens.
    """

    kernel: Kernel
    _ends: tuple[float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_dimension(self.kernel.d)
        top, bottom = float(self.kernel.value(1.0)), float(self.kernel.value(-1.0))
        if not top > 0:
            raise ValueError(f"k(1) must be positive, got {top:g}")
        both = top + bottom if top + bottom > ODD * top else 0.0
        object.__setattr__(self, "_ends", (top, both))

    @property
    def antipodal_exponent(self) -> float:
        """Limit of log(1 + R)/t near opposite points; inf unless k is odd, because these do not stay opposite."""
        return math.inf if self._ends[1] > 0 else super().antipodal_exponent

    def rates(self, y: Array) -> tuple[Array, Array]:
        """Drift and variance of y = artanh R; near R = +-1 from the mean slope of k, where differences cancel."""
        d, (top, both) = self.kernel.d, self._ends
        below, above = gaps(y)
        r = np.tanh(y)
        right = y > 0
        # k(R) = k(1) - (1 - R) q on the right, k(-1) + (1 + R) q on the left
        gap = np.where(right, below, above)
        slope = self._mean_slope(gap, right)
        other = np.where(right, above, below)
        rest = np.where(right, 0.0, both / gap)  # (k(1) + k(-1))/(1 + R)
        loss = np.where(right, top + r * slope, rest + top - both - r * slope)  # (k(1) - R k(R))/gap
        pull = np.where(
            right,
            top * (d - 2 - r) - slope * (d - 2 + r**2),
            rest * (d - 2 + r**2) + slope * (d - 2 + r**2) - top * (d - 2 + r),
        )  # drift of R over gap
        variance = 2 * loss / other
        return pull / other + r * variance, variance

    def _mean_slope(self, gap: Array, right: NDArray[np.bool_]) -> Array:
        """[k(1) - k(R)]/(1 - R) where `right`, [k(R) - k(-1)]/(1 + R) elsewhere; gap is the denominator."""
        sign = np.where(right, 1.0, -1.0)
        near = gap < NEAR
        at = sign[..., None] * (1 - np.where(near, gap, 0.0)[..., None] * _nodes**2)  # the square: relu's k' has a root
        mean = self.kernel.derivative(at) @ (2 * _nodes * _weights)
        top, both = self._ends
        end = np.where(right, top, both - top)
        far = sign * (end - self.kernel.value(sign * (1 - gap))) / gap
        return np.where(near, mean, far)


def decay_rate(kernel: Kernel) -> float:
    """Rate at which E(1 - R) falls in the end, from every overlap in (-1, 1); 0 where it does not go to 0.

    Near R = 1 the mean of 1 - R is borne by paths that come near at the rate |lambda_bar| if |lambda_1| >= 2 c,
    c = k(1) + k'(1), else by those that stay away; there are e^{-gap t} of these, `spectral_gap`.  docs/theory.md.
    """
    first = angle_exponent(kernel)
    if first >= 0:
        return 0.0
    gap = spectral_gap(IsotropicNoise(kernel)).gap
    curvature = float(kernel.value(1.0)) + float(kernel.derivative(1.0))
    return min(gap, -mean_exponent(kernel)) if -first >= 2 * curvature else gap


def overlap_energy_rate(kernel: Kernel, beta: float) -> float:
    """Largest rate with E e(R_t) <= e^{-rate t} e(R_0) from every overlap, e(R) = e^beta - e^{beta R}.

    1 - R stands for e at beta = 0.  It is the least value of -(L e)/e on [-1, 1); at R = 1 that is -lambda_bar.
    Negative where the energy of some pairs grows at first.

    Parameters
    ----------
    beta : of the interaction energy; the tokens are moved by the blocks alone.
    """
    check_not_negative(beta, "beta")
    law = IsotropicNoise(kernel)
    grid = np.linspace(-FAR, FAR, 401)
    at = int(np.argmin(values := relative_fall(law, beta, grid)))
    around = grid[[max(at - 1, 0), min(at + 1, len(grid) - 1)]]

    def one(y: float) -> float:
        return float(relative_fall(law, beta, np.array([y]))[0])

    best = scipy.optimize.minimize_scalar(one, bounds=around, method="bounded")
    return float(min(values[at], best.fun))


def relative_fall(law: OverlapDiffusion, beta: float, y: Array) -> Array:
    """-(L e)/e at R = tanh y, e(R) = e^beta - e^{beta R}, 1 - R at beta = 0.  docs/theory.md."""
    below, above = gaps(y)
    drift, variance = law.rates(y)
    slope = 1.0 if beta == 0 else beta * below / np.expm1(beta * below)
    fall: Array = above * (drift - np.tanh(y) * variance + 0.5 * beta * below * above * variance) * slope
    return fall
