"""The velocity field of a layer on S^1 by Fourier series, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is evaluated at equispaced points of the circle,
twice as many until its Fourier coefficients are below the tolerance well before the last one; the coefficients of
all heads are mixed.  The sources are always the positive points of the measure, so nothing cancels.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from particles import Array, AttentionPush, Coefficients, Measure
from particles.attention import BLOCK, PLAIN_LIMIT, Spectral, as_softmax
from spde.domain.circle import ROOT, Circle, equispaced, resize, synthesis_at
from spde.field.base import SeriesField
from spde.field.cost import grid_pays

SEEN = 0.75  # share of the measured degrees within which the coefficients must have fallen below the tolerance


class CircleField(SeriesField):
    """Field of one attention push and one measure on S^1: the circle's `SpectralField`.

    Accuracy: `tol` for every measure and beta |A| (tests/spde/field/test_circle.py).
    """

    domain = Circle

    def _series(
        self, push: AttentionPush, kernel: Spectral, measure: Measure, n_targets: int, tolerance: float
    ) -> tuple[Coefficients, NDArray[np.int64]]:
        self._columns = np.ascontiguousarray(measure.points.T)
        heads: list[Coefficients | None] = []
        for query, key in zip(push.query, push.key, strict=True):
            head = as_softmax(kernel, self._measure, key)
            if head is None:
                heads.append(None)  # summed directly, with the weights in the exponent
                continue
            weights = head[1].weights
            table = np.column_stack([measure.points * weights[:, None], weights])
            heads.append(self._head(head[0] * (key.T @ query), table, n_targets, tolerance))
        degrees = np.array([0 if a is None else a.shape[-1] - 1 for a in heads])
        degree = int(degrees.max(initial=0))
        coefficients: Coefficients = np.zeros((2, degree + 1), dtype=np.complex128)
        for mixing, a in zip(push.mixing, heads, strict=True):
            if a is not None:
                coefficients += resize(mixing @ a, degree)
        return coefficients, degrees

    def _values(self, points: Array) -> Array:
        return synthesis_at(self._coefficients, points)

    def _slopes(self, points: Array) -> Array:
        along = synthesis_at(1j * np.arange(self.degree + 1) * self._coefficients, points).T
        tangent = np.stack([-points[:, 1], points[:, 0]], axis=1)
        slopes: Array = along[:, :, None] * tangent[:, None, :]
        return slopes

    def _head(self, form: Array, table: Array, n_targets: int, tolerance: float) -> Coefficients | None:
        """Coefficients (2, degree + 1) of one barycentre, or None where direct sums are cheaper; form = beta A.

        table : (n, 3), the points of the measure times their weights, and the weights.
        """
        if not np.isfinite(form).all():
            return None  # direct sums carry the NaN on to where the run is stopped
        strength = float(np.linalg.norm(form, 2))
        half = int(np.ceil(4.0 * strength + 12))
        while strength <= PLAIN_LIMIT and grid_pays(2, 2 * half, n_targets):
            spectrum = np.fft.rfft(self._around(form, table, half), axis=0).T[:, :-1] / (2 * half)
            size = 2 * np.sqrt(np.sum(spectrum.real**2 + spectrum.imag**2, axis=0))
            beyond = np.cumsum(size[::-1])[::-1]  # bound of the sup norm of degrees k, k + 1, ...
            fallen = np.flatnonzero(beyond <= tolerance)
            if fallen.size and fallen[0] <= SEEN * half:
                first = max(2, int(fallen[0]))
                self.tail = max(self.tail, float(beyond[first]))
                return spectrum[:, :first] * ROOT
            half *= 2
        return None

    def _around(self, form: Array, table: Array, half: int) -> Array:
        """Barycentres at 2 half equispaced points, (2 half, 2); e^{-s} of the antipode is taken as 1/e^s."""
        rows, columns = _half_circle(half) @ form.T, self._columns
        sums = np.empty((2, half, 3))
        height = max(1, BLOCK // columns.shape[1])
        for start in range(0, half, height):
            block = slice(start, start + height)
            scores = rows[block] @ columns
            np.exp(scores, out=scores)
            sums[0, block] = scores @ table
            np.divide(1.0, scores, out=scores)
            sums[1, block] = scores @ table
        return (sums[..., :2] / sums[..., 2:]).reshape(2 * half, 2)


@lru_cache(maxsize=256)
def _half_circle(half: int) -> Array:
    """The first half of 2 half equispaced points; their antipodes are the second."""
    return np.ascontiguousarray(equispaced(2 * half)[:half])
