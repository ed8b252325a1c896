"""C1, Gaussian closures: tokens sampled from a Gaussian against mean and covariance of the closure, on R^d.

A token that starts at m_0 + S_0^{1/2} z is carried by the closure's flow to m + L z.  Measured for softmax, L2 and
Sinkhorn attention: the mean square distance of n tokens to these twins, which goes to zero like 1/n; and the covariance
of the tokens over that of their twins, both extrapolated to n = infinity.
"""

import numpy as np

from particles import Array, EuclideanTokens, FixedHeads, Gaussian, GaussianClosure
from particles.reduced import ClosedAttention
from validation.estimates import Estimate, columns, limit, replica_mean, root_mean
from validation.studies.shared.gaussian import KINDS, course
from validation.studies.shared.sources import CLOSURES
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "Gaussian closures",
    "under softmax, L2 and Sinkhorn attention tokens in R^d with a Gaussian law keep one, whose mean and "
    "covariance obey closed equations",
    CLOSURES,
    "",
    "the closure's covariance in layers of step 1/512, by their closed form, in place of its differential equation",
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


def in_layers(steps: int) -> float:
    """Trace of the covariance under softmax in layers of step TIME/steps, extrapolated, over that of the closure."""
    closure = GaussianClosure(KINDS["softmax"], VALUE, QUERY, KEY)
    traces = []
    for count in (steps // 2, steps):
        law = LAW
        for _ in range(count):
            law = closure.layer(law, TIME / count)
        traces.append(float(np.trace(law.covariance)))
    return (2 * traces[1] - traces[0]) / float(np.trace(closure.solve(LAW, TIME, [TIME]).covariance[0]))


def study(quick: bool, seed: int) -> Findings:
    """Distances and ratios of covariances at n = infinity."""
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
        still = float(np.trace(LAW.covariance) / np.trace(closure.solve(LAW, TIME, [TIME]).covariance[0]))
        parts[f"{name}_covariance"] = Part.of(
            f"trace of the covariance over that of the closure at t = {TIME:g}, {name}, n -> infinity",
            limit(1 / counts, ratios, ratio_errors), 1.0, excludes={"it does not move": still},
        )
        share, share_errors = (gaps / gaps[0]) ** 2, 2 * gaps * gap_errors / gaps[0] ** 2
        parts[f"{name}_distance"] = Part.of(
            f"mean square distance of tokens to the closure's flow over that of {counts[0]}, {name}, n -> infinity",
            limit(1 / counts, share, share_errors), 0.0, excludes={"no closure: it does not fall": 1.0},
        )
        series.append(Series(name, counts, gaps, gap_errors))
        table |= {f"{name}_distance": gaps, f"{name}_ratio": ratios, f"{name}_ratio_error": ratio_errors}
    series.append(Series("n^-1/2", counts, gaps[0] * (counts / counts[0]) ** -0.5, dashed=True))
    figure = Figure("number of tokens n", "RMS distance to the closure", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, table, second=Second(in_layers(512)))
