"""The velocity field of a layer on S^2 by spherical harmonics, with a degree per head chosen from the tail.

U(x) = sum_m C_m m_{A_m}[mu](x), mathematics (2).  Each barycentre is an analytic function of x whose coefficients
decay geometrically, at a rate set by beta |A_m| and by mu; it is evaluated on the Gauss grid of its own degree,
analysed, and the coefficients of all heads are mixed.  mathematics, section 7.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array
from particles.attention import PLAIN_LIMIT, Attention, DirectField
from particles.attention_kernels import L2, Spectral, as_softmax
from particles.buffers import empty
from particles.harmonics import (
    Coefficients,
    angles,
    degree_of,
    gradient_at,
    mode_numbers,
    n_modes,
    synthesis_at,
)
from particles.parallel import CHUNK, by_chunks
from particles.pushes import AttentionPush
from particles.retraction import Retraction
from particles.tokens import Cloud, Measure
from spde import dense
from spde.barycentres import Pairs, on_circles, on_gauss_grid, pairs_of
from spde.moves import move, tangent_series
from spde.sources import SourceChoice
from spde.sphere import Sphere
from spde.transforms import DuccTransforms

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
    tol : the tolerance it was made for.

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
        self.tol = tol
        self._location = angles(measure.points) if len(measure.points) > CHUNK else None  # once for all transforms
        self.tail = 0.0
        choice = SourceChoice(measure, GUARD * tol, self._location)
        coefficients: list[Coefficients | None] = []
        forms = np.swapaxes(push.key, 1, 2) @ push.query
        finite = np.atleast_1d(np.isfinite(forms).all(axis=(1, 2)))
        _, singular, axes = np.linalg.svd(np.where(finite[:, None, None], forms, 0.0))
        for m, key in enumerate(push.key):
            head = as_softmax(attention, self._measure, key) if finite[m] else None  # direct sums carry a NaN on
            if head is None:
                coefficients.append(None)  # summed directly, with the weights in the exponent
                continue
            sources = SourceChoice(head[1], GUARD * tol, self._location) if isinstance(attention, L2) else choice
            strength = abs(head[0]) * float(singular[m, 0])
            coefficients.append(
                self._head(head[0] * forms[m], axes[m], strength, sources, n_targets, GUARD * tol)
            )
        self.degrees = np.array([0 if a is None else degree_of(a) for a in coefficients])
        self.degree = int(self.degrees.max(initial=0))
        self._coefficients: Coefficients = np.zeros((3, n_modes(self.degree)), dtype=np.complex128)
        for mixing, a in zip(push.mixing, coefficients, strict=True):
            if a is not None:
                self._coefficients[:, _places(degree_of(a), self.degree)] += mixing @ a
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
        series = None if self._direct is not None else tangent_series(self._coefficients, retraction, self.tol)
        if series is not None:
            return move(points, angles(points) if location is None else location, series, retraction, self.tol)
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
        velocity = sphere.vectors(self._coefficients)
        return velocity if self._direct is None else velocity + self._direct.at(sphere.points)

    def _head(
        self, form: Array, axes: Array, strength: float, choice: SourceChoice, n_targets: int, tolerance: float
    ) -> Coefficients | None:
        """Coefficients (3, modes) of one barycentre, or None where direct sums are cheaper; form = beta A."""
        if not strength <= PLAIN_LIMIT:
            return None
        sources = choice.for_strength(strength)
        pairs = pairs_of(sources)
        budget = n_targets * len(choice.full.weights)
        degree = _probe(form, axes, strength, pairs, tolerance, budget / len(sources.weights))
        while degree is not None and PAIR_COST * 2 * (degree + 1) ** 2 * len(sources.weights) < budget:
            values = on_gauss_grid(form, degree, pairs)
            if not np.einsum("kij,kij->ij", values, values).max() <= 1 + 1e-6:
                sources = choice.full  # only signed weights can leave the unit ball
                pairs = pairs_of(sources)
                continue
            coefficients = _analysis(values)
            tail = _truncation(coefficients)
            if tail <= tolerance:
                self.tail = max(self.tail, tail)
                return coefficients
            degree = _odd(int(1.25 * degree) + 2)
        return None


def _analysis(values: Array) -> Coefficients:
    """Coefficients (3, modes) of values on the Gauss grid of a degree, (3, degree + 1, 2 degree + 2)."""
    degree = values.shape[1] - 1
    if degree <= dense.ANALYSIS_DEGREE:
        return dense.analysis(values)
    plan = DuccTransforms(degree, degree + 1, 2 * degree + 2)
    return np.stack([plan.analysis(component) for component in values])


def _odd(degree: int) -> int:
    return degree + 1 - degree % 2


def _probe(form: Array, axes: Array, strength: float, pairs: Pairs, tolerance: float, most: float) -> int | None:
    """Odd degree a barycentre needs, read off its Fourier coefficients on two great circles; None if too large.

    A function of degree L is a trigonometric polynomial of degree L on every great circle; the circles join the
    first singular direction of A, along which scores vary most, to the two others.  `most`: points worth a grid.
    """
    half = 2 * int(np.ceil(0.5 * (5.0 * strength + 12)))
    while True:
        spectrum = np.fft.rfft(on_circles(form, axes, half, pairs)) / (2 * half)
        square = 4 * np.sum(spectrum.real**2 + spectrum.imag**2, axis=1)  # circle, order
        tail = np.sqrt(np.cumsum(square[:, ::-1], axis=1)[:, ::-1].max(axis=0))
        below = np.flatnonzero(tail <= tolerance)
        if below.size and below[0] <= half - 2:
            return _odd(int(below[0]) + MODES_BEYOND)
        half *= 2
        if PAIR_COST * 2 * (half / 2) ** 2 > most:
            return None


@lru_cache(maxsize=256)
def _places(own: int, degree: int) -> NDArray[np.intp]:
    """Where the modes of a degree stand among those of another, at least as large."""
    degrees, orders = mode_numbers(degree)
    return np.flatnonzero((degrees <= own) & (orders <= own))


@lru_cache(maxsize=256)
def _shells(degree: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Modes of the last two degrees and of the middle two, where each degree begins, squared norm by mode."""
    degrees, orders = mode_numbers(degree)
    middle = (degree + 1) // 2
    shells = [np.flatnonzero(degrees == at) for at in (degree - 1, degree, middle - 1, middle)]
    modes = np.concatenate(shells)
    weights = np.where(orders[modes] == 0, 1, 2) * (2 * degrees[modes] + 1) / (4 * np.pi)
    return modes, np.cumsum([0] + [len(shell) for shell in shells[:-1]]), weights


def _truncation(coefficients: Coefficients) -> float:
    """Estimate of the sup norm beyond the last degree, from a geometric fit to the last half of the degrees.

    The part of degree l is at most e_l = |a_l| sqrt((2l+1)/4 pi); parts add up in the mean square sense.
    """
    degree = degree_of(coefficients)
    modes, begins, weights = _shells(degree)
    some = coefficients[:, modes]
    square = (some.real**2 + some.imag**2).sum(axis=0)
    size = np.sqrt(np.add.reduceat(weights * square, begins))
    end, start = float(size[:2].max()), float(size[2:].max())
    if end == 0:
        return 0.0
    ratio = min((end / start) ** (1.0 / (degree - (degree + 1) // 2)), 0.99) if start > 0 else 0.99
    return end * ratio / math.sqrt(1 - ratio**2)
