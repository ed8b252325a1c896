"""Small spherical-harmonic transforms by tables: as fast as ducc0 at these sizes, and the same to the last bit always.

The last bits of ducc0's transforms depend now and then on where its buffers lie in memory, and a run that is resumed
must not (docs/design_decisions.md).  Products of matrices do not have this.
"""

from functools import lru_cache

import ducc0
import numpy as np
from numpy.typing import NDArray
from scipy.special import sph_harm_y_all, sph_legendre_p_all

from particles import Array, Coefficients, angles, degree_of, mode_numbers

ANALYSIS_DEGREE = 63  # up to which `analysis` is done by tables: 2 MB of them
SYNTHESIS_SIZE = 1 << 20  # entries of a table of `synthesis_table`, 8 MB


@lru_cache(maxsize=64)
def _legendre(degree: int) -> Array:
    """w_j P_lm(cos theta_j) 2 pi/nphi on the Gauss grid of degree + 1 latitudes: (order, degree, latitude)."""
    weights = np.asarray(ducc0.misc.GL_weights(degree + 1, 2 * degree + 2))
    return np.ascontiguousarray(np.swapaxes(_on_latitudes(degree), 0, 1) * weights)


@lru_cache(maxsize=16)
def _legendre_both(degree: int) -> Array:
    """P_lm(cos theta_j) of orders m and -m together on the same latitudes: (order, latitude, degree)."""
    both = np.where(np.arange(degree + 1) == 0, 1.0, 2.0)[:, None]
    return np.ascontiguousarray((_on_latitudes(degree) * both).transpose(1, 2, 0))


def _on_latitudes(degree: int) -> Array:
    theta = np.asarray(ducc0.misc.GL_thetas(degree + 1))
    table: Array = sph_legendre_p_all(degree, degree, theta)[0, :, : degree + 1]  # degree, order, latitude
    return table


@lru_cache(maxsize=64)
def _waves(degree: int) -> Array:
    """e^{-i m phi} at the 2L + 2 longitudes: (longitude, (re, im) by order)."""
    n = 2 * degree + 2
    phase = 2 * np.pi / n * (np.outer(np.arange(n), np.arange(degree + 1)) % n)
    return np.stack([np.cos(phase), -np.sin(phase)], axis=-1).reshape(n, n)


@lru_cache(maxsize=64)
def _places(degree: int) -> NDArray[np.int64]:
    """Where each mode stands in a table (order, degree)."""
    degrees, orders = mode_numbers(degree)
    return orders * (degree + 1) + degrees


def analysis(values: Array) -> Coefficients:
    """Coefficients of K functions on the Gauss grid (K, L + 1, 2L + 2), exact for degree L: (order, degree, K)."""
    count, n_lat, n_lon = values.shape
    spectrum = (values.reshape(-1, n_lon) @ _waves(n_lat - 1)).view(np.complex128).reshape(count, n_lat, n_lat)
    pairs = np.ascontiguousarray(spectrum.T).view(np.float64)  # order, latitude, (re, im) by function
    found: Coefficients = (_legendre(n_lat - 1) @ pairs).view(np.complex128)
    return found


def by_mode(table: Coefficients) -> Coefficients:
    """A table (order, degree, K), 0 where order > degree, as coefficients (K, modes)."""
    side, _, count = table.shape
    return np.ascontiguousarray(table.reshape(-1, count)[_places(side - 1)].T)


def by_order_and_degree(coefficients: Coefficients, degree: int) -> Coefficients:
    """Coefficients (K, modes) as a table (order, degree, K)."""
    table = np.zeros(((degree + 1) ** 2, len(coefficients)), dtype=np.complex128)
    table[_places(degree)] = coefficients.T
    return table.reshape(degree + 1, degree + 1, -1)


def synthesis(coefficients: Coefficients, degree: int) -> Array:
    """Values of K functions (K, modes) on the Gauss grid of a degree at least as large: (L + 1, 2L + 2, K)."""
    own = degree_of(coefficients)
    table = by_order_and_degree(coefficients, own)
    rings = (_legendre_both(degree)[: own + 1, :, : own + 1] @ table.view(np.float64)).view(np.complex128)
    rows = np.ascontiguousarray(rings.transpose(2, 1, 0)).view(np.float64)  # function, latitude, (re, im) by order
    values = rows @ _waves(degree).T[: 2 * own + 2]
    return np.moveaxis(values, 0, -1)


def synthesis_table(points: Array, degree: int) -> Array | None:
    """Matrix (N, 2 modes) that takes real and imaginary parts of coefficients to values; None where it is too large."""
    degrees, orders = mode_numbers(degree)
    if 2 * len(points) * degrees.size > SYNTHESIS_SIZE:
        return None
    theta, phi = angles(points).T
    harmonics = sph_harm_y_all(degree, degree, theta, phi)[degrees, orders] * np.where(orders == 0, 1, 2)[:, None]
    return np.ascontiguousarray(np.concatenate([harmonics.real, -harmonics.imag]).T)
