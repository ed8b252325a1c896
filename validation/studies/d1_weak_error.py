"""D1, weak error of the chain: first order in eta with drift, first order in eta^2/H for centred heads.

At fixed eps = eta/H the limit is one and the same stochastic equation, so the differences of E w, w = |mean token|^2,
between chains of 2H and of H heads a layer fall like the error itself.
"""

import numpy as np

from particles import Array, unit
from validation.estimates import Slope, slope
from validation.studies.shared.chains import Ensemble, mean_overlap
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "weak error of the chain",
    "expectations of the chain differ from those of its diffusive limit by O(eta) at fixed noise scale with "
    "drift, and by O(eta^2/H) for centred heads",
    HOMOGENIZED,
)

BATCH = 2500


def tokens(n: int, d: int) -> Array:
    """A lopsided handful of tokens, always the same."""
    rng = np.random.default_rng(1)
    points = rng.standard_normal((n, d))
    points[:, -1] += 0.9
    return unit(points)


DRIFT = Ensemble(tokens(4, 3), 1.0, 3**-0.5, 1.0, 3, 0.0625, 16, np.diag([1.0, 0.5, -0.5]))
PAIR = np.array([[1.0, 0.0, 0.0], [np.cos(1.7), np.sin(1.7), 0.0]])
CENTRED = Ensemble(PAIR, 1.0, 3**-0.5, 1.0, 3, 0.025**0.5, 64)
SIZES = (1, 2, 4, 8, 16)


def differences(ensemble: Ensemble, replicas: int, seed: int) -> tuple[Array, Array]:
    """|E w at 2H heads a layer - E w at H heads| for each pair of neighbours, with standard errors."""
    rng, rows = np.random.default_rng([seed, ensemble.n_heads]), []
    for _ in range(max(2, replicas // BATCH)):
        states = ensemble.run(rng, BATCH, SIZES)
        w = np.stack([mean_overlap(states[size]) for size in SIZES])
        rows.append(np.diff(w, axis=0))
    found = np.concatenate(rows, axis=1)
    return np.abs(found.mean(axis=1)), found.std(axis=1, ddof=1) / np.sqrt(found.shape[1])


def study(quick: bool, seed: int) -> Findings:
    """Slopes of the differences, in eta with drift and in eta^2/H without."""
    replicas = {"drift": 10_000, "centred": 250_000} if quick else {"drift": 200_000, "centred": 2_000_000}
    parts, series, notes = {}, [], []
    rows: list[tuple[object, ...]] = []
    for case, ensemble in (("centred", CENTRED), ("drift", DRIFT)):
        gaps, errors = differences(ensemble, replicas[case], seed)
        eta = ensemble.eps * np.array(SIZES[1:], dtype=float)
        h = eta * ensemble.eps
        x, name = (eta, "eta") if case == "drift" else (h, "eta^2/H")
        fit: Slope = slope(x, gaps, errors)
        parts[case] = Part(
            f"slope of the weak error in {name}, {case} heads, eps = {ensemble.eps:.4g}, {len(ensemble.start)} tokens",
            fit.value, fit.error, 1.0, bias=0.15, effect=0.5,
        )  # fmt: skip
        series.append(Series(f"{case} heads, against {name}", x, gaps, errors))
        series.append(Series(f"slope 1 ({case})", x, gaps[-1] * x / x[-1], dashed=True))
        notes.append(f"{case}: misfit of the power law, chi^2 per degree of freedom, {fit.misfit:.2f}")
        rows += zip([case] * len(x), SIZES[1:], eta, h, gaps, errors, strict=True)
    table = dict(zip(("case", "heads", "eta", "h", "difference", "error"), zip(*rows, strict=True), strict=True))
    figure = Figure("residual step eta, or eta^2/H", "|E w(2H) - E w(H)|", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, table, tuple(notes))
