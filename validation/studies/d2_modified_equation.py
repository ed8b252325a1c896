"""D2, the modified equation: its error for chains of fixed heads, and of random heads in the mean.

(alpha = 0) Slopes in eta of the largest distance over tokens and times, at grid times with all of mathematics (3) and
with -(eta/2) nabla_b b alone, as reported; and over all times, where a chain that is constant between its layers lags.
(alpha > 0) Single paths differ by sqrt(alpha t), so the error is that of E w, w = |mean token|^2, between chains of a
fixed number of random heads, alpha in proportion to eta, and the stochastic equation with the corrector.
In both eta max(eta, alpha) is of order eta^2, so that the error over eta goes to zero.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from particles import (
    Array,
    FixedHeads,
    Modified,
    Noise,
    RandomTransformer,
    Retraction,
    Softmax,
    Tokens,
    geodesic,
    normalize,
    simulate,
)
from validation.estimates import Estimate, Fitted, columns, control_mean, exponent, limit
from validation.studies.shared.chains import ETA, HANDFUL, Ensemble, averages, fixed_heads, mean_overlap
from validation.studies.shared.sources import HOMOGENIZED
from validation.studies.shared.two_forms import CASE, FORMS, controls, equation
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "rate of the modified equation",
    "the modified equation, ballistic with the corrector -(eta/2) nabla_b b, follows the chain with an error "
    "of order eta max(eta, alpha), alpha = eps sigma^2, at all times",
    HOMOGENIZED,
    "so it is with all of mathematics (3), and at grid times; for random heads in the mean, with noise; with "
    "-(eta/2) nabla_b b alone, or between grid times for a piecewise constant chain, the error is of order eta",
    "the same exponent by code of its own: the chain in a loop, the covariant derivative by differences, Runge-Kutta "
    "steps",
)

RANDOM_ETA: Array = np.array([0.125, 0.0625, 0.03125])
RANDOM_HEADS, RANDOM_TIME = 4, 0.5
CORRECTORS = {"full": 1.0, "short": 0.0}  # all of (3), or -(eta/2) nabla_b b alone
TEXTS = {"full": "all of (3)", "short": "-(eta/2) nabla_b b alone"}


def course(law: RandomTransformer | Modified, steps: int) -> Array:
    """Tokens after 0, 1, ..., `steps` layers (steps + 1, n, d)."""
    found: Array = simulate(Tokens(HANDFUL), law, n_steps=steps, save_every=1).tokens.values
    return found


def errors(heads: FixedHeads, eta: float, corrector: Retraction) -> tuple[float, float]:
    """Largest distance of the chain to the modified flow at grid times, and at all times just before a layer.

    corrector : `normalize` for all of (3), `geodesic` for -(eta/2) nabla_b b alone.
    """
    layers = round(1 / eta)
    chain = course(RandomTransformer(heads, Softmax(1.5), eta, len(heads.value), Noise(0)), layers)
    law = Modified(heads, Softmax(1.5), eta, eta, 0.0, 1, Noise(0), retraction=corrector)
    flow = course(law, layers)
    at_grid = np.linalg.norm(chain - flow, axis=2).max()
    before = np.linalg.norm(chain[:-1] - flow[1:], axis=2).max()  # the chain's value holds until the next layer
    return float(at_grid), float(max(at_grid, before))


def drift(case: Ensemble, state: Array) -> tuple[Array, Array]:
    """b = P u and <x, u>, u = Vbar E m, of chains with two forms: (R, n, d) and (R, n, 1)."""
    assert case.mean_v is not None
    u = 0.5 * sum(averages(state, form, case.beta) for form in FORMS) @ case.mean_v.T
    along = np.einsum("rni,rni->rn", state, u)[..., None]
    return u - along * state, along


def corrector(case: Ensemble, eta: float, state: Array, full: float, h: float = 1e-3) -> Array:
    """-(eta/2) nabla_b b - full eta <x, u> b; the covariant derivative by central differences along geodesics."""
    b, along = drift(case, state)
    turn = (drift(case, geodesic(state, h * b))[0] - drift(case, geodesic(state, -h * b))[0]) / (2 * h)
    turn -= np.einsum("rni,rni->rn", state, turn)[..., None] * state
    found: Array = -0.5 * eta * turn - full * eta * along * b
    return found


def by_own_code(etas: Array) -> Fitted:
    """Exponent of eta in the error of (3) at depth time 1, chains of two fixed heads, one of each form."""
    assert CASE.mean_v is not None
    gaps = []
    for eta in etas:
        chain = flow = CASE.start[None]

        def field(state: Array, eta: float = float(eta)) -> Array:
            return drift(CASE, state)[0] + corrector(CASE, eta, state, 1.0)

        for _ in range(round(1 / eta)):
            chain = chain + eta * 0.5 * sum(averages(chain, form, CASE.beta) for form in FORMS) @ CASE.mean_v.T
            chain = chain / np.linalg.norm(chain, axis=2, keepdims=True)
            one = field(flow)
            two = field(flow + 0.5 * eta * one)
            three = field(flow + 0.5 * eta * two)
            flow = flow + eta / 6 * (one + 2 * two + 2 * three + field(flow + eta * three))
            flow = flow / np.linalg.norm(flow, axis=2, keepdims=True)
        gaps.append(np.linalg.norm(chain - flow, axis=2).max())
    return exponent(etas, gaps)


def mean_gaps(eta: float, rng: np.random.Generator, replicas: int, batch: int = 2500) -> list[Estimate]:
    """E w of chains less that of the equation, with each of CORRECTORS."""
    heads = round(RANDOM_TIME / eta) * RANDOM_HEADS
    case = replace(CASE, eps=eta / RANDOM_HEADS, n_heads=heads)
    chains, equations = [], []
    for _ in range(max(2, replicas // batch)):
        w = mean_overlap(case.run(rng, batch, (RANDOM_HEADS,))[RANDOM_HEADS])
        chains.append(np.column_stack([w, controls(case.signs)]))
        equations.append(equation(case, eta, tuple(CORRECTORS.values()), rng, batch, partial(corrector, case, eta)))
    chain, flow = np.concatenate(chains), np.concatenate(equations)
    of_chain = control_mean(chain[:, 0], chain[:, 1:], 0.0)
    of_flows = [control_mean(flow[:, column], flow[:, len(CORRECTORS) :], 0.0) for column in range(len(CORRECTORS))]
    return [Estimate(of_chain.value - e.value, float(np.hypot(of_chain.error, e.error))) for e in of_flows]


def parts_in_the_mean(means: Mapping[str, tuple[Array, Array]]) -> dict[str, Part]:
    """What random heads say, as eta -> 0: the error over eta with all of (3), and what is missing without."""
    full, short = (limit(RANDOM_ETA, means[name][0] / RANDOM_ETA, means[name][1] / RANDOM_ETA) for name in CORRECTORS)
    text = f"E w, {RANDOM_HEADS} random heads in a layer"
    (whole, errors), (alone, _) = means["full"], means["short"]
    return {
        "mean_full": Part.of(
            f"limit of the error of {text}, over eta, {TEXTS['full']}", full, 0.0,
            excludes={TEXTS["short"]: short.value},
        ),
        "mean_short": Part.of(
            f"share of what -(eta/2) nabla_b b alone leaves out of (3) in the error of {text}, eta -> 0",
            limit(RANDOM_ETA, alone / (alone - whole), errors / np.abs(alone - whole)), 0.0, 1.0,
        ),  # the two equations share their noise
    }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Exponents; those of fixed heads are not random, so quick, full and all seeds are alike in them."""
    wanted = {
        "grid": ("at grid times, all of (3)", normalize, 0, None),
        "short": ("at grid times, -(eta/2) nabla_b b alone", geodesic, 0, 1.0),
        "between": ("at all times, chain constant between layers, all of (3)", normalize, 1, 1.0),
    }
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array] = {"eta": ETA}
    notes: list[str] = []
    for n_heads in (1, 4):
        heads = fixed_heads(n_heads)
        for name, (text, corrector, which, corrected) in wanted.items():
            gaps = np.array([errors(heads, eta, corrector)[which] for eta in ETA])
            parts[f"{name}_H{n_heads}"] = Part.of(
                f"exponent of eta in the error {text}, {n_heads} fixed heads", exponent(ETA, gaps), 2.0, corrected,
                excludes={"order eta": 1.0},
            )  # fmt: skip
            series.append(Series(f"{text}, {n_heads} heads", ETA, gaps))
            table[f"{name}_H{n_heads}"] = gaps
    rng = np.random.default_rng([seed, 11])
    found = zip(*(mean_gaps(eta, rng, 20_000 if quick else 300_000) for eta in RANDOM_ETA), strict=True)
    means = {name: columns(gaps) for name, gaps in zip(CORRECTORS, found, strict=True)}
    parts |= parts_in_the_mean(means)
    for name, (values, spread) in means.items():
        series.append(Series(f"E w, {RANDOM_HEADS} random heads, {TEXTS[name]}", RANDOM_ETA, np.abs(values), spread))
        shown = ", ".join(f"{value:.6f} +- {error:.6f}" for value, error in zip(values, spread, strict=True))
        notes.append(f"error of E w at eta = 1/8, 1/16, 1/32, {TEXTS[name]}: {shown}")
    for power in (1, 2):
        series.append(Series(f"slope {power}", ETA, series[0].y[-1] * (ETA / ETA[-1]) ** power, dashed=True))
    figure = Figure("residual step eta", "error of the modified equation", tuple(series), x_log=True, y_log=True)
    other = by_own_code(ETA)
    return Findings(parts, figure, table, tuple(notes), Second(other.value, other.error, other.bias))
