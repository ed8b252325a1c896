"""The grid on the circle S^1 and its Fourier transforms; at free points by ducc0's non-uniform FFT.

Real functions are held as complex coefficients for k >= 0, orthonormal like those of the sphere, theta = arg x:
f = a_0 e_0 + 2 Re sum_{k > 0} a_k e_k,  e_k(theta) = e^{i k theta}/sqrt(2 pi),  a_k = int f conj e_k.
"""

import math
from collections.abc import Iterator

import ducc0
import numpy as np
from numpy.typing import NDArray

from particles import PRECISION, Array, Coefficients, must_be_numbers
from spde.domain.base import Domain
from spde.domain.transforms import even_smooth

ROOT = math.sqrt(2 * math.pi)
FINEST_QUADRATURE = 1 << 21  # nodes beyond which an initial density counts as not integrable


def equispaced(n: int) -> Array:
    """n points of the circle at angles 2 pi j/n, shape (n, 2)."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def resize(coefficients: Coefficients, degree: int) -> Coefficients:
    """Truncate coefficients, or pad them with zeros, to another degree (last axis)."""
    own = coefficients.shape[-1] - 1
    if own >= degree:
        return coefficients[..., : degree + 1]
    return np.concatenate([coefficients, np.zeros((*coefficients.shape[:-1], degree - own))], axis=-1)


def synthesis_at(coefficients: Coefficients, points: Array) -> Array:
    """Values of functions at unit vectors.

    Parameters
    ----------
    coefficients : (degree + 1,) or (K, degree + 1).   points : (N, 2) unit vectors.

    Returns
    -------
    (N,) or (K, N).  Accuracy: 1e-12 relative to the norm (tests/spde/domain/test_circle.py).
    """
    rows = np.atleast_2d(coefficients)
    modes = np.zeros((rows.shape[0], 2 * rows.shape[1]), dtype=np.complex128)  # in the order 0, 1, ..., -2, -1
    modes[:, 0], modes[:, 1 : rows.shape[1]] = rows[:, 0].real / ROOT, 2 / ROOT * rows[:, 1:]
    found = ducc0.nufft.u2nu(
        grid=modes, coord=_angles(points)[:, None], forward=False, epsilon=PRECISION, nthreads=1, fft_order=True
    )
    out = np.ascontiguousarray(found.real)
    return out if coefficients.ndim == 2 else out[0]


def adjoint_at(values: Array, points: Array, degree: int) -> Coefficients:
    """Coefficients a_k = sum_j values_j conj e_k(points_j), the adjoint of `synthesis_at`.

    The mode k = 0 is summed exactly, so mass is conserved to rounding.

    Parameters
    ----------
    values : (N,) or (K, N).   points : (N, 2) unit vectors.   degree : largest degree wanted.

    Returns
    -------
    (degree + 1,) or (K, degree + 1).
    """
    rows = np.atleast_2d(values)
    modes = np.empty((rows.shape[0], 2 * degree + 2), dtype=np.complex128)
    ducc0.nufft.nu2u(
        points=rows.astype(np.complex128), coord=_angles(points)[:, None], forward=True, epsilon=PRECISION,
        nthreads=1, out=modes, fft_order=True,
    )  # fmt: skip
    out = modes[:, : degree + 1] / ROOT
    out[:, 0] = rows.sum(axis=1) / ROOT
    return out if values.ndim == 2 else out[0]


def _angles(points: Array) -> Array:
    angle: Array = np.arctan2(points[:, 1], points[:, 0])
    must_be_numbers(angle)
    return angle


class Circle(Domain):
    """Equispaced grid on S^1 and the Fourier transforms up to degree lmax: the circle's `Sphere`.

    Parameters
    ----------
    lmax : 2 ... 1023, the largest k.
    backend : "ducc0", which is the default too.

    Attributes
    ----------
    nphi, shape : number of grid points, 3/2 rule: at least 3 (lmax + 1), even, no prime factor beyond 5.
    points, weights : (nphi, 2) grid points, counter-clockwise from (1, 0); (nphi,) equal weights of sum 2 pi.
    degrees, orders : (modes,) both k: a degree has one mode.

    Examples
    --------
    >>> Circle(31).nphi
    96
    """

    d, volume, dims, series = 2, 2 * math.pi, ("lon",), "Fourier"
    backends = ("ducc0",)
    resize = staticmethod(resize)

    def __init__(self, lmax: int, backend: str | None = None) -> None:
        super().__init__(lmax, backend)
        self.nphi = even_smooth(3 * (self.lmax + 1))
        self.shape = (self.nphi,)
        self.points, self.weights = self.quadrature((1, self.nphi))

    @staticmethod
    def mode_numbers(degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.arange(degree + 1), np.arange(degree + 1)

    @staticmethod
    def degree_of(coefficients: Coefficients) -> int:
        return int(coefficients.shape[-1]) - 1

    @staticmethod
    def power(coefficients: Coefficients) -> Array:
        weight = np.where(np.arange(coefficients.shape[-1]) == 0, 1.0, 2.0)
        power: Array = weight * (coefficients.real**2 + coefficients.imag**2)
        return power

    @staticmethod
    def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
        """Mean (2,) and second moment (2, 2) of a density; products by the double angle."""
        mass, first, second = ROOT * resize(coefficients, 2)
        mean = np.array([first.real, -first.imag])
        xx, xy, yy = (mass.real + second.real) / 2, -second.imag / 2, (mass.real - second.real) / 2
        return mean, np.array([[xx, xy], [xy, yy]])

    @staticmethod
    def quadrature(size: tuple[int, int]) -> tuple[Array, Array]:
        """size[0] * size[1] equispaced nodes (n, 2) and their weights (n,); exact for degrees < n."""
        n = size[0] * size[1]
        return equispaced(n), np.full(n, 2 * math.pi / n)

    def sizes(self, carried: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Finer and finer quadratures for an initial density; the first beyond doubt for lmax and carried nodes."""
        half = max(2048, 4 * (self.lmax + 1), carried[0] * carried[1])
        yield 2, half
        while 4 * half <= FINEST_QUADRATURE:
            half *= 2
            yield 2, half

    @staticmethod
    def exact_size(degree: int) -> tuple[int, int]:
        return 2, max(4, degree // 2 + 1)

    @staticmethod
    def size_near(n: int) -> tuple[int, int]:
        """The quadrature with about n nodes: n of them."""
        return 1, n

    def project(self, values: Array, size: tuple[int, int]) -> Coefficients:
        return resize(np.fft.rfft(values) * (ROOT / (size[0] * size[1])), self.lmax)

    def coordinates(self) -> dict[str, tuple[str, Array, dict[str, str]]]:
        east = {"units": "degrees_east", "standard_name": "longitude", "long_name": "angle on the circle", "axis": "X"}
        return {"lon": ("lon", self.longitude, east)}

    def synthesis(self, coefficients: Coefficients) -> Array:
        """Values on the grid, (nphi,), of coefficients of any degree (from nphi/2 on by sums at free points)."""
        if coefficients.shape[-1] > self.nphi // 2:
            return self.synthesis_at(coefficients, self.points)
        return np.fft.irfft(coefficients, self.nphi) * (self.nphi / ROOT)

    def analysis(self, values: Array) -> Coefficients:
        """Coefficients up to lmax of grid values (nphi,); exact for functions of degree < nphi - lmax."""
        return self.project(self._checked(values), (1, self.nphi))

    def gradient(self, coefficients: Coefficients) -> Array:
        """Derivative by the angle on the grid, (nphi, 1): the component along (-y, x)."""
        return self.synthesis(1j * self.degrees * self.resized(coefficients))[:, None]

    def divergence(self, field: Array) -> Coefficients:
        return 1j * self.degrees * self.analysis(np.asarray(field)[:, 0])

    def synthesis_at(self, coefficients: Coefficients, points: Array) -> Array:
        return synthesis_at(coefficients, points)

    def adjoint_at(self, values: Array, points: Array) -> Coefficients:
        return adjoint_at(values, points, self.lmax)
