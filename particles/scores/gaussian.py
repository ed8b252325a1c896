"""Softmax of Gaussian scores at finite n: how many keys a token looks at, and how often two tokens look at the same.

n keys have scores s Z_k and s Z'_k of two tokens, (Z_k, Z'_k) independent over k, each of correlation rho.  With
weights w = e^{s Z} and 1/x = int e^{-t x} dt, 1/x^2 = int t e^{-t x} dt, means over all keys are those over one:

    f = E sum pi_k^2 = n int t E[w^2 e^{-t w}] M(t)^(n-1) dt,                  M(t) = E e^{-t w},
    h = E sum pi_k pi'_k = n int int E[w w' e^{-t w - u w'}] M(t, u)^(n-1) dt du,   M(t, u) = E e^{-t w - u w'},

and E log sum w = int (e^{-t} - M(t)^n)/t dt.  All integrals are trapezoidal sums in log t: integrands are analytic.
"""

import math
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, check_not_negative
from particles.errors import ArgumentError

STEP = 0.4  # of the trapezoidal rules, in log t and in log w
TAIL = 8.0  # standard deviations beyond the largest of n scores
STRONGEST = 20.0  # score deviation
HUGE = 6.7  # exp(-exp(HUGE)) is 0


@dataclass(frozen=True)
class AttentionStatistics:
    """Means over the scores.

    Attributes
    ----------
    f, h : E sum pi_k^2 of a token, E sum pi_k pi'_k of two.
    entropy : E -sum pi_k log pi_k.
    """

    f: float
    h: float
    entropy: float

    @property
    def effective_keys(self) -> float:
        """1/f: n for equal weights, 1 for a hard maximum."""
        return 1 / self.f


def critical_deviation(n: int) -> float:
    """(2 log n)^1/2, beyond which a few keys take a share of order 1 as n grows."""
    return math.sqrt(2 * math.log(n))


def random_energy_f(n: int, deviation: float) -> float:
    """Limit of f at deviation/(log n)^1/2 fixed: max(0, 1 - (2 log n)^1/2/deviation), that of Derrida's model."""
    return max(0.0, 1 - critical_deviation(n) / deviation) if deviation > 0 else 0.0


def attention_statistics(n: int, deviation: float, overlap: float = 0.0) -> AttentionStatistics:
    """f, h and entropy by quadrature.

    Accuracy: 1e-8 (tests/particles/scores/test_gaussian.py).

    Parameters
    ----------
    n : number of keys, at least 1.
    deviation : s, standard deviation of the scores of a token over the keys, at most 20.
    overlap : rho, correlation of the scores of two tokens.
    """
    if not 1 <= n <= 10**12:
        raise ArgumentError("n", n, "lie between 1 and 10^12")
    check_not_negative(deviation, "score deviation")
    if not deviation <= STRONGEST:
        raise ArgumentError("score_std", deviation, f"be at most {STRONGEST:g}")
    if not -1 <= overlap <= 1:
        raise ArgumentError("overlap", overlap, "lie between -1 and 1")
    if n == 1 or deviation == 0:
        return AttentionStatistics(1 / n, 1 / n, math.log(n))
    return _Scores(n, deviation).statistics(overlap)


class _Scores:
    """Grids of x = log t, a multiple of STEP each, and of z."""

    def __init__(self, n: int, deviation: float) -> None:
        self.n, self.s = n, deviation
        reach = critical_deviation(n) + TAIL
        top = math.ceil((math.log(n) + 0.5 * deviation**2 + 45) / STEP)  # 1/t up to far beyond any sum of weights
        top = min(top, math.ceil((deviation * reach + math.log(n) + 45) / STEP))
        low = math.ceil((deviation * TAIL + 6) / STEP)
        self.x = STEP * np.arange(-top, low + 1)

    def statistics(self, overlap: float) -> AttentionStatistics:
        z, weight = normal_rule(self.s)
        w = self.s * z
        power = np.exp(np.minimum(self.x[:, None] + w, HUGE))
        fall = np.exp(-power) * weight
        lost = (-np.expm1(-power)) @ weight  # 1 - M
        with np.errstate(divide="ignore"):
            log_m = np.log1p(-np.minimum(lost, 1.0))
        rest = np.exp((self.n - 1) * log_m)
        f = self.n * STEP * float(np.sum(np.sum(power**2 * fall, axis=1) * rest))
        mean = self.n * STEP * float(np.sum((power * fall) @ w * rest))  # E sum pi_k s Z_k
        log_sum = STEP * float(np.sum(np.exp(-np.exp(self.x)) - np.exp(self.n * log_m)))
        return AttentionStatistics(f, self._common(overlap), log_sum - mean)

    def _common(self, overlap: float) -> float:
        """h.  Scores are s (|rho|^1/2 C + (1 - |rho|)^1/2 Z) and the same with sign(rho) C."""
        own, shared = self.s * math.sqrt(1 - abs(overlap)), self.s * math.sqrt(abs(overlap))
        c, weight = normal_rule(shared)
        first, slope = self._conditional(own, shared * c)
        second, other = (first, slope) if overlap >= 0 else self._conditional(own, -shared * c)
        both = (first @ weight)[:, None] + second @ weight - (first * weight) @ second.T  # 1 - M(t, u)
        joint = (slope * weight) @ other.T
        with np.errstate(divide="ignore"):
            rest = np.exp((self.n - 1) * np.log1p(-np.minimum(both, 1.0)))
        return self.n * STEP**2 * float(np.sum(joint * rest))

    def _conditional(self, own: float, shift: Array) -> tuple[Array, Array]:
        """1 - E e^{-t w} and E t w e^{-t w} given C: (x, c) each."""
        z, weight = normal_rule(own)
        lost, slope = np.zeros((len(self.x), len(shift))), np.zeros((len(self.x), len(shift)))
        for at, share in zip(own * z, weight, strict=True):
            power = np.exp(np.minimum(self.x[:, None] + shift + at, HUGE))
            fall = np.exp(-power)
            lost -= share * np.expm1(-power)
            slope += share * power * fall
        return lost, slope


def normal_rule(scale: float) -> tuple[Array, Array]:
    """Nodes z and weights with sum w g(scale z) = E g(scale Z) for g analytic on the scale of STEP; one node for 0."""
    if scale == 0:
        return np.zeros(1), np.ones(1)
    step = min(0.25, 1.5 * STEP / scale)
    z = step * np.arange(-math.ceil(10.5 / step), math.ceil(10.5 / step) + 1, dtype=np.float64)
    weight: Array = np.exp(-0.5 * np.square(z))
    return z, weight / float(weight.sum())
