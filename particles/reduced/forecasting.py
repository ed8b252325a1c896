"""Overlap of the tokens of a random transformer, layer by layer, without its matrices.  mathematics, section 4.

The n tokens are held as exchangeable with one overlap g between any two, and g is the mean over their pairs: a random
number of the network, at finite n too.  Given the attention weights, a layer adds U_i with independent Gaussian rows of
variance a at a token and covariance c between two: U_i = sqrt(c) X + sqrt(a - c) X_i with X common to all tokens.

The mean token x has |x|^2 = w = g + (1 - g)/n, not g: it is moved by sqrt(k) X' with k = c + (a - c)/n, the X_i being
averaged.  What the tokens deviate from it is moved independently of that.  So of y_i = x_i + U_i

    P = w + 2 sqrt(w k) Z + k (Z^2 + Q^2)                                         is the squared length of the mean,
    D = 1 - g + (a - c) d +- [(4 (a - c)(1 - g) + 2 (a - c)^2 d)/(n - 1)]^1/2     half the mean square distance of two,

Z normal (along x) and Q chi of d - 1 degrees, all independent; N = P - D/n is the mean of <y_i, y_j> over pairs and
p = N + D that of |y_i|^2.  Against n = infinity the noise 2 sqrt(w k) Z has 4 k (1 - g)/n more variance, at g = 0 all
of it: the tokens' own directions, averaged over n of them.
Normalised, with v the variance of |y_i|^2 over the tokens and up to third order in its fluctuations, of order d^-1/2,

    g' = [N F^2 - 2 F (1 - g) k Q^2/((d - 1) p)]/p,    F = 1 + 3 v/(8 p^2) - (a - c)/p,
    v = 4 (1 - g) k Q^2/(d - 1) + 4 (a - c)(p - (a - c) d) + 2 (a - c)^2 d.

For small steps the mean of g' - g is the exact drift of the simplex, (d - 2 + g^2) c - (d - 1) g a.

Variances a and covariances c are those of `architecture`: of attention with random weights, then of the MLP block.
Values V = W_o W_v of H heads pass through H head_dim random coordinates before W_o: given these, what the tokens share
is c chi^2/(H head_dim), chi of H head_dim degrees, and a changes with it.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from particles.arrays import Array
from particles.reduced.architecture import Architecture, AttentionTable

INDISTINGUISHABLE = 0.99  # overlap beyond which tokens count as one
DRAWS = 1024  # of one layer, stratified, for its mean change and its exponent
ENDLESS = 1e9  # variance of a step beside which the unit tokens before it vanish
BAND = (5.0, 95.0)  # percentiles over realizations of the weights


@dataclass(frozen=True, eq=False)
class Forecast:
    """Overlap over layers.

    Attributes
    ----------
    architecture : that of the forecast.   overlap : (R, layers + 1) of each realization, layer 0 first.
    radius : (layers + 1,) mean length of the tokens; 1 on the sphere.   table : statistics of attention.
    """

    architecture: Architecture
    overlap: Array
    radius: Array
    table: AttentionTable

    @property
    def mean(self) -> Array:
        """Mean overlap by layer."""
        return np.asarray(self.overlap.mean(axis=0), dtype=np.float64)

    @property
    def band(self) -> tuple[Array, Array]:
        """The 5th and the 95th percentile by layer."""
        low, high = np.percentile(self.overlap, BAND, axis=0)
        return low, high

    @property
    def collapse_layer(self) -> int | None:
        """First layer whose mean overlap exceeds INDISTINGUISHABLE, or None."""
        above = np.flatnonzero(self.mean > INDISTINGUISHABLE)
        return int(above[0]) if above.size else None

    def drift(self, overlap: Array) -> Array:
        """Mean change of the overlap in one layer at given overlaps (K,), at the length tokens end with."""
        gaps = [1 - float(g) for g in np.atleast_1d(overlap)]
        return np.array([(gap - self._after(gap)).mean() for gap in gaps])

    def exponent(self, overlap: float = INDISTINGUISHABLE) -> float:
        """Rate of E log(1 - overlap) per layer there: negative, tokens go on to meet; positive, they part.

        One layer is taken as it is, at the length tokens end with, and averaged over its weights.  For small steps
        this is -drift/(1 - g) - 2 g c, the second term from the common noise.
        """
        return float(np.log(self._after(1 - overlap) / (1 - overlap)).mean())

    def _after(self, gap: float) -> Array:
        """Gaps 1 - g after one more layer, (DRAWS,): always of the same draws."""
        rng, full = np.random.default_rng([0, 2]), np.ones(DRAWS)
        return next_layer(self.architecture, self.table, gap * full, self.radius[-1] * full, rng)[0]

    def resting_overlap(self) -> float | None:
        """Least overlap at which the drift changes from rising to falling, above that of the start, or None."""
        grid = np.linspace(max(0.0, float(self.mean[0])), INDISTINGUISHABLE, 64)
        drift = self.drift(grid)
        turns = np.flatnonzero((drift[:-1] > 0) & (drift[1:] <= 0))
        if not turns.size:
            return None
        k = int(turns[0])
        return float(grid[k] + (grid[k + 1] - grid[k]) * drift[k] / (drift[k] - drift[k + 1]))


@dataclass(frozen=True, eq=False)
class LayerNoise:
    """Random numbers of a block, (R,) each: Z, Q^2 and that of the distances D, as at the head of this module."""

    along: Array
    across_square: Array
    apart: Array

    @classmethod
    def draw(cls, d: int, count: int, rng: np.random.Generator) -> "LayerNoise":
        """Drawn for `count` networks."""
        first, second, third = stratified(rng, 3, count)
        return cls(scipy.special.ndtri(first), chi_square(d - 1, second), scipy.special.ndtri(third))


def chi_square(degrees: float, uniform: Array) -> Array:
    """chi^2 of so many degrees, from uniform numbers."""
    found: Array = 2 * scipy.special.gammaincinv(degrees / 2, uniform)
    return found


def stratified(rng: np.random.Generator, rows: int, count: int) -> Array:
    """Uniform numbers in (0, 1), (rows, count): one in each count-th of the interval, in random order, row by row."""
    places = rng.permuted(np.tile(np.arange(count, dtype=np.float64), (rows, 1)), axis=1)
    found: Array = (places + np.maximum(rng.random((rows, count)), 1e-12)) / count
    return found


def next_gap(d: int, tokens: float, gap: Array, own: Array, shared: Array, noise: LayerNoise) -> tuple[Array, Array]:
    """One block: 1 - g' and the mean p of |x + U|^2, the formulas at the head of this module.

    The gap 1 - g is carried because it keeps its digits where tokens meet.

    Parameters
    ----------
    d, tokens : dimension, and number of tokens n >= 2 (inf: many).   gap : 1 - g in [0, n/(n - 1)], (R,).
    own, shared : a >= c >= 0, (R,).   noise : that of the block.
    """
    z, q_square, apart = noise.along, noise.across_square, own - shared
    mean_square = np.maximum(1 - gap * (1 - 1 / tokens), 0)  # |x|^2
    step = shared + apart / tokens
    centre = mean_square + 2 * np.sqrt(mean_square * step) * z + step * (z * z + q_square)
    distance = gap + apart * d
    relative = np.sqrt(4 * apart * gap + 2 * apart**2 * d) / np.where(distance > 0, distance, 1) / math.sqrt(tokens - 1)
    width = np.sqrt(np.log1p(relative**2))  # a log-normal law of that mean and variance: distances are positive
    distance = distance * np.exp(width * noise.apart - width**2 / 2)
    product = centre - distance / tokens
    p = product + distance
    v = 4 * gap * step * q_square / (d - 1) + 4 * apart * (p - apart * d) + 2 * apart**2 * d
    excess = 3 * v / (8 * p * p) - apart / p  # F - 1
    turned = 2 * (1 + excess) * gap * step * q_square / ((d - 1) * p)
    new = (distance + turned - product * excess * (2 + excess)) / p
    return np.clip(new, 0.0, tokens / (tokens - 1) if tokens < math.inf else 1.0), p


def next_layer(
    architecture: Architecture, table: AttentionTable, gap: Array, radius: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """One layer, attention and MLP: new gaps 1 - g and lengths of the tokens, (R,) each, random weights."""
    a, count = architecture, len(gap)

    def block(gap: Array, own: Array, shared: Array, radius: Array) -> tuple[Array, Array]:
        noise, scale = LayerNoise.draw(a.d, count, rng), radius**2
        gap, p = next_gap(a.d, a.context, gap, own / scale, np.clip(shared, 0, own) / scale, noise)
        return gap, radius * np.sqrt(p) if a.pre_norm else radius

    s_ii, s_ij = table.draw(gap, a.heads, scipy.special.ndtri(stratified(rng, 2, count)))
    own, shared = a.attention_step * s_ii, a.attention_step * s_ij
    if a.factored:
        grown = shared * (chi_square(a.heads * a.head_dim, stratified(rng, 1, count)[0]) / (a.heads * a.head_dim) - 1)
        own, shared = own + grown, shared + grown
    gap, radius = block(gap, own, shared, radius)
    if a.mlp is not None:  # it reads what attention has left
        own = np.full(count, float(a.mlp.value(np.ones(1))[0]))
        apart = gap / math.sqrt(a.d)  # standard deviation of the overlaps of single pairs
        shared = (a.mlp.value(1 - gap + apart) + a.mlp.value(1 - gap - apart)) / 2
        gap, radius = block(gap, a.mlp_scale**2 * own, a.mlp_scale**2 * shared, radius)
    return gap, radius


def forecast(
    architecture: Architecture,
    start: float,
    *,
    realizations: int = 400,
    seed: int = 0,
    samples: int | None = None,
    until_collapse: bool = False,
    drawn: bool = False,
) -> Forecast:
    """Overlap of the tokens layer by layer, over realizations of the weights.

    Parameters
    ----------
    architecture : what is forecast.   start : overlap of the tokens before the first layer, in [0, 1].
    realizations : independent networks.   seed : of all random numbers.   samples : see `AttentionTable.of`.
    until_collapse : end at the collapse, if it comes before the last layer.
    drawn : the tokens are random, independent Gaussian beside a Gaussian part of share `start` that all have in common,
        so the overlap of n of them varies about `start` from network to network; else it is `start`.

    Returns
    -------
    Forecast.  Accuracy: that of one overlap for all pairs; docs/forecast.md compares it with finite transformers.

    Examples
    --------
    >>> small = Architecture(64, 4, 16, 32, 24, 1.0, 64**-0.5, 1.0, 0.25)
    >>> found = forecast(small, 0.1, realizations=50)
    >>> bool(found.mean[-1] > found.mean[0])
    True
    """
    if not 0 <= start <= 1:
        raise ValueError(f"start must lie in [0, 1], got {start}")
    if not realizations >= 2:
        raise ValueError(f"realizations must be at least 2, got {realizations}")
    a = architecture
    table = AttentionTable.of(a, samples, seed)
    rng = np.random.default_rng([seed, 1])
    gap, radius = np.full(realizations, 1 - float(start)), np.full(realizations, a.radius if a.pre_norm else 1.0)
    if drawn:  # beside a step without end the tokens before it are nothing
        own = np.full(realizations, ENDLESS)
        gap, _ = next_gap(a.d, a.context, gap, own, start * own, LayerNoise.draw(a.d, realizations, rng))
    overlaps, radii = [1 - gap], [radius.mean()]
    for _ in range(a.layers):
        gap, radius = next_layer(a, table, gap, radius, rng)
        overlaps.append(1 - gap)
        radii.append(radius.mean())
        if until_collapse and overlaps[-1].mean() > INDISTINGUISHABLE:
            break
    return Forecast(a, np.stack(overlaps, axis=1), np.array(radii), table)
