"""Scale function and speed measure of a diffusion on the line: hitting probabilities and stationary densities.

dy = b dt + sqrt(v) dB has the scale density s'(y) = exp(-I(y)) and, where it is normalisable, the stationary density
exp(I(y))/v(y), with I' = 2 b/v.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.polynomial import legendre

from particles.arrays import Array

FAR = 20.0  # y = artanh R beyond which 1 - |R| < 1e-17; b and v are taken as constant there
PANEL = 0.5  # length of a panel, on which 2 b/v is a polynomial of degree NODES - 1
NODES = 16
STEEPEST = 4.0  # change of the exponent over a piece of the quadrature of exp(+-I)
NEGLIGIBLE = 60.0  # pieces this far below the peak of the exponent are left out
NEUTRAL = 1e-10  # a slope 2 b/v at an end below this counts as zero

Rates = Callable[[Array], tuple[Array, Array]]

_points, _weights = legendre.leggauss(NODES)
_to_series = np.linalg.inv(legendre.legvander(_points, NODES - 1))  # values at the nodes -> Legendre coefficients


@dataclass(frozen=True, eq=False)
class Scale:
    """I(y) of a diffusion on panels that cover [-FAR, FAR], and log v.

    Attributes
    ----------
    edges : (panels + 1,)
    exponent : (panels, NODES + 1), Legendre coefficients of I.
    log_variance : (panels, NODES), Legendre coefficients of log v.
    slopes : 2 b/v at -FAR and at FAR.
    """

    edges: Array
    exponent: Array
    log_variance: Array
    slopes: tuple[float, float]

    @classmethod
    def of(cls, rates: Rates) -> "Scale":
        """Tabulate a diffusion with rates(y) -> (b, v)."""
        edges = np.linspace(-FAR, FAR, round(2 * FAR / PANEL) + 1)
        y = edges[:-1, None] + 0.5 * PANEL * (1 + _points)
        drift, variance = rates(y.ravel())
        slope = (2 * drift / variance).reshape(y.shape)
        series = 0.5 * PANEL * (slope @ _to_series.T)
        exponent = np.apply_along_axis(lambda c: legendre.legint(c, lbnd=-1), 1, series)
        rise = exponent.sum(axis=1)  # Legendre polynomials are 1 at 1
        exponent[:, 0] += np.concatenate([[0.0], np.cumsum(rise)[:-1]])
        log_variance = np.log(variance).reshape(y.shape) @ _to_series.T
        drift, variance = rates(np.array([-FAR, FAR]))
        lower, upper = 2 * drift / variance
        return cls(edges, exponent, log_variance, (float(lower), float(upper)))

    def hitting_probability(self, start: float, low: float, high: float, upper: bool = True) -> float:
        """Probability to reach `high` (or `low`: upper = False) before the other; -inf and inf are the ends.

        Each of the two is computed without taking a difference from 1.
        """
        below, above = self._log_scale(low, start), self._log_scale(start, high)
        if below == above == np.inf:
            raise ValueError("no end attracts: the overlap comes back to every value for ever")
        if np.inf in (below, above):
            return float((below == np.inf) == upper)
        total = np.logaddexp(below, above)
        return float(np.exp((below if upper else above) - total))

    def stationary_density(self, y: Array) -> Array:
        """Stationary density in y; ValueError where none can be normalised."""
        lower, upper = self.slopes
        falls = (lower, -upper)  # of the density towards -inf and inf; v may only grow there
        if not min(falls) > NEUTRAL:
            end = "-1" if falls[0] <= NEUTRAL else "1"
            raise ValueError(f"there is no stationary density: the overlap is not driven away from {end}")
        inside = self._log_integral(self._log_speed, -FAR, FAR)
        tails = self._log_speed(np.array([-FAR, FAR])) - np.log(falls)
        density: Array = np.exp(self._log_speed(y) - scipy.special.logsumexp([inside, *tails]))
        return density

    def _log_scale(self, low: float, high: float) -> float:
        """Log of int exp(-I) from low to high; inf where it diverges at an end."""
        parts = [self._log_integral(lambda at: -self._value(at), max(low, -FAR), min(high, FAR))]
        for end, slope, wanted in ((-FAR, -self.slopes[0], low == -np.inf), (FAR, self.slopes[1], high == np.inf)):
            if wanted:
                if not slope > NEUTRAL:
                    return np.inf
                parts.append(-float(self._value(np.array([end]))[0]) - math.log(slope))
        return float(scipy.special.logsumexp(parts))

    def _log_integral(self, function: Callable[[Array], Array], low: float, high: float) -> float:
        """Log of the integral of exp(function) between two points of [-FAR, FAR]."""
        if not low < high:
            return -np.inf
        edges = np.unique(np.concatenate([[low], self.edges[(self.edges > low) & (self.edges < high)], [high]]))
        left, right = edges[:-1], edges[1:]
        peak, logs = -np.inf, []
        while left.size:
            half = 0.5 * (right - left)
            at = left[:, None] + half[:, None] * (1 + np.concatenate([[-1.0], _points, [1.0]]))
            values = function(at)
            top = values.max(axis=1)
            peak = max(peak, float(top.max()))
            flat = np.ptp(values, axis=1) <= STEEPEST
            if flat.any():
                logs.append(float(scipy.special.logsumexp(values[flat, 1:-1], b=half[flat, None] * _weights)))
            split = ~flat & (top > peak - NEGLIGIBLE)
            middle = 0.5 * (left + right)[split]
            left, right = np.concatenate([left[split], middle]), np.concatenate([middle, right[split]])
        return float(scipy.special.logsumexp(logs))

    def _evaluate(self, table: Array, y: Array) -> Array:
        flat = np.asarray(y, dtype=np.float64).ravel()
        panel = np.clip(np.searchsorted(self.edges, flat, side="right") - 1, 0, len(table) - 1)
        at = 2 * (flat - self.edges[panel]) / PANEL - 1
        basis = legendre.legvander(at, table.shape[1] - 1)
        values: Array = np.einsum("ij,ij->i", basis, table[panel])
        return values.reshape(np.shape(y))

    def _value(self, y: Array) -> Array:
        return self._evaluate(self.exponent, y)

    def _log_speed(self, y: Array) -> Array:
        return self._value(y) - self._evaluate(self.log_variance, y)
