"""How fast pairs are found near each other: the bottom of the spectrum of a diffusion of the overlap.

P(R_t < c) falls like e^{-gap t} for every c < 1, gap the bottom of the spectrum of -L in L^2 of the speed measure.
With y = artanh R, L = (v/2) d^2 + b d, the solution f of L f = -lambda f that is regular at -1 stays positive on the
whole line exactly up to lambda = gap; near y = infinity it is made of e^{p y}, (v/2) p^2 + b p + lambda = 0, and both
p are real up to the edge b^2/(2 v) of the continuous spectrum.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy

from particles.arrays import Array
from particles.reduced.overlap import OverlapDiffusion, gaps
from particles.reduced.scale import FAR, NEUTRAL

STEP = 0.05  # in y, where solutions do not turn faster
MOST_STEPS = 1 << 18
SMALLEST = 1e-14  # of the edge: a gap below it is told as 0
GAUSS = 0.5 * (1 + np.array([-1, 1]) / math.sqrt(3))  # nodes of a step


class SpectralGap(NamedTuple):
    """Rate of P(R_t < c), and where the continuous spectrum begins.

    Attributes
    ----------
    gap : 0 where opposite tokens, or near ones, are not left.
    edge : b^2/(2 v) at R = 1; gap = edge where there is no eigenvalue below it.
    """

    gap: float
    edge: float


def spectral_gap(law: OverlapDiffusion) -> SpectralGap:
    """Bottom of the spectrum of an overlap that tends to 1; 0 where it may stay away from 1 for ever.

    Accuracy: 1e-6 relative (tests/particles/reduced/test_spectrum.py).
    """
    grid = np.linspace(-FAR, FAR, round(2 * FAR / STEP) + 1)
    drift, variance = law.rates(grid)
    edge = float(0.5 * drift[-1] ** 2 / variance[-1])
    if not drift[-1] > 0:
        return SpectralGap(0.0, 0.0)
    # d log(1/v)/dy at the lower end: 2 where 1 + R has a noise like (1 + R)^1/2 at -1, 0 where one like 1 + R
    growth = math.log(variance[0] / variance[1]) / STEP
    start = float(2 * drift[0] / variance[0]) + growth
    if not start > NEUTRAL:
        return SpectralGap(0.0, edge)
    if _bounded(grid, drift, variance, edge):
        return SpectralGap(edge, edge)
    steps = math.ceil(2 * FAR / min(STEP, 1 / math.sqrt(2 * edge / variance.min())))
    if steps > MOST_STEPS:
        raise ValueError(f"eigenvalues of so steep a drift are not computed: {steps} steps in artanh R")
    step = 2 * FAR / steps
    nodes = -FAR + step * (np.arange(steps)[:, None] + GAUSS)
    drift, variance = (rate.reshape(nodes.shape) for rate in law.rates(nodes.ravel()))
    line = _Line(step, start, 2 * drift / variance, 2 / variance)
    lowest, highest = math.log(edge * SMALLEST), math.log(edge)
    if line.excess(highest) >= 0:
        return SpectralGap(edge, edge)
    if line.excess(lowest) < 0:
        return SpectralGap(0.0, edge)
    return SpectralGap(math.exp(scipy.optimize.brentq(line.excess, lowest, highest, xtol=1e-12, rtol=1e-14)), edge)


def _bounded(y: Array, drift: Array, variance: Array, edge: float) -> bool:
    """Whether L V <= -edge V for V = (1 - R)^p, p = b/v at R = 1: then nothing of the spectrum lies below the edge."""
    above, p = gaps(y)[1], float(drift[-1] / variance[-1])
    growth = -p * above * (drift - np.tanh(y) * variance) + 0.5 * p * (p - 1) * above**2 * variance
    return bool(growth.max() <= -edge * (1 - 1e-12))


class _Line(NamedTuple):
    """f'' = -pull f' - rate clock f: fourth-order Magnus steps, exact where pull and clock are constant.

    pull, clock : (steps, 2) at the nodes of the steps.   start : f' = -rate clock/start at the lower end.
    """

    step: float
    start: float
    pull: Array
    clock: Array

    def excess(self, log_rate: float) -> float:
        """Angle of (f, f') at the end above that of the faster exponential; negative once f has, or will have, a zero.

        A zero of f on the way counts as the angle -pi/2.
        """
        q, r = self.pull, math.exp(log_rate) * self.clock
        value, slope = 1.0, -r[0, 0] / (0.5 * self.start + math.sqrt(max(0.25 * self.start**2 - r[0, 0], 0.0)))
        for a, b, c, d in self._steps(q, r).tolist():
            value, slope = a * value + b * slope, c * value + d * slope
            if not value > 0:
                return -0.5 * math.pi
            value, slope = 1.0, slope / value
        fast = -0.5 * q[-1, -1] - math.sqrt(max(0.25 * q[-1, -1] ** 2 - r[-1, -1], 0.0))
        return math.atan(slope) - math.atan(fast)

    def _steps(self, q: Array, r: Array) -> Array:
        """Matrices (steps, 4) of the steps, row by row, up to positive factors.

        exp of h (A_1 + A_2)/2 + 3^1/2/12 h^2 [A_2, A_1], A_i = ((0, 1), (-r_i, -q_i)).
        """
        h, (q1, q2), (r1, r2) = self.step, q.T, r.T
        k = math.sqrt(3) / 12 * h * h
        diagonal = 0.25 * h * (q1 + q2) + k * (r2 - r1)  # half of what the first entry exceeds the last by
        upper = h + k * (q2 - q1)
        lower = -0.5 * h * (r1 + r2) + k * (q2 * r1 - q1 * r2)
        turn = np.sqrt((diagonal**2 + upper * lower).astype(complex))
        ratio = np.where(np.abs(turn) > 1e-8, np.tanh(turn) / np.where(turn == 0, 1, turn), 1.0).real
        return np.stack([1 + ratio * diagonal, ratio * upper, ratio * lower, 1 - ratio * diagonal], axis=1)
