"""The grid on S^2, and spherical-harmonic transforms on it and at free points.

Coefficients are numbered as in `particles.harmonics`.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array, check_count
from particles.harmonics import (
    Coefficients,
    adjoint_from,
    angles,
    degree_of,
    low_moments,
    mode_numbers,
    power,
    resize,
    synthesis_at,
)
from particles.quadrature import gauss_grid
from spde.transforms import DuccTransforms as DuccTransforms
from spde.transforms import Transforms, plan, shtns_module, smooth

MIN_DEGREE, MAX_DEGREE = 2, 1023
RUNGS = tuple(8 * step * 2**k - 1 for k in range(8) for step in (2, 3))  # 15, 23, 31, 47, ...: plans below lmax
FINEST_QUADRATURE = 1024  # latitudes beyond which an initial density counts as not integrable


def even_smooth(least: int) -> int:
    """Smallest even number >= least with no prime factor beyond 5."""
    candidate = least + least % 2
    while not smooth(candidate):
        candidate += 2
    return candidate


def check_degree(lmax: int) -> None:
    """Refuse what is no largest degree of a grid."""
    check_count(lmax, "lmax", MIN_DEGREE, MAX_DEGREE)


class Sphere:
    """Gauss grid on S^2 and the transforms up to degree lmax.

    Parameters
    ----------
    lmax : 2 ... 1023.
    backend : "shtns", "ducc0", or None for shtns where it is installed.  Both give the same numbers to 1e-12.

    Attributes
    ----------
    nlat, nphi, shape : size of the grid: 3/2 rule, nlat a multiple of 8 and at least 32 (shtns ends the process below).
    points : (nlat * nphi, 3) grid points, latitude slowest, north to south; each component is contiguous, which makes
        everything that is done to them twice as fast.
    weights : (nlat * nphi,) quadrature weights of sum 4 pi.
    degrees, orders : (modes,) of the coefficients.

    Examples
    --------
    >>> sphere = Sphere(31)
    >>> sphere.nlat, sphere.nphi
    (48, 96)
    """

    d = 3
    volume = 4 * math.pi
    dims: tuple[str, ...] = ("lat", "lon")
    series = "spherical-harmonic"

    def __init__(self, lmax: int, backend: str | None = None) -> None:
        check_degree(lmax)
        if backend not in (None, "shtns", "ducc0"):
            raise ValueError(f'backend must be "shtns" or "ducc0", got {backend!r}')
        if backend == "shtns" and shtns_module() is None:
            raise ValueError('backend "shtns" is not installed; it needs FFTW: pip install "tokenlaw[shtns]"')
        self.lmax = int(lmax)
        self.backend = backend or ("shtns" if shtns_module() is not None else "ducc0")
        self.nlat = max(32, 8 * math.ceil(3 * (self.lmax + 1) / 16))
        self.nphi = even_smooth(2 * self.nlat)
        self.shape: tuple[int, ...] = (self.nlat, self.nphi)
        self.degrees, self.orders = mode_numbers(self.lmax)
        points, self.weights = gauss_grid(self.nlat, self.nphi)
        self.points = np.asfortranarray(points)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Sphere, (self.lmax, self.backend))  # plans are made anew after pickling

    def with_degree(self, lmax: int) -> "Sphere":
        """The same sphere with another lmax."""
        return Sphere(lmax, self.backend)

    def resized(self, coefficients: Coefficients) -> Coefficients:
        """Coefficients up to lmax."""
        return resize(coefficients, self.lmax)

    @staticmethod
    def mode_numbers(degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Degree l and order m of every coefficient."""
        return mode_numbers(degree)

    @staticmethod
    def degree_of(coefficients: Coefficients) -> int:
        """Degree up to which coefficients reach."""
        return degree_of(coefficients)

    @staticmethod
    def power(coefficients: Coefficients) -> Array:
        """Squared norm by degree; see `power`."""
        return power(coefficients)

    @staticmethod
    def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
        """Mean (3,) and second moment (3, 3) of a density; see `low_moments`."""
        return low_moments(coefficients)

    @staticmethod
    def quadrature(size: tuple[int, int]) -> tuple[Array, Array]:
        """Gauss nodes (latitudes, longitudes) and their weights; see `gauss_grid`."""
        return gauss_grid(*size)

    def sizes(self, carried: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Finer and finer quadratures for an initial density with so many carried nodes."""
        nlat = max(64, 2 * carried[0], self.nlat)
        yield nlat, 2 * nlat
        while 2 * nlat <= FINEST_QUADRATURE:
            nlat *= 2
            yield nlat, 2 * nlat

    @staticmethod
    def exact_size(degree: int) -> tuple[int, int]:
        """A quadrature exact to a degree."""
        nlat = max(2, degree // 2 + 1)
        return nlat, 2 * nlat

    @staticmethod
    def size_near(n: int) -> tuple[int, int]:
        """The quadrature k x 2k with the number of nodes closest to n."""
        k = max(2, round((n / 2) ** 0.5))
        return k, 2 * k

    def project(self, values: Array, size: tuple[int, int]) -> Coefficients:
        """Coefficients up to lmax of values at the nodes of `quadrature(size)`."""
        degree = min(self.lmax, size[0] - 1)
        return self.resized(DuccTransforms(degree, *size).analysis(values.reshape(size)))

    def coordinates(self) -> dict[str, tuple[str, Array, dict[str, str]]]:
        """Coordinates of the grid in files."""
        south = {"units": "degrees_north", "standard_name": "latitude", "long_name": "Gauss latitude", "axis": "Y"}
        east = {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude", "axis": "X"}
        return {"lat": ("lat", self.latitude, south), "lon": ("lon", self.longitude, east)}

    def _transforms(self, degree: int | None = None) -> Transforms:
        return plan(self.backend, degree or self.lmax, self.nlat, self.nphi)

    @cached_property
    def latitude(self) -> Array:
        """Latitudes of the rings in degrees, north to south, shape (nlat,)."""
        return np.degrees(np.arcsin(self.points[:: self.nphi, 2]))

    @cached_property
    def longitude(self) -> Array:
        """Longitudes in degrees from 0, shape (nphi,)."""
        return 360.0 * np.arange(self.nphi) / self.nphi

    def synthesis(self, coefficients: Coefficients) -> Array:
        """Values on the grid, (nlat, nphi), of coefficients of any degree."""
        transforms, degree = self._synthesis_of(degree_of(coefficients))
        return transforms.synthesis(resize(coefficients, degree))

    def vectors(self, coefficients: Coefficients) -> Array:
        """Values (nlat * nphi, K) at the points of the grid of K functions (K, modes), each one contiguous."""
        transforms, degree = self._synthesis_of(degree_of(coefficients))
        values = np.empty((len(coefficients), *self.shape))
        for a, out in zip(resize(coefficients, degree), values, strict=True):
            transforms.synthesis(a, out)
        return values.reshape(len(values), -1).T

    def _synthesis_of(self, degree: int) -> tuple[Transforms, int]:
        """Transforms for coefficients of a degree, and the degree that they take."""
        if degree > self.nlat - 1:
            return DuccTransforms(degree, self.nlat, self.nphi), degree  # shtns would need a finer grid
        if degree > self.lmax:
            return self._transforms(self.nlat - 1), self.nlat - 1
        fitting = next((rung for rung in RUNGS if degree <= rung < self.lmax), self.lmax)
        return self._transforms(fitting), fitting

    def analysis(self, values: Array) -> Coefficients:
        """Coefficients up to lmax of grid values (nlat, nphi); exact for functions of degree < 2 nlat - lmax."""
        return self._transforms().analysis(self._checked(values))

    def gradient(self, coefficients: Coefficients) -> Array:
        """Gradient on the grid, (nlat, nphi, 2): components along theta (southward) and phi (eastward)."""
        return np.stack(self._transforms().gradient(resize(coefficients, self.lmax)), axis=-1)

    def divergence(self, field: Array) -> Coefficients:
        """Coefficients of the divergence of a tangent field (nlat, nphi, 2)."""
        v_theta, v_phi = np.moveaxis(np.asarray(field, dtype=np.float64), -1, 0)
        return self._transforms().divergence(self._checked(v_theta), self._checked(v_phi))

    def synthesis_at(self, coefficients: Coefficients, points: Array) -> Array:
        """Values at free unit vectors (N, 3); see `synthesis_at`."""
        return synthesis_at(coefficients, points)

    def adjoint_at(self, values: Array, points: Array) -> Coefficients:
        """Coefficients up to lmax of the measure sum_j values_j delta(points_j); see `adjoint_from`."""
        return adjoint_from(values, angles(points), self.lmax)

    def _checked(self, values: Array) -> Array:
        if values.shape != (self.nlat, self.nphi):
            raise ValueError(f"grid values must have shape {(self.nlat, self.nphi)}, got {values.shape}")
        return np.ascontiguousarray(values, dtype=np.float64)
