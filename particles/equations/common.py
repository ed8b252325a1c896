"""Common noise of an equation of one's own, the same for all tokens: sum_k P_x s_k(x, mu) dW_k.

A term draws standard normal numbers, one for each of its fields, and gives the push by sum_k z_k P s_k.  In the sense
of Ito (on the sphere: geodesic, generator (1/2) sum_k Hess f(v_k, v_k), v_k = P s_k) and of Stratonovich it differs by

    correction = (1/2) sum_k nabla_{v_k} v_k,          Stratonovich noise = Ito noise + correction dt,

which vanishes for what is isotropic: no tangent vector is invariant under the rotations that keep x.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from particles.arrays import Array, as_array, check_not_negative, unit
from particles.equations.drifts import (
    ConstantField,
    Function,
    FunctionPush,
    LinearField,
    antisymmetric,
    value_of,
)
from particles.equations.series import ROOT, series_gradient
from particles.errors import ArgumentError
from particles.harmonics import Coefficients, mode_numbers
from particles.measure import Cloud
from particles.pushes import FieldPush, Push
from particles.retraction import tangent

SHIFT = 3e-5  # displacement of central differences, which balances rounding and the third derivative of a field


class CommonNoise(ABC):
    """A term sum_k P_x s_k(x, mu) dW_k."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, d: int) -> Array:
        """Standard normal numbers, one for each field; always as many.  ValueError where d does not fit."""

    @abstractmethod
    def push(self, numbers: Array, d: int) -> Push:
        """The push by sum_k numbers_k s_k."""

    def correction(self, d: int) -> Function | None:
        """(1/2) sum_k nabla_{v_k} v_k as a drift; None where it vanishes."""
        return None


def _linear(matrix: Array) -> Function | None:
    """The drift P matrix x; None where it vanishes, as it does for multiples of the identity."""
    radial = np.trace(matrix) / len(matrix) * np.eye(len(matrix))
    if np.abs(matrix - radial).max() <= 1e-14 * np.abs(matrix).max():
        return None
    field = LinearField(matrix)
    return Function(lambda points, measure: field(points))


@dataclass(frozen=True, eq=False)
class Kicks(CommonNoise):
    """strength P_x a_k dW_k: common kicks, along all Cartesian axes where none are given.  Any d.

    The flow is one of conformal maps (E1 of mathematics, section 5).  Kicks along different axes do not commute: their
    bracket [P a, P b] is the rotation (b a^T - a b^T) x.  correction = -(strength^2/2) P sum_k <x, a_k> a_k.

    Parameters
    ----------
    strength : standard deviation in unit depth time.   axes : (m, d), as they are, or None for the identity.
    """

    strength: float
    axes: Array | None = None

    def __post_init__(self) -> None:
        check_not_negative(self.strength, "strength")
        if self.axes is not None:
            object.__setattr__(self, "axes", as_array(self.axes, "axes", (None, None)))

    def _axes(self, d: int) -> Array:
        return np.eye(d) if self.axes is None else as_array(self.axes, "axes", (None, d))

    def draw(self, rng: np.random.Generator, d: int) -> Array:
        return rng.standard_normal(len(self._axes(d)))

    def push(self, numbers: Array, d: int) -> Push:
        return FieldPush(ConstantField(self.strength * (numbers @ self._axes(d))))

    def correction(self, d: int) -> Function | None:
        return _linear(-0.5 * self.strength**2 * self._axes(d).T @ self._axes(d))


@dataclass(frozen=True, eq=False)
class Rotations(CommonNoise):
    """strength J_k x dW_k: common rotations, in all planes of two coordinates where no J_k are given.  Any d.

    They leave all overlaps as they are.  correction = (strength^2/2) P sum_k J_k^2 x.

    Parameters
    ----------
    strength : standard deviation of the angle in unit depth time.
    generators : (m, d, d) antisymmetric, or None for a basis of all; `Rotation.about(axis).matrix` is one in d = 3.
    """

    strength: float
    generators: Array | None = None

    def __post_init__(self) -> None:
        check_not_negative(self.strength, "strength")
        if self.generators is not None:
            found = as_array(self.generators, "generators", (None, None, None))
            object.__setattr__(self, "generators", np.array([antisymmetric(one) for one in found]))

    def _generators(self, d: int) -> Array:
        if self.generators is not None:
            return as_array(self.generators, "generators", (None, d, d))
        planes = list(combinations(range(d), 2))
        found = np.zeros((len(planes), d, d))
        for one, (i, j) in zip(found, planes, strict=True):
            one[j, i], one[i, j] = 1.0, -1.0
        return found

    def draw(self, rng: np.random.Generator, d: int) -> Array:
        return rng.standard_normal(len(self._generators(d)))

    def push(self, numbers: Array, d: int) -> Push:
        return FieldPush(LinearField(self.strength * np.einsum("k,kij->ij", numbers, self._generators(d))))

    def correction(self, d: int) -> Function | None:
        found = self._generators(d)
        return _linear(0.5 * self.strength**2 * np.einsum("kij,kjl->il", found, found))


@dataclass(frozen=True)
class Isotropic(CommonNoise):
    """An isotropic Gaussian field grad phi + x x grad psi on S^2, one of given power by degree; on S^1 grad phi.

    Attributes
    ----------
    gradient, curl : g_1, g_2, ... and c_1, c_2, ...: the parts of E|F(x)|^2 per unit depth time, at every x, by degree.

    Notes
    -----
    phi = sum_l (4 pi g_l/(l(l+1)(2l+1)))^{1/2} sum_m xi_lm Y_lm with real orthonormal Y_lm and independent N(0, 1), by
    sum_m |grad Y_lm|^2 = l(l+1)(2l+1)/(4 pi); likewise psi.  On S^1 F = sum_k g_k^{1/2} (xi_k cos + eta_k sin)(k t).
    Top Lyapunov exponent on S^2: sum_l [c_l (l(l+1) - 2) - g_l (l(l+1) + 2)]/8 (docs/theory.md).
    """

    gradient: tuple[float, ...] = ()
    curl: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("gradient", "curl"):
            found = as_array(getattr(self, name), name, (None,))
            if not found.min(initial=0.0) >= 0:
                raise ArgumentError(name, found.tolist(), "have no power below 0")
            object.__setattr__(self, name, tuple(found.tolist()))
        if not (any(self.gradient) or any(self.curl)):
            raise ArgumentError("gradient", self.gradient, "have some power, or curl")

    @property
    def exponent(self) -> float:
        """Top Lyapunov exponent of the flow on S^2, per unit depth time, of this noise alone."""
        return sum(
            share * (sign * degree * (degree + 1) - 2) / 8
            for sign, power in ((-1, self.gradient), (1, self.curl))
            for degree, share in enumerate(power, 1)
        )

    def _amplitudes(self, power: tuple[float, ...], lmax: int) -> Array:
        """Standard deviations of xi_lm by degree, (lmax + 1,)."""
        found, degrees = np.zeros(lmax + 1), np.arange(1, len(power) + 1)
        found[1 : len(power) + 1] = np.sqrt(4 * np.pi * np.array(power) / (degrees * (degrees + 1) * (2 * degrees + 1)))
        return found

    def draw(self, rng: np.random.Generator, d: int) -> Array:
        if d not in (2, 3) or (d == 2 and self.curl):
            allowed = "2 or 3 for an isotropic field" if d not in (2, 3) else "3 for a curl part"
            raise ArgumentError("d", d, f"be {allowed}")
        lmax = max(len(self.gradient), len(self.curl))
        if d == 2:
            return rng.standard_normal((1, lmax, 2))
        return rng.standard_normal((2, len(mode_numbers(lmax)[0]), 2))

    def push(self, numbers: Array, d: int) -> Push:
        if d == 2:
            k = np.arange(1, len(self.gradient) + 1)
            pairs = numbers[0, :, 0] + 1j * numbers[0, :, 1]
            # F = d phi/d theta = (2/ROOT) Re sum_k i k a_k e^{ik theta}
            found = np.sqrt(np.array(self.gradient)) * pairs / (1j * k) * (ROOT / 2)
            return FieldPush(HelmholtzField(np.concatenate([[0.0], found]), None))
        lmax = max(len(self.gradient), len(self.curl))
        degrees, orders = mode_numbers(lmax)
        both = numbers[..., 0] + 1j * numbers[..., 1]
        unit_normals = np.where(orders == 0, numbers[..., 0], math.sqrt(0.5) * both)
        phi, psi = (
            self._amplitudes(power, lmax)[degrees] * one
            for power, one in zip((self.gradient, self.curl), unit_normals, strict=True)
        )
        return FieldPush(HelmholtzField(phi if any(self.gradient) else None, psi if any(self.curl) else None))


@dataclass(frozen=True, eq=False)
class HelmholtzField:
    """grad phi + x x grad psi; on S^1 grad phi.  None: that part is 0."""

    phi: Coefficients | None
    psi: Coefficients | None

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, d)."""
        total = np.zeros(points.shape)
        if self.phi is not None:
            total += series_gradient(self.phi, points)
        if self.psi is not None:
            total += np.cross(points, series_gradient(self.psi, points))
        return total


@dataclass(frozen=True, eq=False)
class VectorFields(CommonNoise):
    """P_x s_k(x, mu) dW_k with any functions s_k of points (N, d) and measure, shape (N, d).

    The correction is a central difference along v_k, in which the points of the measure move too.

    Parameters
    ----------
    functions : s_1, s_2, ....
    """

    functions: tuple[Callable[[Array, Cloud], Array], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", tuple(self.functions))
        if not self.functions or not all(map(callable, self.functions)):
            raise ArgumentError("functions", self.functions, "be functions of points and measure, at least one")

    def draw(self, rng: np.random.Generator, d: int) -> Array:
        return rng.standard_normal(len(self.functions))

    def push(self, numbers: Array, d: int) -> Push:
        return FunctionPush(self.functions, numbers)

    def correction(self, d: int) -> Function:
        return Function(self._turn)

    def _turn(self, points: Array, measure: Cloud) -> Array:
        total = np.zeros(points.shape)
        for function in self.functions:
            along, own = (tangent(x, value_of(function, x, measure)) for x in (points, measure.points))
            for sign in (1.0, -1.0):
                there = unit(points + sign * SHIFT * along)
                then = Cloud(unit(measure.points + sign * SHIFT * own), measure.weights)
                total += sign / (4 * SHIFT) * tangent(there, value_of(function, there, then))
        return tangent(points, total)
