"""T2, finite depth and heads: the distance of a transformer of L layers with H heads to its limit, L and H apart.

As reported (Gibson and Reisinger) the L2 distance is at most of order L^-1 + L^-1/3 H^-1/2.  Measured: the first term
with heads that follow smooth curves, against many layers on the same curves; the second, against a chain of equal L and
H = infinity, with heads drawn anew in each layer.  These average over depth too: (L H)^-1/2.
"""

import numpy as np

from particles import (
    Array,
    Ballistic,
    Euler,
    GaussianHeads,
    LayerLaw,
    Noise,
    RandomTransformer,
    SmoothHeads,
    SmoothTransformer,
    Softmax,
    Tokens,
    Uniform,
    simulate,
    unit,
)
from validation.estimates import Estimate, columns, replica_mean, root_mean, slope
from validation.studies.shared.chains import averages
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "finite depth and heads",
    "a transformer of L layers and H heads is within L^-1 + L^-1/3 H^-1/2 of its limit in L2",
    "Gibson and Reisinger 2605.11059, as reported",
    "with heads independent from layer to layer the second term is (L H)^-1/2",
)

D, BETA, SIGMA_V, SIGMA_A = 3, 1.5, 0.5, 0.6
MEAN_V = np.diag([1.0, 0.5, -0.5])
FORM = np.array([[1.0, 0.5, 0.0], [-0.5, 0.8, 0.0], [0.0, 0.3, -0.6]])  # A, the same in all heads of the second term
LAYERS, HEADS = np.array([8, 16, 32, 64]), np.array([4, 8, 16, 32])
DEEP = np.array([32, 64, 128, 256])
START = Tokens(Uniform(D).sample(np.random.default_rng(1), 5))


def end(law: LayerLaw, layers: int) -> Array:
    """Tokens at depth time 1."""
    found: Array = simulate(START, law, n_steps=layers, save_every=layers).tokens.values[-1]
    return found


def depth_error(layers: Array, fine: int, replicas: int, seed: int) -> Array:
    """Distance to `fine` layers on the same curves of four heads, RMS over tokens, (replicas, len(layers))."""
    heads = SmoothHeads(D, SIGMA_V, SIGMA_A, 2, MEAN_V)
    found = np.empty((replicas, len(layers)))
    for replica, row in enumerate(found):
        noise = Noise(seed, replica)
        target = end(SmoothTransformer(heads, Softmax(BETA), 1 / fine, 4, noise), fine)
        for place, count in enumerate(layers):
            gap = end(SmoothTransformer(heads, Softmax(BETA), 1 / count, 4, noise), int(count)) - target
            row[place] = np.sqrt(np.mean(np.sum(gap**2, axis=1)))
    return found


def head_error(layers: int, n_heads: int, replicas: int, seed: int, curves: bool = False) -> Estimate:
    """RMS distance to the chain of equal depth with infinitely many heads.

    Values are random and A is given, so that E V m_A = Vbar m_A.  Heads are drawn anew in each layer, or follow curves.
    """
    fresh, smooth = GaussianHeads(D, SIGMA_V, 0.0, 1, MEAN_V, FORM), SmoothHeads(D, SIGMA_V, 0.0, 1, MEAN_V, FORM)
    heads = smooth if curves else fresh
    target = end(Ballistic(heads, Softmax(BETA), 1 / layers, 1, Noise(0), scheme=Euler()), layers)

    def chain(noise: Noise) -> LayerLaw:
        if curves:
            return SmoothTransformer(smooth, Softmax(BETA), 1 / layers, n_heads, noise)
        return RandomTransformer(fresh, Softmax(BETA), 1 / layers, n_heads, noise)

    ends = (end(chain(Noise(seed, k)), layers) for k in range(replicas))
    return root_mean([float(np.mean(np.sum((tokens - target) ** 2, axis=1))) for tokens in ends])


def fresh_error(layers: int, n_heads: int, replicas: int, rng: np.random.Generator) -> Estimate:
    """The same by many chains at once: with A given, the mean of H Gaussian V is Vbar + sigma_v H^-1/2 G."""
    states = np.broadcast_to(START.points, (replicas, *START.points.shape)).copy()
    target = START.points[None].copy()
    for _ in range(layers):
        noise = SIGMA_V * n_heads**-0.5 * rng.standard_normal((replicas, D, D))
        states += averages(states, FORM, BETA) @ np.swapaxes(MEAN_V + noise, 1, 2) / layers
        states /= np.linalg.norm(states, axis=2, keepdims=True)
        target = unit(target + averages(target, FORM, BETA) @ MEAN_V.T / layers)
    return root_mean(np.mean(np.sum((states - target) ** 2, axis=2), axis=1))


def study(quick: bool, seed: int) -> Findings:
    """The three exponents."""
    few, many, fine = (8, 200, 512) if quick else (40, 2000, 2048)
    rng = np.random.default_rng([seed, 11])
    # a first-order chain held against `fine` layers: the distance loses L/fine of itself
    depth = depth_error(LAYERS, fine, few, seed) / (1 - LAYERS / fine)
    first = replica_mean([slope(LAYERS, row).value for row in depth])
    depth_errors = depth.std(axis=0, ddof=1) / np.sqrt(few)
    by_depth, by_depth_error = columns(fresh_error(int(n), 4, 10 * many, rng) for n in DEEP)
    by_heads, by_heads_error = columns(head_error(16, int(n), many, seed) for n in HEADS)
    curves, curve_errors = columns(head_error(int(n), 4, many // 4, seed, curves=True) for n in LAYERS)
    in_depth, in_heads = slope(DEEP, by_depth, by_depth_error), slope(HEADS, by_heads, by_heads_error)
    along = slope(LAYERS, curves, curve_errors)
    parts = {
        "layers": Part(
            "exponent of L in the first term, four heads on smooth curves", first.value, first.error, -1.0,
            bias=0.07, effect=0.4,  # bias: terms in L^-2
        ),
        "heads": Part(
            "exponent of H in the second term, L = 16", in_heads.value, in_heads.error, -0.5, bias=0.02, effect=0.3
        ),
        "layers_second": Part(
            "exponent of L in the second term, H = 4, heads drawn anew in each layer", in_depth.value, in_depth.error,
            -1 / 3, -0.5, bias=0.03,  # bias: curvature of the flow, of relative order 1/(L H)
        ),
    }  # fmt: skip
    series = (
        Series("first term, against L", LAYERS, depth.mean(axis=0), depth_errors),
        Series("second term, against L", DEEP, by_depth, by_depth_error),
        Series("second term, against H", HEADS, by_heads, by_heads_error),
        Series("L^-1/3", DEEP, by_depth[0] * (DEEP / DEEP[0]) ** (-1 / 3), dashed=True),
        Series("L^-1/2", DEEP, by_depth[0] * (DEEP / DEEP[0]) ** -0.5, dashed=True),
    )
    return Findings(
        parts,
        Figure("layers L, or heads H", "RMS distance", series, x_log=True, y_log=True),
        {"layers": LAYERS, "first": depth.mean(axis=0), "first_error": depth_errors,
         "layers_second": DEEP, "second": by_depth, "second_error": by_depth_error,
         "heads": HEADS, "second_of_heads": by_heads, "second_of_heads_error": by_heads_error},
        (f"heads that follow curves do not average over depth: exponent of L {along.value:.3f} +- {along.error:.3f}",),
    )  # fmt: skip
