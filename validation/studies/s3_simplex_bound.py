"""S3, the bound of the simplex equation: how far overlaps of equiangular tokens stray from g(t), and how loose it is.

As reported, with probability 1 - delta every overlap stays within e^{CT} sqrt((8 T/d) log(2 n^2/delta)) of g(t) on
[0, T], g' = s_ij - g s_ii.  C is free, so the bound is tested where it is smallest, C = 0: the quantile of the largest
deviation over it.  Layers of one head, step h, drawn exactly through the Gram matrix of the tokens: queries and keys
are head_dim rows N(0, sigma_a^2 G), the moves V m rows N(0, P G P^T/d).
"""

from dataclasses import replace

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from particles import Array
from particles.reduced import Simplex
from validation.estimates import Estimate, columns, exponent
from validation.studies.shared.chains import equiangular
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "bound of the simplex equation",
    "with probability 1 - delta the overlaps of equiangular tokens stay within e^(C T) sqrt((8 T/d) log(2 n^2/delta)) "
    "of g(t) on [0, T], g' = s_ij - g s_ii",
    HOMOGENIZED,
    "",
    "none: quantiles of a supremum have no closed form; the drift behind it is that of S1",
)

START, BETA, DELTA, TIME, STEPS = 0.2, 2.0, 0.1, 1.0, 32
DIMENSIONS, TOKENS = (16, 32, 64, 128, 256, 512), (4, 12)


def simplex(n: int, d: int) -> Simplex:
    """Heads with scores of order one: head_dim = d, sigma_a^2 = d^-1/2."""
    return Simplex(d, n, BETA, d**-0.25, d, START)


def expected(law: Simplex, samples: int, seed: int) -> CubicSpline:
    """g(t) on [0, TIME], its drift from attention statistics at eleven overlaps."""
    overlaps = np.linspace(0.0, 1.0, 11)
    inner = [replace(law, overlap=float(g)).statistics(samples=samples, seed=seed) for g in overlaps[:-1]]
    drift = CubicSpline(overlaps, [found.drift_infinite_d.value for found in inner] + [0.0])
    found = solve_ivp(lambda t, g: drift(g), (0.0, TIME), [START], rtol=1e-8, atol=1e-10, dense_output=True)
    times = np.linspace(0.0, TIME, 65)
    return CubicSpline(times, found.sol(times)[0])


def deviations(rng: np.random.Generator, law: Simplex, g: CubicSpline, replicas: int, steps: int) -> Array:
    """Largest |<x_i, x_j> - g(t)| over pairs and layers, (replicas,)."""
    n, d, h = law.n, law.d, TIME / steps
    state = np.broadcast_to(equiangular(n, d, START), (replicas, n, d)).copy()
    pairs, most = np.triu_indices(n, 1), np.zeros(replicas)
    for number in range(1, steps + 1):
        query, key = law.sigma_a * _rows(rng, state, law.head_dim), law.sigma_a * _rows(rng, state, law.head_dim)
        weights = np.exp(BETA * query @ np.swapaxes(key, 1, 2))
        weights /= weights.sum(axis=2, keepdims=True)
        state = state + np.sqrt(h / d) * _rows(rng, weights @ state, d)
        state /= np.linalg.norm(state, axis=2, keepdims=True)
        overlaps = (state @ np.swapaxes(state, 1, 2))[:, *pairs]
        most = np.maximum(most, np.abs(overlaps - float(g(number * h))).max(axis=1))
    return most


def _rows(rng: np.random.Generator, vectors: Array, width: int) -> Array:
    """Images of vectors (R, n, d) under one matrix (width, d) of N(0, 1) entries for each R: (R, n, width)."""
    gram = vectors @ np.swapaxes(vectors, 1, 2) + 1e-12 * np.eye(vectors.shape[1])
    images: Array = np.linalg.cholesky(gram) @ rng.standard_normal((*vectors.shape[:2], width))
    return images


def quantile(rng: np.random.Generator, sample: Array) -> Estimate:
    """The quantile 1 - delta, its error by 200 bootstrap samples."""
    drawn = np.quantile(rng.choice(sample, (200, len(sample))), 1 - DELTA, axis=1)
    return Estimate(float(np.quantile(sample, 1 - DELTA)), float(drawn.std(ddof=1)))


def study(quick: bool, seed: int) -> Findings:
    """Quantiles over the smallest bound, and their exponent in d."""
    replicas, samples = (800, 50_000) if quick else (10_000, 1_000_000)
    dimensions = np.array(DIMENSIONS)
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array] = {"d": dimensions}
    for n in TOKENS:
        rng, rows = np.random.default_rng([seed, 17, n]), []
        for d in DIMENSIONS:
            law = simplex(n, d)
            g = expected(law, samples, seed)
            fine, coarse = (quantile(rng, deviations(rng, law, g, replicas, k)) for k in (STEPS, STEPS // 2))
            rows.append((fine, abs(fine.value - coarse.value)))
        values, errors = columns(fine for fine, _ in rows)
        bound = np.sqrt(8 * TIME / dimensions * np.log(2 * n**2 / DELTA))
        ratios, most = values / bound, int(np.argmax(values / bound))
        parts[f"bound_n{n}"] = Part(
            f"quantile 0.9 of the largest deviation of {n} tokens up to T = {TIME:g} over the bound with C = 0, the "
            f"largest of d = {', '.join(map(str, DIMENSIONS))}",
            float(ratios[most]), float(errors[most] / bound[most]), 1.0, at_most=True,
            bias=float(max(step for _, step in rows) / bound[-1]), excludes={"the bound needs C = 1": float(np.exp(1))},
        )  # fmt: skip  # bias: what half the steps do
        parts[f"rate_n{n}"] = Part.of(
            f"exponent of d in that quantile, {n} tokens", exponent(dimensions, values, errors, order=-0.5), -0.5,
            excludes={"1/d": -1.0, "no concentration": 0.0}, aside=True,
        )  # fmt: skip
        series += [Series(f"{n} tokens", dimensions, values, errors, line=False),
                   Series(f"bound, C = 0, {n} tokens", dimensions, bound, dashed=True)]  # fmt: skip
        table |= {f"quantile_n{n}": values, f"error_n{n}": errors, f"bound_n{n}": bound}
    figure = Figure("d", "largest deviation of an overlap", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, table)
