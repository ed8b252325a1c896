"""S1, the simplex equation: the overlap g0 of n equiangular tokens under Gaussian heads with centred values.

As reported g0' = s_ij - g0 s_ii, from n, beta and the attention statistics f and h alone.  That is the limit
d -> infinity; at finite d the drift is ((d - 2 + g0^2) s_ij - (d - 1) g0 s_ii)/d, lower by O(1/d).  Measured on one
layer of one head, x_i -> nrm(x_i + sqrt(h) V m_A(x_i)), with V, W, W' drawn whole.
"""

from dataclasses import replace

import numpy as np

from particles.reduced import Simplex
from validation.estimates import Estimate, columns, exponent
from validation.studies.shared.chains import attend, equiangular
from validation.studies.shared.cold import STEP, Sample, means
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "simplex equation",
    "the overlap g of equiangular tokens under centred Gaussian heads drifts by s_ij - g s_ii, "
    "s_ii = g + (1 - g) f, s_ij = g + (1 - g) h with the attention statistics f and h",
    HOMOGENIZED,
    "this is the limit d -> infinity; at finite d the drift is ((d - 2 + g^2) s_ij - (d - 1) g s_ii)/d, "
    "lower by O(1/d)",
    "the finite-d form with f and h of independent heads, without values and without a layer",
)

CASES = {
    "main": Simplex(8, 4, 3.0, 8**-0.25, 8, 0.3),
    "cold": Simplex(8, 4, 10.0, 8**-0.25, 8, 0.7),
    "narrow": Simplex(8, 6, 4.0, 8**-0.25, 3, 0.1),
}
DIMENSIONS = (8, 12, 16, 24, 32, 48)


def layers(rng: np.random.Generator, simplex: Simplex, size: int) -> Sample:
    """Fresh layers of one head.

    Values: mean over pairs of dR/h, averaged over V and -V, and the drift s_ij - g0 s_ii with the attention of this
    very head in place of its expectation.
    """
    n, d, g0 = simplex.n, simplex.d, simplex.overlap
    start = equiangular(n, d, g0)
    value = rng.standard_normal((size, d, d)) / np.sqrt(d)
    query, key = simplex.sigma_a * rng.standard_normal((2, size, simplex.head_dim, d))
    averages = attend(np.broadcast_to(start, (size, n, d)), query, key, simplex.beta)
    moves = averages @ np.swapaxes(value, 1, 2)
    across = start @ np.swapaxes(moves, 1, 2)  # <x_i, p_j>
    products = moves @ np.swapaxes(moves, 1, 2)
    expected = averages @ np.swapaxes(averages, 1, 2)  # of the products, given A
    gram, i, j = start @ start.T, *np.triu_indices(n, 1)
    overlaps = np.zeros((size, n, n))
    for s in (np.sqrt(STEP), -np.sqrt(STEP)):
        moved = gram + s * (across + np.swapaxes(across, 1, 2)) + STEP * products
        length = np.sqrt(np.einsum("sii->si", moved))
        overlaps += 0.5 * moved / (length[:, :, None] * length[:, None, :])
    drift = (overlaps - gram)[:, i, j].mean(axis=1) / STEP
    limit = expected[:, i, j].mean(axis=1) - g0 * np.einsum("sii->s", expected) / n
    rest = products - expected
    controls = [rest[:, i, j].mean(axis=1), np.einsum("sii->s", rest) / n]
    return Sample(np.stack([drift, limit], axis=1), np.stack(controls, axis=1))


def drift(rng: np.random.Generator, simplex: Simplex, size: int) -> Estimate:
    """Drift of the overlap."""
    return means(lambda count: layers(rng, simplex, count), size, _width(simplex))[0]


def shortfall(rng: np.random.Generator, simplex: Simplex, size: int) -> Estimate:
    """s_ij - g0 s_ii less the drift, on the same heads."""

    def draw(count: int) -> Sample:
        sample = layers(rng, simplex, count)
        return Sample(sample.values[:, 1:] - sample.values[:, :1], sample.controls)

    return means(draw, size, _width(simplex))[0]


def _width(simplex: Simplex) -> int:
    return 4 * simplex.d * (simplex.d + 2 * simplex.head_dim)


def compare(name: str, simplex: Simplex, measured: Estimate, seed: int, samples: int) -> Part:
    """The drift against the two forms with f and h of independent heads, whose errors join."""
    forms = simplex.statistics(samples=samples, seed=seed)
    return Part(
        f"drift of the overlap of {simplex.n} tokens, d = {simplex.d}, head_dim = {simplex.head_dim}, "
        f"beta = {simplex.beta:g}, overlap {simplex.overlap:g} ({name})",
        measured.value,
        float(np.hypot(measured.error, forms.drift_infinite_d.standard_error)),  # the larger of the two
        forms.drift_infinite_d.value,
        forms.drift_finite_d.value,
        bias=1e-4,  # the step: terms of order h, 1e-6
    )


def study(quick: bool, seed: int) -> Findings:
    """Drift at three sets of parameters, and the slope in d of the difference."""
    size, samples, few = (300_000, 1_000_000, 60_000) if quick else (3_000_000, 8_000_000, 250_000)
    rng = np.random.default_rng([seed, 4])
    parts = {
        name: compare(name, simplex, drift(rng, simplex, size), seed, samples) for name, simplex in CASES.items()
    }  # fmt: skip
    main = CASES["main"]
    forms = main.statistics(samples=samples, seed=seed + 1).drift_finite_d
    family = [replace(main, d=d, sigma_a=d**-0.25, head_dim=d) for d in DIMENSIONS]
    values, errors = columns(shortfall(rng, simplex, few) for simplex in family)
    dimensions = np.array(DIMENSIONS)
    parts["slope"] = Part.of(
        "exponent of d in the difference between the limit form and the drift, head_dim = d, sigma_a^2 = d^-1/2",
        exponent(dimensions, values, errors, order=-1), -1.0, excludes={"d^-1/2": -0.5, "d^-2": -2.0},
    )  # fmt: skip
    series = (
        Series("s_ij - g0 s_ii - drift", dimensions, values, errors, line=False),
        Series("1/d", dimensions, values[0] * dimensions[0] / dimensions, dashed=True),
    )
    return Findings(
        parts,
        Figure("d", "difference of the drifts", series, x_log=True, y_log=True),
        {"d": dimensions, "difference": values, "error": errors},
        second=Second(forms.value, forms.standard_error),
    )
