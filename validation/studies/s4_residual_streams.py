"""S4, tokens on residual streams with uniform attention: the logistic law of S2 without any norm.

x_{l+1} = x_l + L^-1/2 t^1/2 V mean(x), V fresh of variance 1/d, so that a branch has the variance t/L.  As reported two
tokens have the overlap u_0/(u_0 + (1 - u_0) e^{-t}).  Derived again: with Gram entries q on the diagonal and p off it,
both grow by |mean|^2 = p + (q - p)/n, and q - p stays: that is the limit of many tokens; n have
p = (u_0 + (1 - u_0)/n) e^t - (1 - u_0)/n, q = p + 1 - u_0.  Measured through the exact chain in high dimension.
"""

import numpy as np

from particles import Array
from particles.networks import Network, NoNorm, PerMatrix, SelfAttention, Simplex
from validation.estimates import Estimate, columns, replica_mean
from validation.studies.shared.sources import RESIDUAL
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "overlap on residual streams",
    "two of n tokens on residual streams with uniform attention and branches of variance t/L have the overlap "
    "u_0/(u_0 + (1 - u_0) e^(-t))",
    RESIDUAL,
    "the limit of many tokens; n tokens have p/(p + 1 - u_0), p = (u_0 + (1 - u_0)/n) e^t - (1 - u_0)/n",
    "closed form: the Gram matrix in whole layers",
)

START, DEPTH, D = 0.1, 2.0, 20_000
LAYERS = 200
COUNTS = (2, 8, 64)


def logistic(start: float, time: float) -> float:
    """As reported."""
    return float(start / (start + (1 - start) * np.exp(-time)))


def overlap(start: float, time: float, n: int) -> float:
    """Derived here."""
    p = (start + (1 - start) / n) * np.exp(time) - (1 - start) / n
    return float(p / (p + 1 - start))


def steps(start: float, time: float, n: int, layers: int) -> float:
    """The same in whole layers: the mean's square is multiplied by 1 + t/L in each."""
    p = (start + (1 - start) / n) * (1 + time / layers) ** layers - (1 - start) / n
    return float(p / (p + 1 - start))


def course(n: int, count: int, seed: int) -> Array:
    """Overlap of the Gram matrix, mean p over mean q, of `count` networks by layer: (count, layers + 1)."""
    std = float(np.sqrt(DEPTH / (LAYERS * D)))
    heads = SelfAttention(1, 1, whole_values=True, score_scale=0.0)
    network = Network(D, LAYERS, heads, placement=NoNorm(), initialisation=PerMatrix(1.0, 1.0, std, std))
    found: Array = network.chain(Simplex(n, START), n_networks=count, seed=seed).overlap.values
    return found


def at_end(found: Array) -> Estimate:
    """Mean over networks of the last layer."""
    return replica_mean(found[:, -1])


def study(quick: bool, seed: int) -> Findings:
    """Overlaps after depth time 2 at three numbers of tokens."""
    courses = {n: course(n, 12 if quick else 100, seed) for n in COUNTS}
    values, errors = columns(at_end(found) for found in courses.values())
    rivals = {"overlaps stay": START, "what two tokens do": overlap(START, DEPTH, 2)}
    parts = {}
    for n, value, error in zip(COUNTS, values, errors, strict=True):
        exact, limit = overlap(START, DEPTH, n), logistic(START, DEPTH)
        rest = abs(exact - steps(START, DEPTH, n, LAYERS))
        parts[f"n_{n}"] = Part(
            f"overlap of {n} tokens at t = {DEPTH:g} from {START:g}, {LAYERS} layers, d = {D}",
            float(value), float(error), limit, exact if n < COUNTS[-1] else None,
            bias=rest + (0.0 if n < COUNTS[-1] else abs(exact - limit)), excludes=rivals if n == COUNTS[-1] else {},
        )  # fmt: skip
    times = np.linspace(0, DEPTH, LAYERS + 1)
    series = (
        *(Series(f"n = {n}", times[::10], found.mean(axis=0)[::10], line=False) for n, found in courses.items()),
        *(Series(f"derived, n = {n}", times, [overlap(START, t, n) for t in times], dashed=True) for n in COUNTS[:2]),
        Series("as reported", times, [logistic(START, t) for t in times], dashed=True),
    )
    table = {"time": times, **{f"n_{n}": found.mean(axis=0) for n, found in courses.items()}}
    second = Second(steps(START, DEPTH, COUNTS[0], LAYERS))
    return Findings(parts, Figure("time", "overlap", series), table, second=second)
