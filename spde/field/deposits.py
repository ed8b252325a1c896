"""Fewer source points for a head: a measure replaced by quadrature nodes with the same low moments.

Only the degrees l <= Ly of mu matter to int e^{beta <Ax, y>} mu(dy), because degree l enters with the modified
spherical Bessel function i_l(beta |Ax|).  The nodes carry signed weights, so they are used only where a bound
that holds for every x says that the barycentre stays within the tolerance; otherwise the positive points stay.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import lebedev_rule

from particles import Array, Coefficients, Measure, adjoint_at, mean_token, mode_numbers, power, resize, synthesis_at
from particles.machine import CHUNK
from spde.domain import tables

ROUNDING = 1e-13  # error of a moment q_l of a measure of mass 1: four times the largest seen
WORTH = 1.6  # a deposit may have this many times the points: its nodes come in antipodal pairs that share exponentials
RULES = (7, 9, 11, 15, 17, 19, 21, 23, 29, 31, *range(35, 132, 6))  # orders of Lebedev rules of positive weights
DEPOSIT_DEGREES = tuple(order // 2 for order in RULES)
MOMENT_DEGREES = (23, 29, 65)  # moments are computed in few batches
STRONGEST = 40.0  # beta |A| for which there are deposits
LANES = 8  # rows of tables are whole vector registers
LAST = 110  # degrees that a bound counts: what is beyond is nothing, less than e^-60

_L = np.arange(LAST + 2)
_L2 = 2.0 * _L + 1
_LOG_FACTORIALS = np.cumsum(np.log(_L2[:-1]))  # of the double factorials (2l+1)!!


class Sources(NamedTuple):
    """sum_j weights_j delta(points_j) + mirrored_j delta(-points_j); positive for a measure, signed for a deposit."""

    points: Array
    weights: Array
    mirrored: Array | None = None


class Pairs(NamedTuple):
    """Sources as the sums take them; padded by sources of weight 0.

    columns : (3, J), the y_j.
    table : (4, J), rows w_j y_j and w_j; (8, J) for sources at both y_j and -y_j, those at -y_j below.
    """

    columns: Array
    table: Array


def pairs_of(sources: Sources) -> Pairs:
    """Sources made ready."""
    n = len(sources.weights)
    both = sources.mirrored is not None
    columns, table = np.zeros((3, n + -n % LANES)), np.zeros((8 if both else 4, n + -n % LANES))
    columns[:, :n] = sources.points.T
    table[3, :n] = sources.weights
    np.multiply(columns, table[3], out=table[:3])
    if sources.mirrored is not None:
        table[7, :n] = sources.mirrored
        np.multiply(-columns, table[7], out=table[4:7])
    return Pairs(columns, table)


class SourceChoice:
    """Chooses, head by head, between a measure and its deposits on Lebedev nodes.

    Parameters
    ----------
    measure : positive weighted points on S^2.   tolerance : allowed error of a barycentre.
    location : angles of the points, if known.

    Attributes
    ----------
    full : the measure itself.   spread : root mean square distance of its points from their mean.

    Notes
    -----
    Degree l of mu enters Z(x) = int e^{<r, y>} mu(dy), r = beta Ax, |r| <= b, with at most (2l+1) i_l(b) q_l and its
    gradient in r, which is the numerator, with at most (2l+1) i_l'(b) q_l, where q_l = |mu_l| sqrt(4 pi / (2l+1)) is 1
    at most.  A deposit of degree L has these moments up to L and at l > L others, of at most a_l = |f_{> P - l}|
    sqrt(4 pi), f its density and P the order of the rule.  As Z >= e^{-b |mean|} (Jensen), for every x

        |m - m_deposit| <= (sum_{l > L} (2l+1) (i_l + i_l')(b) (q_l + a_l) + 2 v r e^b) e^{b |mean|},

    v the total variation of the deposit and r the rounding of its moments.  At |r| < b the sum is smaller by (|r|/b)^L
    at least, and if L >= b by e^{|r| - b}; so e^{-b - min(log Z - |r|)} may take the place of e^{b |mean|}.
    """

    def __init__(self, measure: Measure, tolerance: float, location: Array | None = None) -> None:
        self.full = Sources(measure.points, measure.weights)
        self._location = location
        # The moments of a large cloud cost the same at every degree: one batch.
        self._batches = MOMENT_DEGREES if len(measure.weights) <= CHUNK else MOMENT_DEGREES[1:]
        self._tolerance = tolerance
        self._mean = float(np.linalg.norm(mean_token(measure)))
        self.spread = math.sqrt(max(1.0 - self._mean**2, 0.0))  # root mean square distance from the mean token
        limit = WORTH * len(measure.weights)
        self._degrees = [degree for degree in DEPOSIT_DEGREES if 1.4 * (degree + 1) ** 2 <= limit]
        self._deposits: dict[int, tuple[Sources, float]] = {}
        self._pairs: dict[int, Pairs] = {}
        self._known: dict[int, Coefficients] = {}
        self._bounds: dict[int, tuple[list[int], Array, Array]] = {}

    def degree_for(self, strength: float, margin: float | None = None) -> int:
        """Degree of the deposit for a head of strength b = beta |A|, 0 for the measure itself.

        Barycentres are within the tolerance for every x.  `margin` is a lower bound of log Z(x) - |beta Ax| for this
        head; without it Jensen's is taken, and the deposit may serve weaker heads too.
        """
        room = math.log(self._tolerance) + (-strength * self._mean if margin is None else strength + margin)
        if math.log(2 * ROUNDING) + strength > room or strength > STRONGEST:
            return 0
        bessel, limit, noise = _bessel(strength), math.exp(room), 2 * ROUNDING * math.exp(strength)
        tried = 0
        for top in self._batches:
            if tried == len(self._degrees):
                break
            degrees, left_out, variations = self._left_out(top)
            tried = len(degrees)
            for degree, tail, most in zip(degrees, left_out @ bessel, variations, strict=True):
                if tail + noise > limit or (margin is not None and degree < strength):  # v >= 1
                    continue
                if tail + most * noise <= limit or tail + self._deposit(degree)[1] * noise <= limit:
                    return degree
        return 0

    def count(self, degree: int) -> int:
        """About how many sources a deposit has, pairs counted once; of degree 0 the points of the measure."""
        return 2 * (degree + 1) ** 2 // 3 + 1 if degree else len(self.full.weights)

    def sources(self, degree: int) -> Sources:
        """The deposit of a degree, the measure itself for 0."""
        return self._deposit(degree)[0] if degree else self.full

    def pairs(self, degree: int) -> Pairs:
        """`sources`, made ready for sums."""
        if degree not in self._pairs:
            self._pairs[degree] = pairs_of(self.sources(degree))
        return self._pairs[degree]

    def _deposit(self, degree: int) -> tuple[Sources, float]:
        if degree not in self._deposits:
            moments = self._moments(next(top for top in self._batches if degree <= top))
            upper, area = _lebedev(degree)
            weights, mirrored = area * _at_lebedev(resize(moments, degree), degree)
            variation = float(np.abs(weights).sum() + np.abs(mirrored).sum())
            self._deposits[degree] = (Sources(upper, weights, mirrored), variation)
        return self._deposits[degree]

    def _moments(self, top: int) -> Coefficients:
        if top not in self._known:
            self._known[top] = adjoint_at(self.full.weights, self.full.points, top, self._location)
        return self._known[top]

    def _left_out(self, top: int) -> tuple[list[int], Array, Array]:
        """Degrees of deposits from the moments up to `top`, by deposit and l what i_l(b) counts, bounds of v >= 1."""
        if top not in self._bounds:
            degrees = [degree for degree in self._degrees if degree <= top]
            low, own = _hearing()[: len(degrees)], np.array(degrees, dtype=np.intp)[:, None]
            squares = 4 * math.pi * power(self._moments(top))  # (2l+1) q_l^2
            size = np.ones(LAST + 2)  # q_l + a_l; 1 is also the q of what is not known
            size[: top + 1] = np.minimum(np.sqrt(squares / _L2[: top + 1]) + ROUNDING, 1.0)
            beyond = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
            aliased = np.sqrt(np.maximum(beyond[np.minimum(low, own + 1)] - beyond[own + 1], 0.0))
            wrong: Array = np.where(_L <= own, 0.0, size + aliased)
            counts = wrong[:, :-1] * _L2[:-1] + wrong[:, 1:] * _L[1:]  # (2l+1) i_l' = l i_{l-1} + (l+1) i_{l+1}
            counts[:, 1:] += _L[1:-1] * wrong[:, :-2]
            variations: Array = np.sqrt(beyond[0] - beyond[own[:, 0] + 1])  # Cauchy-Schwarz
            self._bounds[top] = degrees, counts, variations
        return self._bounds[top]


@lru_cache(maxsize=1)
def _hearing() -> NDArray[np.intp]:
    """By deposit and l: the lowest degree of its density that its nodes take for one of degree l, P - l + 1."""
    return np.maximum(np.array(RULES)[:, None] - _L + 1, 0)


@lru_cache(maxsize=32)
def _lebedev(degree: int) -> tuple[Array, Array]:
    """Upper half of the Lebedev nodes exact to twice the degree, which are symmetric; weights, 4 pi for both halves."""
    columns, weights = lebedev_rule(RULES[DEPOSIT_DEGREES.index(degree)])
    x, y, z = columns
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    return np.ascontiguousarray(columns.T[upper]), weights[upper]


@lru_cache(maxsize=32)
def _lebedev_tables(degree: int) -> tuple[NDArray[np.intp], Array, NDArray[np.intp], Array] | None:
    """Modes of even degrees and their table (nodes, 2 modes), the same for odd ones; None where they are too large."""
    table = tables.synthesis_table(_lebedev(degree)[0], degree)
    if table is None:
        return None
    odd = mode_numbers(degree)[0] % 2 == 1
    even, uneven = np.flatnonzero(~odd), np.flatnonzero(odd)
    twice = np.concatenate([odd, odd])
    return even, np.ascontiguousarray(table[:, ~twice]), uneven, np.ascontiguousarray(table[:, twice])


def _at_lebedev(coefficients: Coefficients, degree: int) -> Array:
    """Values at the Lebedev nodes of a degree and at their antipodes, (2, nodes); Y_l(-x) = (-1)^l Y_l(x)."""
    tables = _lebedev_tables(degree)
    if tables is None:
        nodes = _lebedev(degree)[0]
        return np.stack([synthesis_at(coefficients, nodes), synthesis_at(coefficients, -nodes)])
    even, odd = (
        table @ np.concatenate([coefficients.real[modes], coefficients.imag[modes]])
        for modes, table in zip(tables[::2], tables[1::2], strict=True)
    )
    return np.stack([even + odd, even - odd])


def _bessel(strength: float) -> Array:
    """Upper bounds b^l e^{b^2/(4l+6)} / (2l+1)!! of i_l(b), the modified spherical Bessel functions, for l <= LAST."""
    logarithm = _L[:-1] * math.log(max(strength, 1e-300))
    logarithm -= _LOG_FACTORIALS
    logarithm += strength**2 / (2 * _L2[:-1] + 4)
    bound: Array = np.exp(np.maximum(logarithm, -700.0, out=logarithm), out=logarithm)
    return bound
