"""C1, Gaussian closures: tokens sampled from a Gaussian against mean and covariance of the closure, on R^d.

A token that starts at m_0 + S_0^{1/2} z is carried by the closure's flow to m + L z.  Measured for softmax, L2 and
Sinkhorn attention: the distance of n tokens to these twins, a sampling error, n^-1/2; and the covariance of the tokens
over that of their twins, extrapolated to n = infinity.
"""

import numpy as np

from particles import Array, EuclideanTokens, FixedHeads, Gaussian, GaussianClosure
from particles.reduced import ClosedAttention
from validation.estimates import Estimate, Line, columns, replica_mean, root_mean, slope
from validation.studies.shared.gaussian import KINDS, course
from validation.studies.shared.sources import CLOSURES
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "Gaussian closures",
    "under softmax, L2 and Sinkhorn attention tokens in R^d with a Gaussian law keep one, whose mean and "
    "covariance obey closed equations",
    CLOSURES,
)

LAW = Gaussian(np.array([0.5, -0.3]), np.array([[0.8, 0.2], [0.2, 0.5]]))
VALUE = np.array([[[0.9, 0.3], [-0.2, 0.6]]])
QUERY = np.array([[[0.4, 0.1], [-0.1, 0.3]]])
KEY = np.array([[[0.8, -0.3], [0.2, 0.6]]])
TIME, STEPS = 0.8, 2
QUICK = {64: 300, 128: 200, 256: 100, 512: 40}  # numbers of tokens, and of their replicas
FULL = {64: 1000, 128: 500, 256: 250, 512: 120, 1024: 60, 2048: 30}


def compare(
    attention: ClosedAttention, closure: GaussianClosure, rng: np.random.Generator, n: int, replicas: int
) -> tuple[Estimate, Estimate]:
    """RMS distance to the twins, and trace of the tokens' covariance over that of the twins."""
    mean, root = closure.solve(LAW, TIME, [TIME]).flow(TIME)
    gaps, ratios = np.empty(replicas), np.empty(replicas)
    for k in range(replicas):
        z = rng.standard_normal((n, LAW.d))
        start, twins = EuclideanTokens(LAW.mean + z @ LAW.root), mean + z @ root.T
        tokens = course(attention, start, FixedHeads(VALUE, QUERY, KEY), TIME / STEPS, STEPS, STEPS)[-1]
        gaps[k] = np.mean(np.sum((tokens - twins) ** 2, axis=1))
        ratios[k] = tokens.var(axis=0).sum() / twins.var(axis=0).sum()
    return root_mean(gaps), replica_mean(ratios)


def study(quick: bool, seed: int) -> Findings:
    """Slopes in n, and ratios of covariances at n = infinity."""
    sizes = QUICK if quick else FULL
    rng = np.random.default_rng([seed, 9])
    counts = np.array(list(sizes))
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, Array] = {"n": counts}
    for name, attention in KINDS.items():
        closure = GaussianClosure(attention, VALUE, QUERY, KEY)
        found = [compare(attention, closure, rng, n, r) for n, r in sizes.items()]
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
