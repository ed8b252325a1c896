"""L1, the cosine lemma at low temperature: E<nrm(Ax), nrm(Ay)> = R + c (R^3 - R)/d + O(d^-2) for A = W W'^T.

As reported c = 1/2, whatever head_dim.  Both factors bend the cosine, each as a single one does, so that
c = (1 + d/head_dim)/2.  c is measured at several d and extrapolated in 1/d, with its curvature.
"""

import numpy as np

from particles import Array
from validation.estimates import Estimate, columns, limit
from validation.studies.shared.cold import (
    CASES,
    FINE,
    NAMES,
    OVERLAP,
    Sample,
    cosines,
    exact_cosine,
    inner_dimension,
    means,
)
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "two-factor cosine lemma",
    "for A = W W'^T, E<nrm(Ax), nrm(Ay)> = R + (1/2) (R^3 - R)/d + O(d^-2)",
    HOMOGENIZED,
    "the coefficient is (1 + d/head_dim)/2: 1 at head_dim = d; 1/2 belongs to A of independent entries",
    "closed form: a hypergeometric function, averaged over a sample correlation",
)

def coefficient(rng: np.random.Generator, d: int, head_dim: int | None, size: int) -> Estimate:
    """Mean of d (cos(Ax, Ay) - R)/(R^3 - R) over `size` heads."""

    def draw(count: int) -> Sample:
        cosine, controls = cosines(rng, OVERLAP, d, head_dim, count)
        return Sample((d * (cosine - OVERLAP) / (OVERLAP**3 - OVERLAP))[:, None], controls)

    return means(draw, size, 4 * d)[0]


def exact(d: int, ratio: int | None) -> float:
    """The coefficient at finite d, from the exact expectation."""
    return d * (exact_cosine(d, ratio) - OVERLAP) / (OVERLAP**3 - OVERLAP)


def study(quick: bool, seed: int) -> Findings:
    """Coefficients extrapolated to d = infinity, and those at d = 64 against their exact values."""
    dimensions, size = ((16, 32, 64), 500_000) if quick else ((16, 32, 64, 128, 256), 2_000_000)
    rng = np.random.default_rng([seed, 1])
    inverse = 1 / np.array(dimensions, dtype=float)
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array | tuple[int, ...]] = {"d": dimensions}
    for case, ratio in CASES.items():
        found = [coefficient(rng, d, inner_dimension(d, ratio), size) for d in dimensions]
        values, errors = columns(found)
        parts[case] = Part.of(
            f"coefficient c extrapolated to d = infinity, {NAMES[case]}", limit(inverse, values, errors), 0.5,
            None if ratio is None else 0.5 * (1 + ratio),
            excludes={"two factors, head_dim = d": 1.0} if ratio is None else {},
        )  # fmt: skip
        if ratio is not None:
            at_64 = found[dimensions.index(64)]
            text = f"coefficient c at d = 64, {NAMES[case]}, against the exact expectation"
            parts[f"{case}_d64"] = Part(text, at_64.value, at_64.error, 0.5, exact(64, ratio))
        series.append(Series(NAMES[case], inverse, values, errors, line=False))
        label = "exact" if ratio is None else f"exact, head_dim = d{'' if ratio == 1 else f'/{ratio}'}"
        series.append(Series(label, 1 / FINE, [exact(int(d), ratio) for d in FINE], dashed=True))
        table |= {case: values, f"{case}_error": errors}
    figure = Figure("1/d", "coefficient c; 1/2 as reported", tuple(series))
    return Findings(parts, figure, table, second=Second(exact(10**6, 1)))
