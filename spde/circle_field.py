"""The velocity field of a layer on S^1 by Fourier series, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is evaluated at equispaced points of the circle,
twice as many until its Fourier coefficients are below the tolerance well before the last one; the coefficients of
all heads are mixed.  The sources are always the positive points of the measure, so nothing cancels.
"""

from functools import lru_cache

import numpy as np

from particles.arrays import Array, check_tolerance
from particles.attention import BLOCK, PLAIN_LIMIT, AttentionPush, DirectField
from particles.attention_kernels import Spectral, as_softmax
from particles.harmonics import Coefficients
from particles.tokens import Cloud, Measure
from spde.circle import ROOT, equispaced, resize, synthesis_at
from spde.cost import GUARD, grid_pays
from spde.domain import Domain

SEEN = 0.75  # share of the measured degrees within which the coefficients must have fallen below the tolerance


class CircleField:
    """Field of one attention push and one measure on S^1: the circle's `SpectralField`.

    Parameters
    ----------
    push : mixing (M, 2, 2), query and key (M, head_dim, 2); of the kernel `Softmax`, or `L2`, whose heads are softmax
        of a reweighted measure each.
    measure : positive weighted points on S^1.
    n_targets : at how many points the field will be wanted; a head for which direct sums at that many points are
        cheaper is summed directly, so the field is right for every head.
    tol : bound on the error of a barycentre.

    Attributes
    ----------
    degree : largest degree among the heads, 0 if all are summed directly.
    tail : largest bound of a head's truncation error.
    degrees : degree of each head, 0 where it is summed directly.
    tol : the tolerance it was made for.

    Notes
    -----
    Accuracy: `tol` for every measure and beta |A| (tests/spde/test_circle_field.py).
    """

    def __init__(
        self, push: AttentionPush, measure: Measure, n_targets: int, tol: float = 1e-6
    ) -> None:
        if not isinstance(push.kernel, Spectral):
            raise TypeError(f"CircleField needs softmax or L2 attention, got {type(push.kernel).__name__}")
        if push.mixing.shape[-1] != 2:
            raise ValueError(f"CircleField lives on S^1 (d = 2), got d = {push.mixing.shape[-1]}")
        check_tolerance(tol, "tol")
        self._measure, self.tol = Cloud(measure.points, measure.weights), tol
        self._columns = np.ascontiguousarray(measure.points.T)
        self.tail = 0.0
        heads: list[Coefficients | None] = []
        for query, key in zip(push.query, push.key, strict=True):
            head = as_softmax(push.kernel, self._measure, key)
            if head is None:
                heads.append(None)  # summed directly, with the weights in the exponent
                continue
            weights = head[1].weights
            table = np.column_stack([measure.points * weights[:, None], weights])
            heads.append(self._head(head[0] * (key.T @ query), table, n_targets, GUARD * tol))
        self.degrees = np.array([0 if a is None else a.shape[-1] - 1 for a in heads])
        self.degree = int(self.degrees.max(initial=0))
        self._coefficients: Coefficients = np.zeros((2, self.degree + 1), dtype=np.complex128)
        for mixing, a in zip(push.mixing, heads, strict=True):
            if a is not None:
                self._coefficients += resize(mixing @ a, self.degree)
        direct = self.degrees == 0
        self._direct = None
        if direct.any():
            self._direct = DirectField(push.only(direct), self._measure)

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, 2)."""
        velocity = np.ascontiguousarray(synthesis_at(self._coefficients, points).T)
        return velocity if self._direct is None else velocity + self._direct(points)

    def jacobian(self, points: Array) -> Array:
        """DU on tangent vectors at unit vectors (N, 2), shape (N, 2, 2); errors are about `degree` times `tol`."""
        along = synthesis_at(1j * np.arange(self.degree + 1) * self._coefficients, points).T
        tangent = np.stack([-points[:, 1], points[:, 0]], axis=1)
        slopes: Array = along[:, :, None] * tangent[:, None, :]
        return slopes if self._direct is None else slopes + self._direct.jacobian(points)

    def on_grid(self, sphere: Domain) -> Array:
        """U at the grid points of a circle, (nphi, 2)."""
        velocity = np.stack([sphere.synthesis(a) for a in self._coefficients], axis=1)
        return velocity if self._direct is None else velocity + self._direct(sphere.points)

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
