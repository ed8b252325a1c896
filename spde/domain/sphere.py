"""The grid on S^2, and spherical-harmonic transforms on it and at free points.

Coefficients are numbered as in `particles.harmonics`.
"""

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from particles import (
    Array,
    Coefficients,
    adjoint_from,
    angles,
    degree_of,
    gauss_grid,
    low_moments,
    mode_numbers,
    power,
    resize,
    synthesis_at,
)
from spde.domain.base import Domain
from spde.domain.transforms import DuccTransforms, Transforms, even_smooth, plan, shtns_module

RUNGS = tuple(8 * step * 2**k - 1 for k in range(8) for step in (2, 3))  # 15, 23, 31, 47, ...: plans below lmax
FINEST_QUADRATURE = 1024  # latitudes beyond which an initial density counts as not integrable


class Sphere(Domain):
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

    d, volume, dims, series = 3, 4 * math.pi, ("lat", "lon"), "spherical-harmonic"
    backends = ("shtns", "ducc0")
    mode_numbers = staticmethod(mode_numbers)
    degree_of = staticmethod(degree_of)
    power = staticmethod(power)
    resize = staticmethod(resize)
    low_moments = staticmethod(low_moments)

    def __init__(self, lmax: int, backend: str | None = None) -> None:
        super().__init__(lmax, backend)
        if shtns_module() is None:
            if backend == "shtns":
                raise ValueError('backend "shtns" is not installed; it needs FFTW: pip install "tokenlaw[shtns]"')
            self.backend = "ducc0"
        self.nlat = max(32, 8 * math.ceil(3 * (self.lmax + 1) / 16))
        self.nphi = even_smooth(2 * self.nlat)
        self.shape = (self.nlat, self.nphi)
        points, self.weights = gauss_grid(self.nlat, self.nphi)
        self.points = np.asfortranarray(points)

    @staticmethod
    def quadrature(size: tuple[int, int]) -> tuple[Array, Array]:
        """Gauss nodes (latitudes, longitudes) and their weights; see `gauss_grid`."""
        return gauss_grid(*size)

    def sizes(self, carried: tuple[int, int]) -> Iterator[tuple[int, int]]:
        nlat = max(64, 2 * carried[0], self.nlat)
        yield nlat, 2 * nlat
        while 2 * nlat <= FINEST_QUADRATURE:
            nlat *= 2
            yield nlat, 2 * nlat

    @staticmethod
    def exact_size(degree: int) -> tuple[int, int]:
        nlat = max(2, degree // 2 + 1)
        return nlat, 2 * nlat

    @staticmethod
    def size_near(n: int) -> tuple[int, int]:
        k = max(2, round((n / 2) ** 0.5))
        return k, 2 * k

    def project(self, values: Array, size: tuple[int, int]) -> Coefficients:
        degree = min(self.lmax, size[0] - 1)
        return self.resized(DuccTransforms(degree, *size).analysis(values.reshape(size)))

    def coordinates(self) -> dict[str, tuple[str, Array, dict[str, str]]]:
        south = {"units": "degrees_north", "standard_name": "latitude", "long_name": "Gauss latitude", "axis": "Y"}
        east = {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude", "axis": "X"}
        return {"lat": ("lat", self.latitude, south), "lon": ("lon", self.longitude, east)}

    def _transforms(self, degree: int | None = None) -> Transforms:
        return plan(self.backend, degree or self.lmax, self.nlat, self.nphi)

    @cached_property
    def latitude(self) -> Array:
        """Latitudes of the rings in degrees, north to south, shape (nlat,)."""
        return np.degrees(np.arcsin(self.points[:: self.nphi, 2]))

    def synthesis(self, coefficients: Coefficients) -> Array:
        transforms, degree = self._synthesis_of(degree_of(coefficients))
        return transforms.synthesis(resize(coefficients, degree))

    def vectors(self, coefficients: Coefficients) -> Array:
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
        v_theta, v_phi = np.moveaxis(np.asarray(field, dtype=np.float64), -1, 0)
        return self._transforms().divergence(self._checked(v_theta), self._checked(v_phi))

    def synthesis_at(self, coefficients: Coefficients, points: Array) -> Array:
        return synthesis_at(coefficients, points)

    def adjoint_at(self, values: Array, points: Array) -> Coefficients:
        return adjoint_from(values, angles(points), self.lmax)
