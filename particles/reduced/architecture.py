"""A random transformer as its overlaps see it: sizes, heads, kernel of its MLP.  mathematics, section 4.

A layer of attention adds to n tokens of overlap g increments of variance a = H (eta/H)^2 sigma_v^2 (g + (1 - g) f) at a
token, and of covariance c between two, the same with h, where f and h are those of `Simplex`, averaged over the tokens
of a head and drawn for each head.  A wide MLP block adds a = s^2 k(1), c = s^2 k(g).
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from particles.arrays import Array, check_not_negative, check_positive
from particles.layers.mlp.kernels import WIDEST, Activation, pair_mean
from particles.reduced.overlap import check_heads

KNOTS = 12  # overlaps at which the statistics of attention are drawn
READERS = (16, 64)  # tokens over which those of one head are averaged, at least and at most


@dataclass(frozen=True)
class MLPKernel:
    """k(u) = E[act(gain X) act(gain Y)], X, Y normal with correlation u: a wide block without biases.

    Parameters
    ----------
    activation : one of `particles.ACTIVATIONS`.   gain : standard deviation of an input of the activation.
    gate : that of the factor beside the activation in a gated block (Shazeer, arXiv 2002.05202), whose kernel is
        gate^2 u k(u); None where there is none.

    Accuracy: 1e-5 of k(1), from a table over u in [-1, 1] (tests/particles/reduced/test_forecast.py).
    """

    activation: Activation
    gain: float = 1.0
    gate: float | None = None

    def __post_init__(self) -> None:
        if self.gate is not None:
            check_not_negative(self.gate, "gate")
        if not 0 < self.gain <= WIDEST:  # written so that NaN is caught
            raise ValueError(f"gain must lie in (0, {WIDEST:g}], got {self.gain}")

    def value(self, u: Array) -> Array:
        """k at overlaps u in [-1, 1]."""
        u = np.asarray(u)
        found: Array = np.interp(np.sqrt(np.clip(1 - u, 0, 2)), *self._table)
        return found if self.gate is None else self.gate**2 * u * found

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        root = np.linspace(0, math.sqrt(2), 363)  # of 1 - u: kernels of activations with a corner have a root there
        return root, pair_mean(self.activation, np.maximum(1 - root**2, -1), self.gain)


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
    factored : values are V = W_o W_v through head_dim dimensions, as deployed, with Gaussian W_o and W_v; else the
        entries of V are independent.
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
    factored: bool = False

    def __post_init__(self) -> None:
        check_heads(self.d, self.beta, self.sigma_a, self.head_dim)
        for name, least in (("d", 3), ("heads", 1), ("context", 2), ("layers", 1)):
            if not getattr(self, name) >= least:  # written so that NaN is caught
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("eta", "sigma_v", "mlp_scale"):
            check_not_negative(getattr(self, name), name)
        check_positive(self.radius, "radius")

    @property
    def attention_step(self) -> float:
        """Variance that a layer of attention adds to a coordinate of a token at s_ii = 1: eta^2 sigma_v^2/H."""
        return self.eta**2 * self.sigma_v**2 / self.heads


@dataclass(frozen=True, eq=False)
class AttentionTable:
    """f and h over the overlap g, s_ii = g + (1 - g) f and s_ij = g + (1 - g) h: mean and covariance of single heads.

    Attributes
    ----------
    root_gap : (K,) of (1 - g)^1/2, ascending.   mean : (K, 2) of f, h.   root : (K, 2, 2) of their covariance.
    """

    root_gap: Array
    mean: Array
    root: Array

    @classmethod
    def of(cls, architecture: Architecture, samples: int | None = None, seed: int = 0) -> "AttentionTable":
        """Drawn through head_dim-dimensional Gaussians, on KNOTS overlaps.

        `samples` heads for each overlap; default as many as make 2^20 logits, 32 to 256.
        """
        a = architecture
        return _table(a.d, a.head_dim, a.context, a.beta * a.sigma_a**2, samples, seed)

    @classmethod
    def drawn(
        cls, d: int, head_dim: int, context: int, strength: float, samples: int | None, seed: int
    ) -> "AttentionTable":
        """That of all architectures with these numbers, strength = beta sigma_a^2."""
        tokens = min(context, max(READERS[0], min(READERS[1], (1 << 15) // context)))
        count = max(32, min(256, (1 << 20) // (tokens * context))) if samples is None else samples
        if not count >= 3:
            raise ValueError(f"samples must be at least 3, got {samples}")
        knots = np.linspace(0, 1, KNOTS)  # attention changes with (1 - g)^1/2
        pairs, rng = np.empty((KNOTS, 2, count)), np.random.default_rng([seed, 0])
        for number in range(count):
            head = RandomHead.draw(d, head_dim, context, tokens, rng)  # the same at every knot: a smooth table
            for row, apart in enumerate(knots):
                pairs[row, :, number] = head.at(strength, 1 - float(apart) ** 2)
        mean, root = np.empty((KNOTS, 2)), np.empty((KNOTS, 2, 2))
        for row, pair in enumerate(pairs):
            mean[row] = pair.mean(axis=1)
            values, vectors = np.linalg.eigh(np.cov(pair))
            root[row] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return cls(knots, mean, root)

    def draw(self, gap: Array, heads: int, normal: Array) -> tuple[Array, Array]:
        """s_ii and s_ij averaged over the heads of a layer, (R,) each, from gaps 1 - g (R,) and normals (2, R)."""
        where = np.sqrt(gap)
        mean = np.stack([np.interp(where, self.root_gap, column) for column in self.mean.T])
        root = np.array([[np.interp(where, self.root_gap, self.root[:, i, j]) for j in (0, 1)] for i in (0, 1)])
        f, h = mean + np.einsum("ijr,jr->ir", root, normal) / math.sqrt(heads)
        f = np.clip(f, 0, 1)
        own = np.maximum(1 - gap * (1 - f), 0)  # a square: f >= 1/n and g >= -1/(n - 1) in a network
        return own, 1 - gap * (1 - np.clip(h, 0, f))


@lru_cache(maxsize=64)
def _table(*numbers: Any) -> AttentionTable:
    """Tables are drawn once: maps and advice ask for the same ones again and again."""
    return AttentionTable.drawn(*numbers)


@dataclass(frozen=True, eq=False)
class RandomHead:
    """The random numbers of one head: a common one of its queries, their own, its keys.

    The common part of the keys cancels in a softmax; the logits of the rest have the covariance of the queries.  Tokens
    x_k = sqrt(g) e + sqrt(1 - g) f_k are in general position, <f_k, f_l> of order d^-1/2: their keys, standard normal,
    tell <f_k, f_l> = <key, key'>/d + (what attention does not see), and tokens that are alike are attended to together:
    f = sum_k pi_k^2 + sum_{k != l} pi_k pi_l <key_k, key_l>/d, and h so with the weights of two tokens.
    """

    d: int
    common: Array
    own: Array
    keys: Array
    length: Array

    @classmethod
    def draw(cls, d: int, head_dim: int, context: int, tokens: int, rng: np.random.Generator) -> "RandomHead":
        """Of `tokens` tokens that read; more axes than these have no keys are needed for."""
        common, own = rng.standard_normal((head_dim, 1)), rng.standard_normal((head_dim, tokens))
        keys = rng.standard_normal((min(head_dim, tokens), context))
        return cls(d, common, own, keys, np.sum(keys * keys, axis=0))

    def at(self, strength: float, overlap: float) -> Array:
        """f and h at an overlap, (2,): means over the tokens and their pairs; strength = beta sigma_a^2."""
        tokens, apart, keys = self.own.shape[1], 1 - overlap, self.keys
        queries = math.sqrt(overlap) * self.common + math.sqrt(apart) * self.own
        if tokens < len(queries):
            queries = np.asarray(np.linalg.qr(queries, mode="r"), dtype=np.float64)
        logits = (strength * math.sqrt(apart)) * queries.T @ keys
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits, out=logits)
        weights /= weights.sum(axis=1, keepdims=True)
        own, total = (weights * weights).sum(axis=0), weights.sum(axis=0)
        common = total * total - own  # over pairs i != j
        seen = weights @ keys.T  # mean key; single pairs of tokens overlap by d^-1/2, and keys tell which
        alike = float(np.vdot(seen, seen))
        f = own.sum() + (alike - own @ self.length) / self.d
        h = common.sum() + (float(np.sum(seen.sum(axis=0) ** 2)) - alike - common @ self.length) / self.d
        return np.array([f / tokens, h / (tokens * (tokens - 1))])
