"""D1, weak error of the chain against its limit: of first order in eta with drift, in eta^2/H for centred heads.

Two tokens, whose overlap is a diffusion in the limit: E w, w = |mean token|^2 = (1 + R)/2, comes from the backward
equation, and the error of chains from how little each layer leaves its solution.  At one eta^2/H and H = 1, 2, 8
errors of order eta are as sqrt(H), those of order eta^2/H all alike.  Three kinds of heads: centred ones over a
diffusive time; with a mean over a depth time, sigma_v fixed, so that alpha -> 0; and sigma_v^2 = c/eps: alpha stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from particles import Array, unit
from validation.estimates import Estimate, Fitted, LinearFit, columns, control_mean, exponent
from validation.studies.shared.chains import Ensemble, mean_overlap
from validation.studies.shared.overlap_chain import OverlapChain
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "weak error of the chain",
    "expectations of the chain differ from those of its diffusive limit by at most C e^(C t_L) eta (t_L + 1) "
    "max(1, alpha), and for centred heads C e^(C t_L alpha) eta (t_L + 1) max(eta, alpha): at fixed H of order eta",
    HOMOGENIZED,
    "the bounds hold; with drift eta is what is seen, and for centred heads the error is of order eta^2/H, whatever H",
    "differences of E w between chains of 2H and of H heads, with 4 tokens and all matrices drawn whole",
)


@dataclass(frozen=True)
class Case:
    """Heads, and numbers of layers for each H."""

    words: str
    chain: OverlapChain
    layers: Mapping[int, tuple[int, ...]]
    time: float
    noise: float | None = None  # c of sigma_v^2 = c/eps

    @property
    def centred(self) -> bool:
        """Whether time is diffusive."""
        return self.chain.v == 0

    @property
    def order(self) -> float:
        """In eta, of the next term."""
        return 2.0 if self.centred else 1.0

    @property
    def fading(self) -> bool:
        """Whether the noise goes to zero with eta."""
        return not self.centred and self.noise is None

    def eta(self, heads: int, layers: int) -> float:
        """Residual step."""
        return float(np.sqrt(self.time * heads / layers)) if self.centred else self.time / layers


START = -0.13
TIMES = {1: (16, 32, 64), 2: (11, 23, 45), 8: (6, 11, 23)}  # eta^2/H nearly alike in each column
CASES = {
    "drift": Case("heads with a mean, alpha -> 0", OverlapChain(3, 1.0, 0.5, 1.0, 3, 1.0), TIMES, 1.0),
    "diffusive": Case("heads with a mean, alpha = 2/3", OverlapChain(3, 1.0, 1.0, 1.0, 3, 1.0), TIMES, 1.0, 1 / 3),
    "centred": Case(
        "centred heads", OverlapChain(3, 1.0, 3**-0.5, 1.0, 3), dict.fromkeys(TIMES, (8, 16, 32, 64)), 0.8
    ),
}  # fmt: skip
LOPSIDED = np.random.default_rng(1).standard_normal((4, 3)) + np.array([0.0, 0.0, 0.9])
WHOLE = Ensemble(unit(LOPSIDED), 1.0, 3**-0.5, 1.0, 3, 0.0625, 16, np.diag([1.0, 0.5, -0.5]))
SIZES = (1, 2, 4, 8, 16)
BATCH = 2500


def weak_error(rng: np.random.Generator, case: Case, heads: int, layers: int, chains: int) -> Estimate:
    """E w of the chain less that of the limit."""
    eta, chain = case.eta(heads, layers), case.chain
    if case.noise is not None:
        chain = replace(chain, sigma_v=float(np.sqrt(case.noise * heads / eta)))
    drawn = [chain.weak_error(rng, START, eta, heads, layers, BATCH) for _ in range(max(2, chains // BATCH))]
    values, controls = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return control_mean(values, controls, 0.0)


def powers(case: Case, eta: Array, heads: Array, errors: Array, spread: Array) -> tuple[Fitted, Fitted]:
    """p and q of |error| = (eta^2/H)^p H^q, next orders in eta and in 1/H, or eps where alpha -> 0, fitted."""
    small = (eta / eta.max()) ** case.order
    few = eta / heads / np.max(eta / heads) if case.fading else 1 / heads
    terms = [np.ones(len(eta)), np.log(eta**2 / heads), np.log(heads), small, few]
    fit = LinearFit.of(terms, np.log(np.abs(errors)), spread / np.abs(errors))
    beyond = (fit.size(3) * small) ** 2 + (fit.size(4) * few) ** 2
    return fit.number(1, beyond), fit.number(2, beyond)


def whole_chains(replicas: int, seed: int) -> Fitted:
    """Exponent of eta in |E w at 2H heads a layer - E w at H heads|, matrices drawn whole, one eps."""
    rng, rows = np.random.default_rng([seed, WHOLE.n_heads]), []
    for _ in range(max(2, replicas // BATCH)):
        states = WHOLE.run(rng, BATCH, SIZES)
        rows.append(np.diff([mean_overlap(states[size]) for size in SIZES], axis=0))
    found = np.concatenate(rows, axis=1)
    gaps, spread = found.mean(axis=1), found.std(axis=1, ddof=1) / np.sqrt(found.shape[1])
    return exponent(WHOLE.eps * np.array(SIZES[1:]), np.abs(gaps), spread)


def parts_of(name: str, case: Case, rows: Array) -> dict[str, Part]:
    """Bounds at each H, and what the error is; rows of H, layers, eta, error, standard error."""
    parts: dict[str, Part] = {}
    for heads in case.layers:
        own = rows[rows[:, 0] == heads]
        found = exponent(own[:, 2], np.abs(own[:, 3]), own[:, 4], order=case.order)
        text = f"exponent of eta in the weak error at H = {heads}, {case.words}"
        parts[f"{name}_H{heads}"] = Part.of(text, found, 1.0, at_least=True, excludes={"order eta^(1/2)": 0.5})
    p, q = powers(case, rows[:, 2], rows[:, 0], rows[:, 3], rows[:, 4])
    one, two = {"order eta": (0.5, 0.5), "order eta^2/H": (1.0, 0.0)}.values()
    (right_p, right_q), (wrong_p, wrong_q) = (two, one) if case.centred else (one, two)
    other = "order eta" if case.centred else "order eta^2/H"
    parts[f"{name}_step"] = Part.of(
        f"exponent of eta^2/H at fixed H, {case.words}", p, right_p, excludes={other: wrong_p}, aside=True
    )
    parts[f"{name}_heads"] = Part.of(
        f"exponent of H at fixed eta^2/H, {case.words}", q, right_q, excludes={other: wrong_q}, aside=True
    )
    return parts


def study(quick: bool, seed: int) -> Findings:
    """Exponents in eta at fixed H, and in H at fixed eta^2/H."""
    chains = {"drift": 5_000, "diffusive": 160_000, "centred": 100_000}
    parts: dict[str, Part] = {}
    series, table = [], []
    for number, (name, case) in enumerate(CASES.items()):
        rng, rows = np.random.default_rng([seed, 16, number]), []
        for heads, counts in case.layers.items():
            size = chains[name] * (1 if quick else 20)
            values, errors = columns(weak_error(rng, case, heads, layers, size) for layers in counts)
            etas = np.array([case.eta(heads, layers) for layers in counts])
            rows.append(np.column_stack([np.full(len(etas), heads), counts, etas, values, errors]))
            series.append(Series(f"{name}, H = {heads}", etas**2 / heads, np.abs(values), errors))
        found = np.concatenate(rows)
        parts |= parts_of(name, case, found)
        table += [(name, *row) for row in found]
    names = ("case", "heads", "layers", "eta", "error", "standard_error")
    other = whole_chains(10_000 if quick else 200_000, seed)
    figure = Figure("eta^2/H", "|E w - E w of the limit|", tuple(series), x_log=True, y_log=True)
    return Findings(
        parts, figure, dict(zip(names, zip(*table, strict=True), strict=True)),
        second=Second(other.value, other.error, other.bias),
    )  # fmt: skip
