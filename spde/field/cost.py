"""What a field costs, by direct sums and by series: the one model behind every choice between them.

    direct    sum over heads of  a + b n targets
    series    c + e targets + sum over heads of  f + min(g points sources, a + b n targets)

points and sources, whose product is that of exponentials, are what a head's series takes: before it is made as far as
beta |A|, the mean token and the tolerance tell, then as measured.
"""

import math
from dataclasses import dataclass

import numpy as np

from particles import Array
from spde.field.deposits import ROUNDING, STRONGEST

GUARD = 0.25  # share of the tolerance given to the truncation of one barycentre
DIRECT_HEAD, DIRECT_PAIR = 22.0, 1.6e-3  # microseconds of a head, and of a pair of source and target
COARSE = 1.2  # degree of the grid on which Z is bounded, over beta |A|
CHEAP = 0.2  # points of that grid, over those of the series


@dataclass(frozen=True)
class SeriesCost:
    """Microseconds of a field by series: of a layer, a target, a head, and an exponential.

    Measured on one core; only the ratios count, and benchmarks/tokens.py shows what the choices made by them lose.
    `antipode` is what a point costs whose exponential is shared with its antipode's, over a target of direct sums.
    """

    layer: float
    target: float
    head: float
    pair: float
    antipode: float


COSTS = {2: SeriesCost(123.0, 0.06, 43.0, 1e-3, 0.6), 3: SeriesCost(470.0, 0.23, 40.0, 4e-3, 0.75)}  # by dimension


def grid_pays(d: int, on_grid: int, direct: int) -> bool:
    """Whether a head costs less on its grid on S^(d-1) than by direct sums, for these numbers of exponentials."""
    return COSTS[d].antipode * on_grid < direct


def odd(degree: int) -> int:
    """The degree, or the next one: grids of odd degrees have antipodes."""
    return degree + 1 - degree % 2


def guessed_degree(variation: float, tolerance: float) -> int:
    """Odd degree that most barycentres of weak heads need; `variation` is beta |A| times the spread of the measure."""
    return odd(int((8.5 + 3.5 * variation) * (1 - 0.08 * (math.log10(tolerance) + 6.6))))


def coarse_degree(strength: float) -> int:
    """Odd degree of the grid on which Z is bounded."""
    return odd(max(7, int(COARSE * strength)))


def bounded_on_a_grid(strength: float, spread: float, tolerance: float) -> bool:
    """Whether a bound of Z on a grid costs little beside the series; `spread` as in `SourceChoice`."""
    points = CHEAP * (guessed_degree(strength * spread, tolerance) + 1) ** 2
    return strength <= STRONGEST and (coarse_degree(strength) + 1) ** 2 <= points


def direct_time(n_heads: int, n: int, n_targets: int) -> float:
    """Microseconds of direct sums over n tokens at n_targets points."""
    return n_heads * (DIRECT_HEAD + DIRECT_PAIR * n * n_targets)


def series_time(strength: Array, n: int, n_targets: int, overlap: float, d: int, tol: float) -> float:
    """Microseconds of a field by series on S^(d-1), for heads of these beta |A|.

    n tokens whose mean has the squared length `overlap`, n_targets points, tolerance `tol`.
    """
    cost, strength = COSTS[d], np.minimum(strength, 1e6)  # far beyond any series
    digits = max(1 + 0.08 * (-math.log10(tol) - 6), 0.5)  # degrees grow with the digits wanted
    if d == 2:
        points, sources = digits * (32 + 64 * strength), np.full(len(strength), n)
    else:
        spread = math.sqrt(max(1 - overlap, 0.0))  # scores of a narrow cloud vary little
        points = np.array([(guessed_degree(b * spread, GUARD * tol) + 1) ** 2 / 2 for b in strength])
        deposited = np.minimum(n, 2 / 3 * (digits * (2.9 + 5.2 * strength) + 1) ** 2)
        room = math.log(GUARD * tol / 2 / ROUNDING) - 0.65  # of the exponentials that the bound on a deposit admits
        on_grid = [bounded_on_a_grid(b, spread, GUARD * tol) for b in strength]
        sources = np.where((strength * (1 + math.sqrt(overlap)) <= room) | on_grid, deposited, n)
    own = np.minimum(cost.pair * points * sources, direct_time(1, n, n_targets))
    return float(cost.layer + cost.target * n_targets + (cost.head + own).sum())
