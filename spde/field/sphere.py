"""The velocity field of a layer on S^2 by spherical harmonics, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is an analytic function of x whose coefficients
decay geometrically, at a rate set by beta |A_m| and by mu; it is evaluated on the Gauss grid of its own degree,
analysed, and the coefficients of all heads are mixed.  mathematics, section 7.
"""

import numpy as np
from numpy.typing import NDArray

from particles import L2, Array, AttentionPush, Coefficients, Measure, Retraction, angles, gradient_at, synthesis_at
from particles.attention import PLAIN_LIMIT, Spectral, as_softmax
from particles.machine import CHUNK, by_chunks, empty
from spde.domain.sphere import Sphere
from spde.field.base import SeriesField
from spde.field.deposits import SourceChoice
from spde.field.heads import Head, head_of, mixed_series
from spde.field.moves import move, tangent_series


class SpectralField(SeriesField):
    """Field of one attention push and one measure on S^2.

    Accuracy: `tol` for beta |A| <= 20, spread and collapsed measures (tests/spde/field/test_sphere.py).
    """

    domain = Sphere

    def _series(
        self, push: AttentionPush, kernel: Spectral, measure: Measure, n_targets: int, tolerance: float
    ) -> tuple[Coefficients, NDArray[np.int64]]:
        self._location = angles(measure.points) if len(measure.points) > CHUNK else None  # once for all transforms
        choice = SourceChoice(measure, tolerance, self._location)
        forms = np.swapaxes(push.key, 1, 2) @ push.query
        finite = np.atleast_1d(np.isfinite(forms).all(axis=(1, 2)))  # direct sums carry a NaN on
        _, singular, axes = np.linalg.svd(np.where(finite[:, None, None], forms, 0.0))
        heads: dict[int, Head] = {}
        for m in map(int, np.flatnonzero(finite)):
            softmax = as_softmax(kernel, self._measure, push.key[m])
            if softmax is None:
                continue  # summed directly, with the weights in the exponent
            beta, weighted = softmax
            own = SourceChoice(weighted, tolerance, self._location) if isinstance(kernel, L2) else choice
            strength = abs(beta) * float(singular[m, 0])
            if strength <= PLAIN_LIMIT:
                heads[m] = head_of(beta * forms[m], axes[m], strength, push.mixing[m], own, tolerance)
        coefficients, self.tail = mixed_series(list(heads.values()), n_targets, tolerance)
        return coefficients, np.array([heads[m].degree if m in heads else 0 for m in range(len(forms))])

    def _values(self, points: Array) -> Array:
        return synthesis_at(self._coefficients, points, self._angles(points))

    def moved(self, points: Array, retraction: Retraction) -> Array:
        """retraction(x, U(x)) at unit vectors (N, 3); many of them in chunks, and with one transform if one will do."""
        if len(points) <= CHUNK:
            return retraction(points, self(points))
        location = self._angles(points)
        series = None if self._direct is not None else tangent_series(self._coefficients, retraction, self.tol)
        if series is not None:
            return move(points, angles(points) if location is None else location, series, retraction, self.tol)
        moved = empty(*points.shape)

        def fill(part: slice) -> None:
            moved[part] = retraction(points[part], self(points[part]))

        by_chunks(fill, len(points))
        return moved

    def _angles(self, points: Array) -> Array | None:
        return self._location if points is self._measure.points else None

    def _slopes(self, points: Array) -> Array:
        return np.ascontiguousarray(gradient_at(self._coefficients, points).transpose(1, 0, 2))
