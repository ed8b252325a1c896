"""Multilevel Monte Carlo: expectations on a ladder of levels of rising accuracy and cost, most samples on cheap ones.

    E P_L = E P_0 + sum_{l=1}^L E[P_l - P_{l-1}],    N_l = sqrt(V_l / C_l) sum_k sqrt(V_k C_k) / ((1 - share) error^2)

with V_l the variance and C_l the cost of one coupled difference (Giles 2008, Oper. Res. 56:607, and 2015, Acta Numerica
24:259).  `share` of the squared error is left to the bias.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from particles import Array, check_positive
from validation.estimates.level_sums import LevelSum, allocation, believed, bias_of, error_of
from validation.estimates.statistics import Estimate
from validation.figure import Figure, Series

MOST_LEVELS = 32
FEWEST = 10  # samples of a level
PILOTS = 0.25  # for a sample
ALIKE = 100  # times the first pilots are drawn before a ladder whose values are all alike is given up
ROUNDING = 1e-12  # of the values: samples no farther apart are alike
TOO_LARGE = 1.1  # times the standard error that was asked for: more samples are drawn then


class Coupled(Protocol):
    """A ladder of levels: fine and coarse values of one sample share everything random, samples nothing."""

    def pairs(self, level: int, members: range) -> Array:
        """Values (len(members), 2) on this level and on the one below, which is 0 at level 0.

        A pure function of level and member; the first column at one level and the second at the next have one law.
        """
        ...

    def cost(self, level: int) -> tuple[float, float]:
        """Cost of one value on this level and of its partner on the one below, in any unit."""
        ...


@dataclass(frozen=True)
class Expectation:
    """An expectation by multilevel Monte Carlo.

    Attributes
    ----------
    value : sum of the means.   error : standard error of `value`.   bias : estimate of |E P_L - E P|.
        Both are infinite where all values of all levels were alike: nothing is known of their spread then.
    target : root mean square error asked for.   levels : from the coarsest on.
    reached : False where the levels came to their end with a bias beyond its share, or where nothing is known.
    share : of target^2 that was left to the bias.
    """

    value: float
    error: float
    bias: float
    target: float
    levels: tuple[LevelSum, ...]
    reached: bool
    share: float = 0.5

    @property
    def known(self) -> bool:
        """Whether values differed anywhere; where not, an event may have been missed: give more pilots (`start`)."""
        return math.isfinite(self.error)

    @property
    def cost(self) -> float:
        """Cost of all samples, pilots included."""
        return sum((level.pilots + level.samples) * level.cost for level in self.levels)

    @property
    def plain_cost(self) -> float:
        """Cost of independent samples of P_L alone with the same bias and the same standard error."""
        last = self.levels[-1]
        return last.fine_cost * last.fine_variance / ((1 - self.share) * self.target**2)


def multilevel(
    coupled: Coupled,
    error: float,
    *,
    start: int = 100,
    levels: int = 3,
    most: int = 12,
    weak: float = 1.0,
    share: float = 0.5,
) -> Expectation:
    """Expectation with a root mean square error, bias included, of about `error`.

    Parameters
    ----------
    coupled : the ladder.   error : target.   start : pilots of each level at least; there are a quarter of N_l, and
        their variance chooses N_l.  The value is the mean of others: a number of samples that depends on them biases
        their mean where differences are rare.  More are drawn where these show a variance beyond that of the pilots.
        Where all values are alike there are up to a hundred times as many pilots, until one differs.
    levels, most : number of levels at the beginning and at the end at most.
    weak : order of the bias, which falls like 2^(-weak l).   share : of the squared error that is left to the bias.

    Examples
    --------
    >>> import numpy as np
    >>> class Ladder:
    ...     def pairs(self, level, members):
    ...         z = np.array([np.random.default_rng((level, k)).standard_normal() for k in members])
    ...         fine, coarse = z * (1 + 2.0**-level), z * (1 + 2.0 ** (1 - level))
    ...         return np.stack([fine, coarse if level else 0 * z], axis=1)
    ...     def cost(self, level):
    ...         return 2.0**level, 2.0 ** (level - 1)
    >>> found = multilevel(Ladder(), 0.05)
    >>> abs(found.value) < 0.2, found.reached
    (True, True)
    """
    check_positive(error, "error")
    check_positive(weak, "weak")
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    if not 2 <= levels <= most <= MOST_LEVELS or start < 2:
        raise ValueError(
            f"levels, most and start must be 2 <= levels <= most <= {MOST_LEVELS} and start >= 2, "
            f"got {levels}, {most} and {start}"
        )
    pilots, drawn = _Samples(coupled, 0), _Samples(coupled, 1)
    for level in range(levels):
        pilots.extend(level, start)
    _until_values_differ(pilots, start)
    budget = (1 - share) * error**2
    while True:
        wanted = _wanted(pilots, budget)
        for level, n in enumerate(wanted):
            drawn.extend(level, max(n, FEWEST))
        _until_the_error_is_small(pilots, drawn, budget)
        both = believed(pilots.with_those_of(drawn))
        bias = bias_of(both, weak)
        small = bias <= math.sqrt(share) * error
        if small or len(wanted) == most or not math.isfinite(bias):
            kept = _without_pilots(both, drawn.sums())
            value, spread = sum(level.mean for level in kept), error_of(kept)
            return Expectation(value, spread, bias, error, kept, small and math.isfinite(spread), share)
        pilots.extend(len(wanted), start)


def _without_pilots(both: Sequence[LevelSum], drawn: Sequence[LevelSum]) -> tuple[LevelSum, ...]:
    """The means of the samples, which did not choose their number, with the variances of all."""
    return tuple(
        replace(all_, samples=one.samples, mean=one.mean, pilots=all_.samples - one.samples)
        for all_, one in zip(both, drawn, strict=True)
    )


def _until_values_differ(pilots: "_Samples", start: int) -> None:
    """Double the pilots of all levels, at like cost, while all values of all levels are alike."""
    costs, n = [one.cost for one in pilots.sums()], start
    while n < ALIKE * start and all(one.alike for one in pilots.sums()):
        n = min(2 * n, ALIKE * start)
        for level, cost in enumerate(costs):
            pilots.extend(level, math.ceil(n * costs[0] / cost))


def _wanted(pilots: "_Samples", budget: float) -> list[int]:
    """Numbers of samples by pilots, of which more are drawn where a variance seen in few is no guide to many."""
    while True:
        sums = believed(pilots.sums())
        if not all(math.isfinite(one.variance) for one in sums):
            return [FEWEST] * len(sums)
        wanted = allocation(sums, budget)
        few = [level for level, n in enumerate(wanted) if sums[level].samples < PILOTS * n]
        if not few:
            return wanted
        for level in few:  # by doubling: a far sample weighs less among more
            pilots.extend(level, min(math.ceil(PILOTS * wanted[level]), 2 * sums[level].samples))


def _until_the_error_is_small(pilots: "_Samples", drawn: "_Samples", budget: float) -> None:
    """Draw more while the variance of pilots and samples together says that there are too few."""
    while True:
        both, have = believed(pilots.with_those_of(drawn)), [one.samples for one in drawn.sums()]
        square = sum(one.variance / n for one, n in zip(both, have, strict=True))
        if not TOO_LARGE**2 * budget < square < math.inf:
            return
        for level, n in enumerate(allocation(both, budget)):
            drawn.extend(level, min(max(n, have[level]), 2 * have[level]))


class _Samples:
    """Values of every second member of a ladder, from `first` on: pilots and samples share none."""

    def __init__(self, coupled: Coupled, first: int) -> None:
        self.coupled, self.first = coupled, first
        self.values: list[Array] = []

    def extend(self, level: int, n: int) -> None:
        """Have at least n samples of a level, which may be the next one."""
        if level == len(self.values):
            self.values.append(np.empty((0, 2)))
        have = len(self.values[level])
        if n > have:
            more = self.coupled.pairs(level, range(self.first + 2 * have, self.first + 2 * n, 2))
            if more.shape != (n - have, 2) or not np.isfinite(more).all():
                raise ValueError(f"level {level}: values must be finite and of shape (members, 2), got {more.shape}")
            self.values[level] = np.concatenate([self.values[level], more])

    def sums(self) -> tuple[LevelSum, ...]:
        """What is found in them."""
        return tuple(_sum(self.coupled, level, values) for level, values in enumerate(self.values))

    def with_those_of(self, other: "_Samples") -> tuple[LevelSum, ...]:
        """What is found in both."""
        pairs = zip(self.values, other.values, strict=True)
        return tuple(_sum(self.coupled, level, np.concatenate(both)) for level, both in enumerate(pairs))


def _sum(coupled: Coupled, level: int, values: Array) -> LevelSum:
    gap = values[:, 0] - values[:, 1]
    fine, coarse = coupled.cost(level)
    both, mean = fine + (coarse if level else 0.0), float(gap.mean())
    return LevelSum(
        len(gap), mean, float(gap.var(ddof=1)), float(values[:, 0].var(ddof=1)), both, fine,
        farthest=float(np.abs(gap - mean).max()), alike=bool(np.ptp(gap) <= ROUNDING * np.abs(values).max()),
    )  # fmt: skip


def plain(coupled: Coupled, level: int, samples: int) -> Estimate:
    """Plain Monte Carlo on one level, with the same members as `multilevel` has there, and its view of the error."""
    fine = coupled.pairs(level, range(samples))[:, 0]
    (found,) = believed([_sum(coupled, level, np.stack([fine, 0 * fine], axis=1))])
    return Estimate(found.mean, error_of([found]))


def figure(found: Sequence[Expectation], unit: str) -> Figure:
    """Cost against error, beside plain Monte Carlo."""
    errors = [one.target for one in found]
    return Figure(
        "root mean square error, bias included", f"cost, {unit}",
        (
            Series("multilevel", errors, [one.cost for one in found]),
            Series("plain Monte Carlo on the finest level", errors, [one.plain_cost for one in found]),
        ),
        x_log=True, y_log=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A ladder with its costs in measured time: that of a pair, divided as the ladder itself divides it.

    Parameters
    ----------
    ladder : as it is.   clock : seconds.   members : pairs that are timed at each level, once.
    """

    ladder: Coupled
    clock: Callable[[], float] = time.process_time
    members: int = 8
    _costs: dict[int, tuple[float, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def pairs(self, level: int, members: range) -> Array:
        """Those of the ladder."""
        return self.ladder.pairs(level, members)

    def cost(self, level: int) -> tuple[float, float]:
        """Seconds of the fine and of the coarse value."""
        if level not in self._costs:
            fine, coarse = self.ladder.cost(level)
            begin = self.clock()
            self.ladder.pairs(level, range(self.members))
            second = (self.clock() - begin) / self.members / (fine + (coarse if level else 0.0))
            self._costs[level] = fine * second, coarse * second
        return self._costs[level]
