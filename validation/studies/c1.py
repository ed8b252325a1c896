"""C1, Gaussian closures: tokens sampled from a Gaussian against mean and covariance of the closure, on R^d.

A token that starts at m_0 + S_0^{1/2} z is carried by the closure's flow to m + L z.  Measured for softmax, L2 and
Sinkhorn attention: the distance of n tokens to these twins, a sampling error, n^-1/2; and the covariance of the tokens
over that of their twins, extrapolated to n = infinity.
"""

from dataclasses import dataclass

import numpy as np

from particles import (
    L2,
    Ballistic,
    EuclideanTokens,
    FixedHeads,
    Gaussian,
    GaussianClosure,
    Noise,
    Sinkhorn,
    Softmax,
    simulate,
    translate,
)
from particles.arrays import Array
from particles.gaussian_closure import ClosedAttention
from validation.distances import Estimate
from validation.statistics import slope
from validation.studies.lines import Line, columns
from validation.verdict import Figure, Findings, Part, Series

LAW = Gaussian(np.array([0.5, -0.3]), np.array([[0.8, 0.2], [0.2, 0.5]]))
VALUE = np.array([[[0.9, 0.3], [-0.2, 0.6]]])
QUERY = np.array([[[0.4, 0.1], [-0.1, 0.3]]])
KEY = np.array([[[0.8, -0.3], [0.2, 0.6]]])
KINDS: dict[str, ClosedAttention] = {"softmax": Softmax(1.0), "l2": L2(1.0), "sinkhorn": Sinkhorn(1.0)}
TIME, STEP = 0.8, 0.4


@dataclass(frozen=True)
class Sizes:
    """Numbers of tokens and their replicas."""

    counts: tuple[int, ...]
    replicas: tuple[int, ...]


QUICK = Sizes((64, 128, 256, 512), (300, 200, 100, 40))
FULL = Sizes((64, 128, 256, 512, 1024, 2048), (1000, 500, 250, 120, 60, 30))


def moved(attention: ClosedAttention, points: Array) -> Array:
    """Tokens at TIME by fourth-order steps."""
    law = Ballistic(FixedHeads(VALUE, QUERY, KEY), attention, STEP, 1, Noise(0), retraction=translate)
    steps = round(TIME / STEP)
    run = simulate(EuclideanTokens(points), law, n_steps=steps, save_every=steps)
    found: Array = run.tokens.values[-1]
    return found


def compare(
    attention: ClosedAttention, closure: GaussianClosure, rng: np.random.Generator, n: int, replicas: int
) -> tuple[Estimate, Estimate]:
    """RMS distance to the twins, and trace of the tokens' covariance over that of the twins."""
    mean, root = closure.solve(LAW, TIME, [TIME]).flow(TIME)
    gaps, ratios = np.empty(replicas), np.empty(replicas)
    for k in range(replicas):
        z = rng.standard_normal((n, LAW.d))
        tokens, twins = moved(attention, LAW.mean + z @ LAW.root), mean + z @ root.T
        gaps[k] = np.mean(np.sum((tokens - twins) ** 2, axis=1))
        ratios[k] = tokens.var(axis=0).sum() / twins.var(axis=0).sum()
    rms = float(np.sqrt(gaps.mean()))
    error = float(gaps.std(ddof=1) / np.sqrt(replicas) / (2 * rms))
    return Estimate(rms, error), Estimate(float(ratios.mean()), float(ratios.std(ddof=1) / np.sqrt(replicas)))


def study(quick: bool, seed: int) -> Findings:
    """Slopes in n, and ratios of covariances at n = infinity."""
    sizes = QUICK if quick else FULL
    rng = np.random.default_rng([seed, 9])
    counts = np.array(sizes.counts)
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array] = {"n": counts}
    for name, attention in KINDS.items():
        closure = GaussianClosure(attention, VALUE, QUERY, KEY)
        found = [compare(attention, closure, rng, n, r) for n, r in zip(sizes.counts, sizes.replicas, strict=True)]
        gaps, gap_errors = columns(gap for gap, _ in found)
        ratios, ratio_errors = columns(ratio for _, ratio in found)
        limit, fit = Line.through(1 / counts, ratios, ratio_errors).at(0.0), slope(counts, gaps, gap_errors)
        still = float(np.trace(LAW.covariance) / np.trace(closure.solve(LAW, TIME, [TIME]).covariance[0]))
        parts[f"{name}_covariance"] = Part(
            f"trace of the covariance over that of the closure at t = {TIME:g}, {name}, n -> infinity",
            limit.value, limit.error, 1.0, bias=0.01, effect=0.5 * abs(1 - still),  # terms in n^-2; half the motion
        )  # fmt: skip
        parts[f"{name}_distance"] = Part(
            f"slope in n of the distance of tokens to the closure's flow, {name}", fit.value, fit.error, -0.5,
            bias=0.05, effect=0.4,  # bias: the next order, 1/n
        )  # fmt: skip
        series.append(Series(name, counts, gaps, gap_errors))
        table |= {f"{name}_distance": gaps, f"{name}_ratio": ratios, f"{name}_ratio_error": ratio_errors}
    series.append(Series("n^-1/2", counts, gaps[0] * (counts / counts[0]) ** -0.5, dashed=True))
    figure = Figure("number of tokens n", "RMS distance to the closure", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, table)
