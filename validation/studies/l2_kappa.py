"""L2, the limit law at low temperature: du = -kappa u (1 - u^2) ds + sqrt(2) (1 - u^2) dB, diffusive time t = d s.

As reported kappa = 1 for A = W W'^T.  Derived here: kappa = 3/2 + d/(2 head_dim), from the cosine lemma (L1) and from
the length of V nrm(Ax), of which the normalisation takes 1/2.  One layer moves two tokens by sqrt(h) V nrm(Ax); drift
and variance of their overlap are measured at several d and extrapolated in 1/d, with their curvature.
"""

import numpy as np

from particles import Array
from particles.reduced import kappa, overlap_drift
from validation.estimates import Estimate, columns, limit
from validation.studies.shared.cold import CASES, FINE, NAMES, OVERLAP, exact_cosine, inner_dimension, means, one_layer
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "kappa of the low-temperature limit",
    "for A = W W'^T the overlap of two tokens tends to du = -kappa u (1 - u^2) ds + sqrt(2) (1 - u^2) dB with "
    "kappa = 1",
    HOMOGENIZED,
    "kappa = 3/2 + d/(2 head_dim): 2 at head_dim = d, where the limit is critical; 3/2 for A of independent "
    "entries",
    "closed form: mathematics (7) with the exact cosine, at large d",
)


def layer(rng: np.random.Generator, d: int, head_dim: int | None, size: int) -> list[Estimate]:
    """Drift coefficient and variance over `size` layers, see `one_layer`."""
    return means(lambda count: one_layer(rng, OVERLAP, d, head_dim, count), size, 6 * d)


def exact(d: int, ratio: int | None) -> float:
    """The drift coefficient at finite d.  mathematics (7)."""
    return -d * float(overlap_drift(d, OVERLAP, exact_cosine(d, ratio), 1.0, 1.0)) / (OVERLAP * (1 - OVERLAP**2))


def study(quick: bool, seed: int) -> Findings:
    """kappa of three kinds of heads, and the variance that fixes the clock."""
    dimensions, size = ((16, 32, 64), 600_000) if quick else ((16, 32, 64, 128, 256), 1_500_000)
    rng = np.random.default_rng([seed, 2])
    inverse = 1 / np.array(dimensions, dtype=float)
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array | tuple[int, ...]] = {"d": dimensions}
    for case, ratio in CASES.items():
        found = [layer(rng, d, inner_dimension(d, ratio), size) for d in dimensions]
        drift, drift_error = columns(drift for drift, _ in found)
        square, square_error = columns(square for _, square in found)
        derived = kappa(64, inner_dimension(64, ratio))
        parts[case] = Part.of(
            f"kappa extrapolated to d = infinity, {NAMES[case]}", limit(inverse, drift, drift_error),
            derived if ratio is None else 1.0, None if ratio is None else derived,
            excludes={"two factors, head_dim = d": 2.0, "two factors as reported": 1.0} if ratio is None else {},
        )  # fmt: skip
        parts[f"{case}_noise"] = Part.of(
            f"d E dR^2/(h (1 - R^2)^2) extrapolated to d = infinity, {NAMES[case]}",
            limit(inverse, square, square_error), 2.0, excludes={"a clock in which kappa is 1": 2 / derived},
        )  # fmt: skip
        series.append(Series(NAMES[case], inverse, drift, drift_error, line=False))
        series.append(Series(f"exact, to {derived:g}", 1 / FINE, [exact(int(d), ratio) for d in FINE], dashed=True))
        table |= {case: drift, f"{case}_error": drift_error}
        table |= {f"{case}_noise": square, f"{case}_noise_error": square_error}
    series.append(Series("1, as reported", np.array([0.0, inverse[0]]), [1.0, 1.0], dashed=True))
    figure = Figure("1/d", "-d E dR/(h R (1 - R^2))", tuple(series))
    return Findings(parts, figure, table, second=Second(exact(10**6, 1)))
