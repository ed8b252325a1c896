"""Ladders of values and the contrast that finds their order; `validation.estimates.orders` says of what.

Member r gives a number y_rk for rung k with mean C g_k(p) over members, p the order.  The order is where a contrast of
the rungs, sum_k w_k y_rk/g_k(p) or for positive y of log(mean y_rk)/g_k(p), has mean zero; the 95 percent interval
holds the p that Student's t of the contrast over members does not refuse.  Members are independent; the rungs of one
member need not be.  No finite ladder is asymptotic, so g_k (1 + sum_j b_j s_k^(jq)) is allowed for: s_k <= 1 is the
ratio of value and first value, q = |p| between 1/2 and 1, b_j independent normal of deviation size/2^(j-1), with the
likeliest size of NEXT.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import optimize, special

from particles import Array
from validation.estimates.statistics import Slope

NEXT = (0.2, 0.4, 0.6)  # sizes of the next terms beside the leading one, at the coarsest value
NEXT_TERMS = 3
PRIOR = 0.3  # scale of the prior of that size
STEEPEST = 30.0  # orders are looked for up to here
EXACT = 1e-4  # relative error that is left to numbers that are not random
SHIFT = 1e-4  # of p, for derivatives
TINY = 1e-300


@dataclass(frozen=True)
class Order(Slope):
    """Power law error = prefactor value^p.

    Attributes
    ----------
    left : error at the last value.   left_low, left_high : the same with the ends of the interval, and what the gaps
        leave open of c; infinite where the errors do not fall towards the last value.
    """

    left: float
    left_low: float
    left_high: float


@dataclass(frozen=True)
class Contrast:
    """The contrast at one p.

    Attributes
    ----------
    mean, error : its mean over members and the standard error.   quantile : Student's, 97.5 percent.
    level : the C of all rungs, its logarithm for positive samples.   level_error : relative standard error of C.
    misfit : chi^2 per degree of freedom.
    """

    mean: float
    error: float
    quantile: float
    level: float
    level_error: float
    misfit: float

    @property
    def refused(self) -> float:
        """Positive where p is refused at 5 percent."""
        return abs(self.mean) - self.quantile * self.error


@dataclass(frozen=True, eq=False)
class Ladder:
    """Numbers of members on the rungs of a ladder.

    Parameters
    ----------
    values : (K,) positive, those of the rungs, coarse to fine.   last : the finest value, of a rung or not.
    samples : (R, K), with mean C shape(p); R = 1 where nothing is random.
    shape : p -> g (K,), positive.   prefactor : (p, C) -> c of the error c value^p.
    positive : the samples are: their logarithms are compared.   power : 2 where they are squares.
    next_size : size of the next terms.
    """

    values: Array
    last: float
    samples: Array
    shape: Callable[[float], Array]
    prefactor: Callable[[float, float], float]
    positive: bool = True
    power: int = 1
    next_size: float = NEXT[0]

    def order(self) -> Order | None:
        """The order with its interval; None where the interval has no end."""
        p = self._root(self._rough())
        ladder = self
        for _ in range(2):
            if p is None:
                return None
            ladder = replace(self, next_size=self._likeliest_size(p))
            p = ladder._root(p)
        return None if p is None else ladder._slope(p)

    def at(self, p: float) -> Contrast:
        """The contrast at p."""
        rows = self._rows(p)
        n_members, n_rungs = rows.shape
        mean, spread = rows.mean(axis=0), self._spread(p)
        level, next_terms = self._next_terms(p, mean, spread)
        precision, change = np.linalg.inv(np.diag(spread) + next_terms), self._change(p)
        weights = precision @ (change - np.sum(precision @ change) / precision.sum())
        weights *= (1.0 if self.positive else math.copysign(1.0, level)) / np.abs(weights).max()
        of_members = rows @ weights
        random = of_members.var(ddof=1) / n_members if n_members > 1 else 0.0
        exact = EXACT * (weights if self.positive else weights * mean)
        random = max(float(random), float(exact @ exact))
        variance = random + float(weights @ next_terms @ weights)
        freedom = (n_members - 1) * (variance / random) ** 2 if n_members > 1 else np.inf  # Welch, Satterthwaite
        rest = mean - level
        misfit = float(rest @ precision @ rest) / (n_rungs - 2) if n_rungs > 2 else float("nan")
        quantile = float(special.stdtrit(min(freedom, 1e9), 0.975))
        level_error = precision.sum() ** -0.5 / (1.0 if self.positive else abs(level))
        return Contrast(float(of_members.mean()), math.sqrt(variance), quantile, level, float(level_error), misfit)

    def _rows(self, p: float) -> Array:
        """Numbers of members with one mean on all rungs: y/g, or values of log(mean y/g)."""
        shape = self.shape(p)
        return self._numbers - np.log(shape) if self.positive else self._numbers / shape

    @cached_property
    def _numbers(self) -> Array:
        """The samples, or the jackknife's values of the logarithm of their mean."""
        if not self.positive:
            return self.samples
        n, mean = len(self.samples), self.samples.mean(axis=0)
        without = np.maximum((n * mean - self.samples) / max(n - 1, 1), 1e-30 * mean)  # each member left out
        numbers: Array = n * np.log(mean) - (n - 1) * np.log(without)
        return numbers

    @cached_property
    def _variances(self) -> Array:
        """Variances of the means: a power of the value, so that the weights of few members are not wild."""
        n = len(self.samples)
        least = np.full(self.samples.shape[1], EXACT**2)
        if not self.positive:
            least *= np.maximum(self.samples.mean(axis=0) ** 2, TINY)
        if n == 1:
            return least
        found, x = np.log(np.maximum(self._numbers.var(axis=0, ddof=1) / n, least)), np.log(self.values)
        smooth: Array = np.exp(np.polynomial.Polynomial.fit(x, found, 1)(x))
        return smooth

    def _spread(self, p: float) -> Array:
        """Variances of the means of the rows."""
        return self._variances if self.positive else self._variances / self.shape(p) ** 2

    def _rough(self) -> float:
        """About the order: where log g comes closest to the logarithm of the means."""
        mean = np.maximum(np.abs(self.samples.mean(axis=0)), TINY)
        relative = self._variances if self.positive else self._variances / mean**2
        weights, logs, orders = 1 / (relative + 0.1), np.log(mean), np.arange(-20.0, 20.1, 0.5)
        rests = [logs - np.log(self.shape(p)) for p in orders]
        costs = [np.average((rest - np.average(rest, weights=weights)) ** 2, weights=weights) for rest in rests]
        return float(orders[int(np.argmin(costs))])

    def _change(self, p: float) -> Array:
        """Derivative of log g in p."""
        change: Array = np.log(self.shape(p + SHIFT) / self.shape(p - SHIFT)) / (2 * SHIFT)
        return change

    def _next_terms(self, p: float, mean: Array, spread: Array) -> tuple[float, Array]:
        """The level, and the covariance of the next terms."""
        scale = np.exp(-np.abs(np.log(self.values / self.values[0])) * np.clip(abs(p), 0.5, 1.0))
        pairs, terms = np.multiply.outer(scale, scale), np.arange(1, NEXT_TERMS + 1)
        kernel = np.power.outer(pairs, terms) @ (0.25 ** (terms - 1))
        unit = 1.0 if self.positive else float(np.average(mean, weights=1 / spread))
        next_terms = (self.power * self.next_size * unit) ** 2 * kernel
        precision = np.linalg.inv(np.diag(spread) + next_terms)
        return float(np.sum(precision @ mean) / precision.sum()), next_terms

    def _likeliest_size(self, p: float) -> float:
        """Size of the next terms by the likelihood of what level and order leave."""
        rows = self._rows(p)
        mean, spread = rows.mean(axis=0), self._spread(p)
        design, costs = np.column_stack([np.ones(len(mean)), self._change(p)]), []
        for size in NEXT:
            _, next_terms = replace(self, next_size=size)._next_terms(p, mean, spread)
            precision = np.linalg.inv(np.diag(spread) + next_terms)
            normal = design.T @ precision @ design
            rest = mean - design @ np.linalg.solve(normal, design.T @ precision @ mean)
            volume = float(np.linalg.slogdet(normal)[1] - np.linalg.slogdet(precision)[1])
            costs.append(volume + float(rest @ precision @ rest) + (size / PRIOR) ** 2)
        return NEXT[int(np.argmin(costs))]

    def _slope(self, p: float) -> Order | None:
        """The order p with its interval; a change of sign that is no zero is none."""
        if self.at(p).refused > 0:
            return None
        best = self.at(p)
        tilt = (self.at(p + SHIFT).mean - self.at(p - SHIFT).mean) / (2 * SHIFT)
        error = abs(best.error / tilt)
        ends = [self._first(p, sign, lambda q: self.at(q).refused > 0, best.quantile * error / 2) for sign in (-1, 1)]
        low, high = (None if end is None else _zero(lambda q: self.at(q).refused, end) for end in ends)
        if low is None or high is None:
            return None
        left = [self._prefactor(q) * self.last**q if self._falls(q) else math.inf for q in (p, low, high)]
        open_ = math.exp(min(best.quantile * best.level_error / self.power, 700.0))
        bounds = min(left) / open_, max(left) * open_
        return Order(p, error, low, high, self._prefactor(p), best.misfit, left[0], *bounds)

    def _falls(self, p: float) -> bool:
        """Whether errors of order p fall towards the last value."""
        return p * math.log(float(self.values[0]) / self.last) > 0

    def _prefactor(self, p: float) -> float:
        """c, of the means as they are: the jackknife has made their logarithms a little larger."""
        level = self.at(p).level
        if self.positive:
            plain = np.log(self.samples.mean(axis=0) / self.shape(p)) - self._rows(p).mean(axis=0)
            level = math.exp(level + float(plain.mean()))
        return self.prefactor(p, level)

    def _root(self, p: float) -> float | None:
        """Where the contrast vanishes, looked for from p on; it falls as p rises."""
        up = self.at(p).mean > 0
        around = self._first(p, 1 if up else -1, lambda q: (self.at(q).mean > 0) != up)
        return None if around is None else _zero(lambda q: self.at(q).mean, around)

    @staticmethod
    def _first(p: float, sign: int, met: Callable[[float], bool], step: float = 0.05) -> tuple[float, float] | None:
        """Where a condition is first met, going up or down from p: the last p without, the first with it."""
        step = min(max(step, 0.001), 1.0)
        while abs(outer := p + sign * step) < STEEPEST:
            if met(outer):
                return p, outer
            p, step = outer, 1.5 * step
        return None


def _zero(function: Callable[[float], float], around: tuple[float, float]) -> float:
    return float(optimize.brentq(function, *around, xtol=1e-7))
