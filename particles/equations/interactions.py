"""Zonal interactions w(t), t = <x, y>: b(x) = grad_x int w(<x, y>) mu(dy) = P_x int w'(<x, y>) y mu(dy).

By the formula of Funk and Hecke the convolution multiplies what mu has in degree l by

    w_l = |S^(d-2)| int_-1^1 w(t) P_l(t) (1 - t^2)^((d-3)/2) dt,     P_l(1) = 1,

P_l the Legendre polynomial in d = 3, cos(l arccos t) in d = 2, the normalised Gegenbauer polynomial else (mathematics,
section 10; Mueller 1966, Spherical Harmonics, section 4).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import ducc0
import numpy as np
import scipy

from particles.arrays import Array, as_array, check_count, check_positive
from particles.errors import ArgumentError
from particles.initial import sphere_area

ROUNDING = 4e-17  # of n max |w|, n nodes of a quadrature: multipliers below are rounding of 0
FINEST = 2048  # nodes of the finest quadrature, and of the finest interpolation
SEEN = 0.5  # share of the degrees of a quadrature within which the tail must have fallen
INTERPOLATION = 1e-13  # tail of an interpolating polynomial, over its largest coefficient


class Interaction(ABC):
    """w(t) and w'(t) for t in [-1, 1], every step size and strength inside; positive w' attracts."""

    @abstractmethod
    def value(self, t: Array) -> Array:
        """w(t), of the shape of t."""

    @abstractmethod
    def slope(self, t: Array) -> Array:
        """w'(t), of the shape of t."""


def _number(value: float, name: str) -> None:
    if not abs(value) < math.inf:  # written so that NaN is caught
        raise ArgumentError(name, value, "be finite")


@dataclass(frozen=True)
class Dot(Interaction):
    """w = K t: dX = K P_X int y mu(dy) dt, the Kuramoto model on S^1."""

    strength: float

    def __post_init__(self) -> None:
        _number(self.strength, "strength")

    def value(self, t: Array) -> Array:
        return self.strength * t

    def slope(self, t: Array) -> Array:
        return np.full_like(t, self.strength)


@dataclass(frozen=True)
class MaierSaupe(Interaction):
    """w = K t^2/2: the nematic interaction of Maier and Saupe, which does not tell x from -x."""

    strength: float

    def __post_init__(self) -> None:
        _number(self.strength, "strength")

    def value(self, t: Array) -> Array:
        return 0.5 * self.strength * t * t

    def slope(self, t: Array) -> Array:
        return self.strength * t


@dataclass(frozen=True)
class Exponential(Interaction):
    """w = K e^{beta t}/beta: unnormalised self-attention with A = V = I ("USA")."""

    beta: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.beta, "beta")
        _number(self.strength, "strength")

    def value(self, t: Array) -> Array:
        found: Array = self.strength / self.beta * np.exp(self.beta * t)
        return found

    def slope(self, t: Array) -> Array:
        found: Array = self.strength * np.exp(self.beta * t)
        return found


@dataclass(frozen=True)
class Legendre(Interaction):
    """w = sum_l a_l P_l(t), the polynomials of dimension d with P_l(1) = 1.

    Parameters
    ----------
    coefficients : a_0, a_1, ...   d : dimension of the tokens.
    """

    coefficients: tuple[float, ...]
    d: int = 3

    def __post_init__(self) -> None:
        found = as_array(self.coefficients, "coefficients", (None,))
        if not len(found):
            raise ArgumentError("coefficients", self.coefficients, "have at least one entry")
        check_count(self.d, "d", 2)
        object.__setattr__(self, "coefficients", tuple(found.tolist()))

    def value(self, t: Array) -> Array:
        return self._sum(t, 0)

    def slope(self, t: Array) -> Array:
        return self._sum(t, 1)

    def _sum(self, t: Array, which: int) -> Array:
        total = np.zeros_like(t)
        for a, pair in zip(self.coefficients, polynomials(t, self.d), strict=False):
            total += a * pair[which]
        return total


@dataclass(frozen=True, eq=False)
class OfOverlap(Interaction):
    """Any w(t), vectorised and smooth on [-1, 1].

    Parameters
    ----------
    function : w.   derivative : w'; by default that of the polynomial that interpolates w, to 1e-13 of its size.
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        for name, function in (("function", self.function), ("derivative", self.derivative)):
            if name == "derivative" and function is None:
                continue
            if not callable(function):
                raise ArgumentError(name, function, "be a function of t = <x, y>")
            as_array(function(np.array([-1.0, 0.25, 1.0])), f"{name}(t)", (3,))
        if self.derivative is None:
            _ = self._interpolant

    def value(self, t: Array) -> Array:
        return np.asarray(self.function(t), dtype=np.float64)

    def slope(self, t: Array) -> Array:
        if self.derivative is not None:
            return np.asarray(self.derivative(t), dtype=np.float64)
        return np.asarray(np.polynomial.chebyshev.chebval(t, self._interpolant), dtype=np.float64)

    @cached_property
    def _interpolant(self) -> Array:
        """Chebyshev coefficients of w'."""
        n = 16
        while n <= FINEST:
            angle = np.pi * (np.arange(n) + 0.5) / n
            found = scipy.fft.dct(self.value(np.cos(angle)), type=2) / n
            found[0] /= 2
            tail = np.abs(found[n // 2 :]).max()
            if tail <= INTERPOLATION * np.abs(found).max():
                kept = max(2, int(np.flatnonzero(np.abs(found) > 1e-15 * np.abs(found).max()).max(initial=0)) + 1)
                return np.asarray(np.polynomial.chebyshev.chebder(found[: min(kept, n // 2)]), dtype=np.float64)
            n *= 2
        raise ArgumentError("derivative", None, f"be given: no polynomial of degree {FINEST // 2} is w to 1e-13")


def polynomials(t: Array, d: int) -> Iterator[tuple[Array, Array]]:
    """P_l(t) and P_l'(t) for l = 0, 1, ..., without end: (l + d - 2) P_{l+1} = (2l + d - 2) t P_l - l P_{l-1}."""
    before, now = (np.zeros_like(t), np.zeros_like(t)), (np.ones_like(t), np.zeros_like(t))
    degree = 0
    while True:
        yield now
        if degree == 0:
            before, now = now, (np.array(t, dtype=np.float64), np.ones_like(t))
        else:
            a, b, c = 2 * degree + d - 2, degree, degree + d - 2
            value = (a * t * now[0] - b * before[0]) / c
            slope = (a * (now[0] + t * now[1]) - b * before[1]) / c
            before, now = now, (value, slope)
        degree += 1


def harmonics_of_degree(degree: int, d: int) -> int:
    """Number of independent spherical harmonics of a degree on S^(d-1)."""
    lower = math.comb(degree + d - 3, d - 1) if degree > 1 else 0
    return math.comb(degree + d - 1, d - 1) - lower if degree else 1


@lru_cache(maxsize=8)
def quadrature(n: int, d: int) -> tuple[Array, Array]:
    """Nodes t and weights, of sum |S^(d-1)|, for |S^(d-2)| int f(t) (1 - t^2)^((d-3)/2) dt."""
    if d == 2:
        return np.cos(np.pi * (np.arange(n) + 0.5) / n), np.full(n, 2 * np.pi / n)
    if d == 3:  # numpy's and scipy's weights leave 1e-13
        return np.cos(np.asarray(ducc0.misc.GL_thetas(n))), np.asarray(ducc0.misc.GL_weights(n, 1))
    nodes, weights = scipy.special.roots_gegenbauer(n, d / 2 - 1)
    return nodes, weights * (sphere_area(d) / weights.sum())


@lru_cache(maxsize=64)
def multipliers(interaction: Interaction, d: int, tol: float) -> Array | None:
    """w_0 ... w_L of Funk and Hecke, cut where the tail is below the tolerance; None where it is not by degree 512.

    The field of the part cut off is at most tol times the bound sum_l l |w_l| dim_l/|S| of the field of all: a
    polynomial of degree l in cos(angle) that is at most 1 has a slope of at most l (Bernstein).  d = 2, 3, ...
    """
    area, n = sphere_area(d), 64
    while n <= FINEST:
        t, weights = quadrature(n, d)
        values = interaction.value(t)
        largest = float(np.abs(values).max(initial=0.0))
        if not largest < math.inf:
            raise ArgumentError("interaction", interaction, "be finite on [-1, 1]")
        found = np.array([weights @ (values * p) for (p, _), _ in zip(polynomials(t, d), range(n // 2), strict=False)])
        found[np.abs(found) <= ROUNDING * n * area * largest] = 0.0
        share = [k * harmonics_of_degree(k, d) / area for k in range(n // 2)]
        slopes = np.abs(found) * share
        beyond = np.append(np.cumsum(slopes[::-1])[::-1], 0.0)[1:]
        degree = int(np.flatnonzero(beyond <= tol * slopes.sum())[0])
        if degree <= SEEN * (n // 2):
            return found[: degree + 1]
        n *= 2
    return None
