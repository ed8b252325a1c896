"""Tokens before the first layer, in coordinates of their span."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array, check_count, check_not_negative, check_positive
from particles.errors import ArgumentError
from particles.networks.vectors import bartlett, compress, draw, image, reflected, root, split


class Start(Protocol):
    """Law of the tokens before the first layer."""

    @property
    def tokens(self) -> int:
        """Number of tokens n."""

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Their coordinates (m, n), m <= axes + n; the first `axes` along (1, ..., 1)/d^1/2 if there is one."""


@dataclass(frozen=True)
class Independent:
    """n tokens of independent entries N(0, std^2)."""

    n: int
    std: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.n, "n", 2)
        check_positive(self.std, "std")

    @property
    def tokens(self) -> int:
        """n."""
        return self.n

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """A triangle of normal numbers and chi."""
        return self.std * np.concatenate([draw(rng, axes, self.n), bartlett(self.n, d - axes, rng)])


@dataclass(frozen=True)
class Simplex:
    """n tokens of length d^1/2 std with all overlaps equal, in random orientation; n <= d."""

    n: int
    overlap: float
    std: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.n, "n", 2)
        check_positive(self.std, "std")
        if not 0 <= self.overlap <= 1:
            raise ArgumentError("overlap", self.overlap, "lie in [0, 1]")

    @property
    def tokens(self) -> int:
        """n."""
        return self.n

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Gram matrix d std^2 ((1 - g) I + g 1 1^T)."""
        if self.n > d:
            raise ArgumentError("n", self.n, f"be at most d = {d} for equal overlaps: there are no such tokens")
        common = np.full((1, self.n), math.sqrt(self.overlap))
        factor = root(np.concatenate([common, math.sqrt(1 - self.overlap) * np.eye(self.n)]))
        return math.sqrt(d) * self.std * np.concatenate(split(factor, d, axes, rng))


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings: the row of a word, of a position, one that all tokens share, and a given vector, added up.

    Parameters
    ----------
    n : number of tokens.   words, positions, shared : standard deviations of the entries of the rows.
    repeat : the sequence has ceil((1 - repeat) n) different words; they come first, every later place has one of them.
    fixed : (d, n) given vectors, such as sines and cosines of the places, or None.
    """

    n: int
    words: float = 1.0
    positions: float = 0.0
    shared: float = 0.0
    repeat: float = 0.0
    fixed: Array | None = None

    def __post_init__(self) -> None:
        check_count(self.n, "n", 2)
        for name in ("words", "positions", "shared"):
            check_not_negative(getattr(self, name), name)
        if not 0 <= self.repeat < 1:
            raise ArgumentError("repeat", self.repeat, "lie in [0, 1)")

    @property
    def tokens(self) -> int:
        """n."""
        return self.n

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """The drawn part is Gaussian, of covariance words^2 [same word] + positions^2 [same place] + shared^2."""
        different = math.ceil((1 - self.repeat) * self.n)
        which = np.concatenate([np.arange(different), rng.integers(different, size=self.n - different)])
        factor = embedded(which, np.full(different, self.words), np.full(self.n, self.positions), self.shared)
        if self.fixed is None:
            return image(factor, axes, d, rng)[0]
        given = turned(np.asarray(self.fixed, dtype=np.float64), d, axes, self.n)
        drawn = image(factor, len(given), d, rng)[0]
        drawn[: len(given)] += given
        return compress(drawn, axes)[0]


@dataclass(frozen=True, eq=False)
class GivenTokens:
    """Tokens that are known: points (n, d)."""

    points: Array

    @property
    def tokens(self) -> int:
        """n."""
        return len(self.points)

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Their coordinates."""
        return turned(np.asarray(self.points, dtype=np.float64).T, d, axes, self.tokens)


@dataclass(frozen=True, eq=False)
class GivenGram:
    """Tokens of which the Gram matrix (n, n) is known, of rank at most d, in random orientation."""

    gram: Array

    @property
    def tokens(self) -> int:
        """n."""
        return len(self.gram)

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """From its eigenvectors."""
        values, vectors = np.linalg.eigh(np.asarray(self.gram, dtype=np.float64))
        least = len(values) * np.finfo(float).eps * max(values[-1], 0)
        kept = values > least
        if not values[0] >= -1e3 * least or np.count_nonzero(kept) > d:
            told = f"eigenvalues {values[0]:.3g} to {values[-1]:.3g}"
            raise ArgumentError("gram", told, f"be the Gram matrix of vectors in R^{d}")
        return np.concatenate(split((vectors[:, kept] * np.sqrt(values[kept])).T, d, axes, rng))


def embedded(which: NDArray[np.int64], words: Array, places: Array, shared: float) -> Array:
    """F, F^T F the covariance of a coordinate of embeddings: of word `which` (n,), place and a shared row.

    words : (k,), deviations of the rows of the words.   places : (n,), those of the places.
    """
    said = words[:, None] * (np.arange(len(words))[:, None] == which)
    return reflected(np.concatenate([said, np.diag(places), np.full((1, len(which)), shared)]))


def turned(columns: Array, d: int, axes: int, n: int) -> Array:
    """Vectors (d, n) in at most axes + n coordinates, the first along (1, ..., 1)/d^1/2 if axes is 1."""
    if columns.shape != (d, n):
        raise ValueError(f"vectors of shape {columns.shape} do not go with {n} tokens of dimension {d}")
    if axes:
        axis = np.full(d, d**-0.5)
        axis[0] += 1
        columns = -(columns - np.outer(axis, axis @ columns) * (2 / (axis @ axis)))
    return compress(columns, axes)[0]
