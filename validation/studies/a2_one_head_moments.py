"""A2, moments of one attention head at initialisation: how far does the law of large numbers carry?

With scores of deviation s over n keys of correlation r, the variance of a token's output is, over that of the values,
r + (1 - r) f, f = E sum pi_k^2.  Where the denominator of softmax is replaced by its mean, as moment formulas of one
head do, f = e^{s^2}/n.  That is checked by its authors up to s = 0.36; here by sampled softmax up to s = 2.  The second
way is the quadrature of `particles.scores`.
"""

import numpy as np
from scipy.optimize import brentq

from particles.scores import attention_statistics
from validation.estimates import Estimate, columns, replica_mean
from validation.studies.shared.sources import MOMENTS
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "moments of one head",
    "the output of an attention head at initialisation has the variance r + (1 - r) e^{s^2}/n over that of its values, "
    "for n keys of correlation r and scores of deviation s",
    MOMENTS,
    "to 1 percent up to s = 1.1 at n = 1000; then the denominator is no longer its mean: at s = 2 the share f is half "
    "of e^{s^2}/n",
    "quadrature: f as an integral of means over one score, particles.scores.attention_statistics",
)

N = 1000
DEVIATIONS = (0.36, 1.0, 1.5, 2.0)
CLOSE = 0.01


def sampled(rng: np.random.Generator, deviation: float, samples: int) -> Estimate:
    """n f: n sum pi_k^2 of sampled scores."""
    found = []
    for start in range(0, samples, 2000):
        scores = deviation * rng.standard_normal((min(2000, samples - start), N))
        weights = np.exp(scores)
        weights /= weights.sum(axis=1, keepdims=True)
        found.append(N * np.einsum("sn,sn->s", weights, weights))
    return replica_mean(np.concatenate(found))


def carried(n: int) -> float:
    """The score deviation up to which e^{s^2}/n is within CLOSE of f."""

    def excess(deviation: float) -> float:
        return attention_statistics(n, deviation).f * n * float(np.exp(-(deviation**2))) - 1 + CLOSE

    return float(brentq(excess, 0.3, 3.0))


def study(quick: bool, seed: int) -> Findings:
    """n f at four deviations."""
    rng = np.random.default_rng([seed, 42])
    samples = 10_000 if quick else 300_000
    values, errors = columns(sampled(rng, deviation, samples) for deviation in DEVIATIONS)
    parts = {}
    for deviation, value, error in zip(DEVIATIONS, values, errors, strict=True):
        exact, naive = N * attention_statistics(N, deviation).f, float(np.exp(deviation**2))
        near = abs(exact / naive - 1) < CLOSE
        parts[f"s_{deviation:g}"] = Part(
            f"n f, the variance over that of an even average, orthogonal keys, n = {N}, s = {deviation:g}",
            float(value), float(error), naive, None if near else exact, bias=abs(exact - naive) if near else 0.0,
            excludes={"an even average": 1.0, "weights linear in scores, 1 + s^2": 1 + deviation**2},
        )  # fmt: skip
    fine = np.linspace(0.2, 2.4, 23)
    exact_curve = np.array([N * attention_statistics(N, s).f for s in fine])
    series = (
        Series("sampled", DEVIATIONS, values, errors, line=False),
        Series("quadrature", fine, exact_curve, dashed=True),
        Series("e^{s^2}", fine, np.exp(fine**2), dashed=True),
    )
    ends = ", ".join(f"{carried(n):.2f} at n = {n}" for n in (100, 1000, 100_000))
    return Findings(
        parts, Figure("score deviation s", "n f", series, y_log=True),
        {"deviation": DEVIATIONS, "n_f": values, "error": errors},
        (f"e^(s^2)/n is within {CLOSE:.0%} of f up to s = {ends}",),
        Second(N * attention_statistics(N, DEVIATIONS[0]).f),
    )  # fmt: skip
