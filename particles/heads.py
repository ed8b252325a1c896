"""Laws of one attention head (V, Q, K) with A = K^T Q.  mathematics, sections 2 and 3."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from particles.arrays import Array, as_array, check_not_negative
from particles.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Heads:
    """A batch of M heads.

    Attributes
    ----------
    out : (M, d, d), the V; or (M, d, k), their left factors, beside `inner`.
    query, key : (M, head_dim, d); the bilinear form of a head is A = key^T query, <Ax, y> = <query x, key y>.
    inner : (M, k, d), the right factors, V = out inner.  None stands for the identity.
    parameters : (M, p), what a kernel wants to know of each head (`particles.attention.KernelOfHeads`), or None.
    """

    out: Array
    query: Array
    key: Array
    inner: Array | None = None
    parameters: Array | None = None

    def __len__(self) -> int:
        return int(self.out.shape[0])

    @cached_property
    def value(self) -> Array:
        """The V in full, (M, d, d)."""
        return self.out if self.inner is None else self.out @ self.inner


def usual_deviation(d: int) -> float:
    """d^-1/2 as 1/sqrt(d), the default of sigma_v and sigma_a everywhere; `d**-0.5` may differ in the last bit."""
    return 1 / math.sqrt(d)


class HeadLaw(Protocol):
    """Law of one head."""

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        ...

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Draw `size` independent heads."""
        ...


@runtime_checkable
class ValuesApart(HeadLaw, Protocol):
    """A law of heads V = Vbar + V' with V' independent of A, entries of V' independent of variance sigma_v^2."""

    @property
    def sigma_v(self) -> float:
        """Standard deviation of the entries of V'."""
        ...

    @property
    def mean_value(self) -> Array:
        """Vbar = E V, shape (d, d)."""
        ...

    def sample_query_key(self, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        """Draw `size` forms A = key^T query: query and key (size, rows, d)."""
        ...


@dataclass(frozen=True, eq=False)
class IndependentEntries(ABC):
    """V = mean_v + sigma_v X, A = mean_a + sigma_a^2 W W'^T, entries of X, W, W' independent with variance 1.

    The law of the entries is that of the subclass.  It matters to a finite transformer; of V' the homogenized equation
    sees the variance only (entries subgaussian, Koubbi, Geshkovski and Rigollet 2604.01978), of A the whole law.

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    sigma_v : standard deviation of the entries of V' = V - mean_v, default d^-1/2 (`usual_deviation`).
    sigma_a : standard deviation of the entries of the query and key matrices (both head_dim x d), default d^-1/2.
    head_dim : inner dimension of A, 1 <= head_dim <= d, default d.
    mean_v, mean_a : (d, d), default zero.
    """

    d: int
    sigma_v: float = None  # type: ignore[assignment]  # filled in below: the default depends on d
    sigma_a: float = None  # type: ignore[assignment]
    head_dim: int = None  # type: ignore[assignment]
    mean_v: Array = field(default_factory=lambda: np.zeros((0, 0)))
    mean_a: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        if self.d < 2:
            raise ArgumentError("d", self.d, "be at least 2")
        usual = {"sigma_v": usual_deviation(self.d), "sigma_a": usual_deviation(self.d), "head_dim": self.d}
        for name, default in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        check_not_negative(self.sigma_v, "sigma_v")
        check_not_negative(self.sigma_a, "sigma_a")
        if not 1 <= self.head_dim <= self.d:
            raise ArgumentError("head_dim", self.head_dim, f"be between 1 and d = {self.d}")
        for name in ("mean_v", "mean_a"):
            mean = getattr(self, name)
            if np.shape(mean) == (0, 0):
                mean = np.zeros((self.d, self.d))
            object.__setattr__(self, name, as_array(mean, name, (self.d, self.d)))

    @staticmethod
    @abstractmethod
    def entries(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Independent entries of mean 0 and variance 1."""

    @property
    def mean_value(self) -> Array:
        """Vbar = E V, shape (d, d)."""
        return self.mean_v

    def sample_query_key(self, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        """Draw `size` forms A; a mean of A is appended as d further rows, so A = key^T query holds exactly."""
        shape = (size, self.head_dim, self.d)
        query = self.sigma_a * self.entries(rng, shape)
        key = self.sigma_a * self.entries(rng, shape)
        return self.with_mean(query, key)

    def with_mean(self, query: Array, key: Array) -> tuple[Array, Array]:
        """Append the rows that add mean_a to A = key^T query, where it is not zero."""
        if self.mean_a.any():
            tile = (len(query), self.d, self.d)
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
        value = self.mean_v + self.sigma_v * self.entries(rng, (size, self.d, self.d))
        return Heads(value, query, key)


class GaussianHeads(IndependentEntries):
    """Standard normal entries: assumption (G) when the means vanish."""

    @staticmethod
    def entries(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.standard_normal(shape)


class LowRankHeads(GaussianHeads):
    """Gaussian heads whose values have rank head_dim, as those of a transformer: V = mean_v + W_O W_V.

    W_O (d x head_dim) and W_V (head_dim x d) have independent entries N(0, sigma_v head_dim^-1/2), so the entries of
    W_O W_V have variance sigma_v^2 and are uncorrelated.  The covariance sigma_v^2 s(x, y) I of a layer is then that of
    `GaussianHeads`, and so are the homogenized equations, which see nothing else of V'.  The entries are not
    independent and their tails are heavier (kurtosis 3 + 6/head_dim), which assumption (G) does not allow for: a finite
    layer of few heads has another law.
    """

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Draw independent heads.

        Returns
        -------
        Heads: out (size, d, head_dim), inner (size, head_dim, d), query and key (size, head_dim, d); a mean of V is
        appended as d further columns of `out` and rows of `inner`.
        """
        query, key = self.sample_query_key(rng, size)
        scale = (self.sigma_v / self.head_dim**0.5) ** 0.5
        out = scale * self.entries(rng, (size, self.d, self.head_dim))
        inner = scale * self.entries(rng, (size, self.head_dim, self.d))
        if self.mean_v.any():
            tile = (size, self.d, self.d)
            out = np.concatenate([out, np.broadcast_to(self.mean_v, tile)], axis=2)
            inner = np.concatenate([inner, np.broadcast_to(np.eye(self.d), tile)], axis=1)
        return Heads(out, query, key, inner)


class RademacherHeads(IndependentEntries):
    """Entries +1 and -1 with equal probability."""

    @staticmethod
    def entries(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return 2.0 * rng.integers(0, 2, shape).astype(np.float64) - 1.0


class UniformHeads(IndependentEntries):
    """Entries uniform on [-sqrt 3, sqrt 3], the usual uniform initialisation."""

    @staticmethod
    def entries(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(-(3**0.5), 3**0.5, shape)


ENTRIES: dict[str, type[IndependentEntries]] = {
    "gaussian": GaussianHeads,
    "rademacher": RademacherHeads,
    "uniform": UniformHeads,
    "low_rank": LowRankHeads,
}
"""Laws of heads by the name of the law of their entries."""


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
            raise ArgumentError("value", value.shape, "have shape (heads, d, d) with d >= 2")
        query = as_array(self.query, "query", (n, None, d))
        object.__setattr__(self, "value", as_array(value, "value", (n, d, d)))
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", as_array(self.key, "key", (n, query.shape[1], d)))

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.value.shape[1])

    def check_size(self, size: int) -> None:
        """Refuse another number of heads than are given."""
        if size != len(self.value):
            raise ArgumentError("heads", size, f"be the number of heads that are given, {len(self.value)}")

    def sample(self, rng: np.random.Generator, size: int) -> Heads:
        """Return the given heads; `size` must be their number, `rng` is not used."""
        self.check_size(size)
        return Heads(self.value, self.query, self.key)
