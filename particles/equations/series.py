"""Values and gradients of real series on S^1 and S^2 at free points, told apart by the dimension of the points."""

import math

import numpy as np

from particles.arrays import Array
from particles.errors import ArgumentError
from particles.harmonics import Coefficients, degree_of, gradient_at, mode_numbers, synthesis_at

ROOT = math.sqrt(2 * math.pi)


def checked_series(coefficients: Coefficients, d: int) -> Coefficients:
    """Complex coefficients (modes,) of a real function; ArgumentError, ValueError where they are none."""
    found = np.asarray(coefficients, dtype=np.complex128)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ArgumentError("coefficients", found.tolist(), "be finite numbers of shape (modes,)")
    orders = mode_numbers(degree_of(found))[1] if d == 3 else np.arange(found.size)
    if np.abs(found[orders == 0].imag).max() > 0:
        raise ArgumentError("coefficients", found.tolist(), "be real in order 0: the function is real")
    return found


def series_value(coefficients: Coefficients, points: Array) -> Array:
    """Values (N,) at unit vectors (N, d), d = 2 or 3."""
    if points.shape[1] == 3:
        return synthesis_at(coefficients, points)
    return _fourier(coefficients, points)


def series_gradient(coefficients: Coefficients, points: Array) -> Array:
    """Gradients at unit vectors (N, d), d = 2 or 3: tangent vectors (N, d)."""
    if points.shape[1] == 3:
        return gradient_at(coefficients, points)
    along = _fourier(1j * np.arange(len(coefficients)) * coefficients, points)
    return along[:, None] * np.stack([-points[:, 1], points[:, 0]], axis=1)


def _fourier(coefficients: Coefficients, points: Array) -> Array:
    """a_0 e_0 + 2 Re sum_{k > 0} a_k e_k by Horner's rule, e_k = e^{i k theta}/sqrt(2 pi)."""
    z = points[:, 0] + 1j * points[:, 1]
    total = np.zeros(len(points), dtype=np.complex128)
    for a in coefficients[:0:-1]:
        total = (total + a) * z
    found: Array = (coefficients[0].real + 2 * total.real) / ROOT
    return found
