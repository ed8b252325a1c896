"""Sinkhorn attention: a kernel scaled to be bistochastic for mu x mu.  mathematics, section 6."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, ConvergenceError, check_count, check_not_negative
from particles.attention.kernels import lift
from particles.attention.softmax import Softmax
from particles.errors import ArgumentError
from particles.measure import Measure

STORED = 1 << 24  # kernel entries kept in memory, 134 MB; beyond, they are computed anew in every iteration
ROWS = 1 << 20  # entries per block of rows, 8 MB
SWING = 50.0  # log factor beyond which the scalings are moved into the exponents
HISTORY = 15  # earlier iterates that Anderson's extrapolation combines
SETBACK = 10.0  # how much worse than the best so far an extrapolation may be


@dataclass(frozen=True)
class Sinkhorn:
    """Sinkhorn attention at temperature eps_s = 1/beta, with the factor 1/eps_s of Castin et al., arXiv 2501.18322.

    m(x) = beta int y k(x, y) mu(dy),   k(x, y) = u(x) v(y) e^{beta <Ax, y>},
    int k(x, y) mu(dy) = 1 for every x,   int k(x, y) mu(dx) = 1 for every y in the support of mu.

    The second condition holds at the tokens; the first, which fixes u, extends the kernel to any x.

    Parameters
    ----------
    beta : inverse temperature.   tolerance : largest |int k(x, y) mu(dx) - 1|.
    iterations : most passes over the kernel; ConvergenceError beyond.

    Accuracy: `tolerance` in both marginals, for any weights; never overflows
    (tests/particles/attention/test_sinkhorn.py).
    """

    beta: float = 1.0
    tolerance: float = 1e-10
    iterations: int = 5000

    def __post_init__(self) -> None:
        check_not_negative(self.beta, "beta")
        if not 1e-14 <= self.tolerance < 1:
            raise ArgumentError("tolerance", self.tolerance, "lie in [1e-14, 1)")
        check_count(self.iterations, "iterations")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """beta times the barycentre of the head (query, key) at points (N, d); result (N, d)."""
        offset = self.potential(measure, query, key)
        found = Softmax(1.0).barycenter(*lift(points, measure, self.beta * query, key, offset))
        return self.beta * found[:, :-1]

    def potential(self, measure: Measure, query: Array, key: Array) -> Array:
        """log v at the points of the measure, (n,), up to a constant; ConvergenceError when it is not found."""
        rows, columns = measure.points @ (self.beta * query.T), measure.points @ key.T
        if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
            raise ConvergenceError("Sinkhorn attention met scores that are not finite")
        kernel = _Kernel(rows, columns, measure.weights)
        potential, left, defect = np.zeros(len(measure.weights)), self.iterations, np.inf
        while left > 0:
            potential = kernel.absorb(potential)
            change, used, defect = _scale(kernel, self.tolerance, left)
            potential, left = potential + change, left - 1 - used
            if defect <= self.tolerance:
                return potential
        raise ConvergenceError(
            f"Sinkhorn attention at beta = {self.beta:g} has marginals off by {defect:.1e} after {self.iterations} "
            f"iterations, {self.tolerance:g} is allowed; a smaller beta converges faster"
        )


class _Kernel:
    """w_i w_j e^{s_ij + f_i + g_j} in blocks of rows, the rows of sum about 1 when divided by w_i."""

    def __init__(self, rows: Array, columns: Array, weights: Array) -> None:
        self._rows, self._columns = rows, np.ascontiguousarray(columns.T)
        self.weights, self._log_weights = weights, np.log(weights)
        n = len(weights)
        height = max(1, ROWS // n)
        self._blocks = [slice(start, start + height) for start in range(0, n, height)]
        self._stored: list[Array] = []
        self._row_potential = np.zeros(n)
        self._potential = np.zeros(n)

    def absorb(self, potential: Array) -> Array:
        """One iteration in the logarithmic domain from log v; its result is what later scalings multiply."""
        n = len(self.weights)
        peak, total = np.full(n, -np.inf), np.zeros(n)
        for block in self._blocks:
            scores = self._rows[block] @ self._columns
            self._row_potential[block] = -_log_sum(scores + (potential + self._log_weights), axis=1)
            scores += (self._row_potential[block] + self._log_weights[block])[:, None]
            higher = np.maximum(peak, scores.max(axis=0))
            total = total * np.exp(peak - higher) + np.exp(scores - higher).sum(axis=0)
            peak = higher
        self._potential = -(peak + np.log(total))
        self._stored = []
        if n * n <= STORED:
            self._stored = [self._block(block) for block in self._blocks]
        return self._potential

    def _block(self, block: slice) -> Array:
        scores = self._rows[block] @ self._columns
        scores += self._row_potential[block][:, None]
        scores += self._potential + self._log_weights
        return np.exp(scores, out=scores)

    def marginal(self, factor: Array) -> tuple[Array, Array]:
        """Row scalings u that make every row of the kernel times v = `factor` sum to one, and the columns' sums."""
        scaling, columns = np.empty_like(factor), np.zeros_like(factor)
        for number, block in enumerate(self._blocks):
            kernel = self._stored[number] if self._stored else self._block(block)
            scaling[block] = 1.0 / (kernel @ factor)
            columns += (self.weights[block] * scaling[block]) @ kernel
        return scaling, columns * factor / self.weights


def _log_sum(scores: Array, axis: int) -> Array:
    peak = scores.max(axis=axis, keepdims=True)
    result: Array = np.squeeze(peak, axis) + np.log(np.exp(scores - peak).sum(axis=axis))
    return result


def _scale(kernel: _Kernel, tolerance: float, limit: int) -> tuple[Array, int, float]:
    """Sinkhorn's iteration x <- x - log(columns) on x = log v, with Anderson's extrapolation.

    A plain step never increases the oscillation of log(columns); an extrapolation that makes it SETBACK times larger
    is taken back and the history forgotten.  Ends early, to be absorbed, where the scalings leave e^{+-SWING}.

    Returns
    -------
    x, the number of passes used, the defect of the columns at x.
    """
    x, least = np.zeros_like(kernel.weights), np.inf
    plain = x
    points: deque[Array] = deque(maxlen=HISTORY)
    steps: deque[Array] = deque(maxlen=HISTORY)
    for used in range(1, limit + 1):
        scaling, columns = kernel.marginal(np.exp(x))
        defect = float(np.abs(columns - 1).max())
        if defect <= tolerance:
            return x, used, defect
        if not (np.abs(np.log(scaling)).max() <= SWING and columns.min() > 0):
            return plain, used, np.inf
        step = -np.log(columns)
        swing = float(np.ptp(step))
        if swing <= least:
            plain, least = x + step, swing
        if swing <= SETBACK * least:
            points.append(x)
            steps.append(step)
            x = _extrapolate(points, steps)
        else:
            points.clear()
            steps.clear()
            x = plain
        x = x - x.mean()
        if not np.abs(x).max() <= SWING:
            return plain, used, np.inf
    return plain, limit, defect


def _extrapolate(points: Sequence[Array], steps: Sequence[Array]) -> Array:
    """The next iterate: the combination of the last ones whose steps cancel best, and its step."""
    if len(steps) == 1:
        return points[-1] + steps[-1]
    differences = np.diff(np.array(steps), axis=0).T
    moves = np.diff(np.array(points), axis=0).T
    share = np.linalg.lstsq(differences, steps[-1], rcond=1e-10)[0]
    result: Array = points[-1] + steps[-1] - (moves + differences) @ share
    return result
