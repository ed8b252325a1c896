"""Many small random transformers at once, on coupled levels: the same heads, more or fewer of them in a layer.

At fixed noise scale eps = eta/H a head enters as x + eps V m_A, whatever H is.  So chains of different residual steps
eta = eps H apply the same sequence of heads, H at a time, and their differences have little variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from particles import Array, FixedHeads, LayerLaw, Tokens, simulate, unit

HANDFUL = unit(np.random.default_rng(5).standard_normal((5, 3)))  # tokens
ETA: Array = 1 / np.array([16, 23, 32, 45, 64, 91, 128, 181])  # residual steps of chains of fixed heads


@dataclass(frozen=True)
class Ensemble:
    """R independent chains of n tokens.

    Attributes
    ----------
    start : (n, d) tokens, the same in every chain.   beta : inverse temperature.
    sigma_v, sigma_a, head_dim, mean_v : law of a head, Gaussian; mean_v (d, d).
    eps : noise scale.   n_heads : heads in all, so that the horizon is t_L = eps n_heads.
    """

    start: Array
    beta: float
    sigma_v: float
    sigma_a: float
    head_dim: int
    eps: float
    n_heads: int
    mean_v: Array | None = None

    @property
    def horizon(self) -> float:
        """Depth time t_L = eta L."""
        return self.eps * self.n_heads

    def heads(self, rng: np.random.Generator, replicas: int) -> Iterator[tuple[Array, Array, Array]]:
        """The sequence of heads: V (R, d, d), query and key (R, head_dim, d)."""
        d = self.start.shape[1]
        mean = 0.0 if self.mean_v is None else self.mean_v
        for _ in range(self.n_heads):
            value = mean + self.sigma_v * rng.standard_normal((replicas, d, d))
            yield value, *(self.sigma_a * rng.standard_normal((2, replicas, self.head_dim, d)))

    def run(self, rng: np.random.Generator, replicas: int, sizes: tuple[int, ...]) -> dict[int, Array]:
        """Tokens (R, n, d) at the horizon for each number H of heads in a layer; `sizes` divide n_heads."""
        states = {size: np.broadcast_to(self.start, (replicas, *self.start.shape)).copy() for size in sizes}
        moves = {size: np.zeros_like(state) for size, state in states.items()}
        for number, (value, query, key) in enumerate(self.heads(rng, replicas), start=1):
            for size, state in states.items():
                moves[size] += self.eps * attend(state, query, key, self.beta) @ np.swapaxes(value, 1, 2)
                if number % size == 0:
                    state += moves[size]
                    state /= np.linalg.norm(state, axis=2, keepdims=True)
                    moves[size][:] = 0
        return states


def attend(state: Array, query: Array, key: Array, beta: float) -> Array:
    """Softmax barycentres of one head for each chain: (R, n, d)."""
    scores = beta * (state @ np.swapaxes(query, 1, 2)) @ np.swapaxes(state @ np.swapaxes(key, 1, 2), 1, 2)
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    averages: Array = scores @ state
    return averages


def averages(state: Array, form: Array, beta: float) -> Array:
    """Barycentres (R, n, d) of one A for all chains."""
    weights = np.exp(beta * (state @ form.T) @ np.swapaxes(state, 1, 2))
    weights /= weights.sum(axis=2, keepdims=True)
    found: Array = weights @ state
    return found


def mean_overlap(state: Array) -> Array:
    """w = |mean token|^2 of each chain, (R,)."""
    mean = state.mean(axis=1)
    overlap: Array = np.einsum("ri,ri->r", mean, mean)
    return overlap


def equiangular(n: int, d: int, overlap: float) -> Array:
    """n tokens of R^d whose overlaps are all equal."""
    points = np.zeros((n, d))
    points[:, :n] = np.linalg.cholesky(overlap + (1 - overlap) * np.eye(n))
    return points


def end(law: LayerLaw, start: Array, time: float = 1.0) -> Array:
    """Tokens at a depth time."""
    n = round(time / law.dt)
    found: Array = simulate(Tokens(start), law, n_steps=n, save_every=n).tokens.values[-1]
    return found


def fixed_heads(n_heads: int) -> FixedHeads:
    """Heads drawn once, always the same."""
    rng = np.random.default_rng([3, n_heads])
    value = rng.standard_normal((n_heads, 3, 3)) + np.diag([1.0, 0.5, -0.5])
    return FixedHeads(value, *(rng.standard_normal((2, n_heads, 3, 3)) / 1.5))
