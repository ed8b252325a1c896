"""Fewer source points for a head: a measure replaced by quadrature nodes with the same low moments.

Only the degrees l <= Ly of mu matter to int e^{beta <Ax, y>} mu(dy), because degree l enters with the modified
spherical Bessel function i_l(beta |Ax|).  The nodes carry signed weights, so they are used only where a bound
that holds for every x says that the barycentre stays within the tolerance; otherwise the positive points stay.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.integrate import lebedev_rule

from particles.arrays import Array
from particles.harmonics import Coefficients, adjoint_at, resize, synthesis_at
from particles.parallel import CHUNK
from particles.tokens import Measure, mean_token
from spde import dense

ROUNDING = 1e-12  # relative error of the deposited moments, ten times that of the transforms
WORTH = 1.6  # a deposit may have this many times the points: its nodes come in antipodal pairs that share exponentials
DEPOSIT_DEGREES = (5, 7, 9, 11, 13, 15, 17, 20, 23, 26, 29, 32, 35, 38, 41, 44, 47, 50, 53, 56, 59, 62, 65)
MOMENT_DEGREES = (17, 29, 65)  # moments are computed in few batches


class Sources(NamedTuple):
    """sum_j weights_j delta(points_j) + mirrored_j delta(-points_j); positive for a measure, signed for a deposit."""

    points: Array
    weights: Array
    mirrored: Array | None = None


class SourceChoice:
    """Chooses, head by head, between a measure and its deposits on Lebedev nodes.

    Parameters
    ----------
    measure : positive weighted points on S^2.   tolerance : allowed error of a barycentre.
    location : angles of the points, if known.
    """

    def __init__(self, measure: Measure, tolerance: float, location: Array | None = None) -> None:
        self.full = Sources(measure.points, measure.weights)
        self._location = location
        # The moments of a large cloud cost the same at every degree: one batch.
        self._batches = MOMENT_DEGREES if len(measure.weights) <= CHUNK else MOMENT_DEGREES[1:]
        self._tolerance = tolerance
        self._mean = float(np.linalg.norm(mean_token(measure)))
        limit = WORTH * len(measure.weights)
        self._degrees = [degree for degree in DEPOSIT_DEGREES if 1.4 * (degree + 1) ** 2 <= limit]
        self._deposits: dict[int, tuple[Sources, float]] = {}
        self._moments: dict[int, Coefficients] = {}

    def for_strength(self, strength: float) -> Sources:
        """Sources for a head of strength b = beta |A|: barycentres within the tolerance for every x.

        With Z >= exp(-b |mean|) (Jensen), moments exact below degree Ly, T = sum_{l >= Ly} (2l+1) i_l(b) and the
        total variation V of the deposit, |m - m_deposit| <= 2 ((1 + V) T + V r e^b) e^{b |mean|}, r the rounding.
        """
        room = math.log(self._tolerance / 2) - strength * self._mean
        if math.log(ROUNDING) + strength > room:
            return self.full
        for degree in self._degrees:
            log_tail = _log_tail(degree, strength)
            if math.log(2) + log_tail > room:  # V >= 1: this cannot pass, spare the deposit
                continue
            deposit, variation = self._deposit(degree)
            if (1 + variation) * math.exp(log_tail) + variation * ROUNDING * math.exp(strength) <= math.exp(room):
                return deposit
        return self.full

    def _deposit(self, degree: int) -> tuple[Sources, float]:
        if degree not in self._deposits:
            top = next(top for top in self._batches if degree <= top)
            if top not in self._moments:
                self._moments[top] = adjoint_at(self.full.weights, self.full.points, top, self._location)
            points, area = _lebedev(degree)
            density = _at_lebedev(resize(self._moments[top], degree), degree)
            weights, mirrored = np.split(area * density, 2)
            variation = float(np.abs(weights).sum() + np.abs(mirrored).sum())
            self._deposits[degree] = (Sources(points[: len(weights)], weights, mirrored), variation)
        return self._deposits[degree]


@lru_cache(maxsize=32)
def _lebedev(degree: int) -> tuple[Array, Array]:
    """Lebedev nodes exact to twice the degree, the second half antipodal to the first; weights of sum 4 pi."""
    order = next(order for order in (*range(3, 32, 2), *range(35, 132, 6)) if order >= 2 * degree)
    columns, weights = lebedev_rule(order)
    x, y, z = columns
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    half = np.ascontiguousarray(columns.T[upper])
    return np.concatenate([half, -half]), np.concatenate([weights[upper], weights[upper]])


@lru_cache(maxsize=32)
def _lebedev_table(degree: int) -> Array | None:
    return dense.synthesis_table(_lebedev(degree)[0], degree)


def _at_lebedev(coefficients: Coefficients, degree: int) -> Array:
    """Values at the Lebedev nodes of a degree."""
    table = _lebedev_table(degree)
    if table is None:
        return synthesis_at(coefficients, _lebedev(degree)[0])
    values: Array = table @ np.concatenate([coefficients.real, coefficients.imag])
    return values


def _log_tail(degree: int, strength: float) -> float:
    """Upper bound of log sum_{l >= degree} (2l+1) i_l(b), from i_l(b) <= b^l e^{b^2/(4l+6)} / (2l+1)!!."""
    ratio = strength / (2 * degree + 1)
    if ratio == 0:
        return -math.inf
    if ratio >= 0.9:
        return math.inf
    log_double_factorial = (degree + 1) * math.log(2) + math.lgamma(degree + 1.5) - 0.5 * math.log(math.pi)
    first = degree * math.log(strength) - log_double_factorial + strength**2 / (4 * degree + 6)
    return first + math.log(2 * degree + 1) - math.log1p(-ratio)
