"""Drifts b(x, mu) of an equation of one's own: dX = P_X b(X, mu) dt + noise.  mathematics, section 10.

A drift gives the push by dt b.  Only the part tangent to the sphere acts, so b may have a radial one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, as_array, check_count
from particles.attention.base import AttentionPush, Kernel
from particles.attention.softmax import Softmax
from particles.equations.energy import attention_energy, self_energy
from particles.equations.interactions import Interaction, Legendre
from particles.equations.series import checked_series, series_gradient, series_value
from particles.errors import ArgumentError
from particles.given import check_kernel, must_average
from particles.harmonics import Coefficients
from particles.measure import Cloud
from particles.pushes import Field, FieldPush, Push

BLOCK = 1 << 16  # values of w' held at a time


class Drift(ABC):
    """A term b(x, mu)."""

    @abstractmethod
    def push(self, d: int, dt: float) -> Push:
        """The push by dt b in dimension d; ValueError where there is none in this dimension."""

    def potential(self, measure: Cloud) -> float | None:
        """E with b = -grad dE/dmu; None where b is no gradient, or not known to be one."""
        return None


@dataclass(frozen=True, eq=False)
class ZonalPush(Push):
    """U(x) = scale int w'(<x, y>) y mu(dy), the tangent part of which is scale grad_x int w(<x, y>) mu(dy)."""

    interaction: Interaction
    d: int
    scale: float

    def velocity(self, measure: Cloud) -> Field:
        """U by direct sums, O(n) a point in any d; on S^1 and S^2 the time loops of `spde` have a faster way."""
        return DirectConvolution(self, measure)


@dataclass(frozen=True, eq=False)
class DirectConvolution:
    """The velocity of a `ZonalPush` summed over all points of a measure, some rows at a time."""

    push: ZonalPush
    measure: Cloud

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        sources, weights = self.measure.points, self.push.scale * self.measure.weights
        found, height = np.empty(points.shape), max(1, BLOCK // len(sources))
        for start in range(0, len(points), height):
            rows = slice(start, start + height)
            slopes = self.push.interaction.slope(points[rows] @ sources.T)
            found[rows] = (slopes * weights) @ sources
        return found


@dataclass(frozen=True)
class Zonal(Drift):
    """b = grad_x int w(<x, y>) mu(dy); E = -(1/2) int int w(<x, y>) mu(dx) mu(dy).

    Parameters
    ----------
    interaction : w, such as `Dot`, `MaierSaupe`, `Exponential`, `Legendre`, `OfOverlap`.
    """

    interaction: Interaction

    def __post_init__(self) -> None:
        if not isinstance(self.interaction, Interaction):
            raise ArgumentError("interaction", self.interaction, "be an Interaction, such as Dot(1.0)")

    def push(self, d: int, dt: float) -> ZonalPush:
        if isinstance(self.interaction, Legendre) and self.interaction.d != d:
            raise ArgumentError("interaction", f"Legendre(..., d={self.interaction.d})", f"have d = {d}")
        return ZonalPush(self.interaction, d, dt)

    def potential(self, measure: Cloud) -> float:
        return -0.5 * self_energy(self.interaction, measure)


@dataclass(frozen=True, eq=False)
class ConstantField:
    """The same vector at every point."""

    vector: Array

    def __call__(self, points: Array) -> Array:
        return np.broadcast_to(self.vector, points.shape)


@dataclass(frozen=True, eq=False)
class LinearField:
    """U(x) = matrix x."""

    matrix: Array

    def __call__(self, points: Array) -> Array:
        moved: Array = points @ self.matrix.T
        return moved


@dataclass(frozen=True, eq=False)
class Pull(Drift):
    """b = P_x a = grad <a, x>: towards a/|a|, with the strength |a|; E = -<a, int x mu(dx)>.  Any d."""

    axis: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", as_array(self.axis, "axis", (None,)))

    def push(self, d: int, dt: float) -> Push:
        return FieldPush(ConstantField(dt * as_array(self.axis, "axis", (d,))))

    def potential(self, measure: Cloud) -> float:
        return -float(measure.weights @ measure.points @ self.axis)


@dataclass(frozen=True, eq=False)
class Gradient(Drift):
    """b = grad V, V a series of spherical harmonics on S^2, a Fourier series on S^1; E = -int V dmu.

    Parameters
    ----------
    coefficients : complex and orthonormal, as those of a density: (modes,) as in `particles.harmonics` for d = 3,
        (degree + 1,) of V = a_0 e_0 + 2 Re sum_{k > 0} a_k e_k, e_k = e^{i k theta}/sqrt(2 pi), for d = 2.
    d : 2 or 3.
    """

    coefficients: Coefficients
    d: int = 3

    def __post_init__(self) -> None:
        check_count(self.d, "d", 2, 3)
        object.__setattr__(self, "coefficients", checked_series(self.coefficients, self.d))

    def push(self, d: int, dt: float) -> Push:
        if d != self.d:
            raise ArgumentError("Gradient(d)", self.d, f"be {d}, that of the equation")
        return FieldPush(SeriesGradient(dt * self.coefficients))

    def potential(self, measure: Cloud) -> float:
        return -float(measure.weights @ series_value(self.coefficients, measure.points))


@dataclass(frozen=True, eq=False)
class SeriesGradient:
    """The gradient of a series on S^1 or S^2."""

    coefficients: Coefficients

    def __call__(self, points: Array) -> Array:
        return series_gradient(self.coefficients, points)


@dataclass(frozen=True, eq=False)
class Rotation(Drift):
    """b = J x with J antisymmetric (d, d): a rotation, which changes no energy of interaction.

    Examples
    --------
    >>> Rotation.about([0.0, 0.0, 2.0]).matrix
    array([[ 0., -2.,  0.],
           [ 2.,  0., -0.],
           [-0.,  0.,  0.]])
    """

    matrix: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", antisymmetric(self.matrix))

    @classmethod
    def about(cls, axis: Array) -> "Rotation":
        """In d = 3 with the angular velocity `axis`: b = axis x x."""
        one, two, three = as_array(axis, "axis", (3,)).tolist()
        return cls(np.array([[0.0, -three, two], [three, 0.0, -one], [-two, one, 0.0]]))

    def push(self, d: int, dt: float) -> Push:
        return FieldPush(LinearField(dt * as_array(self.matrix, "matrix", (d, d))))


def antisymmetric(matrix: Array) -> Array:
    """The generator of a rotation, (d, d); ArgumentError where it is none."""
    found = as_array(matrix, "matrix", (None, None))
    if found.shape[0] != found.shape[1] or np.abs(found + found.T).max() > 1e-12 * np.abs(found).max():
        raise ArgumentError("matrix", found.tolist(), "be antisymmetric, J^T = -J")
    return found


@dataclass(frozen=True, eq=False)
class Function(Drift):
    """Any b, a function of points (N, d) and of the measure, with `points` (n, d) and `weights` (n,): shape (N, d)."""

    function: Callable[[Array, Cloud], Array]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentError("function", self.function, "be a function of points and measure")

    def push(self, d: int, dt: float) -> Push:
        return FunctionPush((self.function,), np.array([dt]))


@dataclass(frozen=True, eq=False)
class FunctionPush(Push):
    """U(x) = sum_k scales_k f_k(x, mu)."""

    functions: tuple[Callable[[Array, Cloud], Array], ...]
    scales: Array

    def velocity(self, measure: Cloud) -> Field:
        return FunctionField(self, measure)


@dataclass(frozen=True, eq=False)
class FunctionField:
    """The velocity of a `FunctionPush`."""

    push: FunctionPush
    measure: Cloud

    def __call__(self, points: Array) -> Array:
        """U at points (N, d); ValueError where a function gives another shape."""
        total = np.zeros(points.shape)
        for scale, function in zip(self.push.scales, self.push.functions, strict=True):
            total += scale * value_of(function, points, self.measure)
        return total


def value_of(function: Callable[[Array, Cloud], Array], points: Array, measure: Cloud) -> Array:
    """A function of points and measure; ValueError where its shape is not that of the points."""
    found = np.asarray(function(points, measure), dtype=np.float64)
    if found.shape != points.shape:
        raise ValueError(f"a function of points (N, d) and measure must give shape {points.shape}, got {found.shape}")
    return found


@dataclass(frozen=True, eq=False)
class Attention(Drift):
    """b = (1/H) sum_h V_h m_{A_h}[mu](x): attention by given heads, the same in every layer.

    Parameters
    ----------
    kernel : how a head averages.   value : (H, d, d).   query, key : (H, head_dim, d), A = key^T query.
    """

    kernel: Kernel
    value: Array
    query: Array
    key: Array

    def __post_init__(self) -> None:
        value = as_array(self.value, "value", (None, None, None))
        object.__setattr__(self, "value", value)
        for name in ("query", "key"):
            rows = as_array(getattr(self, name), name, (len(value), None, value.shape[2]))
            object.__setattr__(self, name, rows)
        must_average(self.kernel)
        check_kernel(self.kernel, value.shape[2])

    def push(self, d: int, dt: float) -> AttentionPush:
        value = as_array(self.value, "value", (None, d, d))
        return AttentionPush(self.kernel, dt / len(value) * value, self.query, self.key)

    def energy(self, measure: Cloud) -> float | None:
        """E_beta, the mean over the heads of that of their A; None where the kernel is not softmax."""
        if not (isinstance(self.kernel, Softmax) and self.kernel.beta > 0):
            return None
        forms, plain = np.swapaxes(self.key, 1, 2) @ self.query, np.eye(self.value.shape[1])
        return float(np.mean([
            attention_energy(measure, self.kernel.beta, None if np.array_equal(form, plain) else form) for form in forms
        ]))  # fmt: skip
