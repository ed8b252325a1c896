"""Kernel of an infinitely wide random MLP block: Cov g(x), g(y) = k(<x, y>) I.  mathematics, section 3.

k(u) = E[act(Z1) act(Z2)] + sigma_w^2 with Gaussian (Z1, Z2) of variance v = 1/d + sigma_r^2 and covariance
c = u/d + sigma_r^2; it is the covariance of a block of any width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import ducc0
import numpy as np
import scipy
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike

from particles.arrays import Array, check_count
from particles.errors import ArgumentError

Pointwise = Callable[[Array], Array]
Dual = Callable[[Array, float], Array]

BLOCK = 1 << 18  # pairs (Z1, Z2) per block of the quadrature: 2 MB
CUT = 9.0  # standard deviations: the Gaussian weight beyond is 1e-18
WIDEST = 30.0  # largest standard deviation of Z that the quadrature takes: 2700 points in each direction
LARGEST = 1e100  # standard deviation of a bias: its square and d times that are finite
ROUNDING = 1e-12  # how far an overlap may lie outside [-1, 1]


@dataclass(frozen=True)
class Activation:
    """An activation function and what is known of its dual.

    Attributes
    ----------
    function, derivative : act and act', elementwise.
    dual, dual_slope : (covariance, variance) -> E[act(Z1) act(Z2)] and E[act'(Z1) act'(Z2)] where a closed form
        exists; None: by quadrature, for functions that are analytic in |Im z| < pi/2 and grow no faster than z there.
    """

    name: str
    function: Pointwise
    derivative: Pointwise
    dual: Dual | None = None
    dual_slope: Dual | None = None


def _relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


def _relu_slope(z: Array) -> Array:
    return np.heaviside(z, 0.5)


def _relu_dual(covariance: Array, variance: float) -> Array:
    r = covariance / variance
    sine = np.sqrt((1 - r) * (1 + r))
    return variance / (2 * np.pi) * (sine + r * (np.pi - np.arctan2(sine, r)))


def _relu_dual_slope(covariance: Array, variance: float) -> Array:
    r = covariance / variance
    return 0.5 - np.arctan2(np.sqrt((1 - r) * (1 + r)), r) / (2 * np.pi)


def _erf(z: Array) -> Array:
    value: Array = scipy.special.erf(z)
    return value


def _erf_slope(z: Array) -> Array:
    slope: Array = 2 / math.sqrt(math.pi) * np.exp(-z * z)
    return slope


def _erf_dual(covariance: Array, variance: float) -> Array:
    return 2 / np.pi * np.arcsin(2 * covariance / (1 + 2 * variance))


def _erf_dual_slope(covariance: Array, variance: float) -> Array:
    return 4 / np.pi / np.sqrt((1 + 2 * variance) ** 2 - 4 * covariance**2)


def _tanh_slope(z: Array) -> Array:
    return 1 / np.cosh(np.minimum(np.abs(z), 350.0)) ** 2  # beyond 350 it is below 1e-300


def _sigmoid(z: Array) -> Array:
    value: Array = scipy.special.expit(z)
    return value


def _sigmoid_slope(z: Array) -> Array:
    value = _sigmoid(z)
    return value * (1 - value)


def _silu(z: Array) -> Array:
    return z * _sigmoid(z)


def _silu_slope(z: Array) -> Array:
    value = _sigmoid(z)
    return value * (1 + z * (1 - value))


def _gelu(z: Array) -> Array:
    value: Array = z * scipy.special.ndtr(z)
    return value


def _gelu_slope(z: Array) -> Array:
    slope: Array = scipy.special.ndtr(z) + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return slope


def _identity(z: Array) -> Array:
    return z


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("relu", _relu, _relu_slope, _relu_dual, _relu_dual_slope),
    "erf": Activation("erf", _erf, _erf_slope, _erf_dual, _erf_dual_slope),
    "tanh": Activation("tanh", np.tanh, _tanh_slope),
    "sigmoid": Activation("sigmoid", _sigmoid, _sigmoid_slope),
    "silu": Activation("silu", _silu, _silu_slope),
    "gelu": Activation("gelu", _gelu, _gelu_slope),
    "linear": Activation("linear", _identity, np.ones_like, lambda c, v: c, lambda c, v: np.ones_like(c)),
}


class LegendreSeries(NamedTuple):
    """k(u) = sum_l a_l P_l(u): coefficients a_0 ... a_lmax and the truncated tail k(1) - sum_l a_l."""

    coefficients: Array
    tail: float


@dataclass(frozen=True)
class DualKernel:
    """k(u) = E[act(Z1) act(Z2)] + sigma_w^2, the covariance of the field of a wide MLP block at overlap u.

    Accuracy: 1e-10 of k(1) and k'(1), u = 1 and u = -1 included (tests/particles/layers/mlp/test_kernels.py).

    Parameters
    ----------
    activation : one of `ACTIVATIONS`, or an `Activation` of one's own.
    d : dimension of the tokens, at least 2.
    sigma_r, sigma_w : standard deviations of the inner and the outer bias.

    Examples
    --------
    >>> kernel = DualKernel(ACTIVATIONS["relu"], d=5, sigma_r=0.1, sigma_w=0.1)
    >>> round(float(kernel.value(1.0)), 12), round(float(kernel.derivative(1.0)), 12)
    (0.115, 0.1)
    """

    activation: Activation
    d: int
    sigma_r: float
    sigma_w: float

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"activation must be an Activation (see ACTIVATIONS), got {self.activation!r}")
        if not self.d >= 2:  # written so that NaN is caught
            raise ArgumentError("d", self.d, "be at least 2")
        for name in ("sigma_r", "sigma_w"):
            value = getattr(self, name)
            if not 0 <= value <= LARGEST:
                raise ArgumentError(name, value, f"be between 0 and {LARGEST:g}")
        closed = self.activation.dual is not None and self.activation.dual_slope is not None
        if not closed and not self.variance <= WIDEST**2:
            most = f"be such that 1/d + sigma_r^2 is at most {WIDEST**2:g} for {self.activation.name}"
            raise ArgumentError("sigma_r", self.sigma_r, most)

    @property
    def variance(self) -> float:
        """v = 1/d + sigma_r^2, the variance of an input of the activation."""
        return 1 / self.d + self.sigma_r**2

    def value(self, u: ArrayLike) -> Array:
        """k(u) at overlaps u in [-1, 1], any shape."""
        return self._expectation(self.activation.dual, self.activation.function, u) + self.sigma_w**2

    def derivative(self, u: ArrayLike) -> Array:
        """k'(u) = E[act'(Z1) act'(Z2)] / d at overlaps u in [-1, 1], any shape."""
        return self._expectation(self.activation.dual_slope, self.activation.derivative, u) / self.d

    def legendre(self, lmax: int) -> LegendreSeries:
        """Coefficients a_l of k on [-1, 1] in Legendre polynomials, l = 0 ... lmax, and the tail k(1) - sum a_l.

        All a_l >= 0; what is below rounding, 1e-16 k(1), may come out negative and is left so.  They decay
        geometrically, for relu like l^-4.  By Gauss-Legendre quadrature in the angle, in which the roots of relu's
        kernel at u = 1 and u = -1 are analytic.
        """
        check_count(lmax, "lmax", least=0)
        n = 2 * int(lmax) + 256
        angle = 0.5 * np.pi * (1 + np.cos(np.asarray(ducc0.misc.GL_thetas(n))))
        weight = 0.25 * np.asarray(ducc0.misc.GL_weights(n, 1)) * np.sin(angle)
        u = np.cos(angle)
        moments: Array = (weight * self.value(u)) @ legvander(u, int(lmax))
        coefficients = (np.arange(lmax + 1) + 0.5) * moments
        return LegendreSeries(coefficients, float(self.value(1.0) - coefficients.sum()))

    def _expectation(self, closed: Dual | None, function: Pointwise, u: ArrayLike) -> Array:
        """E[f(Z1) f(Z2)] at overlaps u."""
        overlap = np.asarray(u, dtype=np.float64)
        outside = ~(np.abs(overlap) <= 1 + ROUNDING)
        if outside.any():
            raise ValueError(f"u must lie between -1 and 1, got {overlap[outside].flat[0]}")
        overlap = np.clip(overlap, -1.0, 1.0)
        covariance = overlap / self.d + self.sigma_r**2
        if closed is not None:
            return closed(covariance, self.variance)
        return _by_quadrature(function, covariance / self.variance, math.sqrt(self.variance))


def pair_mean(activation: Activation, correlation: Array, scale: float) -> Array:
    """E[act(s X) act(s Y)] for standard normal X, Y of the given correlations, s = scale."""
    if activation.dual is not None:
        return activation.dual(correlation * scale**2, scale**2)
    return _by_quadrature(activation.function, correlation, scale)


def normal_nodes(scale: float) -> tuple[Array, Array]:
    """Nodes and weights of the standard normal law, for activations of scale * X: those of the trapezoidal rule."""
    h = min(0.2 / max(scale, 1e-3), 0.6 / math.sqrt(1 + 2 * scale**2))
    half = math.ceil(CUT / h)
    x: Array = h * np.arange(-half, half + 1, dtype=np.float64)
    weight: Array = h / math.sqrt(2 * math.pi) * np.exp(-0.5 * x * x)
    return x, weight


def _by_quadrature(function: Pointwise, correlation: Array, scale: float) -> Array:
    """E[f(s X) f(s (r X + sqrt(1 - r^2) Y))] for independent standard normal X, Y.

    The trapezoidal rule: its error is exp(-2 pi a/h) for an integrand analytic in a strip of half-width a, here at
    least pi/(2 s), and the Gaussian weight takes over where s is small.  Gauss-Hermite nodes would spend most
    points far out, and need ever more of them as s grows.
    """
    x, weight = normal_nodes(scale)
    first = weight * function(scale * x)
    r = correlation.ravel()
    s = np.sqrt((1 - r) * (1 + r))
    out = np.empty(r.shape)
    size = max(1, BLOCK // x.size**2)
    for start in range(0, r.size, size):
        part = slice(start, start + size)
        second = scale * (r[part, None, None] * x[:, None] + s[part, None, None] * x)
        out[part] = np.einsum("i,uij,j->u", first, function(second), weight)
    return out.reshape(correlation.shape)
