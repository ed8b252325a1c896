"""The parts of a network: attention, MLP, norms, positions, initialisations.  All frozen, checked, without matrices."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from particles.arrays import Array, check_count, check_not_negative, check_positive
from particles.errors import ArgumentError
from particles.layers.mlp.kernels import Activation


class Norm(Protocol):
    """Brings every token to mean square 1, length d^1/2, but for its epsilon: gains 1, no biases."""

    axes: int

    @property
    def eps(self) -> float:
        """What is added to the mean square of a token."""

    def scale(self, rows: Array, d: int) -> Array:
        """Factor for each column, (n,)."""


@dataclass(frozen=True)
class RMSNorm:
    """x -> x/(mean x^2 + eps)^1/2 (Zhang and Sennrich, arXiv 1910.07467).  `axes` that it knows: none."""

    eps: float = 0.0
    axes = 0

    def __post_init__(self) -> None:
        check_not_negative(self.eps, "eps")

    def scale(self, rows: Array, d: int) -> Array:
        """Factor for each column, (n,); tokens of length 0 stay there."""
        return _inverse_length(rows, d * self.eps) * math.sqrt(d)


@dataclass(frozen=True)
class LayerNorm:
    """x -> c/(mean c^2 + eps)^1/2, c = x - its mean (Ba et al., arXiv 1607.06450).

    It knows one axis, (1, ..., 1)/d^1/2.
    """

    eps: float = 0.0
    axes = 1

    def __post_init__(self) -> None:
        check_not_negative(self.eps, "eps")

    def scale(self, rows: Array, d: int) -> Array:
        """Factor for each column, (n,), of its part off the first axis."""
        return _inverse_length(rows[1:], d * self.eps) * math.sqrt(d)


def _inverse_length(rows: Array, more: float) -> Array:
    """(|x|^2 + more)^-1/2 of columns; 0 where that is not finite."""
    length = np.sqrt(np.einsum("ij,ij->j", rows, rows) + more)
    inverse: Array = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return inverse


@dataclass(frozen=True)
class Placement:
    """Where tokens are normalised: before a branch reads them, behind it, and the stream after it is added."""

    before: bool
    behind: bool
    after: bool


def PreNorm() -> Placement:
    """x + F(norm(x)): GPT-2, LLaMA."""
    return Placement(True, False, False)


def PostNorm() -> Placement:
    """norm(x + F(x)): the first transformer, BERT."""
    return Placement(False, False, True)


def PeriNorm() -> Placement:
    """x + norm(F(norm(x))): norms on both sides of a branch (Kim et al., arXiv 2502.02732)."""
    return Placement(True, True, False)


def NoNorm() -> Placement:
    """x + F(x)."""
    return Placement(False, False, False)


@dataclass(frozen=True)
class RoPE:
    """Rotary positions (Su et al., arXiv 2104.09864).

    Of the first r = share * head_dim coordinates of queries and keys at place i, pair j turns by i base^(-2j/r).
    """

    base: float = 10_000.0
    share: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.base, "base")
        if not 0 < self.share <= 1:
            raise ArgumentError("share", self.share, "lie in (0, 1]")

    def turned(self, head_dim: int) -> int:
        """Coordinates that turn: an even number."""
        count = round(self.share * head_dim)
        if count % 2 or count < 2:
            raise ArgumentError("head_dim", head_dim, f"make share * head_dim even for RoPE, which is {count}")
        return count

    def turn(self, vectors: Array, sign: int = 1) -> Array:
        """Queries or keys (..., head_dim, n) turned by their places, or back with sign -1."""
        count = self.turned(vectors.shape[-2])
        half = count // 2
        angle = self.base ** (-np.arange(half) / half)[:, None] * np.arange(vectors.shape[-1])
        cos, sin = np.cos(angle), sign * np.sin(angle)
        out = vectors.copy()
        first, second = vectors[..., :half, :], vectors[..., half:count, :]
        out[..., :half, :] = first * cos - second * sin
        out[..., half:count, :] = first * sin + second * cos
        return out


@dataclass(frozen=True)
class ALiBi:
    """-m_h |i - j| on the scores of head h (Press et al., arXiv 2108.12409).

    m_h = 2^(-8 (h + 1)/H) for H heads, a power of two; else those of the largest power of two below H, then every other
    one of twice that power.
    """

    def slopes(self, heads: int) -> Array:
        """(heads,)."""
        power = 1 << (heads.bit_length() - 1)
        slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
        if power == heads:
            return slopes
        return np.concatenate([slopes, (2.0 ** (-4 * np.arange(1, 2 * power + 1) / power))[::2][: heads - power]])

    def bias(self, heads: int, n: int) -> Array:
        """(heads, n, n): -m_h |i - j|."""
        place = np.arange(n)
        bias: Array = -self.slopes(heads)[:, None, None] * np.abs(place[:, None] - place)
        return bias


@dataclass(frozen=True)
class SelfAttention:
    """Softmax attention of several heads.

    Parameters
    ----------
    heads, head_dim : H heads of inner dimension head_dim.   kv_heads : keys and values that groups of heads share;
        None for as many as heads (Ainslie et al., arXiv 2305.13245).
    causal : tokens see those before them and themselves.   positions : RoPE(), ALiBi() or None.
    qk_norm : queries and keys are brought to length head_dim^1/2 (Henry et al., arXiv 2010.04245, without its gain).
    score_scale : factor on the scores head_dim^-1/2 <q, k>.
    whole_values : the value of a head is one d x d matrix, its output, of the tokens as they are read.
    """

    heads: int
    head_dim: int
    kv_heads: int | None = None
    causal: bool = False
    positions: RoPE | ALiBi | None = None
    qk_norm: bool = False
    score_scale: float = 1.0
    whole_values: bool = False

    def __post_init__(self) -> None:
        check_count(self.heads, "heads")
        check_count(self.head_dim, "head_dim")
        check_count(self.groups, "kv_heads")
        if self.heads % self.groups:
            raise ArgumentError("kv_heads", self.groups, f"divide the {self.heads} heads")
        if not math.isfinite(self.score_scale):
            raise ArgumentError("score_scale", self.score_scale, "be finite")
        if isinstance(self.positions, RoPE):
            self.positions.turned(self.head_dim)

    @property
    def groups(self) -> int:
        """Number of different keys."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def factor(self) -> float:
        """On <q, k>."""
        return self.score_scale / math.sqrt(self.head_dim)


@dataclass(frozen=True)
class MLP:
    """W_2 act(W_1 x), or W_2 (act(W_g x) * W_1 x) where gated (Shazeer, arXiv 2002.05202); no biases.

    activation : one of `particles.ACTIVATIONS`, or an `Activation` of one's own.
    width : rows of W_1; math.inf for the limit, which needs a norm before the block.
    """

    activation: Activation
    width: float
    gated: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"activation must be an Activation (see particles.ACTIVATIONS), got {self.activation!r}")
        if self.width != math.inf:
            check_count(self.width, "width")  # type: ignore[arg-type]


MATRICES = ("query", "key", "value", "output", "up", "gate", "down")


class Initialisation(Protocol):
    """Standard deviation of the entries of a matrix, by its name (one of MATRICES) and shape."""

    def deviation(self, name: str, rows: int, columns: int) -> float:
        """Of the entries of a (rows x columns) matrix."""


@dataclass(frozen=True)
class Normal:
    """One standard deviation for all matrices: GPT-2, BERT, LLaMA with 0.02."""

    std: float = 0.02

    def __post_init__(self) -> None:
        check_not_negative(self.std, "std")

    def deviation(self, name: str, rows: int, columns: int) -> float:
        """The same for every matrix."""
        return self.std


@dataclass(frozen=True)
class Xavier:
    """Variance 2/(rows + columns) (Glorot and Bengio 2010)."""

    def deviation(self, name: str, rows: int, columns: int) -> float:
        """(2/(rows + columns))^1/2."""
        return math.sqrt(2 / (rows + columns))


@dataclass(frozen=True)
class LeCun:
    """Variance 1/columns (LeCun et al. 1998)."""

    def deviation(self, name: str, rows: int, columns: int) -> float:
        """columns^-1/2."""
        return 1 / math.sqrt(columns)


@dataclass(frozen=True)
class PerMatrix:
    """A standard deviation for each kind of matrix."""

    query: float
    key: float
    value: float
    output: float
    up: float = 0.0
    gate: float = 0.0
    down: float = 0.0

    def __post_init__(self) -> None:
        for name in MATRICES:
            check_not_negative(getattr(self, name), name)

    def deviation(self, name: str, rows: int, columns: int) -> float:
        """That of the matrix of this name."""
        return float(getattr(self, name))
