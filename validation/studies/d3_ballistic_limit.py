"""D3, the ballistic limit without corrector: its error is of order max(eta, alpha), alpha = eps sigma^2.

(eta) Chains of fixed heads, alpha = 0: exponent of eta in the distance to dX = b dt.
(alpha) Chains of random heads at fixed eps, extrapolated to eta = 0: exponent of eps in E w - w of the limit,
    w = |mean token|^2.  A rate eta max(eta, alpha) makes this extrapolation vanish, and the first exponent 2.
"""

from dataclasses import replace

import numpy as np

from particles import Array, Ballistic, FixedHeads, Modified, Noise, RandomTransformer, Softmax
from validation.estimates import Estimate, Fitted, columns, control_mean, exponent
from validation.studies.shared.chains import ETA, HANDFUL, end, fixed_heads, mean_overlap
from validation.studies.shared.sources import HOMOGENIZED
from validation.studies.shared.two_forms import CASE as TWO_FORMS
from validation.studies.shared.two_forms import FORMS, TwoForms
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "rate of the ballistic limit",
    "the ballistic limit dX = b dt follows the chain with an error of order eta max(eta, alpha)",
    HOMOGENIZED,
    "without corrector the error is of order max(eta, alpha)",
    "the distance of the modified equation, without any chain, to the ballistic limit",
)

CASE = replace(TWO_FORMS, sigma_v=0.5)
HORIZON = 0.5


def distances(heads: FixedHeads, etas: Array) -> Array:
    """Largest distance of the deterministic chain to the ballistic limit at depth time 1, one for each eta."""
    limit = end(Ballistic(heads, Softmax(1.5), 1 / 32, 1, Noise(0)), HANDFUL)
    ends = (end(RandomTransformer(heads, Softmax(1.5), eta, len(heads.value), Noise(0)), HANDFUL) for eta in etas)
    return np.array([np.linalg.norm(tokens - limit, axis=1).max() for tokens in ends])


def without_chain(heads: FixedHeads, etas: Array) -> Fitted:
    """Exponent of eta in the largest distance of the modified equation to the ballistic limit."""
    limit = end(Ballistic(heads, Softmax(1.5), 1 / 32, 1, Noise(0)), HANDFUL)
    flows = (end(Modified(heads, Softmax(1.5), 1 / 32, eta, 0.0, 1, Noise(0)), HANDFUL) for eta in etas)
    return exponent(etas, [np.linalg.norm(tokens - limit, axis=1).max() for tokens in flows])


def limit_overlap(case: TwoForms) -> float:
    """w of the ballistic limit at the horizon; the two forms with Vbar are its fixed heads."""
    values = np.broadcast_to(case.mean_v, (2, 3, 3)) if case.mean_v is not None else np.zeros((2, 3, 3))
    heads = FixedHeads(np.ascontiguousarray(values), FORMS, np.broadcast_to(np.eye(3), (2, 3, 3)).copy())
    law = Ballistic(heads, Softmax(case.beta), 1 / 32, 1, Noise(0))
    found = end(law, case.start, case.horizon)
    return float(mean_overlap(found[None])[0])


def excess(case: TwoForms, rng: np.random.Generator, replicas: int, batch: int = 2500) -> Estimate:
    """E w of the chain, extrapolated to eta = 0 at fixed eps, less w of the ballistic limit."""
    found = np.concatenate([case.limit(rng, batch) for _ in range(max(2, replicas // batch))])
    mean = control_mean(found[:, 0], found[:, 1:], 0.0)
    return Estimate(mean.value - limit_overlap(case), mean.error)


def study(quick: bool, seed: int) -> Findings:
    """Exponents of eta and of eps."""
    replicas = 200_000 if quick else 2_000_000
    rng = np.random.default_rng([seed, 8])
    parts: dict[str, Part] = {}
    series: list[Series] = []
    rows: list[tuple[object, ...]] = []
    for n_heads in (1, 4):
        gaps = distances(fixed_heads(n_heads), ETA)
        parts[f"eta_H{n_heads}"] = Part.of(
            f"exponent of eta in the distance to the ballistic limit, {n_heads} fixed heads, alpha = 0",
            exponent(ETA, gaps), 2.0, 1.0,
        )  # fmt: skip
        series.append(Series(f"{n_heads} fixed heads, against eta", ETA, gaps))
        rows += zip([f"{n_heads} fixed heads"] * len(ETA), ETA, gaps, np.zeros(len(ETA)), strict=True)
    eps = np.array([1 / 16, 1 / 32, 1 / 64])
    cases = [replace(CASE, eps=float(e), n_heads=round(HORIZON / e)) for e in eps]
    values, errors = columns(excess(case, rng, replicas) for case in cases)
    parts["alpha"] = Part.of(
        "exponent of eps in E w less w of the ballistic limit, random heads, eta -> 0",
        exponent(eps, np.abs(values), errors), 1.0,
        excludes={"order alpha^(1/2), as single paths": 0.5, "order alpha^2": 2.0},
    )  # fmt: skip
    series.append(Series("random heads, eta -> 0, against eps", eps, np.abs(values), errors))
    series.append(Series("slope 1", ETA, gaps[-1] * ETA / ETA[-1], dashed=True))
    rows += zip(["random heads"] * len(eps), eps, np.abs(values), errors, strict=True)
    table = dict(zip(("case", "step", "error_of_limit", "standard_error"), zip(*rows, strict=True), strict=True))
    figure = Figure("eta, or eps", "error of the ballistic limit", tuple(series), x_log=True, y_log=True)
    ratios = zip(values / eps, errors / eps, strict=True)
    shown = ", ".join(f"{value:.3f} +- {error:.3f}" for value, error in ratios)
    other, note = without_chain(fixed_heads(1), ETA), f"(E w - w of the limit)/eps at eps = 1/16, 1/32, 1/64: {shown}"
    return Findings(parts, figure, table, (note,), Second(other.value, other.error, other.bias))
