"""D4, the drift of heads whose values have a mean: the two terms of mathematics (3) that nrm(x + U) adds.

(A) -eps P K(x, x) x.  Chains at fixed eps, extrapolated to eta = 0, against the stochastic equation without and with
    the term: estimate (chain - without)/(with - without), 1 + O(eps), extrapolated to eps = 0.
(B) -eta <x, u> b.  The deterministic chain of fixed heads against the flow with -(eta/2) nabla_b b alone and with all
    of (3): the same ratio, 1 + O(eta), extrapolated to eta = 0.
The equation without the terms, as reported, has the ratio 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from particles import FixedHeads, Modified, Noise, RandomTransformer, Softmax, Tokens
from particles.arrays import Array, unit
from particles.layers import LayerLaw
from particles.retraction import Retraction, geodesic, normalize
from particles.simulate import simulate
from validation.distances import Estimate
from validation.statistics import control_mean
from validation.studies.chains import Ensemble, mean_overlap
from validation.studies.lines import Line, columns
from validation.verdict import Figure, Findings, Part, Series

FORMS = 3.0 * np.stack([np.eye(3), -np.eye(3)])  # A is one of these, with probability 1/2 each
MEAN = np.array([[-1.5, -0.3, 0], [0.3, -1.5, 0], [0, 0, -1.5]])  # V m_A and x are far from orthogonal: K x is large
SIZES = (1, 2, 4)  # heads in a layer, and steps of the equation in a time eps
RICHARDSON = {1: 8 / 3, 2: -2.0, 4: 1 / 3}  # weights of values at s, 2 s, 4 s: terms in s and s^2 cancel


@dataclass(frozen=True)
class TwoForms(Ensemble):
    """Chains whose A is one of FORMS: the mean and covariance over A are finite sums, exact.

    Attributes
    ----------
    signs : of the forms of the heads drawn, +1 and -1, filled by `heads`; controls are made of them.
    """

    signs: list[Array] = field(default_factory=list, init=False)

    def heads(self, rng: np.random.Generator, replicas: int) -> Iterator[tuple[Array, Array, Array]]:
        """The sequence of heads."""
        d = self.start.shape[1]
        mean = 0.0 if self.mean_v is None else self.mean_v
        self.signs.clear()
        for _ in range(self.n_heads):
            value = mean + self.sigma_v * rng.standard_normal((replicas, d, d))
            index = rng.integers(0, 2, replicas)
            self.signs.append(np.asarray(1.0 - 2.0 * index, dtype=np.float64))
            yield value, FORMS[index], np.broadcast_to(np.eye(d), (replicas, d, d))


def controls(steps: list[Array]) -> Array:
    """(R, 3) of mean zero, from independent steps (R,) of mean 0 and variance 1."""
    table = np.array(steps)
    whole, late = table.mean(axis=0), np.linspace(0, 1, len(table)) @ table / len(table)
    return np.column_stack([whole, late, whole**2 - 1 / len(table)])


def averages(state: Array, form: Array, beta: float) -> Array:
    """Barycentres (R, n, d) of one A for all chains."""
    weights = np.exp(beta * (state @ form.T) @ np.swapaxes(state, 1, 2))
    weights /= weights.sum(axis=2, keepdims=True)
    found: Array = weights @ state
    return found


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


def equation(case: Ensemble, rng: np.random.Generator, replicas: int) -> tuple[dict[tuple[int, float], Array], Array]:
    """Tokens at the horizon by 1, 2, 4 steps in a time eps, on one noise, without and with the term; and controls."""
    d = case.start.shape[1]
    start = np.broadcast_to(case.start, (replicas, *case.start.shape))
    states = {(size, term): start.copy() for size in SIZES for term in (0.0, 1.0)}
    finest, mixtures = max(SIZES), []
    for _ in range(case.n_heads):
        steps = rng.standard_normal((finest, replicas, 1 + 2 * d * d))
        mixtures += list(steps[:, :, 0].copy())
        steps *= np.sqrt(case.eps / finest)
        for (size, term), state in states.items():
            for noise in steps.reshape(size, finest // size, replicas, -1).sum(axis=1):
                state = equation_step(case, state, case.eps / size, noise, term)
            states[size, term] = state
    return states, controls(mixtures)


def ratio(case: TwoForms, rng: np.random.Generator, replicas: int, batch: int = 2500) -> Estimate:
    """(chain - without)/(with - without) in E w, w = |mean token|^2, chain at eta -> 0, equation at dt -> 0."""
    rows = []
    for _ in range(max(2, replicas // batch)):
        chain = case.run(rng, batch, SIZES)
        flow, of_flow = equation(case, rng, batch)
        limit = sum(RICHARDSON[size] * mean_overlap(chain[size]) for size in SIZES)
        without, full = (
            sum(RICHARDSON[max(SIZES) // size] * mean_overlap(flow[size, term]) for size in SIZES)
            for term in (0.0, 1.0)
        )  # dt = eps/size: the smallest step is that of the largest size
        rows.append(np.column_stack([limit, without, full, controls(case.signs), of_flow]))
    limit, without, full, *rest = np.concatenate(rows).T
    of_chain, of_flow = np.array(rest[:3]).T, np.array(rest[3:]).T
    chain_mean, base = control_mean(limit, of_chain, 0.0), control_mean(without, of_flow, 0.0)
    effect = control_mean(full - without, of_flow, 0.0)
    value = (chain_mean.value - base.value) / effect.value
    error = np.sqrt(chain_mean.error**2 + base.error**2 + (value * effect.error) ** 2) / abs(effect.value)
    return Estimate(float(value), float(error))


def end(law: LayerLaw, start: Array, time: float = 1.0) -> Array:
    """Tokens at a depth time."""
    n = round(time / law.dt)
    found: Array = simulate(Tokens(start), law, n_steps=n, save_every=n).tokens.values[-1]
    return found


def fixed_heads(n_heads: int) -> FixedHeads:
    """Heads drawn once, always the same."""
    rng = np.random.default_rng([3, n_heads])
    value = rng.standard_normal((n_heads, 3, 3)) + np.diag([1.0, 0.5, -0.5])
    return FixedHeads(value, *(rng.standard_normal((2, n_heads, 3, 3)) / 1.5))


def corrector_share(heads: FixedHeads, eta: float, start: Array, taken: Retraction = normalize) -> float:
    """Share of -eta <x, u> b in the deterministic chain; `taken` is the retraction of the chain, for tests."""
    noise, flow_step, kernel = Noise(0), 1 / 16, Softmax(1.5)
    chain = end(RandomTransformer(heads, kernel, eta, len(heads.value), noise, taken), start)
    without, full = (
        end(Modified(heads, kernel, flow_step, eta, 0.0, 1, noise, retraction=kind), start)
        for kind in (geodesic, normalize)
    )  # the corrector of a geodesic chain is -(eta/2) nabla_b b alone
    return float(np.vdot(chain - without, full - without) / np.vdot(full - without, full - without))


PAIR = np.array([[1.0, 0.0, 0.0], [np.cos(1.2), np.sin(1.2), 0.0]])
CASE = TwoForms(PAIR, 1.0, 0.2, 1.0, 3, 0.125, 4, MEAN)
EPS = (0.0625, 0.03125, 0.015625)
ETA: Array = np.array([2.0**-k for k in range(4, 8)])


def study(quick: bool, seed: int) -> Findings:
    """The ratios, extrapolated."""
    replicas = 20_000 if quick else 400_000
    rng = np.random.default_rng([seed, 7])
    found = [ratio(replace(CASE, eps=eps, n_heads=round(0.5 / eps)), rng, replicas) for eps in EPS]
    values, errors = columns(found)
    line = Line.through(EPS, values, errors)
    limit = line.at(0.0)
    parts = {
        "drift": Part(
            "share of -eps P K(x, x) x in the limit of chains, extrapolated to eps = 0", limit.value, limit.error,
            0.0, 1.0, bias=0.05,  # terms in eps^2
        )
    }  # fmt: skip
    series = [Series("-eps P K x, against eps", EPS, values, errors, line=False)]
    start = unit(np.random.default_rng(5).standard_normal((5, 3)))
    table: dict[str, list[object]] = {"term": ["drift"] * 3, "heads": [0] * 3, "step": list(EPS),
                                      "share": list(values), "error": list(errors)}  # fmt: skip
    for n_heads in (1, 2, 4):
        shares = np.array([corrector_share(fixed_heads(n_heads), eta, start) for eta in ETA])
        first = 2 * shares[1:] - shares[:-1]
        parts[f"corrector_H{n_heads}"] = Part(
            f"share of -eta <x, u> b in the deterministic chain of {n_heads} fixed heads, extrapolated to eta = 0",
            float(first[-1]), 0.0, 0.0, 1.0, bias=float(2 * abs(first[-1] - first[-2]) + 1e-3),
        )  # fmt: skip  # bias: what the last halving of eta changed
        series.append(Series(f"-eta <x,u> b, {n_heads} fixed heads, against eta", ETA, shares))
        for row in zip(["corrector"] * len(ETA), [n_heads] * len(ETA), ETA, shares, np.zeros(len(ETA)), strict=True):
            for column, value in zip(table.values(), row, strict=True):
                column.append(value)
    shown = ", ".join(f"{value:.3f} +- {error:.3f}" for value, error in zip(values, errors, strict=True))
    figure = Figure("eps, or residual step eta", "share of the term; 0 as reported, 1 by (3)", tuple(series))
    return Findings(parts, figure, table, (f"share of -eps P K x at eps = 1/16, 1/32, 1/64: {shown}",))
