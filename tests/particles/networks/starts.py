"""Starts of dense networks, drawn as arrays (networks, d, n).  Plain numpy, and nothing from the package.

Classes and fields have the names of those of `particles.networks`, which are made of the same values.
"""

import math
from dataclasses import dataclass

import numpy as np


def frames(rng, networks, d, n):
    """Uniformly random orthonormal columns, (networks, d, n)."""
    q, r = np.linalg.qr(rng.standard_normal((networks, d, n)))
    return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]


@dataclass(frozen=True)
class Independent:
    n: int
    std: float = 1.0

    def __call__(self, rng, networks, d):
        return self.std * rng.standard_normal((networks, d, self.n))


@dataclass(frozen=True)
class Simplex:
    """One shared direction and one of each token: needs n < d."""

    n: int
    overlap: float
    std: float = 1.0

    def __call__(self, rng, networks, d):
        axes = frames(rng, networks, d, self.n + 1)
        own, shared = math.sqrt(1 - self.overlap) * axes[:, :, 1:], math.sqrt(self.overlap) * axes[:, :, :1]
        return self.std * math.sqrt(d) * (own + shared)


@dataclass(frozen=True)
class Embedded:
    n: int
    words: float = 0.02
    positions: float = 0.0
    shared: float = 0.0
    repeat: float = 0.0
    fixed: np.ndarray | None = None

    def __call__(self, rng, networks, d):
        distinct = math.ceil((1 - self.repeat) * self.n)
        table = self.words * rng.standard_normal((networks, d, distinct))
        word = np.tile(np.arange(self.n), (networks, 1))
        word[:, distinct:] = rng.integers(distinct, size=(networks, self.n - distinct))
        x = np.take_along_axis(table, word[:, None, :], axis=2)
        x = x + self.positions * rng.standard_normal((networks, d, self.n))
        x = x + self.shared * rng.standard_normal((networks, d, 1))
        return x if self.fixed is None else x + self.fixed


@dataclass(frozen=True)
class GivenTokens:
    points: np.ndarray

    def __call__(self, rng, networks, d):
        return np.tile(self.points.T, (networks, 1, 1))


@dataclass(frozen=True)
class GivenGram:
    """In a uniformly random orientation."""

    gram: np.ndarray

    def __call__(self, rng, networks, d):
        values, vectors = np.linalg.eigh(self.gram)
        keep = values > 1e-12 * values.max()
        rows = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        return frames(rng, networks, d, len(rows)) @ rows
