"""A3, long context: at which inverse temperature does a token neither average over all keys nor see one alone?

n tokens of overlap rho with A = V = I: as reported beta = g log n, the cosine of two outputs tends to 1 for
g < 1/(1 - rho), to 4 rho/(1 + 3 rho) at it, to rho beyond.  Derived again: the odds of a token's own key are
n^(g (1 - rho) - 1).  Measured with softmax over whole tokens, extrapolated in n.  Keys uniform on a fixed sphere: as
reported beta of order n^(2/(d-1)): keys within 1/beta of the nearest are n beta^(-(d-1)/2) many.  Measured as the beta
at which E sum pi_k^2 = 1/2.
"""

import numpy as np
from scipy.optimize import brentq

from particles import Array
from validation.estimates import Estimate, columns, slope
from validation.studies.shared.sources import LONG, SHARP
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "inverse temperatures of long context",
    "with beta = g log n the cosine of two outputs of n tokens of overlap rho (A = V = I) tends to 1 for "
    "g < 1/(1 - rho), "
    "to 4 rho/(1 + 3 rho) at it and to rho beyond; of n keys uniform on S^(d-1) a few are seen at beta of order "
    "n^(2/(d-1))",
    f"{LONG}; {SHARP}",
    "",
    "closed weights in place of softmax over whole tokens, at up to 1e10 of them",
)

RHO = 0.5
SHARES = (0.5, 1.0, 1.5)  # g (1 - rho)
COUNTS = (256, 512, 1024, 2048)  # tokens
KEYS = (256, 1024, 4096, 16384)
FINE = np.array([1e4, 1e6, 1e8, 1e10])


def cosine(n: int, share: float) -> float:
    """Cosine of the outputs of two of n tokens of overlap RHO, by softmax over all of them."""
    gram = RHO + (1 - RHO) * np.eye(n)
    scores = share / (1 - RHO) * np.log(n) * gram
    scores -= scores.max()
    weights = np.exp(scores)
    weights /= weights.sum(axis=1, keepdims=True)
    outputs = weights[:2] @ gram @ weights[:2].T
    return float(outputs[0, 1] / np.sqrt(outputs[0, 0] * outputs[1, 1]))


def closed(n: Array, share: float) -> Array:
    """The same with the own weight a = 1/(1 + (n - 1) n^-share) in place of softmax."""
    own = 1 / (1 + (n - 1) * n**-share)
    other = (1 - own) / (n - 1)
    square = RHO + (1 - RHO) * (own**2 + (n - 1) * other**2)
    product: Array = RHO + (1 - RHO) * (2 * own * other + (n - 2) * other**2)
    return product / square


def whole(cosines: Array) -> tuple[float, float]:
    """Cosine for n -> infinity of those at COUNTS, a series in n^-1/2, and what its last order did."""
    x = np.array(COUNTS) ** -0.5
    ends = [float(np.polyfit(x[-k:], cosines[-k:], k - 1)[-1]) for k in (3, 4)]
    return ends[1], abs(ends[1] - ends[0])


def limit(share: float) -> tuple[float, float]:
    """The same of closed weights, and what the largest n misses: error of order n^-|1 - share|, or 1/n."""
    rate = abs(1 - share) if share != 1 else 1.0
    power = 2 * rate if share < 1 else rate  # own^2 n enters below
    power = min(power, 1.0)
    found = closed(FINE, share)
    ratio = (FINE[-1] / FINE[-2]) ** power
    end = float((ratio * found[-1] - found[-2]) / (ratio - 1))
    return end, abs(end - float(found[-1]))


def half(rng: np.random.Generator, d: int, n: int, samples: int) -> Estimate:
    """beta at which the mean of sum pi_k^2 over n uniform keys is 1/2."""
    squares = rng.chisquare(1, (samples, n)), rng.chisquare(d - 1, (samples, n))
    t = np.sign(rng.standard_normal((samples, n))) * np.sqrt(squares[0] / (squares[0] + squares[1]))
    t -= t.max(axis=1, keepdims=True)

    def mean(log_beta: float, rows: slice = slice(None)) -> float:
        weights = np.exp(np.exp(log_beta) * t[rows])
        return float(np.mean(np.sum(weights**2, axis=1) / np.sum(weights, axis=1) ** 2)) - 0.5

    found = float(brentq(mean, np.log(0.1), np.log(1e7), xtol=1e-5))
    parts = [brentq(lambda x, k=k: mean(x, slice(k, None, 10)), found - 2, found + 2, xtol=1e-5) for k in range(10)]
    return Estimate(float(np.exp(found)), float(np.exp(found) * np.std(parts, ddof=1) / np.sqrt(10)))


def study(quick: bool, seed: int) -> Findings:
    """Cosines at three g, exponents of beta in two dimensions."""
    samples = 600 if quick else 1500
    rng = np.random.default_rng([seed, 43])
    parts: dict[str, Part] = {}
    measured = {share: np.array([cosine(n, share) for n in COUNTS]) for share in SHARES}
    wanted = (1.0, 4 * RHO / (1 + 3 * RHO), RHO)
    regimes = ("below", "at", "above")
    for share, value in zip(SHARES, wanted, strict=True):
        end, rest = whole(measured[share])
        others = {f"as {word} g = 1/(1 - rho)": w for word, w in zip(regimes, wanted, strict=True) if w != value}
        parts[f"cosine_{share:g}"] = Part(
            f"cosine of two outputs as n grows, rho = {RHO:g}, beta = {share:g} log n/(1 - rho)",
            end, 0.0, value, bias=rest + 1e-9, excludes=others,
        )  # fmt: skip
    curves = {}
    for d in (3, 5):
        values, errors = columns(half(rng, d, n, samples) for n in KEYS)
        curves[d] = values, errors
        fit = slope(KEYS, values, errors)
        parts[f"keys_d{d}"] = Part(
            f"slope in n of the beta at which E sum pi^2 = 1/2, n keys uniform on S^{d - 1}",
            fit.value, fit.error, 2 / (d - 1), bias=0.015,  # curvature of the sphere at n = 256
            excludes={"keys that fill R^d, 2/d": 2 / d, "scores linear in the distance, 1/(d-1)": 1 / (d - 1)},
        )  # fmt: skip
    series = tuple(Series(f"d = {d}", KEYS, *curve, line=False) for d, curve in curves.items()) + tuple(
        Series(f"n^(2/(d-1)), d = {d}", KEYS, curve[0][-1] * (np.array(KEYS) / KEYS[-1]) ** (2 / (d - 1)), dashed=True)
        for d, curve in curves.items()
    )
    table = {"n": KEYS, **{f"beta_d{d}": curve[0] for d, curve in curves.items()}}
    second = Second(limit(SHARES[0])[0], bias=limit(SHARES[0])[1])
    return Findings(parts, Figure("n", "beta", series, x_log=True, y_log=True), table, second=second)
