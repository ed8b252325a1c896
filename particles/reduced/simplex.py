"""n tokens of equal overlaps g0 (a simplex): attention statistics, drift of the overlap.  mathematics, section 4.

f = E sum_k pi_ik^2 and h = E sum_k pi_ik pi_jk over the attention weights pi; s_ii = g0 + (1 - g0) f,
s_ij = g0 + (1 - g0) h.  In a softmax the common part of the keys cancels; what is left of the logits of two tokens
is beta sqrt(1 - g0) <q_i, e_k>, with e_k independent Gaussian vectors of head_dim entries: given the three products of
q_i and q_j (Bartlett: two chi variables and a normal one) a bivariate Gaussian for each k.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from particles.arrays import Array
from particles.reduced.overlap import check_heads, overlap_drift

BLOCK = 1 << 21  # logits drawn at a time
BUDGET = 1 << 24  # logits drawn when the number of samples is not given


class Estimate(NamedTuple):
    """A Monte Carlo mean and its standard error."""

    value: float
    standard_error: float


class SimplexStatistics(NamedTuple):
    """Attention of a simplex; the drifts are of g0, sigma_v^2 = 1/d, diffusive time.

    Attributes
    ----------
    f, h : E sum_k pi_ik^2 and E sum_k pi_ik pi_jk.
    drift_finite_d : ((d - 2 + g0^2) s_ij - (d - 1) g0 s_ii)/d, exact.
    drift_infinite_d : s_ij - g0 s_ii.
    """

    f: Estimate
    h: Estimate
    drift_finite_d: Estimate
    drift_infinite_d: Estimate


@dataclass(frozen=True)
class Simplex:
    """n tokens in R^d, all overlaps equal, under Gaussian heads.

    Such tokens exist for n <= d (n = d + 1 at overlap -1/d); for more the formulas stand for exchangeable tokens.

    Parameters
    ----------
    d : dimension of the tokens, at least 2.
    n : number of tokens, at least 2.
    beta : inverse temperature.
    sigma_a : standard deviation of the entries of W and W'.
    head_dim : inner dimension of A, between 1 and d.
    overlap : g0, between -1/(n - 1) and 1.
    """

    d: int
    n: int
    beta: float
    sigma_a: float
    head_dim: int
    overlap: float

    def __post_init__(self) -> None:
        check_heads(self.d, self.beta, self.sigma_a, self.head_dim)
        if not self.n >= 2:  # written so that NaN is caught
            raise ValueError(f"n must be at least 2, got {self.n}")
        if not -1 / (self.n - 1) <= self.overlap <= 1:
            raise ValueError(f"overlap must lie between -1/(n - 1) = {-1 / (self.n - 1):g} and 1, got {self.overlap}")

    def drift(self, f: float | Array, h: float | Array) -> tuple[Array, Array]:
        """Drift of g0 at finite d and in the limit d -> infinity, from f and h."""
        s_ii, s_ij = (self.overlap + (1 - self.overlap) * np.asarray(x, dtype=np.float64) for x in (f, h))
        return overlap_drift(self.d, self.overlap, s_ij, s_ii, s_ii), s_ij - self.overlap * s_ii

    def statistics(self, *, samples: int | None = None, seed: int = 0) -> SimplexStatistics:
        """Monte Carlo over heads: n pairs of logits a sample, whatever d and head_dim.

        Parameters
        ----------
        samples : number of independent heads, at least 2; default: as many as make 2^24 logits, 2^10 to 2^20.
        seed : of the random numbers; the same seed gives the same result.
        """
        count = min(max(BUDGET // (2 * self.n), 1 << 10), 1 << 20) if samples is None else samples
        if not count >= 2:
            raise ValueError(f"samples must be at least 2, got {samples}")
        rng = np.random.default_rng(seed)
        size = max(1, BLOCK // (2 * self.n))
        parts = [self._draw(rng, min(size, count - start)) for start in range(0, count, size)]
        f, h = np.concatenate(parts, axis=1)
        return SimplexStatistics(*(_estimate(x) for x in (f, h, *self.drift(f, h))))

    def _draw(self, rng: np.random.Generator, size: int) -> Array:
        """Sum of squares and of products of the attention weights of two tokens, (2, size)."""
        g0, k = self.overlap, self.head_dim
        turn = math.sqrt((1 - g0) * (1 + g0))
        norm = np.sqrt(rng.chisquare(k, size))  # |q_i|, and q_j along and across q_i
        along = g0 * norm + turn * rng.standard_normal(size)
        across = turn * np.sqrt(rng.chisquare(k - 1, size)) if k > 1 else np.zeros(size)
        logits = rng.standard_normal((2, size, self.n))
        scale = self.beta * self.sigma_a**2 * math.sqrt(1 - g0)
        logits[1] = along[:, None] * logits[0] + across[:, None] * logits[1]
        logits[0] *= norm[:, None]
        logits *= scale
        logits -= logits.max(axis=2, keepdims=True)
        weights = np.exp(logits, out=logits)
        weights /= weights.sum(axis=2, keepdims=True)
        square = 0.5 * np.einsum("isn,isn->s", weights, weights)
        return np.stack([square, np.einsum("sn,sn->s", weights[0], weights[1])])


def _estimate(sample: Array) -> Estimate:
    return Estimate(float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(sample.size)))
