"""Overlap of the tokens of a random transformer, layer by layer, without its matrices.  mathematics, section 4.

The tokens are held as exchangeable with one overlap g between any two: x_i = sqrt(g) e + sqrt(1 - g) f_i.  Given the
attention weights, a layer adds U_i with independent Gaussian rows of variance a at a token and covariance c between
two.  So U_i = sqrt(c) X + sqrt(a - c) X_i with X common to all tokens, and given X the mean overlap of two tokens is

    g' = [(sqrt(g) + sqrt(c) Z)^2 F^2 + c Q^2 (F^2 - 2 F (1 - g)/((d - 1) p))]/p,
    F = 1 + 3 v/(8 p^2) - (a - c)/p,    p = E|x + U|^2 = 1 + 2 sqrt(g c) Z + c (Z^2 + Q^2) + (a - c) d,
    v = Var|x + U|^2 = 4 (1 - g) c Q^2/(d - 1) + 4 (a - c)(1 + 2 sqrt(g c) Z + c (Z^2 + Q^2)) + 2 (a - c)^2 d,

Z = <e, X> normal and Q = |X - Z e| chi of d - 1 degrees, up to third order in the fluctuations of |x + U|^2, which are
of order d^-1/2.  For small steps the mean of g' - g is the exact drift of the simplex, (d - 2 + g^2) c - (d - 1) g a.

Attention: a = H (eta/H)^2 sigma_v^2 (g + (1 - g) f) and c the same with h, where f and h are those of `Simplex`,
averaged over the tokens of a head and drawn for each head.  MLP block: a = s^2 k(1), c = s^2 k(g).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from particles.arrays import Array
from particles.kernels import WIDEST, Activation, pair_mean
from particles.reduced.overlap import check_heads, overlap_drift

KNOTS = 12  # overlaps at which the statistics of attention are drawn
READERS = 16  # tokens over which those of one head are averaged
INDISTINGUISHABLE = 0.99  # overlap beyond which tokens count as one
BAND = (5.0, 95.0)  # percentiles over realizations of the weights


@dataclass(frozen=True)
class MLPKernel:
    """k(u) = E[act(gain X) act(gain Y)], X, Y normal with correlation u: a wide block without biases.

    Parameters
    ----------
    activation : one of `particles.ACTIVATIONS`.   gain : standard deviation of an input of the activation.

    Accuracy: 1e-5 of k(1), from a table over u in [0, 1] (tests/particles/test_forecast.py).
    """

    activation: Activation
    gain: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.gain <= WIDEST:  # written so that NaN is caught
            raise ValueError(f"gain must lie in (0, {WIDEST:g}], got {self.gain}")

    def value(self, u: Array) -> Array:
        """k at overlaps u in [0, 1]."""
        found: Array = np.interp(np.sqrt(np.clip(1 - np.asarray(u), 0, 1)), *self._table)
        return found

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        root = np.linspace(0, 1, 257)  # of 1 - u: kernels of activations with a corner have a root there
        return root, pair_mean(self.activation, 1 - root**2, self.gain)


@dataclass(frozen=True)
class Architecture:
    """A random transformer x -> nrm(x + (eta/H) sum_h V_h m_h(x)), or its pre-norm stream.

    Parameters
    ----------
    d : dimension of the tokens.   heads, head_dim : H heads a layer, of inner dimension head_dim <= d.
    context : number of tokens n.   layers : number of layers.
    eta : residual scale.   sigma_v, sigma_a : standard deviations of the entries of V and of W, W' in A = W W'^T.
    beta : inverse temperature.
    mlp : kernel of an MLP block behind each attention block, or None.   mlp_scale : factor s before it.
    pre_norm : blocks read nrm(x) and add to x, whose length grows from `radius`; else tokens stay on the sphere.
    radius : length of the tokens at the start, used where pre_norm.
    """

    d: int
    heads: int
    head_dim: int
    context: int
    layers: int
    eta: float
    sigma_v: float
    sigma_a: float
    beta: float
    mlp: MLPKernel | None = None
    mlp_scale: float = 0.0
    pre_norm: bool = False
    radius: float = 1.0

    def __post_init__(self) -> None:
        check_heads(self.d, self.beta, self.sigma_a, self.head_dim)
        for name, least in (("d", 3), ("heads", 1), ("context", 2), ("layers", 1)):
            if not getattr(self, name) >= least:  # written so that NaN is caught
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("eta", "sigma_v", "mlp_scale"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and >= 0, got {getattr(self, name)}")
        if not 0 < self.radius < math.inf:
            raise ValueError(f"radius must be positive and finite, got {self.radius}")

    @property
    def attention_step(self) -> float:
        """Variance that a layer of attention adds to a coordinate of a token at s_ii = 1: eta^2 sigma_v^2/H."""
        return self.eta**2 * self.sigma_v**2 / self.heads


@dataclass(frozen=True, eq=False)
class AttentionTable:
    """s_ii = g + (1 - g) f and s_ij = g + (1 - g) h over the overlap g: mean and covariance over single heads.

    Attributes
    ----------
    overlap : (K,) ascending, from 0 to 1.   mean : (K, 2) of s_ii, s_ij.   root : (K, 2, 2) of their covariance.
    """

    overlap: Array
    mean: Array
    root: Array

    @classmethod
    def of(cls, architecture: Architecture, samples: int | None = None, seed: int = 0) -> "AttentionTable":
        """Drawn through head_dim-dimensional Gaussians, on KNOTS overlaps.

        `samples` heads for each overlap; default as many as make 2^20 logits, 32 to 256.
        """
        a = architecture
        tokens = min(a.context, READERS)
        count = max(32, min(256, (1 << 20) // (tokens * a.context))) if samples is None else samples
        if not count >= 3:
            raise ValueError(f"samples must be at least 3, got {samples}")
        knots = 1 - np.linspace(1, 0, KNOTS) ** 2  # attention changes with sqrt(1 - g)
        mean, root = np.empty((KNOTS, 2)), np.empty((KNOTS, 2, 2))
        for row, g in enumerate(knots):
            rng = np.random.default_rng([seed, 0])  # the same numbers at every knot: a smooth table
            pair = np.stack([one_head(a, float(g), tokens, rng) for _ in range(count)], axis=1)
            mean[row] = pair.mean(axis=1)
            values, vectors = np.linalg.eigh(np.cov(pair))
            root[row] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return cls(knots, mean, root)

    def at(self, overlap: Array) -> tuple[Array, Array, Array]:
        """Mean s_ii and s_ij, (R,) each, and the root (R, 2, 2) of the covariance of one head."""
        s_ii, s_ij = (np.interp(overlap, self.overlap, column) for column in self.mean.T)
        root = np.stack([np.interp(overlap, self.overlap, self.root[:, i, j]) for i in (0, 1) for j in (0, 1)], axis=-1)
        return s_ii, s_ij, root.reshape(*np.shape(overlap), 2, 2)


def one_head(architecture: Architecture, overlap: float, tokens: int, rng: np.random.Generator) -> Array:
    """s_ii and s_ij of one head, (2,): means over `tokens` tokens and their pairs, all keys random.

    The common part of the keys cancels in a softmax; the logits of the rest have the covariance of the queries.
    """
    a, apart = architecture, 1 - overlap
    queries = math.sqrt(overlap) * rng.standard_normal((a.head_dim, 1))
    queries = queries + math.sqrt(apart) * rng.standard_normal((a.head_dim, tokens))
    if tokens < a.head_dim:
        queries = np.asarray(np.linalg.qr(queries, mode="r"), dtype=np.float64)
    logits = (a.beta * a.sigma_a**2 * math.sqrt(apart)) * queries.T @ rng.standard_normal((len(queries), a.context))
    logits -= logits.max(axis=1, keepdims=True)
    weights = np.exp(logits, out=logits)
    weights /= weights.sum(axis=1, keepdims=True)
    square, total = float(np.vdot(weights, weights)), weights.sum(axis=0)
    f, h = square / tokens, (float(total @ total) - square) / (tokens * (tokens - 1))
    return overlap + apart * np.array([f, h])


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
        """Change of the mean overlap per layer at given overlaps, to first order, at the length tokens end with."""
        a, g = self.architecture, np.asarray(overlap, dtype=np.float64)
        s_ii, s_ij, _ = self.table.at(g)
        change = a.attention_step * a.d * overlap_drift(a.d, g, s_ij, s_ii, s_ii)
        if a.mlp is not None:
            k, own = a.mlp.value(g), a.mlp.value(np.ones(1))
            change = change + a.mlp_scale**2 * a.d * overlap_drift(a.d, g, k, own, own)
        found: Array = change / self.radius[-1] ** 2
        return found

    def exponent(self, overlap: float = INDISTINGUISHABLE) -> float:
        """Rate of E log(1 - overlap) per layer there: negative, tokens go on to meet; positive, they part.

        -drift/(1 - g) - 2 g c, the second term from the common noise, whose variance is 4 g c (1 - g)^2 a layer.
        """
        a, g = self.architecture, np.array([overlap])
        c = a.attention_step * self.table.at(g)[1]
        if a.mlp is not None:
            c = c + a.mlp_scale**2 * a.mlp.value(g)
        return float((-self.drift(g) / (1 - g) - 2 * g * c / self.radius[-1] ** 2)[0])

    def resting_overlap(self) -> float | None:
        """Least overlap at which the drift changes from rising to falling, above that of the start, or None."""
        grid = np.linspace(max(0.0, float(self.mean[0])), INDISTINGUISHABLE, 400)
        drift = self.drift(grid)
        turns = np.flatnonzero((drift[:-1] > 0) & (drift[1:] <= 0))
        if not turns.size:
            return None
        k = int(turns[0])
        return float(grid[k] + (grid[k + 1] - grid[k]) * drift[k] / (drift[k] - drift[k + 1]))


def next_overlap(d: int, g: Array, own: Array, shared: Array, z: Array, q_square: Array) -> tuple[Array, Array]:
    """One layer: g' and the mean p of |x + U|^2, the formulas at the head of this module.

    Parameters
    ----------
    d : dimension.   g : overlaps >= 0 (R,).   own, shared : a >= c >= 0, (R,).   z, q_square : Z and Q^2, (R,).
    """
    apart = np.maximum(own - shared, 0)
    e, x = np.sqrt(g), np.sqrt(shared)
    centre = 1 + 2 * e * x * z + shared * (z * z + q_square)
    p = centre + apart * d
    v = 4 * (1 - g) * shared * q_square / (d - 1) + 4 * apart * centre + 2 * apart**2 * d
    factor = 1 + 3 * v / (8 * p * p) - apart / p
    along = (e + x * z) ** 2 * factor**2
    across = shared * q_square * (factor**2 - 2 * factor * (1 - g) / ((d - 1) * p))
    return np.clip((along + across) / p, 0.0, 1.0), p


def forecast(
    architecture: Architecture,
    start: float,
    *,
    realizations: int = 400,
    seed: int = 0,
    samples: int | None = None,
    until_collapse: bool = False,
) -> Forecast:
    """Overlap of the tokens layer by layer, over realizations of the weights.

    Parameters
    ----------
    architecture : what is forecast.   start : overlap of the tokens before the first layer, in [0, 1].
    realizations : independent networks.   seed : of all random numbers.   samples : see `AttentionTable.of`.
    until_collapse : end at the collapse, if it comes before the last layer.

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
    g, radius = np.full(realizations, float(start)), np.full(realizations, a.radius if a.pre_norm else 1.0)
    overlaps, radii = [g], [radius.mean()]
    for _ in range(a.layers):
        s_ii, s_ij, root = table.at(g)
        spread = np.einsum("rij,rj->ri", root, rng.standard_normal((realizations, 2))) / math.sqrt(a.heads)
        blocks = [(a.attention_step * np.maximum(s_ii + spread[:, 0], 0), a.attention_step * (s_ij + spread[:, 1]))]
        if a.mlp is not None:
            blocks.append((np.zeros(0), np.zeros(0)))
        for number, (own, shared) in enumerate(blocks):
            if number and a.mlp is not None:  # the block reads what attention has left
                own = np.full(realizations, a.mlp_scale**2 * float(a.mlp.value(np.ones(1))[0]))
                shared = a.mlp_scale**2 * a.mlp.value(g)
            scale = radius**2
            z, q_square = rng.standard_normal(realizations), rng.chisquare(a.d - 1, realizations)
            g, p = next_overlap(a.d, g, own / scale, np.clip(shared, 0, own) / scale, z, q_square)
            if a.pre_norm:
                radius = radius * np.sqrt(p)
        overlaps.append(g)
        radii.append(radius.mean())
        if until_collapse and g.mean() > INDISTINGUISHABLE:
            break
    return Forecast(a, np.stack(overlaps, axis=1), np.array(radii), table)
