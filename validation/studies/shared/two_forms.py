"""Chains whose A is one of two forms, and the stochastic equation with the same drift and covariance."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from particles import Array, geodesic
from validation.studies.shared.chains import Ensemble, averages, mean_overlap

FORMS = 3.0 * np.stack([np.eye(3), -np.eye(3)])  # A is one of these, with probability 1/2 each
MEAN = np.array([[-1.5, -0.3, 0], [0.3, -1.5, 0], [0, 0, -1.5]])  # V m_A and x are far from orthogonal: K x is large
SIZES = (1, 2, 4)  # heads in a layer, and steps of the equation in a time eps
RICHARDSON = {1: 8 / 3, 2: -2.0, 4: 1 / 3}  # weights of values at s, 2 s, 4 s: terms in s and s^2 cancel
Extra = Callable[[Array, float], Array | float]


@dataclass(frozen=True)
class TwoForms(Ensemble):
    """Chains whose A is one of FORMS: the mean and covariance over A are finite sums, exact.

    Attributes
    ----------
    signs : of the forms of the heads drawn, +1 and -1, filled by `heads`; controls are made of them.
    """

    signs: list[Array] = field(default_factory=list, init=False)

    def heads(self, rng: np.random.Generator, replicas: int) -> Iterator[tuple[Array, Array, Array]]:
        d = self.start.shape[1]
        mean = 0.0 if self.mean_v is None else self.mean_v
        self.signs.clear()
        for _ in range(self.n_heads):
            value = mean + self.sigma_v * rng.standard_normal((replicas, d, d))
            index = rng.integers(0, 2, replicas)
            self.signs.append(np.asarray(1.0 - 2.0 * index, dtype=np.float64))
            yield value, FORMS[index], np.broadcast_to(np.eye(d), (replicas, d, d))

    def limit(self, rng: np.random.Generator, replicas: int) -> Array:
        """w at the horizon, extrapolated to eta = 0 at fixed eps, and three controls: (R, 1 + 3)."""
        return np.column_stack([extrapolated(self.run(rng, replicas, SIZES)), controls(self.signs)])


def controls(steps: list[Array]) -> Array:
    """(R, 3) of mean zero, from independent steps (R,) of mean 0 and variance 1."""
    table = np.array(steps)
    whole, late = table.mean(axis=0), np.linspace(0, 1, len(table)) @ table / len(table)
    return np.column_stack([whole, late, whole**2 - 1 / len(table)])


def extrapolated(states: Mapping[int, Array]) -> Array:
    """w = |mean token|^2 at a step of 0, from tokens by steps s, 2 s, 4 s."""
    return np.asarray(sum(RICHARDSON[size] * mean_overlap(states[size]) for size in SIZES))


def equation_step(
    case: Ensemble, state: Array, dt: float, noise: Array, term: float, extra: Array | float = 0.0
) -> Array:
    """One geodesic Euler-Maruyama step; `term` times -eps P Vbar Cov(m) Vbar^T x is the drift in question.

    noise (R, 1 + 2 d d): Brownian increments over dt of the mixture of the two forms and of V'.
    extra : another drift (R, n, d).
    """
    replicas, _, d = state.shape
    first, second = (averages(state, form, case.beta) for form in FORMS)
    mean_v = np.zeros((d, d)) if case.mean_v is None else case.mean_v
    gap = 0.5 * (first - second) @ mean_v.T  # Vbar (m - E m) is plus or minus this
    values = noise[:, 1:].reshape(2, replicas, d, d)
    move = dt * 0.5 * (first + second) @ mean_v.T
    move += dt * extra
    move += np.sqrt(case.eps) * noise[:, :1, None] * gap
    move += np.sqrt(case.eps / 2) * case.sigma_v * (first @ values[0] + second @ values[1])
    move -= term * case.eps * dt * np.einsum("rni,rni->rn", state, gap)[..., None] * gap
    return geodesic(state, move)


def equation(
    case: Ensemble, dt: float, terms: tuple[float, ...], rng: np.random.Generator, replicas: int,
    extra: Extra = lambda state, term: 0.0,
) -> Array:
    """w at the horizon for each term, from 1, 2, 4 steps in dt on one noise, and three controls: (R, terms + 3)."""
    d, finest = case.start.shape[1], max(SIZES)
    start = np.broadcast_to(case.start, (replicas, *case.start.shape))
    states = {(size, term): start.copy() for size in SIZES for term in terms}
    mixtures: list[Array] = []
    for _ in range(round(case.horizon / dt)):
        steps = rng.standard_normal((finest, replicas, 1 + 2 * d * d))
        mixtures += list(steps[:, :, 0].copy())
        steps *= np.sqrt(dt / finest)
        for (size, term), state in states.items():
            for noise in steps.reshape(size, finest // size, replicas, -1).sum(axis=1):
                state = equation_step(case, state, dt / size, noise, term, extra(state, term))
            states[size, term] = state
    ends = [extrapolated({finest // size: states[size, term] for size in SIZES}) for term in terms]
    return np.column_stack([*ends, controls(mixtures)])


PAIR = np.array([[1.0, 0.0, 0.0], [np.cos(1.2), np.sin(1.2), 0.0]])
CASE = TwoForms(PAIR, 1.0, 0.2, 1.0, 3, 0.125, 4, MEAN)
