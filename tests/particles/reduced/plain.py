"""Random transformers in numpy alone, which share nothing with the package: what forecasts are held against.

A Gaussian matrix W without use elsewhere sees its input x (d, n) only through x = q r, q orthonormal: W q is Gaussian
again, so W x is drawn as (rows, min(d, n)) normals times r.  That is exact in law, and makes wide networks cheap.
"""

from dataclasses import dataclass

import numpy as np


def gelu(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "gelu": gelu}


def unit(x):
    return x / np.linalg.norm(x, axis=0)


def layer_norm(x):
    """To mean 0 and mean square 1, tokens in columns."""
    x = x - x.mean(axis=0)
    return x / np.sqrt(np.mean(x * x, axis=0))


def mean_overlap(x):
    """Mean cosine over the pairs of tokens in columns."""
    n, m = x.shape[1], unit(x).mean(axis=1)
    return (n * m @ m - 1) / (n - 1)


def factor(x):
    return np.linalg.qr(x, mode="r") if x.shape[1] < x.shape[0] else x


def times_gaussian(rows, r, deviation, rng):
    """W x, W with independent N(0, deviation^2) entries, from a factor r of x."""
    return deviation * rng.standard_normal((rows, len(r))) @ r


def attend(scores, causal=False):
    """Softmax over keys of scores (queries, keys)."""
    if causal:
        scores = np.where(np.tri(len(scores), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def simplex(d, n, overlap, rng):
    q = np.linalg.qr(rng.standard_normal((d, n + 1)))[0]
    return np.sqrt(overlap) * q[:, :1] + np.sqrt(1 - overlap) * q[:, 1:]


def drawn(d, n, overlap, rng):
    """Independent Gaussian tokens that share a Gaussian part."""
    return unit(np.sqrt(overlap) * rng.standard_normal((d, 1)) + np.sqrt(1 - overlap) * rng.standard_normal((d, n)))


def two_clusters(d, n, overlap, rng):
    """Overlap within a cluster as given, 0 between the two."""
    centres = rng.standard_normal((d, 2))[:, np.arange(n) % 2]
    return unit(np.sqrt(overlap) * centres + np.sqrt(1 - overlap) * rng.standard_normal((d, n)))


@dataclass
class Model:
    """x -> nrm(x + (eta/H) sum V m), or its pre-norm stream, with an MLP of width 4 d; arguments of `Architecture`."""

    d: int
    heads: int
    head_dim: int
    context: int
    layers: int
    eta: float
    beta: float
    mlp: str | None = None
    mlp_scale: float = 0.0
    pre_norm: bool = False

    def overlaps(self, x, rng, layers=None):
        """Mean overlaps from layer 0 on, sigma_v = d^-1/2 and sigma_a = 1."""
        normal = unit if self.pre_norm else lambda x: x
        behind = (lambda x: x) if self.pre_norm else unit
        found = [mean_overlap(x)]
        for _ in range(self.layers if layers is None else layers):
            y = normal(x)
            r, added = factor(y), 0.0
            for _ in range(self.heads):
                query, key = (times_gaussian(self.head_dim, r, 1.0, rng) for _ in range(2))
                mean = y @ attend(self.beta * query.T @ key).T
                added = added + times_gaussian(self.d, factor(mean), self.d**-0.5, rng)
            x = behind(x + self.eta / self.heads * added)
            if self.mlp is not None:
                width = 4 * self.d
                hidden = ACTIVATIONS[self.mlp](times_gaussian(width, factor(normal(x)), 1.0, rng))
                x = behind(x + times_gaussian(self.d, factor(hidden), self.mlp_scale / np.sqrt(width), rng))
            found.append(mean_overlap(x))
        return np.array(found)


@dataclass
class Published:
    """A transformer as it is deployed, LayerNorm and all: matrices of given deviations, biases 0, gains 1."""

    d: int
    heads: int
    layers: int
    pre_norm: bool
    activation: str
    square: float  # standard deviation of query, key, value and (times `branch`) output matrices
    hidden: float  # of the first matrix of the MLP, and (times `branch`) of the second
    branch: float = 1.0
    causal: bool = False

    def overlaps(self, x, rng):
        """Mean overlaps of the stream from its embeddings x (d, n) on."""
        k = self.d // self.heads
        found = [mean_overlap(x)]
        normal = layer_norm if self.pre_norm else lambda x: x
        behind = (lambda x: x) if self.pre_norm else layer_norm
        for _ in range(self.layers):
            r, out = factor(normal(x)), []
            for _ in range(self.heads):
                query, key, value = (times_gaussian(k, r, self.square, rng) for _ in range(3))
                out.append(value @ attend(query.T @ key / np.sqrt(k), self.causal).T)
            x = behind(x + times_gaussian(self.d, factor(np.concatenate(out)), self.branch * self.square, rng))
            hidden = ACTIVATIONS[self.activation](times_gaussian(4 * self.d, factor(normal(x)), self.hidden, rng))
            x = behind(x + times_gaussian(self.d, factor(hidden), self.branch * self.hidden, rng))
            found.append(mean_overlap(x))
        return np.array(found)
