"""A1, the random-energy picture of attention at initialisation: does a token look at few keys?

Tokens of squared length q and inner product p give Gaussian scores; of variance beta^2 log n per unit, a token sees
keys through scores of deviation s, s^2 = beta^2 q (q - p) log n.  As reported its squared output is
p + (q - p) max(0, 1 - beta_c/beta), beta_c = (2/(q (q - p)))^1/2, and that of two tokens has the inner product p.  At
finite n this is a crossover: f and h of `particles.scores` stand for the maximum and for 0.  Measured on heads drawn
whole, on networks through the exact chain; quadrature is the second way.
"""

import numpy as np

from particles import Array
from particles.networks import Network, PerMatrix, PostNorm, SelfAttention, Simplex
from particles.scores import attention_statistics, critical_deviation, random_energy_f
from validation.estimates import Estimate, replica_mean
from validation.studies.shared.chains import attend, equiangular
from validation.studies.shared.sources import ENERGY
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "random-energy picture of attention",
    "at initialisation the squared output of a token is p + (q - p) max(0, 1 - beta_c/beta), "
    "beta_c = (2/(q (q - p)))^1/2, for scores of variance beta^2 log n, and two tokens have outputs of inner product p",
    ENERGY,
    "the limit of n beyond any context: at n = 256 tokens a token at beta_c takes f = 0.27 and not 0; two tokens share "
    "keys, h of order n^(-(1 - p)/(1 + p)) above beta_c; networks follow the map with f and h at their n",
    "quadrature: f of independent Gaussian scores, without tokens and heads",
)

N, D, OVERLAP = 256, 256, 0.5
FACTORS = (0.5, 1.0, 1.5)  # of beta_c
DEPTH = 3  # layers after which maps differ most
NETWORK, START = (128, 256), 0.3  # n, d and the overlap of the network's tokens
LARGE = np.array([1e8, 1e10, 1e12])  # n of the power laws


def shares(rng: np.random.Generator, deviation: float, heads: int) -> tuple[Estimate, Estimate]:
    """f and h of N tokens of overlap OVERLAP under whole heads with scores of this deviation."""
    tokens = equiangular(N, D, OVERLAP)[None]
    scale = deviation / np.sqrt(1 - OVERLAP)
    found = []
    for _ in range(heads):
        query, key = rng.standard_normal((2, 1, D, D))
        weights = attend_weights(tokens, query, key, scale / np.sqrt(D))
        products = weights @ weights.T
        trace = np.trace(products)
        found.append((trace / N, (products.sum() - trace) / (N * (N - 1))))
    f, h = np.array(found).T
    return replica_mean(f), replica_mean(h)


def attend_weights(tokens: Array, query: Array, key: Array, beta: float) -> Array:
    """Attention weights (n, n) of one head: the barycentres of `attend` in the coordinates of the tokens."""
    averages = attend(tokens, query, key, beta)[0]
    weights: Array = averages @ np.linalg.pinv(tokens[0])
    return weights


def overlap_map(start: float, scale: float, n: int, layers: int, limit: bool) -> list[float]:
    """Overlap by layer of x -> norm(x + V sum pi x) with V of unit gain: g' = (g + g + (1-g) h)/(1 + g + (1-g) f)."""
    found = [start]
    for _ in range(layers):
        g = found[-1]
        deviation = scale * np.sqrt(1 - g)
        exact = attention_statistics(n, deviation, g)
        f, h = (random_energy_f(n, deviation), 0.0) if limit else (exact.f, exact.h)
        found.append((2 * g + (1 - g) * h) / (1 + g + (1 - g) * f))
    return found


def networks(seed: int, count: int) -> tuple[Array, Array, Array, Array]:
    """Mean overlaps by layer of post-norm networks of one head with beta = 1.2 beta_c, errors, and the two maps."""
    n, d = NETWORK
    scale, std = 1.2 * critical_deviation(n) / np.sqrt(1 - START), d**-0.5
    heads = SelfAttention(1, d, whole_values=True, score_scale=float(scale))
    network = Network(d, 12, heads, placement=PostNorm(), initialisation=PerMatrix(std, std, std, std))
    found = network.chain(Simplex(n, START), n_networks=count, seed=seed).overlap.values
    maps = (np.array(overlap_map(START, float(scale), n, 12, limit)) for limit in (True, False))
    return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(count), *maps


def power(values: list[float]) -> tuple[float, float]:
    """Slope in log n as n -> infinity, by slopes with an error of order 1/log n, and what extrapolating changes."""
    slopes, at = np.diff(np.log(values)) / np.diff(np.log(LARGE)), 0.5 * (np.log(LARGE[1:]) + np.log(LARGE[:-1]))
    limit = float((at[1] * slopes[1] - at[0] * slopes[0]) / (at[1] - at[0]))
    return limit, abs(limit - float(slopes[1]))


def powers() -> dict[str, Part]:
    """Parts on the limit of many keys, by quadrature."""
    below, above = 0.5, 1.5
    f = [attention_statistics(int(n), below * np.sqrt(np.log(n))).f for n in LARGE]
    h = [attention_statistics(int(n), above * critical_deviation(int(n)), OVERLAP).h for n in LARGE]
    (low, change), (common, moved) = power(f), power(h)
    return {
        "power_f": Part(
            f"exponent of f in n at s = {below:g} (log n)^1/2, quadrature at n = 1e8 to 1e12: -(1 - b^2)",
            low, 0.0, -(1 - below**2), bias=max(change, 1e-3),
            excludes={"-1, all keys alike": -1.0, "-(2^1/2 - b)^2, the law of larger b": -((2**0.5 - below) ** 2)},
        ),
        "power_h": Part(
            f"exponent of h in n at {above:g} beta_c, p = {OVERLAP:g}, quadrature: -(1 - p)/(1 + p), derived here",
            common, 0.0, -(1 - OVERLAP) / (1 + OVERLAP), bias=0.3 * moved,
            excludes={"-(1 - p)": OVERLAP - 1, "h stays": 0.0},
        ),
    }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """f and h of whole heads, overlaps of networks, power laws."""
    heads, count = (120, 24) if quick else (2000, 100)
    rng = np.random.default_rng([seed, 41])
    parts: dict[str, Part] = {}
    rows = []
    for factor in FACTORS:
        deviation = factor * critical_deviation(N)
        f, h = shares(rng, deviation, heads)
        exact = attention_statistics(N, deviation, OVERLAP)
        rows.append((f.value, f.error, exact.f, h.value, h.error, exact.h))
        if factor >= 1:
            parts[f"f_{factor:g}"] = Part(
                f"f, the share of a token's own keys, at {factor:g} beta_c, n = {N}, p = {OVERLAP:g}, whole heads",
                f.value, f.error, random_energy_f(N, deviation), exact.f, bias=0.01,  # bias: queries of varying length
            )  # fmt: skip
    parts[f"h_{FACTORS[-1]:g}"] = Part(
        f"h, what two tokens look at alike, at {FACTORS[-1]:g} beta_c",
        rows[-1][3], rows[-1][4], 0.0, rows[-1][5], bias=0.002,
    )  # fmt: skip
    mean, error, limit, finite = networks(seed, count)
    parts["networks"] = Part(
        f"overlap after {DEPTH} layers of post-norm networks of one head, n = {NETWORK[0]}, d = {NETWORK[1]}, "
        "1.2 beta_c",
        float(mean[DEPTH]), float(error[DEPTH]), float(limit[DEPTH]), float(finite[DEPTH]), bias=0.02,
    )  # bias: overlaps of a network differ  # fmt: skip
    parts |= powers()
    layers = np.arange(len(mean))
    series = (
        Series("networks, exact chain", layers, mean, error, line=False),
        Series("map with f and h at this n", layers, finite, dashed=True),
        Series("random-energy map", layers, limit, dashed=True),
    )
    keys = ("f", "f_error", "f_exact", "h", "h_error", "h_exact")
    table = {"beta_over_beta_c": FACTORS, **dict(zip(keys, zip(*rows, strict=True), strict=True))}
    second = Second(rows[FACTORS.index(1.0)][2])
    return Findings(parts, Figure("layer", "overlap", series), table, second=second)
