"""Real functions on S^2 as spherical-harmonic series, at free points by ducc0's non-uniform transforms.

They are held as complex coefficients for orders m >= 0, orthonormal with Condon-Shortley phase, order by order (all
degrees of m = 0, then of m = 1, ...):  f = sum_l a_l0 Y_l0 + 2 Re sum_{l, m > 0} a_lm Y_lm.
"""

import math
from functools import lru_cache

import ducc0
import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array
from particles.machine.buffers import empty
from particles.machine.parallel import by_chunks, sum_by_chunks

Coefficients = NDArray[np.complex128]

PRECISION = 1e-13  # of the transforms at free points; it costs hardly more than 1e-5
STEADY_DEGREE = 23  # below, the last bits of ducc0's adjoint were seen to depend on where its buffers lie in memory


def n_modes(degree: int) -> int:
    """Number of coefficients up to a degree: (degree + 1)(degree + 2)/2."""
    return (degree + 1) * (degree + 2) // 2


def degree_of(coefficients: Coefficients) -> int:
    """Degree up to which a coefficient array (last axis) reaches."""
    size = coefficients.shape[-1]
    degree = (math.isqrt(8 * size + 1) - 3) // 2
    if n_modes(degree) != size:
        raise ValueError(f"{size} is not a number of coefficients (L + 1)(L + 2)/2")
    return degree


@lru_cache(maxsize=64)
def mode_numbers(degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Degree l and order m of every coefficient."""
    degrees = np.concatenate([np.arange(m, degree + 1) for m in range(degree + 1)])
    orders = np.concatenate([np.full(degree + 1 - m, m) for m in range(degree + 1)])
    return degrees, orders


def resize(coefficients: Coefficients, degree: int) -> Coefficients:
    """Truncate coefficients, or pad them with zeros, to another degree (last axis)."""
    own = degree_of(coefficients)
    if own == degree:
        return coefficients
    if degree < own:
        return coefficients[..., _places(degree, own)]
    result = np.zeros((*coefficients.shape[:-1], n_modes(degree)), dtype=np.complex128)
    result[..., _places(own, degree)] = coefficients
    return result


@lru_cache(maxsize=64)
def _places(own: int, degree: int) -> NDArray[np.intp]:
    """Where the modes of a degree stand among those of another, at least as large."""
    degrees, orders = mode_numbers(degree)
    return np.flatnonzero((degrees <= own) & (orders <= own))


def power(coefficients: Coefficients) -> Array:
    """Squared L^2 norm by degree, shape (..., degree + 1); sums to int |f|^2 (Parseval)."""
    degree = degree_of(coefficients)
    degrees, orders = mode_numbers(degree)
    weight = np.where(orders == 0, 1.0, 2.0)
    square = (coefficients.real**2 + coefficients.imag**2) * weight
    flat = square.reshape(-1, square.shape[-1])
    result: Array = np.stack([np.bincount(degrees, row, degree + 1).astype(np.float64) for row in flat])
    return result.reshape(*square.shape[:-1], degree + 1)


def must_be_numbers(angle: Array) -> None:
    """FloatingPointError where an angle is NaN."""
    if np.isnan(angle.sum()):
        raise FloatingPointError("the state is no longer finite")


def angles(points: Array) -> Array:
    """Colatitude and longitude (theta, phi) of unit vectors (N, 3): (N, 2), accurate near the poles too.

    FloatingPointError where a point is not finite: the transforms know no such angle.
    """
    location = empty(points.shape[0], 2)

    def fill(part: slice) -> None:
        x, y, z = points[part].T
        work = x * x  # reused: memory is what this costs
        work += y * y
        np.arctan2(np.sqrt(work, out=work), z, out=location[part, 0])
        must_be_numbers(location[part, 0])
        np.arctan2(y, x, out=work)
        np.add(work, 2 * np.pi * (work < 0), out=location[part, 1])

    by_chunks(fill, len(location))
    return location


def synthesis_at(coefficients: Coefficients, points: Array, location: Array | None = None) -> Array:
    """Values of a function at unit vectors.

    Parameters
    ----------
    coefficients : (modes,) or (K, modes).   points : (N, 3) unit vectors.   location : their angles, if known.

    Returns
    -------
    (N,) or (K, N).  Accuracy: 1e-12 relative to the norm (tests/spde/domain/test_sphere.py).
    """
    degree = degree_of(coefficients)
    rows = np.ascontiguousarray(np.atleast_2d(coefficients))
    out = np.empty((rows.shape[0], points.shape[0]))

    def fill(part: slice) -> None:
        where = angles(points[part]) if location is None else location[part]
        for row, target in zip(rows, out, strict=True):
            ducc0.sht.synthesis_general(
                alm=row[None], map=target[None, part], spin=0, lmax=degree, mmax=degree, loc=where, epsilon=PRECISION,
                nthreads=1,
            )  # fmt: skip

    by_chunks(fill, len(points))
    return out if coefficients.ndim == 2 else out[0]


def adjoint_at(values: Array, points: Array, degree: int, location: Array | None = None) -> Coefficients:
    """Coefficients a_lm = sum_j values_j conj Y_lm(points_j), the adjoint of `synthesis_at`.

    The mode l = 0 is summed exactly, so mass is conserved to rounding.

    Parameters
    ----------
    values : (N,) or (K, N).   points : (N, 3) unit vectors.   degree : largest degree wanted.
    location : angles of the points, if known.

    Returns
    -------
    (modes,) or (K, modes).
    """
    if degree < STEADY_DEGREE:
        return resize(adjoint_at(values, points, STEADY_DEGREE, location), degree)
    rows = np.ascontiguousarray(np.atleast_2d(values))

    def share(part: slice) -> Coefficients:
        where = angles(points[part]) if location is None else location[part]
        found = np.empty((rows.shape[0], n_modes(degree)), dtype=np.complex128)
        for row, target in zip(rows, found, strict=True):
            ducc0.sht.adjoint_synthesis_general(
                map=row[None, part], alm=target[None], spin=0, lmax=degree, mmax=degree, loc=where, epsilon=PRECISION,
                nthreads=1,
            )  # fmt: skip
        return found

    out = sum_by_chunks(share, len(points))
    for row, target in zip(rows, out, strict=True):
        target[0] = row.sum() / math.sqrt(4 * math.pi)
    return out if values.ndim == 2 else out[0]


def adjoint_from(values: Array, location: Array, degree: int) -> Coefficients:
    """`adjoint_at` for one set of values (N,) and angles (N, 2): one transform, however many points there are.

    The finer grid that its kernel works on was never slower, and 5 to 15 % faster from degree 255 on.
    """
    reach = max(degree, STEADY_DEGREE)
    found = np.empty((1, n_modes(reach)), dtype=np.complex128)
    ducc0.sht.adjoint_synthesis_general(
        map=np.ascontiguousarray(values[None]), alm=found, spin=0, lmax=reach, mmax=reach, loc=location,
        epsilon=PRECISION, sigma_min=2.0, sigma_max=3.0, nthreads=1,
    )  # fmt: skip
    found[0, 0] = values.sum() / math.sqrt(4 * math.pi)
    return resize(found[0], degree)


def gradient_at(coefficients: Coefficients, points: Array) -> Array:
    """Surface gradient of functions at unit vectors.

    Parameters
    ----------
    coefficients : (modes,) or (K, modes).   points : (N, 3) unit vectors.

    Returns
    -------
    (N, 3) or (K, N, 3), tangent vectors in Cartesian components.
    """
    degree = max(1, degree_of(coefficients))
    rows = np.atleast_2d(resize(coefficients, degree))  # transforms of spin 1 begin at degree 1
    out = np.empty((rows.shape[0], points.shape[0], 3))

    def fill(part: slice) -> None:
        location = angles(points[part])
        theta, phi = location.T
        south = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)], axis=1)
        east = np.stack([-np.sin(phi), np.cos(phi), np.zeros_like(phi)], axis=1)
        for row, target in zip(rows, out[:, part], strict=True):
            along = ducc0.sht.synthesis_general(
                alm=np.ascontiguousarray(row[None]), spin=1, mode="DERIV1", lmax=degree, mmax=degree,
                loc=location, epsilon=PRECISION, nthreads=1,
            )  # fmt: skip
            np.multiply(along[0][:, None], south, out=target)
            target += along[1][:, None] * east

    by_chunks(fill, len(points))
    return out if coefficients.ndim == 2 else out[0]


def tangent_at(pair: Coefficients, location: Array, precision: float = PRECISION) -> Array:
    """Components along colatitude and longitude, (2, N), of a tangent field with spin-1 coefficients (2, modes)."""
    degree = degree_of(pair)
    out = np.empty((2, len(location)))
    ducc0.sht.synthesis_general(
        alm=pair, map=out, spin=1, lmax=degree, mmax=degree, loc=location, epsilon=precision, nthreads=1
    )
    return out


def tangent_analysis(south: Array, east: Array) -> Coefficients:
    """Spin-1 coefficients (2, modes) up to L of a tangent field on the Gauss grid (L + 1, 2L + 2), by components."""
    degree = len(south) - 1
    pair: Coefficients = ducc0.sht.analysis_2d(
        map=np.stack([south, east]), spin=1, lmax=degree, mmax=degree, geometry="GL", nthreads=1
    )
    return pair


def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
    """Mean (3,) and second moment (3, 3) of a density, from its coefficients of degree <= 2.

    x = sqrt(2 pi/3) (Y_1^-1 - Y_1^1), z = sqrt(4 pi/3) Y_1^0; the products follow from degree 2.
    """
    first = resize(coefficients, 2)
    a00, a10, a20, a11, a21, a22 = first[0].real, first[1].real, first[2].real, first[3], first[4], first[5]
    mean = np.array([-math.sqrt(8 * math.pi / 3) * a11.real, math.sqrt(8 * math.pi / 3) * a11.imag, 0.0])
    mean[2] = math.sqrt(4 * math.pi / 3) * a10
    mass = a00 * math.sqrt(4 * math.pi)
    zz = (mass + 2 * math.sqrt(4 * math.pi / 5) * a20) / 3
    difference = 2 * math.sqrt(8 * math.pi / 15) * a22.real  # xx - yy
    xy = -math.sqrt(8 * math.pi / 15) * a22.imag
    xz = -math.sqrt(8 * math.pi / 15) * a21.real
    yz = math.sqrt(8 * math.pi / 15) * a21.imag
    xx, yy = (mass - zz + difference) / 2, (mass - zz - difference) / 2
    return mean, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def gauss_grid(nlat: int, nphi: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes in cos(theta), equidistant in phi, north to south.

    Exact for spherical harmonics of degree < min(2 nlat, nphi).

    Returns
    -------
    points (nlat * nphi, 3) unit vectors, latitude slowest; weights (nlat * nphi,) of sum 4 pi.
    """
    theta = np.asarray(ducc0.misc.GL_thetas(nlat))
    ring = np.asarray(ducc0.misc.GL_weights(nlat, nphi))
    phi = 2 * np.pi * np.arange(nphi) / nphi
    points = np.empty((nlat, nphi, 3))
    points[..., 0] = np.sin(theta)[:, None] * np.cos(phi)
    points[..., 1] = np.sin(theta)[:, None] * np.sin(phi)
    points[..., 2] = np.cos(theta)[:, None]
    return points.reshape(-1, 3), np.repeat(ring, nphi)
