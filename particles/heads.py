"""Laws of one attention head (V, Q, K) with A = K^T Q.  mathematics, sections 2 and 3."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from particles.arrays import Array, as_array


@dataclass(frozen=True)
class Heads:
    """A batch of M heads.

    Attributes
    ----------
    value : (M, d, d)
    query, key : (M, head_dim, d); the bilinear form of a head is A = key^T query, <Ax, y> = <query x, key y>.
    """

    value: Array
    query: Array
    key: Array

    def __len__(self) -> int:
        return int(self.value.shape[0])


class HeadLaw(Protocol):
    """Law of one head."""

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        ...

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Draw `size` independent heads."""
        ...


def _fill(shape: tuple[int, int]) -> Array:
    return np.zeros(shape)


@dataclass(frozen=True, eq=False)
class GaussianHeads:
    """V = mean_v + V', A = mean_a + W W'^T with independent Gaussian entries; assumption (G) when the means vanish.

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    sigma_v : standard deviation of the entries of V' (usual choice d^-1/2).
    sigma_a : standard deviation of the entries of W and W' (both d x head_dim).
    head_dim : inner dimension of A, 1 <= head_dim <= d.
    mean_v, mean_a : (d, d), default zero.
    """

    d: int
    sigma_v: float
    sigma_a: float
    head_dim: int
    mean_v: Array = field(default_factory=lambda: _fill((0, 0)))
    mean_a: Array = field(default_factory=lambda: _fill((0, 0)))

    def __post_init__(self) -> None:
        if self.d < 2:
            raise ValueError(f"d must be at least 2, got {self.d}")
        for name in ("sigma_v", "sigma_a"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:  # written so that NaN is caught
                raise ValueError(f"{name} must be finite and >= 0, got {value}")
        if not 1 <= self.head_dim <= self.d:
            raise ValueError(f"head_dim must be between 1 and d = {self.d}, got {self.head_dim}")
        for name in ("mean_v", "mean_a"):
            mean = getattr(self, name)
            if np.shape(mean) == (0, 0):
                mean = np.zeros((self.d, self.d))
            object.__setattr__(self, name, as_array(mean, name, (self.d, self.d)))

    @property
    def mean_value(self) -> Array:
        """Vbar = E V, shape (d, d)."""
        return self.mean_v

    def sample_query_key(self, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        """Draw `size` forms A; a mean of A is appended as d further rows, so A = key^T query holds exactly."""
        shape = (size, self.head_dim, self.d)
        query = self.sigma_a * rng.standard_normal(shape)
        key = self.sigma_a * rng.standard_normal(shape)
        if self.mean_a.any():
            tile = (size, self.d, self.d)
            query = np.concatenate([query, np.broadcast_to(self.mean_a, tile)], axis=1)
            key = np.concatenate([key, np.broadcast_to(np.eye(self.d), tile)], axis=1)
        return query, key

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Draw independent heads.

        Returns
        -------
        Heads: value (size, d, d), query and key (size, head_dim, d); A = key^T query.
        """
        query, key = self.sample_query_key(rng, size)
        value = self.mean_v + self.sigma_v * rng.standard_normal((size, self.d, self.d))
        return Heads(value, query, key)


@dataclass(frozen=True, eq=False)
class FixedHeads:
    """The same given heads in every layer: value (H, d, d), query and key (H, head_dim, d)."""

    value: Array
    query: Array
    key: Array

    def __post_init__(self) -> None:
        value = as_array(self.value, "value", (None, None, None))
        n, d = value.shape[0], value.shape[1]
        if n < 1 or d < 2:
            raise ValueError(f"value must have shape (heads, d, d) with d >= 2, got {value.shape}")
        query = as_array(self.query, "query", (n, None, d))
        object.__setattr__(self, "value", as_array(value, "value", (n, d, d)))
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", as_array(self.key, "key", (n, query.shape[1], d)))

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.value.shape[1])

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Return the given heads; `size` must be their number, `rng` is not used."""
        if size != self.value.shape[0]:
            raise ValueError(f"{self.value.shape[0]} heads are given, so heads must be that number, got {size}")
        return Heads(self.value, self.query, self.key)
