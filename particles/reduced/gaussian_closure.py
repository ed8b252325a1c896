"""Gaussian tokens stay Gaussian: mean and covariance of the transformer PDE on R^d.  mathematics, section 6.

Under softmax, L2, Sinkhorn and linear attention the velocity of a Gaussian measure N(m, S) is affine,

    Gamma(x) = sum_h V_h E_h[y | x] = Gamma(m) + G (x - m),    so    m' = Gamma(m),   S' = G S + S G^T,

after Castin, Ablin, Carrillo and Peyre, arXiv 2501.18322.  A root S = L L^T is carried by L' = G L, which keeps S
positive and of its rank.  For a softmax head G = beta V S A: S may become infinite after a finite time.
"""

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from particles.arrays import Array, SolverError, as_array, check_positive
from particles.attention.kernels import L2
from particles.attention.sinkhorn import Sinkhorn
from particles.attention.softmax import Linear, Softmax
from particles.initial import Gaussian

ClosedAttention = Softmax | L2 | Sinkhorn | Linear
METHOD = "LSODA"  # multistep, turns to the stiff formulae where it needs them
TOLERANCE = 1e-12  # relative error of a step: 5e-11 in the covariance, 1e-11 in the blow-up time
COLLAPSE = 1e-10  # share of the horizon: a second moment that multiplies itself in less is at its blow-up
RANGE = 1e150  # largest number in a state: its square is still a number
EFFORT = 100_000  # evaluations of the velocity before an integration is given up
PATIENCE = 1e4  # the horizon counts as at most this many of the initial times of change


@dataclass(frozen=True, eq=False)
class ClosureSolution:
    """A Gaussian law over depth time.

    Attributes
    ----------
    times : (T,), those asked for that come before the blow-up.
    mean : (T, d).   covariance : (T, d, d).
    blow_up_time : time at which the second moment becomes infinite, None when it stays finite up to t_end.
    """

    times: Array
    mean: Array
    covariance: Array
    blow_up_time: float | None
    _path: "scipy.integrate.OdeSolution"

    def flow(self, time: float) -> tuple[Array, Array]:
        """Mean (d,) and root L (d, d), S = L L^T, at one time.

        The token that starts at m_0 + S_0^{1/2} z is at m + L z: the flow of the PDE is affine.
        """
        end = float(self._path.t_max)
        if not 0 <= time <= end:
            why = "" if self.blow_up_time is None else ", where the covariance becomes infinite"
            raise ValueError(f"time must lie in [0, {end:g}]{why}, got {time:g}")
        return _split(self._path(time))

    def law(self, time: float) -> Gaussian:
        """The Gaussian at one time."""
        mean, root = self.flow(time)
        return Gaussian(mean, root @ root.T)


@dataclass(frozen=True, eq=False)
class GaussianClosure:
    """Mean and covariance of Gaussian tokens under fixed heads, Gamma(x) = sum_h V_h m_h(x).

    Parameters
    ----------
    attention : `Softmax`, `L2`, `Sinkhorn` or `Linear`; with beta = 1 the equations are those of mathematics,
        section 6, and in general beta A stands for A there (beta |Qx - Ky|^2 for L2, beta = 1/eps_s for Sinkhorn).
    value : (H, d, d), or (d, d) for one head.   query, key : (H, head_dim, d), or (head_dim, d).

    Examples
    --------
    >>> import numpy as np
    >>> eye = np.eye(2)
    >>> closure = GaussianClosure(Softmax(1.0), eye, np.diag([0.5, -1.0]), eye)
    >>> path = closure.solve(Gaussian(np.zeros(2), eye), t_end=2.0)
    >>> print(f"{path.blow_up_time:.6f}")
    1.000000
    """

    attention: ClosedAttention
    value: Array
    query: Array
    key: Array

    def __post_init__(self) -> None:
        if not isinstance(self.attention, ClosedAttention):
            name = type(self.attention).__name__
            raise TypeError(f"only softmax, l2, sinkhorn and linear attention keep tokens Gaussian, got {name}")
        stacks = {name: _stack(getattr(self, name), name) for name in ("value", "query", "key")}
        n_heads, d = stacks["value"].shape[:2]
        if n_heads < 1 or d < 1:
            raise ValueError(f"value must hold at least one d x d matrix, got shape {stacks['value'].shape}")
        object.__setattr__(self, "value", as_array(stacks["value"], "value", (n_heads, d, d)))
        query = as_array(stacks["query"], "query", (n_heads, None, d))
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", as_array(stacks["key"], "key", (n_heads, query.shape[1], d)))

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.value.shape[1])

    def velocity(self, mean: Array, root: Array) -> tuple[Array, Array]:
        """Gamma(m), shape (d,), and G L, shape (d, d), for N(m, L L^T)."""
        drift, stretch = np.zeros_like(mean), np.zeros_like(root)
        for value, query, key in zip(self.value, self.query, self.key, strict=True):
            centre, slope = _affine(self.attention, mean, root, query, key)
            drift += value @ centre
            stretch += value @ slope
        return drift, stretch

    def layer(self, law: Gaussian, step: float) -> Gaussian:
        """One layer x <- x + step Gamma(x) of infinitely many tokens: m + h Gamma(m), (I + hG) S (I + hG)^T."""
        root = law.root
        drift, stretch = self.velocity(law.mean, root)
        root = root + step * stretch
        return Gaussian(law.mean + step * drift, root @ root.T)

    def solve(self, law: Gaussian, t_end: float, times: Sequence[float] | None = None) -> ClosureSolution:
        """Integrate to t_end, or to the blow-up if that comes first.

        Parameters
        ----------
        law : Gaussian at time 0.   t_end : last time.
        times : non-decreasing times in [0, t_end] to report, default 101 equidistant ones.

        Raises
        ------
        SolverError : the Gaussian grows beyond the range of numbers without a blow-up, or too fast to be followed.

        Accuracy: 1e-9 relative, blow-up times too (tests/particles/reduced/test_gaussian_closure.py).
        """
        if law.d != self.d:
            raise ValueError(f"mean must have d = {self.d} entries, got {law.d}")
        check_positive(t_end, "t_end")
        wanted = np.linspace(0, t_end, 101) if times is None else as_array(times, "times", (None,))
        if not (wanted.min(initial=0) >= 0 and wanted.max(initial=0) <= t_end and (np.diff(wanted) >= 0).all()):
            raise ValueError(f"times must be non-decreasing and lie in [0, t_end = {t_end:g}]")
        found = self._integrate(np.concatenate([law.mean, law.root.ravel()]), t_end)
        end = float(found.t[-1])
        blow_up = None if found.status == 0 else end + self._time_of_change(found.y[:, -1])
        kept = wanted[wanted <= end]
        states = np.stack([found.sol(time) for time in kept]) if kept.size else np.zeros((0, len(found.y)))
        roots = states[:, self.d :].reshape(-1, self.d, self.d)
        return ClosureSolution(kept, states[:, : self.d], roots @ roots.transpose(0, 2, 1), blow_up, found.sol)

    def _integrate(self, start: Array, t_end: float) -> Any:
        """Result of `solve_ivp`; its status is 1 where the second moment is about to blow up."""
        calls = itertools.count()

        def derivative(time: float, state: Array) -> Array:
            step = next(calls)
            if not np.abs(state).max() <= RANGE:
                raise SolverError("the Gaussian leaves the range of numbers", step=step, depth_time=time)
            if step >= EFFORT:
                raise SolverError("the Gaussian grows too fast or too thin to be followed", step=step, depth_time=time)
            drift, stretch = self.velocity(*_split(state))
            return np.concatenate([drift, stretch.ravel()])

        horizon = min(t_end, PATIENCE * self._time_of_change(start))

        def collapse(time: float, state: Array) -> float:
            return self._time_of_change(state) - COLLAPSE * horizon

        collapse.terminal = True  # type: ignore[attr-defined]
        size = float(np.abs(start).max()) or 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the integrator; what stops it is told below
            found = scipy.integrate.solve_ivp(
                derivative, (0.0, t_end), start, method=METHOD, rtol=TOLERANCE, atol=1e-3 * TOLERANCE * size,
                events=collapse, dense_output=True,
            )  # fmt: skip
        if found.status < 0:
            raise SolverError(
                f"the integrator stopped: {found.message}", step=next(calls), depth_time=float(found.t[-1])
            )
        return found

    def _time_of_change(self, state: Array) -> float:
        """|X|/|X'| of the second moment X that drives the growth: S, with m m^T added for linear attention.

        Where X grows like 1/(t_* - t) this is the time left, t_* - t.
        """
        mean, root = _split(state)
        drift, stretch = self.velocity(mean, root)
        scale = float(np.abs(state).max()) or 1.0  # squares of the state may leave the range of numbers
        mean, root, drift, stretch = mean / scale, root / scale, drift / scale, stretch / scale
        moment, change = root @ root.T, stretch @ root.T
        if isinstance(self.attention, Linear):
            moment, change = moment + np.outer(mean, mean), change + np.outer(drift, mean)
        speed = float(np.linalg.norm(change + change.T))
        return float(np.linalg.norm(moment)) / speed if speed > 0 else np.inf


def _stack(matrices: Array, name: str) -> Array:
    array = np.asarray(matrices)
    return as_array(array[None] if array.ndim == 2 else array, name, (None, None, None))


def _split(state: Array) -> tuple[Array, Array]:
    """Mean (d,) and root (d, d) of a state of length d + d^2."""
    d = int((math.isqrt(4 * len(state) + 1) - 1) // 2)
    return state[:d], state[d:].reshape(d, d)


def _affine(attention: ClosedAttention, mean: Array, root: Array, query: Array, key: Array) -> tuple[Array, Array]:
    """What a head averages at m, shape (d,), and its slope in x times L, shape (d, d), for N(m, L L^T)."""
    beta = attention.beta
    if isinstance(attention, Sinkhorn):
        left, singular, right = np.linalg.svd(beta * (key @ root).T @ (query @ root))  # D in the coordinates L^-1(x-m)
        correlation = (left * (2 * singular / (1 + np.hypot(1, 2 * singular)))) @ right
        return beta * mean, beta * root @ correlation
    looks = np.column_stack([query @ mean, query @ root])
    if isinstance(attention, L2):  # y given Qx = Ky + noise of variance 1/(2 beta): the gain of a Kalman filter
        looks[:, 0] -= key @ mean
        left, singular, right = np.linalg.svd(key @ root, full_matrices=False)
        gain = 2 * beta * singular / (1 + 2 * beta * singular**2)
        tilted = root @ right.T @ (gain[:, None] * (left.T @ looks))
    else:
        tilted = beta * root @ ((key @ root).T @ looks)
    if isinstance(attention, Linear):
        tilted += beta * np.outer(mean, (key @ mean) @ looks)
        return tilted[:, 0], tilted[:, 1:]
    return mean + tilted[:, 0], tilted[:, 1:]
