"""The unit spheres on which densities live, behind one interface: the circle S^1 and the sphere S^2."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array
from particles.errors import ArgumentError
from particles.harmonics import Coefficients
from spde.circle import Circle
from spde.sphere import Sphere


class Domain(Protocol):
    """Grid on S^(d-1), transforms up to degree lmax, and what densities and files need to know of both.

    Coefficients are complex and orthonormal, the first one that of degree 0: mass = a_0 sqrt(volume).  Quadratures
    come by size, a pair of numbers: latitudes and longitudes, on the circle nothing but the factors of their number.
    """

    d: int
    volume: float
    dims: tuple[str, ...]  # of grid values, in files
    series: str  # what the coefficients are called
    lmax: int
    backend: str
    shape: tuple[int, ...]
    points: Array
    weights: Array
    degrees: NDArray[np.int64]
    orders: NDArray[np.int64]

    def with_degree(self, lmax: int) -> "Domain":
        """The same sphere with another lmax."""
        ...

    @staticmethod
    def mode_numbers(degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Degree and order of every coefficient up to a degree."""
        ...

    @staticmethod
    def degree_of(coefficients: Coefficients) -> int:
        """Degree up to which coefficients reach."""
        ...

    @staticmethod
    def power(coefficients: Coefficients) -> Array:
        """Squared norm by degree."""
        ...

    def resized(self, coefficients: Coefficients) -> Coefficients:
        """Coefficients up to lmax."""
        ...

    @staticmethod
    def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
        """Mean (d,) and second moment (d, d) of a density."""
        ...

    @staticmethod
    def quadrature(size: tuple[int, int]) -> tuple[Array, Array]:
        """Nodes (n, d) and positive weights (n,) of sum volume."""
        ...

    def sizes(self, carried: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Finer and finer quadratures for an initial density with so many carried nodes."""
        ...

    @staticmethod
    def exact_size(degree: int) -> tuple[int, int]:
        """A quadrature exact to a degree."""
        ...

    @staticmethod
    def size_near(n: int) -> tuple[int, int]:
        """The quadrature with about n nodes."""
        ...

    def project(self, values: Array, size: tuple[int, int]) -> Coefficients:
        """Coefficients up to lmax of values (n,) at the nodes of a quadrature."""
        ...

    def coordinates(self) -> dict[str, tuple[str, Array, dict[str, str]]]:
        """Coordinates of the grid in files: name -> (dimension, values, attributes)."""
        ...

    def synthesis(self, coefficients: Coefficients) -> Array:
        """Values on the grid of coefficients of any degree."""
        ...

    def analysis(self, values: Array) -> Coefficients:
        """Coefficients up to lmax of grid values."""
        ...

    def gradient(self, coefficients: Coefficients) -> Array:
        """Tangent components of the gradient on the grid, (*shape, d - 1)."""
        ...

    def divergence(self, field: Array) -> Coefficients:
        """Coefficients of the divergence of a tangent field (*shape, d - 1)."""
        ...

    def synthesis_at(self, coefficients: Coefficients, points: Array) -> Array:
        """Values at unit vectors (N, d)."""
        ...

    def adjoint_at(self, values: Array, points: Array) -> Coefficients:
        """Coefficients up to lmax of the measure sum_j values_j delta(points_j)."""
        ...


SPHERES: dict[int, type[Circle] | type[Sphere]] = {2: Circle, 3: Sphere}
"""By dimension d of the space: where densities can live."""


def unit_sphere(d: int, lmax: int, backend: str | None = None) -> Domain:
    """Grid and transforms up to lmax on S^(d-1), d = 2 or 3.

    Examples
    --------
    >>> unit_sphere(2, 31).shape, unit_sphere(3, 31).shape
    ((96,), (48, 96))
    """
    if d not in SPHERES:
        raise ArgumentError("d", d, "be 2 or 3 for densities; tokens may have any d")
    return SPHERES[d](lmax, backend)
