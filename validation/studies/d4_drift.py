"""D4, the drift of heads whose values have a mean: the two terms of mathematics (3) that nrm(x + U) adds.

(A) -eps P K(x, x) x.  Chains at fixed eps, extrapolated to eta = 0, against the stochastic equation without and with
    the term: estimate (chain - without)/(with - without), 1 + O(eps), extrapolated to eps = 0.
(B) -eta <x, u> b.  The deterministic chain of fixed heads against the flow with -(eta/2) nabla_b b alone and with all
    of (3): the same ratio, 1 + O(eta), extrapolated to eta = 0.
The equation without the terms, as reported, has the ratio 0.
"""

from dataclasses import replace

import numpy as np
from numpy.polynomial import chebyshev

from particles import Array, FixedHeads, Modified, Noise, RandomTransformer, Retraction, Softmax, geodesic, normalize
from validation.estimates import Estimate, columns, control_mean, limit
from validation.studies.shared.chains import ETA, HANDFUL, end, fixed_heads
from validation.studies.shared.overlap_chain import OverlapChain
from validation.studies.shared.sources import HOMOGENIZED
from validation.studies.shared.two_forms import CASE, RICHARDSON, SIZES, TwoForms, equation
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "drift of heads whose values have a mean",
    "the limit of chains that normalise has the drift b, and b - (eta/2) nabla_b b to the next order",
    HOMOGENIZED,
    "nrm(x + U) adds -eps P K(x, x) x to the limit and -eta <x, u> b to the corrector",
    "two tokens whose overlap is a diffusion: its backward equation with and without the term",
)

def ratio(case: TwoForms, rng: np.random.Generator, replicas: int, batch: int = 2500) -> Estimate:
    """(chain - without)/(with - without) in E w, w = |mean token|^2, chain at eta -> 0, equation at dt -> 0."""
    rows = []
    for _ in range(max(2, replicas // batch)):
        rows.append(np.hstack([case.limit(rng, batch), equation(case, case.eps, (0.0, 1.0), rng, batch)]))
    found = np.concatenate(rows)
    limit, without, full, of_chain, of_flow = found[:, 0], found[:, 4], found[:, 5], found[:, 1:4], found[:, 6:]
    chain_mean, base = control_mean(limit, of_chain, 0.0), control_mean(without, of_flow, 0.0)
    effect = control_mean(full - without, of_flow, 0.0)
    value = (chain_mean.value - base.value) / effect.value
    error = np.sqrt(chain_mean.error**2 + base.error**2 + (value * effect.error) ** 2) / abs(effect.value)
    return Estimate(float(value), float(error))


KERNEL = Softmax(1.5)


def corrector_share(heads: FixedHeads, eta: float, start: Array, taken: Retraction = normalize) -> float:
    """Share of -eta <x, u> b in the deterministic chain; `taken` is the retraction of the chain, for tests."""
    noise, flow_step = Noise(0), 1 / 64  # errors of the flow are divided by eta
    chain = end(RandomTransformer(heads, KERNEL, eta, len(heads.value), noise, taken), start)
    without, full = (
        end(Modified(heads, KERNEL, flow_step, eta, 0.0, 1, noise, retraction=kind), start)
        for kind in (geodesic, normalize)
    )  # the corrector of a geodesic chain is -(eta/2) nabla_b b alone
    return float(np.vdot(chain - without, full - without) / np.vdot(full - without, full - without))


EPS = (0.0625, 0.03125, 0.015625)


PAIR = OverlapChain(3, 6.0, 0.2, 1.0, 3, -1.5)
OVERLAP = 0.2


def of_pair(eps: float, rng: np.random.Generator, chains: int) -> Estimate:
    """The share of -eps P K x in E w of two tokens under Gaussian heads of mean -1.5 I, chains at eta -> 0."""
    ends = {
        term: float(chebyshev.chebval(OVERLAP, PAIR.backward(eps, 0.5, 1, radial=term)[-1])) for term in (True, False)
    }
    layers = round(0.5 / eps)
    drawn = [PAIR.weak_error(rng, OVERLAP, h * eps, h, layers // h, chains) for h in SIZES]
    means = [control_mean(values, controls, 0.0) for values, controls in drawn]
    gap = sum(RICHARDSON[h] * mean.value for h, mean in zip(SIZES, means, strict=True))
    error = np.sqrt(sum((RICHARDSON[h] * mean.error) ** 2 for h, mean in zip(SIZES, means, strict=True)))
    change = abs(ends[True] - ends[False])
    return Estimate(float(1 + gap / (ends[True] - ends[False])), float(error / change))


def study(quick: bool, seed: int) -> Findings:
    """The ratios, extrapolated."""
    replicas = 40_000 if quick else 400_000
    rng = np.random.default_rng([seed, 7])
    found = [ratio(replace(CASE, eps=eps, n_heads=round(0.5 / eps)), rng, replicas) for eps in EPS]
    values, errors = columns(found)
    text = "share of -eps P K(x, x) x in the limit of chains, extrapolated to eps = 0"
    parts = {"drift": Part.of(text, limit(EPS, values, errors), 0.0, 1.0)}
    series = [Series("-eps P K x, against eps", EPS, values, errors, line=False)]
    rows: list[tuple[object, ...]] = list(zip(["drift"] * 3, [0] * 3, EPS, values, errors, strict=True))
    for n_heads in (1, 2, 4):
        shares = np.array([corrector_share(fixed_heads(n_heads), eta, HANDFUL) for eta in ETA])
        parts[f"corrector_H{n_heads}"] = Part.of(
            f"share of -eta <x, u> b in the deterministic chain of {n_heads} fixed heads, extrapolated to eta = 0",
            limit(ETA, shares), 0.0, 1.0,
        )  # fmt: skip
        series.append(Series(f"-eta <x,u> b, {n_heads} fixed heads, against eta", ETA, shares))
        rows += zip(["corrector"] * len(ETA), [n_heads] * len(ETA), ETA, shares, np.zeros(len(ETA)), strict=True)
    table = dict(zip(("term", "heads", "step", "share", "error"), zip(*rows, strict=True), strict=True))
    shown = ", ".join(f"{value:.3f} +- {error:.3f}" for value, error in zip(values, errors, strict=True))
    figure = Figure("eps, or residual step eta", "share of the term; 0 as reported, 1 by (3)", tuple(series))
    pair = limit(EPS, *columns(of_pair(eps, rng, 20_000 if quick else 400_000) for eps in EPS))
    second = Second(pair.value, pair.error, pair.bias)
    return Findings(parts, figure, table, (f"share of -eps P K x at eps = 1/16, 1/32, 1/64: {shown}",), second)
