"""T2, finite depth and heads: the distance of a transformer of L layers with H heads to its limit, L and H apart.

As reported (Gibson and Reisinger) the L2 distance is at most of order L^-1 + L^-1/3 H^-1/2.  Heads that follow
independent smooth curves through depth, as after training, are tested against it as a bound: the first term against
many layers on the same curves, the second against a chain of equal L and H = infinity.  At L = infinity H such curves
still fluctuate by H^-1/2, whatever L.  Beside it: heads drawn anew in each layer average over depth, (L H)^-1/2.
"""

from dataclasses import dataclass

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
    unit,
)
from validation.estimates import Estimate, Fitted, columns, exponent, replica_mean, root_mean
from validation.studies.shared.chains import averages, end
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "finite depth and heads",
    "a transformer of L layers and H heads, whose heads depend smoothly on depth, is within C (L^-1 + L^-1/3 H^-1/2) "
    "of its limit in L2",
    "Gibson and Reisinger 2605.11059, as reported",
    "independent heads on smooth curves do not average over depth: the second term is H^-1/2, whatever L; heads "
    "drawn anew in each layer do, (L H)^-1/2, within the bound",
    "the central limit theorem: at L = infinity the mean of H independent curves still fluctuates by H^-1/2",
)

D, BETA, SIGMA_V, SIGMA_A = 3, 1.5, 0.5, 0.6
MEAN_V = np.diag([1.0, 0.5, -0.5])
FORM = np.array([[1.0, 0.5, 0.0], [-0.5, 0.8, 0.0], [0.0, 0.3, -0.6]])  # A, the same in all heads of the second term
LAYERS, HEADS = np.array([8, 16, 32, 64]), np.array([4, 8, 16, 32])
DEEP = np.array([32, 64, 128, 256])
START = Tokens(Uniform(D).sample(np.random.default_rng(1), 5)).points


def depth_error(layers: Array, fine: int, replicas: int, seed: int) -> Array:
    """Distance to `fine` layers on the same curves of four heads, RMS over tokens, (replicas, len(layers))."""
    heads = SmoothHeads(D, SIGMA_V, SIGMA_A, 2, MEAN_V)
    found = np.empty((replicas, len(layers)))
    for replica, row in enumerate(found):
        noise = Noise(seed, replica)
        target = end(SmoothTransformer(heads, Softmax(BETA), 1 / fine, 4, noise), START)
        for place, count in enumerate(layers):
            gap = end(SmoothTransformer(heads, Softmax(BETA), 1 / count, 4, noise), START) - target
            row[place] = np.sqrt(np.mean(np.sum(gap**2, axis=1)))
    return found


def squares(layers: int, n_heads: int, replicas: int, seed: int, curves: bool = True) -> Array:
    """Mean square distance to the chain of equal depth with infinitely many heads, (replicas,).

    Values are random and A is given, so that E V m_A = Vbar m_A.  Heads follow curves, the same ones at each number of
    layers, or are drawn anew in each layer.
    """
    fresh, smooth = GaussianHeads(D, SIGMA_V, 0.0, 1, MEAN_V, FORM), SmoothHeads(D, SIGMA_V, 0.0, 1, MEAN_V, FORM)
    heads = smooth if curves else fresh
    target = end(Ballistic(heads, Softmax(BETA), 1 / layers, 1, Noise(0), scheme=Euler()), START)

    def chain(noise: Noise) -> LayerLaw:
        if curves:
            return SmoothTransformer(smooth, Softmax(BETA), 1 / layers, n_heads, noise)
        return RandomTransformer(fresh, Softmax(BETA), 1 / layers, n_heads, noise)

    ends = (end(chain(Noise(seed, k)), START) for k in range(replicas))
    return np.array([float(np.mean(np.sum((tokens - target) ** 2, axis=1))) for tokens in ends])


def head_error(layers: int, n_heads: int, replicas: int, seed: int, curves: bool = False) -> Estimate:
    """RMS distance to the chain of equal depth with infinitely many heads."""
    return root_mean(squares(layers, n_heads, replicas, seed, curves))


def on_shared_curves(found: Array) -> tuple[Array, Array]:
    """Root mean squares of (replicas, N) and their covariance; columns share their curves."""
    roots = np.sqrt(found.mean(axis=0))
    return roots, np.cov(found.T) / len(found) / (4 * roots * roots[:, None])


def fresh_error(layers: int, n_heads: int, replicas: int, rng: np.random.Generator) -> Estimate:
    """The same by many chains at once: with A given, the mean of H Gaussian V is Vbar + sigma_v H^-1/2 G."""
    states = np.broadcast_to(START, (replicas, *START.shape)).copy()
    target = START[None].copy()
    for _ in range(layers):
        noise = SIGMA_V * n_heads**-0.5 * rng.standard_normal((replicas, D, D))
        states += averages(states, FORM, BETA) @ np.swapaxes(MEAN_V + noise, 1, 2) / layers
        states /= np.linalg.norm(states, axis=2, keepdims=True)
        target = unit(target + averages(target, FORM, BETA) @ MEAN_V.T / layers)
    return root_mean(np.mean(np.sum((states - target) ** 2, axis=2), axis=1))


@dataclass(frozen=True, eq=False)
class Distances:
    """RMS distances and their errors: both terms on curves, the second one with heads drawn anew."""

    first: Array
    first_error: Array
    along: Array
    along_spread: Array
    across: tuple[Array, Array]
    by_depth: tuple[Array, Array]
    by_heads: tuple[Array, Array]
    order: Fitted

    @classmethod
    def measured(cls, few: int, many: int, fine: int, seed: int) -> "Distances":
        """From `few` chains on curves for the first term, and in proportion to `many` for the second."""
        rng = np.random.default_rng([seed, 11])
        # a first-order chain held against `fine` layers: the distance loses L/fine of itself
        depth = depth_error(LAYERS, fine, few, seed) / (1 - LAYERS / fine)
        rows = [exponent(LAYERS, row, order=-1) for row in depth]
        mean = replica_mean([row.value for row in rows])
        return cls(
            depth.mean(axis=0),
            depth.std(axis=0, ddof=1) / np.sqrt(few),
            *on_shared_curves(np.stack([squares(int(n), 4, many, seed) for n in LAYERS], axis=1)),
            columns(head_error(16, int(n), 6 * many, seed + 1, curves=True) for n in HEADS),
            columns(fresh_error(int(n), 4, 60 * many, rng) for n in DEEP),
            columns(fresh_error(16, int(n), 60 * many, rng) for n in HEADS),
            Fitted(mean.value, mean.error, float(np.mean([row.bias for row in rows])), few - 1, 1.0),
        )

    def parts(self) -> dict[str, Part]:
        """The exponents: three of a bound, two beside it."""
        none = {"heads do not average": 0.0}
        return {
            "curves": Part.of(
                "exponent of L in the second term, four heads on smooth curves; a bound",
                exponent(LAYERS, self.along, self.along_spread, order=-1), -1 / 3, 0.0, at_most=True,
            ),
            "layers": Part.of(
                "exponent of L in the first term, four heads on smooth curves; a bound", self.order, -1.0,
                at_most=True, excludes={"L^-1/2": -0.5},
            ),
            "heads": Part.of(
                "exponent of H in the second term, L = 16, heads on smooth curves; a bound",
                exponent(HEADS, *self.across, order=-1), -0.5, at_most=True, excludes=none,
            ),
            "fresh_layers": Part.of(
                "exponent of L in the second term, H = 4, heads drawn anew in each layer",
                exponent(DEEP, *self.by_depth, order=-1), -0.5, excludes={"the bound itself": -1 / 3}, aside=True,
            ),
            "fresh_heads": Part.of(
                "exponent of H in the second term, L = 16, heads drawn anew in each layer",
                exponent(HEADS, *self.by_heads, order=-1), -0.5, excludes=none, aside=True,
            ),
        }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """The exponents of both terms, on curves and anew in each layer."""
    found = Distances.measured(*((8, 80, 512) if quick else (40, 500, 2048)), seed)
    by_depth = found.by_depth[0]
    series = (
        Series("first term, curves, against L", LAYERS, found.first, found.first_error),
        Series("second term, curves, against L", LAYERS, found.along, np.sqrt(np.diag(found.along_spread))),
        Series("second term, curves, against H", HEADS, *found.across),
        Series("second term, anew, against L", DEEP, *found.by_depth),
        Series("second term, anew, against H", HEADS, *found.by_heads),
        Series("L^-1/3", DEEP, by_depth[0] * (DEEP / DEEP[0]) ** (-1 / 3), dashed=True),
        Series("L^-1/2", DEEP, by_depth[0] * (DEEP / DEEP[0]) ** -0.5, dashed=True),
    )
    table = {
        "layers": LAYERS, "first": found.first, "first_error": found.first_error, "curves": found.along,
        "heads": HEADS, "curves_of_heads": found.across[0], "curves_of_heads_error": found.across[1],
        "layers_second": DEEP, "second": by_depth, "second_error": found.by_depth[1],
        "second_of_heads": found.by_heads[0], "second_of_heads_error": found.by_heads[1],
    }  # fmt: skip
    figure = Figure("layers L, or heads H", "RMS distance", series, x_log=True, y_log=True)
    return Findings(found.parts(), figure, table, second=Second(0.0))
