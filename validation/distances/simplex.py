"""The linear programme of optimal transport by the network simplex of POT, on near pairs or on the whole matrix."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import ot
from scipy.sparse import coo_matrix

from particles import Array, RunError

_DENSE_BELOW = 256  # sides up to this length: the dense problem is as fast as any start
_NEIGHBOURS = 32  # edges a point in the sparse problem
_ROUNDS = 8  # of adding missing edges to it
_CERTIFIED = 1e-11  # gap, in units of the largest cost, at which the sparse optimum is the optimum
REFUSED = 1e-9  # gap, in the same units, above which no answer is given


class TransportError(RunError):
    """The solver stopped before the optimum, or its answer fails its own certificate."""


def solve(costs: Array, x: Array, y: Array, a: Array, b: Array, max_iterations: int) -> tuple[float, float]:
    """Optimal value of the scaled problem and its duality gap: by near pairs, or else by the whole matrix."""
    if min(costs.shape) > _DENSE_BELOW:
        certified = _solve_near(costs, x, y, a, b, max_iterations)
        if certified is not None:
            return certified
    plan, log = _network_simplex(a, b, costs, max_iterations)
    if log["result_code"] != 1:
        raise TransportError(
            f"the optimal transport solver stopped before the optimum ({log['warning']}); "
            f"max_iterations was {max_iterations}, raise it"
        )
    if not _marginal_defect(plan, a, b) <= REFUSED:
        raise TransportError("the optimal transport solver returned a plan with wrong marginals")
    value = float(np.vdot(plan, costs))
    return value, _dual_gap(value, costs - log["u"][:, None], log["u"], a, b)


def _solve_near(
    costs: Array, x: Array, y: Array, a: Array, b: Array, max_iterations: int
) -> tuple[float, float] | None:
    """Solve on near pairs, add those whose reduced cost is negative, repeat; None if there are too many."""
    n, m = costs.shape
    edges = _near_pairs(costs, x, y, a, b)
    for _ in range(_ROUNDS):
        rows, columns = edges // m, edges % m
        graph = coo_matrix((costs[rows, columns], (rows, columns)), shape=costs.shape)
        plan, log = _network_simplex(a, b, graph, max_iterations)
        if log["result_code"] != 1 or not _marginal_defect(plan, a, b) <= _CERTIFIED:
            return None
        value = float(plan.multiply(graph).sum())
        reduced = costs - log["u"][:, None]
        gap = _dual_gap(value, reduced, log["u"], a, b)
        if gap <= _CERTIFIED:
            return value, gap
        reduced -= log["v"]
        missing = np.flatnonzero(reduced < -_CERTIFIED / 2)
        if len(missing) > _NEIGHBOURS * (n + m):
            return None
        edges = np.union1d(edges, missing)
    return None


def _network_simplex(a: Array, b: Array, costs: Any, max_iterations: int) -> tuple[Any, dict[str, Any]]:
    """One call of POT; its warnings are dropped because the caller checks the result code (1: optimal)."""
    options = {"numItermax": max_iterations, "center_dual": False, "check_marginals": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, log = ot.emd(a, b, costs, log=True, **options)
    return plan, log


def _dual_gap(value: float, reduced: Array, u: Array, a: Array, b: Array) -> float:
    """Primal value minus <a, u> + <b, v>, v_j = min_i reduced_ij the largest feasible one, reduced = c-u."""
    return value - float(a @ u + b @ reduced.min(axis=0))


def _marginal_defect(plan: Any, a: Array, b: Array) -> float:
    """Total variation, twice, between the marginals of a dense or sparse plan and the weights."""
    rows, columns = np.asarray(plan.sum(axis=1)).ravel(), np.asarray(plan.sum(axis=0)).ravel()
    return float(np.abs(rows - a).sum() + np.abs(columns - b).sum())


def _near_pairs(costs: Array, x: Array, y: Array, a: Array, b: Array) -> npt.NDArray[np.int64]:
    """Pairs, as row m + column: nearest neighbours of every point, and one coupling, so that a plan exists.

    The coupling is the monotone one along the direction of largest spread.
    """
    n, m = costs.shape
    k = _NEIGHBOURS
    down = np.argpartition(costs, k, axis=1)[:, :k] + m * np.arange(n)[:, None]
    across = m * np.argpartition(np.ascontiguousarray(costs.T), k, axis=1)[:, :k] + np.arange(m)[:, None]
    direction = np.linalg.eigh(np.cov(np.concatenate([x, y]), rowvar=False).reshape(x.shape[1], -1))[1][:, -1]
    i, j = np.argsort(x @ direction), np.argsort(y @ direction)
    a_sum, b_sum = np.cumsum(a[i])[:-1], np.cumsum(b[j])[:-1]
    levels = np.concatenate([[0.0], a_sum, b_sum])
    levels.sort()
    rows, columns = (np.searchsorted(sums, levels, side="right") for sums in (a_sum, b_sum))
    return np.unique(np.concatenate([down.ravel(), across.ravel(), m * i[rows] + j[columns]]))
