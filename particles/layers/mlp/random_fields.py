"""Gaussian fields with covariance k(<x, y>) I on the circle and on S^2, drawn as series.  mathematics, section 3.

On S^2, with k = sum_l a_l P_l, every Cartesian component is sum_lm sqrt(4 pi a_l/(2l+1)) xi_lm Y_lm; on the circle,
with k(cos t) = sum_n c_n cos(n t), it is sum_n sqrt(c_n) (xi_n cos(n t) + eta_n sin(n t)).  All xi, eta are
independent N(0, 1).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from particles.arrays import Array
from particles.harmonics import Coefficients, degree_of, gradient_at, mode_numbers, synthesis_at
from particles.layers.mlp.kernels import DualKernel

TOLERANCE = 1e-10  # of k(1): the tail that is cut off where the series converges fast
MAX_DEGREE = 128  # of relu, whose series does not: see `spectrum`; even, as its series is
ROUNDING = 1e-14  # of k(1): variances below are rounding of 0, and of either sign
SAMPLES = 4096  # of k over the circle: relu's coefficients fall like n^-4, aliasing stays below 1e-14


class Synthesis(Protocol):
    """A grid with a fast transform."""

    def synthesis(self, coefficients: Coefficients) -> Array:
        """Grid values of a function given by its coefficients."""
        ...


@lru_cache(maxsize=64)
def spectrum(kernel: DualKernel) -> Array:
    """Variances by degree of a field with covariance k: a_l for d = 3, c_n for d = 2, of sum k(1) exactly.

    The series is cut where its tail is below 1e-10 of k(1), at degree 128 at the latest, and the tail is given to the
    last degree.  So the variance k(1) is right always.  The cut matters for relu only: its k is then right to 1.5e-7 of
    k(1), and k'(1) comes out up to 0.3 % too small, which slows the separation of tokens closer than about a degree
    (tests/particles/layers/mlp/test_block.py).
    """
    if kernel.d == 3:
        found = kernel.legendre(MAX_DEGREE).coefficients
    elif kernel.d == 2:
        values = kernel.value(np.cos(2 * np.pi * np.arange(SAMPLES) / SAMPLES))
        found = 2 * np.fft.rfft(values).real[: MAX_DEGREE + 1] / SAMPLES
        found[0] /= 2
    else:
        raise ValueError(f"series of random fields exist for d = 2 and d = 3, got d = {kernel.d}")
    whole = float(kernel.value(1.0))
    variances = np.where(found > ROUNDING * whole, found, 0.0)  # else a variance 0 would leave an amplitude of 1e-8
    tails = whole - np.cumsum(variances)
    enough = np.flatnonzero(tails <= TOLERANCE * whole)
    degree = int(enough[0]) if enough.size else MAX_DEGREE
    variances = variances[: degree + 1]
    variances[-1] += max(0.0, float(tails[degree]))
    return variances


@dataclass(frozen=True, eq=False)
class HarmonicField:
    """A vector field on S^2 whose Cartesian components are harmonic series: coefficients (3, modes)."""

    coefficients: Coefficients

    @property
    def degree(self) -> int:
        """Degree of the series."""
        return degree_of(self.coefficients)

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, 3)."""
        return np.ascontiguousarray(synthesis_at(self.coefficients, points).T)

    def jacobian(self, points: Array) -> Array:
        """DU at unit vectors (N, 3), acting on tangent vectors: (N, 3, 3)."""
        return np.ascontiguousarray(np.swapaxes(gradient_at(self.coefficients, points), 0, 1))

    def on_grid(self, sphere: Synthesis) -> Array:
        """U at the grid points of a sphere, (nlat * nphi, 3)."""
        return np.stack([sphere.synthesis(a).ravel() for a in self.coefficients], axis=1)


@dataclass(frozen=True, eq=False)
class FourierField:
    """A vector field on the circle, Re sum_n a_n (x_1 + i x_2)^n in each component: coefficients (2, degree + 1)."""

    coefficients: Coefficients

    @property
    def degree(self) -> int:
        """Degree of the series."""
        return int(self.coefficients.shape[1]) - 1

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, 2)."""
        return np.ascontiguousarray(self._sum(self.coefficients, points).real.T)

    def jacobian(self, points: Array) -> Array:
        """DU at unit vectors (N, 2), acting on tangent vectors: (N, 2, 2)."""
        along = self._sum(1j * np.arange(self.degree + 1) * self.coefficients, points).real.T
        tangent = np.stack([-points[:, 1], points[:, 0]], axis=1)
        return along[:, :, None] * tangent[:, None, :]

    @staticmethod
    def _sum(coefficients: Coefficients, points: Array) -> Coefficients:
        z = points[:, 0] + 1j * points[:, 1]
        value = np.zeros((2, len(points)), dtype=np.complex128)
        for a in coefficients.T[::-1]:
            value = value * z + a[:, None]
        return value


def draw(kernel: DualKernel, rng: np.random.Generator) -> Coefficients:
    """Coefficients of one realization, as `HarmonicField` (d = 3) or `FourierField` (d = 2) takes them."""
    deviations, d = np.sqrt(spectrum(kernel)), kernel.d
    degree = len(deviations) - 1
    if d == 2:
        pairs = rng.standard_normal((d, degree + 1, 2))
        return deviations * (pairs[..., 0] + 1j * pairs[..., 1])
    degrees, orders = mode_numbers(degree)
    pairs = rng.standard_normal((d, degrees.size, 2))
    # with f = a_l0 Y_l0 + 2 Re a_lm Y_lm, real and imaginary part of a_lm have half the variance of a_l0, which is real
    unit = np.where(orders == 0, pairs[..., 0], math.sqrt(0.5) * (pairs[..., 0] + 1j * pairs[..., 1]))
    return np.sqrt(4 * np.pi / (2 * degrees + 1)) * deviations[degrees] * unit
