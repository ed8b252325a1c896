"""What the unit spheres on which densities live, the circle S^1 and the sphere S^2, have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from particles import Array, Coefficients, check_count

MIN_DEGREE, MAX_DEGREE = 2, 1023


def check_degree(lmax: int) -> None:
    """Refuse what is no largest degree of a grid."""
    check_count(lmax, "lmax", MIN_DEGREE, MAX_DEGREE)


class Domain(ABC):
    """Grid on S^(d-1), transforms up to degree lmax, and what densities and files need to know.

    Coefficients are complex and orthonormal, the first one that of degree 0: mass = a_0 sqrt(volume).  Quadratures
    come by size, a pair of numbers: latitudes and longitudes, on the circle nothing but the factors of their number.

    Parameters
    ----------
    lmax : 2 ... 1023.
    backend : one of `backends`, or None for the first of them that is installed.

    Attributes
    ----------
    points, weights : (N, d) points of the grid and their weights of sum volume.
    shape : of values on the grid, the number of longitudes `nphi` last.
    degrees, orders : (modes,) of the coefficients.
    """

    d: int
    volume: float
    dims: tuple[str, ...]  # of grid values, in files
    series: str  # what the coefficients are called
    backends: tuple[str, ...]
    nphi: int
    shape: tuple[int, ...]
    points: Array
    weights: Array

    def __init__(self, lmax: int, backend: str | None = None) -> None:
        check_degree(lmax)
        if backend not in (None, *self.backends):
            allowed = " or ".join(f'"{name}"' for name in self.backends)
            raise ValueError(f"backend must be {allowed}, got {backend!r}")
        self.lmax = int(lmax)
        self.backend = backend or self.backends[0]
        self.degrees, self.orders = self.mode_numbers(self.lmax)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.lmax, self.backend)  # plans are made anew after pickling

    def with_degree(self, lmax: int) -> Self:
        """The same sphere with another lmax."""
        return type(self)(lmax, self.backend)

    def resized(self, coefficients: Coefficients) -> Coefficients:
        """Coefficients up to lmax."""
        return self.resize(coefficients, self.lmax)

    @cached_property
    def longitude(self) -> Array:
        """Longitudes of the grid in degrees from 0, (nphi,)."""
        return 360.0 * np.arange(self.nphi) / self.nphi

    def vectors(self, coefficients: Coefficients) -> Array:
        """Values (N, K) at the points of the grid of K functions (K, modes), each one contiguous."""
        return np.stack([self.synthesis(a).ravel() for a in coefficients]).T

    @staticmethod
    @abstractmethod
    def mode_numbers(degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Degree and order of every coefficient up to a degree."""

    @staticmethod
    @abstractmethod
    def degree_of(coefficients: Coefficients) -> int:
        """Degree up to which coefficients (last axis) reach."""

    @staticmethod
    @abstractmethod
    def power(coefficients: Coefficients) -> Array:
        """Squared L^2 norm by degree, (..., degree + 1); sums to int f^2 (Parseval)."""

    @staticmethod
    @abstractmethod
    def resize(coefficients: Coefficients, degree: int) -> Coefficients:
        """Coefficients cut, or padded with zeros, to another degree (last axis)."""

    @staticmethod
    @abstractmethod
    def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
        """Mean (d,) and second moment (d, d) of a density."""

    @staticmethod
    @abstractmethod
    def quadrature(size: tuple[int, int]) -> tuple[Array, Array]:
        """Nodes (n, d) and positive weights (n,) of sum volume."""

    @abstractmethod
    def sizes(self, carried: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Finer and finer quadratures for an initial density with so many carried nodes."""

    @staticmethod
    @abstractmethod
    def exact_size(degree: int) -> tuple[int, int]:
        """A quadrature exact to a degree."""

    @staticmethod
    @abstractmethod
    def size_near(n: int) -> tuple[int, int]:
        """The quadrature with about n nodes."""

    @abstractmethod
    def project(self, values: Array, size: tuple[int, int]) -> Coefficients:
        """Coefficients up to lmax of values (n,) at the nodes of a quadrature."""

    @abstractmethod
    def coordinates(self) -> dict[str, tuple[str, Array, dict[str, str]]]:
        """Coordinates of the grid in files: name -> (dimension, values, attributes)."""

    @abstractmethod
    def synthesis(self, coefficients: Coefficients) -> Array:
        """Values on the grid, `shape`, of coefficients of any degree."""

    @abstractmethod
    def analysis(self, values: Array) -> Coefficients:
        """Coefficients up to lmax of grid values; exact for functions of degree lmax and some beyond."""

    @abstractmethod
    def gradient(self, coefficients: Coefficients) -> Array:
        """Tangent components of the gradient on the grid, (*shape, d - 1)."""

    @abstractmethod
    def divergence(self, field: Array) -> Coefficients:
        """Coefficients of the divergence of a tangent field (*shape, d - 1)."""

    @abstractmethod
    def synthesis_at(self, coefficients: Coefficients, points: Array) -> Array:
        """Values at unit vectors (N, d)."""

    @abstractmethod
    def adjoint_at(self, values: Array, points: Array) -> Coefficients:
        """Coefficients up to lmax of the measure sum_j values_j delta(points_j)."""

    def _checked(self, values: Array) -> Array:
        if values.shape != self.shape:
            raise ValueError(f"grid values must have shape {self.shape}, got {values.shape}")
        return np.ascontiguousarray(values, dtype=np.float64)


def frame(points: Array) -> Array:
    """Tangent vectors (d - 1, N, d) at points off the poles: (-y, x) on the circle; southward and eastward on S^2."""
    if points.shape[1] == 2:
        return np.stack([-points[:, 1], points[:, 0]], axis=1)[None]
    x, y, z = points.T
    axial = np.hypot(x, y)
    south = np.stack([z * x / axial, z * y / axial, -axial], axis=1)
    return np.stack([south, np.stack([-y / axial, x / axial, np.zeros_like(x)], axis=1)])
