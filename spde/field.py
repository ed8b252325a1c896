"""The velocity field of a layer on S^2 by spherical harmonics, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is an analytic function of x whose coefficients
decay geometrically, at a rate set by beta |A_m| and by mu; it is evaluated on the Gauss grid of its own degree,
analysed, and the coefficients of all heads are mixed.  mathematics, section 7.
"""

import numpy as np

from particles.arrays import Array, check_tolerance
from particles.attention import PLAIN_LIMIT, AttentionPush, DirectField
from particles.attention_kernels import L2, Spectral, as_softmax
from particles.buffers import empty
from particles.harmonics import (
    angles,
    degree_of,
    gradient_at,
    synthesis_at,
)
from particles.parallel import CHUNK, by_chunks
from particles.retraction import Retraction
from particles.tokens import Cloud, Measure
from spde.cost import GUARD
from spde.head_series import Head, head_of, mixed_series
from spde.moves import move, tangent_series
from spde.sources import SourceChoice
from spde.sphere import Sphere


class SpectralField:
    """Field of one attention push and one measure on S^2.

    Parameters
    ----------
    push : mixing (M, 3, 3), query and key (M, head_dim, 3); of the kernel `Softmax`, or `L2`, whose heads are softmax
        of a reweighted measure each.
    measure : positive weighted points on S^2.
    n_targets : at how many points the field will be wanted; a head for which direct sums at that many points are
        cheaper than its grid is summed directly, so the field is right for every head.
    tol : bound on the error of a barycentre.

    Attributes
    ----------
    degree : largest degree among the heads, 0 if all are summed directly.
    tail : largest estimate of a head's truncation error.
    degrees : degree of each head, 0 where it is summed directly.
    tol : the tolerance it was made for.

    Notes
    -----
    Accuracy: `tol` for beta |A| <= 20, spread and collapsed measures (tests/spde/test_field.py).
    """

    def __init__(
        self, push: AttentionPush, measure: Measure, n_targets: int, tol: float = 1e-6
    ) -> None:
        if not isinstance(push.kernel, Spectral):
            raise TypeError(f"SpectralField needs softmax or L2 attention, got {type(push.kernel).__name__}")
        if push.mixing.shape[-1] != 3:
            raise ValueError(f"SpectralField lives on S^2 (d = 3), got d = {push.mixing.shape[-1]}")
        check_tolerance(tol, "tol")
        self._measure = Cloud(measure.points, measure.weights)
        self.tol = tol
        self._location = angles(measure.points) if len(measure.points) > CHUNK else None  # once for all transforms
        choice = SourceChoice(measure, GUARD * tol, self._location)
        forms = np.swapaxes(push.key, 1, 2) @ push.query
        finite = np.atleast_1d(np.isfinite(forms).all(axis=(1, 2)))  # direct sums carry a NaN on
        _, singular, axes = np.linalg.svd(np.where(finite[:, None, None], forms, 0.0))
        heads: dict[int, Head] = {}
        for m in map(int, np.flatnonzero(finite)):
            softmax = as_softmax(push.kernel, self._measure, push.key[m])
            if softmax is None:
                continue  # summed directly, with the weights in the exponent
            beta, weighted = softmax
            own = SourceChoice(weighted, GUARD * tol, self._location) if isinstance(push.kernel, L2) else choice
            strength = abs(beta) * float(singular[m, 0])
            if strength <= PLAIN_LIMIT:
                heads[m] = head_of(beta * forms[m], axes[m], strength, push.mixing[m], own, GUARD * tol)
        self._coefficients, self.tail = mixed_series(list(heads.values()), n_targets, GUARD * tol)
        self.degrees = np.array([heads[m].degree if m in heads else 0 for m in range(len(forms))])
        self.degree = degree_of(self._coefficients)
        direct = self.degrees == 0
        self._direct = None
        if direct.any():
            self._direct = DirectField(push.only(direct), self._measure)

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, 3)."""
        velocity = np.ascontiguousarray(synthesis_at(self._coefficients, points, self._angles(points)).T)
        return velocity if self._direct is None else velocity + self._direct(points)

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

    def jacobian(self, points: Array) -> Array:
        """DU on tangent vectors at unit vectors (N, 3), shape (N, 3, 3); errors are about `degree` times `tol`."""
        slopes = np.ascontiguousarray(gradient_at(self._coefficients, points).transpose(1, 0, 2))
        return slopes if self._direct is None else slopes + self._direct.jacobian(points)

    def on_grid(self, sphere: Sphere) -> Array:
        """U at the grid points of a sphere, (nlat * nphi, 3)."""
        velocity = sphere.vectors(self._coefficients)
        return velocity if self._direct is None else velocity + self._direct(sphere.points)
