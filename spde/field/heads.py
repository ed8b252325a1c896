"""Series of the barycentres of many heads: how many degrees each needs, and grids that several share.

A barycentre is evaluated on the Gauss grid of the degree it needs and analysed; where its last degrees are not small
enough the degree is raised.  Heads of little work share sources, degree and calls with a stronger one.  mathematics
(2), section 7.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from particles import Array, Coefficients
from spde.domain.tables import ANALYSIS_DEGREE, analysis, by_mode, by_order_and_degree
from spde.domain.transforms import DuccTransforms
from spde.field.cost import bounded_on_a_grid, coarse_degree, grid_pays, guessed_degree, odd
from spde.field.deposits import SourceChoice
from spde.field.sums import on_circles, on_gauss_grid, partition_margin

MODES_BEYOND = 2  # degrees added to the one the probe asks for
PROBE = 20_000  # exponentials on a grid below which a probe of the degree does not pay
SHARED = 16_000  # exponentials more that a head may cost on the grid of another before one of its own pays
TOGETHER = 16  # heads on one grid at most: memory


@dataclass(eq=False)
class Head:
    """A softmax head on its way to a series.

    form : beta A, (3, 3).   axes : right singular vectors of A, by rows.   strength : beta |A|.   mixing : C, (3, 3).
    choice : the measure and its deposits.
    deposit, degree : what is tried now, of the sources and of the series; 0 for the measure itself and for no series.
    alone : its deposit may not serve others.
    """

    form: Array
    axes: Array
    strength: float
    mixing: Array
    choice: SourceChoice
    deposit: int
    alone: bool = False
    degree: int = 0

    @property
    def n_sources(self) -> int:
        """About how many there are."""
        return self.choice.count(self.deposit)


def head_of(form: Array, axes: Array, strength: float, mixing: Array, choice: SourceChoice, tolerance: float) -> Head:
    """A head with its sources: where Jensen's bound admits no deposit, Z is bounded on a grid, if that costs little."""
    deposit = choice.degree_for(strength)
    if deposit or not bounded_on_a_grid(strength, choice.spread, tolerance):
        return Head(form, axes, strength, mixing, choice, deposit)
    margin = partition_margin(form, strength, coarse_degree(strength), choice.pairs(0))
    deposit = choice.degree_for(strength, margin)
    return Head(form, axes, strength, mixing, choice, deposit, alone=deposit > 0)


def mixed_series(heads: list[Head], n_targets: int, tolerance: float) -> tuple[Coefficients, float]:
    """Coefficients (3, modes) of sum_m C_m m_m, barycentres within the tolerance, and the largest estimate of an error.

    Heads for which direct sums at n_targets points are cheaper are left out and have the degree 0.
    """
    _find_degrees(heads, n_targets, tolerance)
    tables, tail = [], 0.0
    pending = heads
    while pending := [head for head in pending if _pays(head, n_targets)]:
        tried, pending = pending, []
        for group, degree in _groups([(head, head.degree) for head in tried], _grid_cost):
            values = on_gauss_grid(_forms(group), degree, group[0].choice.pairs(group[0].deposit))
            inside = np.einsum("hkij,hkij->hij", values, values).max(axis=(1, 2)) <= 1 + 1e-6
            values[~inside] = 0.0
            table = _analysis(values.reshape(-1, *values.shape[2:]))
            tails = _truncation(table)
            taken = inside & (tails <= tolerance)
            mixing = np.stack([head.mixing.T for head in group]) * taken[:, None, None]
            tables.append((table.reshape(-1, 3 * len(group)) @ mixing.reshape(-1, 3)).reshape(*table.shape[:2], 3))
            tail = max(tail, tails[taken].max(initial=0.0))
            for head, right, good in zip(group, inside, taken, strict=True):
                head.degree = degree if good or not right else odd(int(1.25 * degree) + 2)
                if not right:  # only signed weights can leave the unit ball
                    head.degree = degree if head.deposit else 0
                    head.deposit = 0
                if not good:
                    pending.append(head)
    mixed = np.zeros((*np.max([(1, 1), *(table.shape[:2] for table in tables)], axis=0), 3), dtype=np.complex128)
    for table in tables:
        mixed[: len(table), : len(table)] += table
    return by_mode(mixed), float(tail)


def _pays(head: Head, n_targets: int) -> bool:
    """Whether the grid of a head costs less than direct sums; its degree is 0 if not."""
    on_grid, direct = 2 * (head.degree + 1) ** 2 * head.n_sources, n_targets * head.choice.count(0)
    if not grid_pays(3, on_grid, direct):
        head.degree = 0
    return head.degree > 0


def _groups(sized: list[tuple[Head, int]], cost: Callable[[int, int], float]) -> Iterator[tuple[list[Head], int]]:
    """Heads that share the sources of the first, which is the strongest, and its size: the degree or the circles'.

    Sources that serve a head serve all weaker ones.
    """
    open_groups: dict[tuple[int, bool], list[Head]] = {}
    sizes: dict[tuple[int, bool], int] = {}
    for head, size in sorted(sized, key=lambda pair: -pair[0].strength):
        kind = id(head if head.alone else head.choice), head.deposit > 0
        group = open_groups.get(kind)
        if group is not None and len(group) < TOGETHER and size <= sizes[kind]:
            more = cost(sizes[kind], group[0].n_sources) - cost(size, head.n_sources)
            if more <= SHARED:
                group.append(head)
                continue
        if group is not None:
            yield group, sizes[kind]
        open_groups[kind], sizes[kind] = [head], size
    for kind, group in open_groups.items():
        yield group, sizes[kind]


def _grid_cost(degree: int, n_sources: int) -> float:
    """Exponentials on a grid."""
    return (degree + 1) ** 2 / 2 * n_sources


def _circles_cost(half: int, n_sources: int) -> float:
    """Exponentials on two circles."""
    return 2.0 * half * n_sources


def _forms(heads: list[Head]) -> Array:
    return np.stack([head.form for head in heads])


def _find_degrees(heads: list[Head], n_targets: int, tolerance: float) -> None:
    """Odd degree of every head: a guess for weak heads, and for others read off their values on two great circles.

    A function of degree L is a trigonometric polynomial of degree L on every great circle; the circles join the
    first singular direction of A, along which scores vary most, to the two others.
    """
    pending = []
    for head in heads:
        head.degree = guessed_degree(head.strength * head.choice.spread, tolerance)
        if _grid_cost(head.degree, head.n_sources) > PROBE:
            pending.append((head, _first_half(head.strength)))
    while pending:
        probed, pending = pending, []
        for group, half in _groups(probed, _circles_cost):
            axes = np.stack([head.axes for head in group])
            spectrum = np.fft.rfft(
                on_circles(_forms(group), axes, half, group[0].choice.pairs(group[0].deposit))
            ) / (2 * half)
            square = 4 * np.sum(spectrum.real**2 + spectrum.imag**2, axis=2)  # head, circle, order
            tails = np.sqrt(np.cumsum(square[..., ::-1], axis=2)[..., ::-1].max(axis=1))
            for head, tail in zip(group, tails, strict=True):
                below = np.flatnonzero(tail <= tolerance)
                if below.size and below[0] <= half - 2:
                    head.degree = odd(int(below[0]) + MODES_BEYOND)
                    continue
                head.degree = half
                if _pays(head, n_targets):
                    pending.append((head, 2 * math.ceil(0.75 * half)))


def _first_half(strength: float) -> int:
    """Half of the points on a circle that are enough for most heads."""
    return 2 * math.ceil(2.0 * strength + 5)


def _analysis(values: Array) -> Coefficients:
    """Coefficients (order, degree, K) of K functions on the Gauss grid of a degree, (K, degree + 1, 2 degree + 2)."""
    degree = values.shape[1] - 1
    if degree <= ANALYSIS_DEGREE:
        return analysis(values)
    plan = DuccTransforms(degree, degree + 1, 2 * degree + 2)
    return by_order_and_degree(np.stack([plan.analysis(component) for component in values]), degree)


def _truncation(table: Coefficients) -> Array:
    """Estimates (M,) of the sup norm beyond the last degree, from geometric fits to the last half of the degrees.

    The part of degree l is at most e_l = |a_l| sqrt((2l+1)/4 pi); parts add up in the mean square sense.  The table
    (order, degree, 3 M) has three components for each of M vector fields.
    """
    degree = len(table) - 1
    middle = (degree + 1) // 2
    shells = np.array([degree - 1, degree, middle - 1, middle])
    some = table.view(np.float64)[:, shells]  # order, shell, (re, im) by function
    some *= some
    square = (2 * some.sum(axis=0) - some[0]).reshape(4, -1, 6).sum(axis=2)  # orders m and -m
    square *= ((2 * shells + 1) / (4 * np.pi))[:, None]
    end, start = np.sqrt(square[:2].max(axis=0)), np.sqrt(square[2:].max(axis=0))
    ratio = np.minimum((end / np.maximum(start, 1e-300)) ** (1.0 / (degree - middle)), 0.99)
    estimates: Array = end * ratio / np.sqrt(1 - ratio**2)
    return estimates
