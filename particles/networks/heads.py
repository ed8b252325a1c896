"""Heads of a layer: from tokens, in coordinates of their span, to stacked outputs, and back.  mathematics, section 9.

Rows of Z (m, n) are coordinates of what the heads read.  The entries of W_q, W_k, W_v in these m columns are drawn; in
the other d - m columns they are never asked for by Z, so a gradient meets new numbers there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array
from particles.networks.parts import ALiBi, Initialisation, RoPE, SelfAttention
from particles.networks.vectors import draw, times

ENTRIES = 1 << 18  # scores at a time: they stay in the cache, at three quarters of the time


@dataclass(frozen=True, eq=False)
class Attended:
    """What a layer of heads made, and what its gradient needs.

    Attributes
    ----------
    out : (K, n) stacked outputs, K = heads * head_dim (heads * m where values are whole).
    deviation : root of the variance of the scores of a token over the keys that it may read, averaged over heads and
        those tokens that may read more than one.
    entropy, keys : -sum w log w and 1/sum w^2 of the weights of a token, averaged likewise.
    """

    out: Array
    deviation: float
    entropy: float
    keys: float
    projections: tuple[Array, Array, Array]
    raw: tuple[Array, Array]
    vectors: tuple[Array, Array, Array]


@dataclass(frozen=True)
class AttentionHeads:
    """The heads of a `SelfAttention` on tokens of dimension d."""

    shape: SelfAttention
    d: int
    initialisation: Initialisation

    @property
    def rows(self) -> int:
        """H head_dim."""
        return self.shape.heads * self.shape.head_dim

    def deviation(self, name: str) -> float:
        """Standard deviation of the entries of a matrix."""
        a, d = self.shape, self.d
        shapes = {
            "query": (self.rows, d), "key": (a.groups * a.head_dim, d), "value": (a.groups * a.head_dim, d),
            "output": (d, d if a.whole_values else self.rows),
        }  # fmt: skip
        return self.initialisation.deviation(name, *shapes[name])

    def forward(self, z: Array, rng: np.random.Generator, taped: bool = False) -> Attended:
        """Read tokens z (m, n), in their precision; `taped`: for `backward` to follow."""
        a, n = self.shape, z.shape[1]
        queries, raw_q = self._project(a.heads, "query", z, rng, taped)
        keys, raw_k = self._project(a.groups, "key", z, rng, taped)
        values, v = np.empty(0), np.broadcast_to(z, (a.groups, *z.shape))
        if not a.whole_values:
            values, v = self._project(a.groups, "value", z, rng, taped)
        q, k = self._placed(raw_q), self._placed(raw_k)
        out = np.empty((a.heads, v.shape[1], n), dtype=z.dtype)
        sums = np.zeros(3)
        for part, block, weights, logs in self._blocks(q, k):
            seen = v[self._of_group(part)][:, :, : weights.shape[2]]
            np.matmul(seen, weights.swapaxes(1, 2), out=out[part, :, block])
            sums += logs
        variance, entropy, reached = sums / (a.heads * np.array([n - a.causal, n, n]))
        return Attended(
            out.reshape(-1, n), math.sqrt(variance), entropy, reached,
            (queries, keys, values), (raw_q, raw_k), (q, k, v),
        )  # fmt: skip

    def backward(self, seen: Attended, gradient: Array, behind: Array) -> tuple[Array, Array]:
        """Gradient at z along its axes, (m, n), and the factor (r, n) of what it gets beyond them.

        gradient : at `seen.out`, (K, n).  Softmax: dS = P * (dP - sum_j P dP); norms and turns by their transposes.
        behind : a factor (c, n) of what the output matrices bring back beyond the axes, for whole values.
        """
        a, (q, k, v) = self.shape, seen.vectors
        d_out = gradient.reshape(a.heads, v.shape[1], -1)
        d_q, d_k, d_v = np.zeros_like(q), np.zeros_like(k), np.zeros(v.shape)
        whole = np.zeros((a.heads if a.whole_values else 0, *behind.shape))
        for part, block, weights, _ in self._blocks(q, k):
            group = self._of_group(part)
            given = d_out[part, :, block]
            d_weights = given.swapaxes(1, 2) @ v[group][:, :, : weights.shape[2]]
            d_scores = weights * (d_weights - np.einsum("hij,hij->hi", weights, d_weights)[:, :, None]) * a.factor
            d_q[part, :, block] = k[group][:, :, : weights.shape[2]] @ d_scores.swapaxes(1, 2)
            for d_shared, added in ((d_k, q[part, :, block] @ d_scores), (d_v, given @ weights)):
                for index, one in zip(group, added, strict=True):
                    d_shared[index, :, : one.shape[1]] += one
            if a.whole_values:
                whole[part, :, : weights.shape[2]] += behind[:, block] @ weights
        return self._before(seen, d_q, d_k, d_v, whole)

    def _before(self, seen: Attended, d_q: Array, d_k: Array, d_v: Array, whole: Array) -> tuple[Array, Array]:
        """Gradients of queries, keys and values -> of what was read."""
        queries, keys, values = seen.projections
        d_q, d_k = (self._unplaced(raw, got) for raw, got in zip(seen.raw, (d_q, d_k), strict=True))
        n = d_q.shape[2]
        along = np.einsum("hkm,hkn->mn", queries, d_q, optimize=True)
        along = along + np.einsum("hkm,hkn->mn", keys, d_k, optimize=True)
        beyond = [self.deviation("query") * d_q.reshape(-1, n), self.deviation("key") * d_k.reshape(-1, n)]
        if self.shape.whole_values:
            return along + d_v.sum(axis=0), np.concatenate([*beyond, whole.reshape(-1, n)])
        along = along + np.einsum("hkm,hkn->mn", values, d_v, optimize=True)
        return along, np.concatenate([*beyond, self.deviation("value") * d_v.reshape(-1, n)])

    def _project(
        self, count: int, name: str, z: Array, rng: np.random.Generator, taped: bool
    ) -> tuple[Array, Array]:
        """Matrices W (count, head_dim, m), if they are asked for, and W z."""
        rows, shape = draw(rng, count * self.shape.head_dim, len(z), z.dtype), (count, self.shape.head_dim, -1)
        rows *= self.deviation(name)
        kept = rows.copy().reshape(shape) if taped else np.empty(0)
        return kept, times(rows, z).reshape(shape)

    def _of_group(self, part: slice) -> Array:
        """Which keys and values the heads of a part use."""
        return np.arange(part.start, part.stop) // (self.shape.heads // self.shape.groups)

    def _placed(self, raw: Array) -> Array:
        """Queries or keys (heads, head_dim, n) as they meet: normed, turned."""
        if self.shape.qk_norm:
            raw = raw / np.maximum(np.sqrt(np.mean(raw * raw, axis=1, keepdims=True)), np.finfo(float).tiny)
        return self.shape.positions.turn(raw) if isinstance(self.shape.positions, RoPE) else raw

    def _unplaced(self, raw: Array, gradient: Array) -> Array:
        """The transpose of `_placed` at raw."""
        if isinstance(self.shape.positions, RoPE):
            gradient = self.shape.positions.turn(gradient, -1)
        if not self.shape.qk_norm:
            return gradient
        length = np.maximum(np.sqrt(np.mean(raw * raw, axis=1, keepdims=True)), np.finfo(float).tiny)
        unit = raw / length
        found: Array = (gradient - unit * np.mean(unit * gradient, axis=1, keepdims=True)) / length
        return found

    def _blocks(self, q: Array, k: Array) -> Iterator[tuple[slice, slice, Array, Array]]:
        """Heads and queries of a block, its weights (heads, queries, keys), and three sums over it, see `softmax`.

        With a causal mask the keys end with the last query of the block.
        """
        a, n = self.shape, q.shape[2]
        width = n if not a.causal or n <= 256 else 256
        some = max(1, ENTRIES // (width * n))
        bias = a.positions.bias(a.heads, n) if isinstance(a.positions, ALiBi) else None
        for first in range(0, a.heads, some):
            part = slice(first, min(a.heads, first + some))
            shared = k[self._of_group(part)]
            for start in range(0, n, width):
                block = slice(start, min(n, start + width))
                stop = block.stop if a.causal else n
                scores = q[part, :, block].swapaxes(1, 2) @ shared[:, :, :stop]
                scores *= a.factor
                if bias is not None:
                    scores += bias[part, block, :stop]
                allowed = np.arange(stop) <= np.arange(start, block.stop)[:, None] if a.causal else None
                yield part, block, *softmax(scores, allowed)


def softmax(scores: Array, allowed: NDArray[np.bool_] | None) -> tuple[Array, Array]:
    """Weights over the last axis of scores (heads, queries, keys), which are spent.

    Returns the weights, and the sums over heads and queries of the variance of the scores over the keys, of the entropy
    and of 1/sum of squared weights.
    """
    count: float | Array = scores.shape[2]
    scores -= scores.max(axis=-1, keepdims=True) if allowed is None else _top(scores, allowed)
    if allowed is not None:
        count = np.count_nonzero(allowed, axis=1)
        np.multiply(scores, allowed, out=scores)
    square = np.einsum("hij,hij->hi", scores, scores) / count
    variance = np.maximum(square - (scores.sum(axis=-1) / count) ** 2, 0).sum()
    weights = np.exp(scores)
    if allowed is not None:
        np.multiply(weights, allowed, out=weights)
    total = weights.sum(axis=-1)
    entropy = (np.log(total) - np.einsum("hij,hij->hi", weights, scores) / total).sum()
    weights /= total[..., None]
    return weights, np.array([variance, entropy, (1 / np.einsum("hij,hij->hi", weights, weights)).sum()])


def _top(scores: Array, allowed: NDArray[np.bool_]) -> Array:
    top: Array = np.max(scores, axis=-1, keepdims=True, where=allowed, initial=-np.inf)
    return top
