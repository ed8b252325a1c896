"""Overlap of tokens through fifty layers, score variance beta^2 log n: two maps, and networks.

A layer of a post-norm network without an output matrix: attention with values of variance w and biases of variance b,
a norm, a ReLU block with the same variances, a norm; residual branches of weight 1.  For tokens of one overlap p,

    p -> (w p_att + b + p)/(w q_att + b + 1),     q_att = p + (1 - p) f,  p_att = p + (1 - p) h,
    p -> (w q_1/2 rho(p_1/q_1) + b + p)/(w q_1/2 + b + 1),     q_1 = w + b,  p_1 = w p + b,

rho(c) = (sqrt(1 - c^2) + c (pi - arccos c))/pi; f = E sum pi_i^2, h = E sum pi_i pi'_i over the weights of one and of
two tokens.  The map of the random-energy model has n = infinity: f = max(0, 1 - sqrt(2/(1 - p))/beta), h = 0.  That of
finite n takes f and h of n Gaussian scores; the networks take nothing.
"""

import numpy as np

from particles import Array
from validation.reproductions.row import Reproduction, Row

VALUES, BIASES = 0.2, 4e-4  # w and b
LAYERS, D, CONTEXT, TRIALS = 50, 720, 512, 3  # TRIALS: networks behind a dot
STARTS = {0.5: 0.0246, 3.0: 0.026}  # overlap at layer 0, from the line at the lower layers of the figure
LINES = {  # half a unit of layer between two markers: beta -> (layer, overlap read off the line)
    0.5: ((5.5, "0.117"), (14.5, "0.459"), (23.5, "0.824")),
    3.0: ((11.5, "0.175"), (20.5, "0.381"), (29.5, "0.661"), (38.5, "0.905")),
}
DOTS = {10: "0.143", 20: "0.329", 25: "0.451", 30: "0.603", 35: "0.774", 40: "0.886", 50: "0.980"}  # beta = 3
READING = 0.004  # a pixel is 0.0017; a line is 6 pixels wide
SMALL = (
    "at finite n attention is not that of n = infinity: f > 0 below its critical beta, h > 0 above; their way is the "
    "map with f and h of {n} scores"
)


def limit(p: float, beta: float) -> tuple[float, float]:
    """f and h of the random-energy model."""
    return max(0.0, 1 - np.sqrt(2 / (1 - p)) / beta) if p < 1 else 0.0, 0.0


def finite(rng: np.random.Generator, p: float, beta: float, n: int, rows: int = 400) -> tuple[float, float]:
    """f and h of n scores of variance beta^2 log CONTEXT, overlap p among keys and between the two queries."""
    first, other = rng.standard_normal((2, rows, n))
    other = p * first + np.sqrt(max(1 - p * p, 0.0)) * other
    weights = []
    for scores in (first, other):
        x = np.exp(beta * np.sqrt(np.log(CONTEXT) * max(1 - p, 0.0)) * (scores - scores.max(axis=1, keepdims=True)))
        weights.append(x / x.sum(axis=1, keepdims=True))
    one, two = weights
    return float(np.mean(np.sum(one * one, axis=1))), float(np.mean(np.sum(one * two, axis=1)))


def block(p: float, f: float, h: float) -> float:
    """The overlap behind a layer."""
    p = (VALUES * (p + (1 - p) * h) + BIASES + p) / (VALUES * (p + (1 - p) * f) + BIASES + 1)
    inner = VALUES + BIASES
    c = min((VALUES * p + BIASES) / inner, 1.0)
    rho = (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi
    return float((0.5 * VALUES * inner * rho + BIASES + p) / (0.5 * VALUES * inner + BIASES + 1))


def limit_course(beta: float) -> Array:
    """Overlaps at layers 0 ... 50 of the random-energy map."""
    found = [STARTS[beta]]
    for _ in range(LAYERS):
        found.append(block(found[-1], *limit(found[-1], beta)))
    return np.array(found)


def finite_course(rng: np.random.Generator, beta: float, n: int) -> Array:
    """The same of the map of n scores."""
    found = [STARTS[beta]]
    for _ in range(LAYERS):
        found.append(block(found[-1], *finite(rng, found[-1], beta, n)))
    return np.array(found)


def normed(x: Array) -> Array:
    """Layer norm: mean 0 and mean square 1 over the coordinates of each token (n, d)."""
    x = x - x.mean(axis=1, keepdims=True)
    found: Array = x / np.sqrt(np.mean(x * x, axis=1, keepdims=True))
    return found


def images(rng: np.random.Generator, x: Array, variance: float, bias: float = 0.0) -> Array:
    """x W^T + b for W of independent entries N(0, variance/d) and b of entries N(0, bias), (n, d), drawn without W.

    Columns of the result are independent N(0, variance x x^T/d + bias), mathematics 9.
    """
    n, d = x.shape
    gram = variance / d * (x @ x.T) + bias
    found: Array = np.linalg.cholesky(gram + 1e-12 * np.eye(n)) @ rng.standard_normal((n, d))
    return found


def network(rng: np.random.Generator, beta: float, n: int, d: int = D, layers: int = LAYERS) -> Array:
    """Mean overlap of different tokens at each layer of one network, (layers + 1,); exact in law, mathematics 9."""
    p, strength = STARTS[beta], beta * np.sqrt(np.log(CONTEXT))
    x = normed(np.sqrt(p) * rng.standard_normal((1, d)) + np.sqrt(1 - p) * rng.standard_normal((n, d)))
    found = [mean_overlap(x)]
    for _ in range(layers):
        scores = images(rng, x, strength) @ images(rng, x, strength).T / np.sqrt(d)
        pi = np.exp(scores - scores.max(axis=1, keepdims=True))
        pi /= pi.sum(axis=1, keepdims=True)
        x = normed(pi @ images(rng, x, VALUES, BIASES) + x)
        x = normed(images(rng, np.maximum(images(rng, x, VALUES, BIASES), 0), VALUES, BIASES) + x)
        found.append(mean_overlap(x))
    return np.array(found)


def mean_overlap(x: Array) -> float:
    """Mean cosine of different tokens of mean square 1."""
    n, d = x.shape
    return float((np.sum(x.sum(axis=0, dtype=np.float64) ** 2) / d - n) / (n * (n - 1)))


def rows(quick: bool, seed: int) -> tuple[Row, ...]:
    """Lines of the figure against the map; its dots against the map and against networks."""
    found = []
    for beta, places in LINES.items():
        course = limit_course(beta)
        for layer, theirs in places:
            ours = float(0.5 * (course[int(layer)] + course[int(layer) + 1]))
            found.append(Row(f"their map, beta = {beta:g}, between layers {layer - 0.5:g} and {layer + 0.5:g}", theirs,
                             ours, reading=READING))  # fmt: skip
    rng, beta = np.random.default_rng([seed, 42]), 3.0
    n, size = (32, 3) if quick else (256, 12)
    drawn = np.array([network(rng, beta, n) for _ in range(size)])
    spread, near = drawn.std(axis=0, ddof=1), finite_course(rng, beta, n)
    for layer, theirs in DOTS.items():
        own = float(spread[layer] / np.sqrt(TRIALS))  # what three networks of theirs leave
        found.append(Row(f"their networks, beta = 3, layer {layer}: random-energy map", theirs,
                         float(limit_course(beta)[layer]), reading=2 * READING, reason=SMALL.format(n=n),
                         their_way=float(near[layer]), way_error=own))  # fmt: skip
        found.append(Row(f"their networks, beta = 3, layer {layer}: networks of {n} tokens", theirs,
                         float(drawn[:, layer].mean()), float(np.hypot(own, spread[layer] / np.sqrt(size))),
                         reading=2 * READING))  # fmt: skip
    return tuple(found)


RANDOM_ENERGY = Reproduction(
    "Overlaps through fifty layers, random-energy picture",
    "Giorlandino and Goldt, arXiv 2505.24333, repository aGiorlandino/ICLR-Signal-Propagation-Transformers",
    "the figure in deep_prop_encoder.ipynb at d3d7ffc, read off to 0.004 on the lines and 0.008 on the dots",
    "d = 720, one head, w = 0.2, b = 4e-4, score variance beta^2 log 512; their tokens are words of a story, of a "
    "number that is not printed (at most 512), ours exchangeable ones of the same mean overlap",
    rows,
)
