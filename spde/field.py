"""The velocity field of a layer on S^2 by spherical harmonics, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is an analytic function of x whose coefficients
decay geometrically, at a rate set by beta |A_m| and by mu; it is evaluated on the Gauss grid of its own degree,
analysed, and the coefficients of all heads are mixed.  mathematics, section 7.
"""

from functools import lru_cache

import numpy as np

from particles.arrays import Array
from particles.attention import BLOCK, PLAIN_LIMIT, Attention, DirectField
from particles.attention_kernels import L2, Spectral, as_softmax
from particles.buffers import empty
from particles.harmonics import Coefficients, angles, degree_of, gradient_at, n_modes, power, resize, synthesis_at
from particles.parallel import CHUNK, by_chunks
from particles.pushes import AttentionPush
from particles.quadrature import gauss_grid
from particles.retraction import Retraction
from particles.tokens import Cloud, Measure
from spde import dense
from spde.moves import move, tangent_series
from spde.sources import SourceChoice, Sources
from spde.sphere import DuccTransforms, Sphere

GUARD = 0.25  # share of the tolerance given to the truncation of one barycentre
PAIR_COST = 0.75  # an antipodal pair against two points: one exponential and one division
MODES_BEYOND = 2  # degrees added to the one the probe asks for


class SpectralField:
    """Field of one attention push and one measure on S^2.

    Parameters
    ----------
    attention : `Softmax`, or `L2`, whose heads are softmax of a reweighted measure each.
    push : mixing (M, 3, 3), query and key (M, head_dim, 3).
    measure : positive weighted points on S^2.
    n_targets : at how many points the field will be wanted; a head for which direct sums at that many points are
        cheaper than its grid is summed directly, so the field is right for every head.
    tol : bound on the error of a barycentre.

    Attributes
    ----------
    degree : largest degree among the heads, 0 if all are summed directly.
    tail : largest estimate of a head's truncation error.
    degrees : degree of each head, 0 where it is summed directly.

    Notes
    -----
    Accuracy: `tol` for beta |A| <= 20, spread and collapsed measures (tests/spde/test_field.py).
    """

    def __init__(
        self, attention: Attention, push: AttentionPush, measure: Measure, n_targets: int, tol: float = 1e-6
    ) -> None:
        if not isinstance(attention, Spectral):
            raise TypeError(f"SpectralField needs softmax or L2 attention, got {type(attention).__name__}")
        if push.mixing.shape[-1] != 3:
            raise ValueError(f"SpectralField lives on S^2 (d = 3), got d = {push.mixing.shape[-1]}")
        if not 0 < tol <= 0.1:
            raise ValueError(f"tol must lie in (0, 0.1], got {tol}")
        self._measure = Cloud(measure.points, measure.weights)
        self._tol = tol
        self._location = angles(measure.points) if len(measure.points) > CHUNK else None  # once for all transforms
        self.tail = 0.0
        choice = SourceChoice(measure, GUARD * tol, self._location)
        coefficients: list[Coefficients | None] = []
        for query, key in zip(push.query, push.key, strict=True):
            head = as_softmax(attention, self._measure, key)
            if head is None:
                coefficients.append(None)  # summed directly, with the weights in the exponent
                continue
            sources = SourceChoice(head[1], GUARD * tol, self._location) if isinstance(attention, L2) else choice
            coefficients.append(self._head(head[0] * (key.T @ query), sources, n_targets, GUARD * tol))
        self.degrees = np.array([0 if a is None else degree_of(a) for a in coefficients])
        self.degree = int(self.degrees.max(initial=0))
        self._coefficients: Coefficients = np.zeros((3, n_modes(self.degree)), dtype=np.complex128)
        for mixing, a in zip(push.mixing, coefficients, strict=True):
            if a is not None:
                self._coefficients += resize(mixing @ a, self.degree)
        direct = self.degrees == 0
        self._direct = None
        if direct.any():
            rest = AttentionPush(push.mixing[direct], push.query[direct], push.key[direct], push.retraction)
            self._direct = DirectField(attention, rest, self._measure)

    def at(self, points: Array) -> Array:
        """U at unit vectors (N, 3)."""
        velocity = np.ascontiguousarray(synthesis_at(self._coefficients, points, self._angles(points)).T)
        return velocity if self._direct is None else velocity + self._direct.at(points)

    def moved(self, points: Array, retraction: Retraction) -> Array:
        """retraction(x, U(x)) at unit vectors (N, 3); many of them in chunks, and with one transform if one will do."""
        if len(points) <= CHUNK:
            return retraction(points, self.at(points))
        location = self._angles(points)
        series = None if self._direct is not None else tangent_series(self._coefficients, retraction, self._tol)
        if series is not None:
            return move(points, angles(points) if location is None else location, series, retraction, self._tol)
        moved = empty(*points.shape)

        def fill(part: slice) -> None:
            moved[part] = retraction(points[part], self.at(points[part]))

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
        velocity = np.stack([sphere.synthesis(a).ravel() for a in self._coefficients], axis=1)
        return velocity if self._direct is None else velocity + self._direct.at(sphere.points)

    def _head(self, form: Array, choice: SourceChoice, n_targets: int, tolerance: float) -> Coefficients | None:
        """Coefficients (3, modes) of one barycentre, or None where direct sums are cheaper; form = beta A."""
        if not np.isfinite(form).all():
            return None  # direct sums carry the NaN on to where the run is stopped
        _, singular, axes = np.linalg.svd(form)
        strength = float(singular[0])
        if not strength <= PLAIN_LIMIT:
            return None
        sources = choice.for_strength(strength)
        budget = n_targets * len(choice.full.weights)
        degree = _probe(form, axes, strength, sources, tolerance, budget)
        while degree is not None and PAIR_COST * 2 * (degree + 1) ** 2 * len(sources.weights) < budget:
            values = _on_own_grid(form, degree, sources)
            if not np.einsum("ijk,ijk->ij", values, values).max() <= 1 + 1e-6:
                sources = choice.full  # only signed weights can leave the unit ball
                continue
            coefficients = _analysis(values)
            tail = _truncation(coefficients)
            if tail <= tolerance:
                self.tail = max(self.tail, tail)
                return coefficients
            degree = _odd(int(1.25 * degree) + 2)
        return None


def _analysis(values: Array) -> Coefficients:
    """Coefficients (3, modes) of values on the Gauss grid of a degree, (degree + 1, 2 degree + 2, 3)."""
    degree = len(values) - 1
    if degree <= dense.ANALYSIS_DEGREE:
        return dense.analysis(values)
    plan = DuccTransforms(degree, degree + 1, 2 * degree + 2)
    return np.stack([plan.analysis(np.ascontiguousarray(values[..., i])) for i in range(3)])


def _odd(degree: int) -> int:
    return degree + 1 - degree % 2


@lru_cache(maxsize=256)
def _half_grid(degree: int) -> Array:
    """Northern half of the Gauss grid of an odd degree; the antipodes of its points are the southern half."""
    points, _ = gauss_grid(degree + 1, 2 * degree + 2)
    return np.ascontiguousarray(points[: len(points) // 2])


def _on_own_grid(form: Array, degree: int, sources: Sources) -> Array:
    """Barycentres on the Gauss grid of an odd degree, (degree + 1, 2 degree + 2, 3)."""
    half = (degree + 1) // 2
    here, there = _antipodal(_half_grid(degree) @ form.T, sources)
    values = np.empty((2 * half, 4 * half, 3))
    values[:half] = here.reshape(half, 4 * half, 3)
    mirrored = there.reshape(half, 4 * half, 3)[::-1]
    values[half:, : 2 * half] = mirrored[:, 2 * half :]
    values[half:, 2 * half :] = mirrored[:, : 2 * half]
    return values


def _antipodal(rows: Array, sources: Sources) -> tuple[Array, Array]:
    """Barycentres with scores <r_i, y_j> and with their negatives, e^{-s} taken as 1/e^s; |scores| <= PLAIN_LIMIT."""
    columns = np.ascontiguousarray(sources.points.T)
    table = np.column_stack([sources.points * sources.weights[:, None], sources.weights])
    if sources.mirrored is not None:
        table = np.column_stack([table, -sources.points * sources.mirrored[:, None], sources.mirrored])
    plus, minus = np.empty((rows.shape[0], table.shape[1])), np.empty((rows.shape[0], table.shape[1]))
    height = max(1, BLOCK // columns.shape[1])
    for start in range(0, rows.shape[0], height):
        block = slice(start, start + height)
        scores = rows[block] @ columns
        np.exp(scores, out=scores)
        plus[block] = scores @ table
        np.divide(1.0, scores, out=scores)
        minus[block] = scores @ table
    here, there = plus[:, :4], minus[:, :4]
    if sources.mirrored is not None:  # e^{<r, -y>} = 1 / e^{<r, y>}
        here, there = here + minus[:, 4:], there + plus[:, 4:]
    return here[:, :3] / here[:, 3:], there[:, :3] / there[:, 3:]


def _probe(
    form: Array, axes: Array, strength: float, sources: Sources, tolerance: float, budget: int
) -> int | None:
    """Odd degree a barycentre needs, read off its Fourier coefficients on two great circles; None if too large.

    A function of degree L is a trigonometric polynomial of degree L on every great circle; the circles join the
    first singular direction of A, along which scores vary most, to the two others.
    """
    half = 2 * int(np.ceil(0.5 * (5.0 * strength + 12)))
    while True:
        phi = np.pi * np.arange(half) / half
        circles = np.concatenate(
            [np.outer(np.cos(phi), axes[i]) + np.outer(np.sin(phi), axes[j]) for i, j in ((0, 1), (0, 2))]
        )
        here, there = _antipodal(circles @ form.T, sources)
        around = np.concatenate([here.reshape(2, half, 3), there.reshape(2, half, 3)], axis=1)
        spectrum = np.fft.rfft(around, axis=1) / (2 * half)
        amplitude = 2 * np.sqrt(np.sum(spectrum.real**2 + spectrum.imag**2, axis=2))
        tail = np.sqrt(np.cumsum((amplitude**2)[:, ::-1], axis=1)[:, ::-1]).max(axis=0)
        below = np.flatnonzero(tail <= tolerance)
        if below.size and below[0] <= half - 2:
            return _odd(int(below[0]) + MODES_BEYOND)
        half *= 2
        if PAIR_COST * 2 * (half / 2) ** 2 * len(sources.weights) > budget:
            return None


def _truncation(coefficients: Coefficients) -> float:
    """Estimate of the sup norm beyond the last degree, from a geometric fit to the last half of the degrees.

    The part of degree l is at most e_l = |a_l| sqrt((2l+1)/4 pi); parts add up in the mean square sense.
    """
    square = power(coefficients).sum(axis=0)
    size = np.sqrt(square * (2 * np.arange(len(square)) + 1) / (4 * np.pi))
    last, middle = len(size) - 1, len(size) // 2
    end, start = size[last - 1 :].max(), size[middle - 1 : middle + 1].max()
    if end == 0:
        return 0.0
    ratio = min((end / start) ** (1.0 / (last - middle)), 0.99) if start > 0 else 0.99
    return float(end * ratio / np.sqrt(1 - ratio**2))
