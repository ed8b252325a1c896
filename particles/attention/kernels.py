"""L2, sigmoid and causal attention.  mathematics, section 6; beta stands beside the scores, as in `Softmax`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from particles.arrays import Array, check_count, check_not_negative
from particles.attention.base import BLOCK
from particles.attention.softmax import Linear, Softmax
from particles.measure import Cloud, Measure, mean_token

ROWS = 1 << 20  # scores per block of rows of a causal head: 8 MB
LOG_RANGE = 300.0  # weights within e^-300 of each other: their products with scores of that size stay in range


def lift(
    points: Array, measure: Measure, query: Array, key: Array, offset: Array, shift: Array | float = 0.0
) -> tuple[Array, Cloud, Array, Array]:
    """The head with weights w_j e^{<Qx + shift, Ky_j> + o_j} as a softmax head at beta = 1, one coordinate added.

    The offset o (n,) stays in the exponent, so that e^{o_j} may be far outside the range of numbers.

    Returns
    -------
    points (N, d + 1), measure, query and key (head_dim + 1, d + 1).
    """
    lifted = Cloud(np.column_stack([measure.points, offset - offset.mean()]), measure.weights)
    wide = scipy.linalg.block_diag(query, np.eye(1))
    wide[:-1, -1] = shift
    return np.column_stack([points, np.ones(len(points))]), lifted, wide, scipy.linalg.block_diag(key, np.eye(1))


@dataclass(frozen=True)
class L2:
    """L2 attention: weights e^{-beta |Qx - Ky|^2}, normalised.  beta = 1 is Castin et al., arXiv 2501.18322.

    m(x) = int y e^{-beta |Qx - Ky|^2} mu(dy) / int e^{-beta |Qx - Ky|^2} mu(dy).

    Since |Qx|^2 cancels, this is softmax at 2 beta of the measure e^{-beta |Ky|^2} mu(dy).  Never overflows
    (tests/particles/attention/test_kernels.py).
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative(self.beta, "beta")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentre of the head (query, key), each (head_dim, d), at points (N, d); result (N, d)."""
        found = Softmax(1.0).barycenter(*self.lifted(points, measure, query, key))
        return found[:, :-1] + mean_token(measure)

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Dm(x) = 2 beta Cov_x(y) A at points (N, d), Cov_x under the weights that x gives; result (N, d, d)."""
        return Softmax(1.0).derivative(*self.lifted(points, measure, query, key))[:, :-1, :-1]

    def lifted(self, points: Array, measure: Measure, query: Array, key: Array) -> tuple[Array, Cloud, Array, Array]:
        """The softmax head at beta = 1 with these weights, see `lift`; positions are counted from the mean token.

        That keeps the digits of |Qx - Ky|^2 when all tokens are far from the origin.
        """
        centre = mean_token(measure)
        gap = measure.points - centre
        keys = gap @ key.T
        offset = -self.beta * np.einsum("ij,ij->i", keys, keys)
        shift = -2 * self.beta * (key @ centre)
        return lift(points, Cloud(gap, measure.weights), 2 * self.beta * query, key, offset, shift)

    def reweighted(self, measure: Measure, key: Array) -> tuple[Softmax, Cloud]:
        """The softmax kernel and the measure that give this head the same barycentres.

        For fields by series (`spde.SpectralField`, `spde.CircleField`); ValueError where the new weights
        w_j e^{-beta |Ky_j|^2} would leave the range of numbers.
        """
        keys = measure.points @ key.T
        exponent = -self.beta * np.einsum("ij,ij->i", keys, keys)
        spread = float(np.ptp(exponent))
        if not spread <= LOG_RANGE:
            raise ValueError(f"beta |Ky|^2 must vary by at most {LOG_RANGE:g} over the measure, got {spread:g}")
        weights = measure.weights * np.exp(exponent - exponent.max())
        return Softmax(2 * self.beta), Cloud(measure.points, weights / weights.sum())


Spectral = Softmax | L2
"""Kernels whose fields have spectral forms on S^1 and S^2."""


def as_softmax(kernel: Spectral, measure: Measure, key: Array) -> tuple[float, Measure] | None:
    """beta and measure of the softmax head that a head amounts to; None where weights leave the range of numbers."""
    if isinstance(kernel, Softmax):
        return kernel.beta, measure
    try:
        softmax, reweighted = kernel.reweighted(measure, key)
    except ValueError:
        return None
    return softmax.beta, reweighted


@dataclass(frozen=True)
class Sigmoid:
    """Sigmoid attention: weights 1/(1 + e^{-beta <Ax, y>}), not normalised.

    m(x) = int y sigmoid(beta <Ax, y>) mu(dy); no Gaussian closure.  Castin et al., arXiv 2501.18322.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative(self.beta, "beta")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Unnormalised barycentre of the head (query, key) at points (N, d); result (N, d)."""
        rows, columns = points @ (self.beta * query.T), measure.points @ key.T
        values = measure.points * measure.weights[:, None]
        out = np.zeros((len(rows), values.shape[1]))
        width = min(len(columns), 1024)
        height = max(1, BLOCK // width)
        for start in range(0, len(rows), height):
            block = slice(start, start + height)
            for left in range(0, len(columns), width):
                part = slice(left, left + width)
                scores = rows[block] @ columns[part].T
                out[block] += scipy.special.expit(scores, out=scores) @ values[part]
        return out


@dataclass(frozen=True)
class Causal:
    """Masked attention: token i sees the tokens j <= i in the order they are given, with their weights.

    The measure is restricted and not rescaled: a normalised kernel (softmax, L2) divides by what token i sees, the
    others (linear, sigmoid) sum over it.  Defined at the tokens themselves only.  A masked Sinkhorn kernel does not
    exist: a lower triangular bistochastic matrix is the identity.

    Parameters
    ----------
    kernel : Softmax, L2, Linear or Sigmoid.
    positions : what turns queries and keys by their places (`particles.networks.RoPE`), or None; not with L2.
    window : token i sees the last so many tokens, i - window < j <= i; None for all.
    """

    kernel: "Softmax | L2 | Linear | Sigmoid"
    positions: "Positions | None" = None
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None:
            check_count(self.window, "window")
        if self.positions is not None and isinstance(self.kernel, L2):
            raise TypeError("positions turn queries and keys of scalar products; L2 attention has distances")
        if not isinstance(self.kernel, Softmax | L2 | Linear | Sigmoid):
            raise TypeError(f"a causal mask needs softmax, L2, linear or sigmoid, got {type(self.kernel).__name__}")

    @property
    def beta(self) -> float:
        """Inverse temperature of the kernel within."""
        return self.kernel.beta

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentres of the head (query, key) at the tokens: `points` must be measure.points; result (n, d)."""
        self._must_be_tokens(points, measure)
        kernel = self.kernel
        if isinstance(kernel, L2):
            points, lifted, query, key = kernel.lifted(points, measure, query, key)
            scores, values = (points @ query.T, lifted.points @ key.T), lifted.points
            return _masked(*scores, lifted.weights, values, _softmax, self.window)[:, :-1] + mean_token(measure)
        return self._average(kernel, points @ query.T, measure.points @ key.T, measure, measure.points)

    def averages(self, points: Array, measure: Measure, query: Array, key: Array, inner: Array) -> Array:
        """Averages of inner_m y, inner (M, k, d), by M heads at the tokens, side by side; result (n, M k)."""
        self._must_be_tokens(points, measure)
        kernel, found = self.kernel, []
        for one_query, one_key, one in zip(query, key, inner, strict=True):
            if isinstance(kernel, L2):
                found.append(self.barycenter(points, measure, one_query, one_key) @ one.T)
                continue
            rows, columns, values = points @ one_query.T, measure.points @ one_key.T, measure.points @ one.T
            found.append(self._average(kernel, rows, columns, measure, values))
        return np.concatenate(found, axis=1)

    def _must_be_tokens(self, points: Array, measure: Measure) -> None:
        if points is not measure.points and not np.array_equal(points, measure.points):
            raise ValueError("causal attention is defined at the tokens of the measure only, got other points")

    def _average(
        self, kernel: "Softmax | Linear | Sigmoid", rows: Array, columns: Array, measure: Measure, values: Array
    ) -> Array:
        """Averages of values (n, k) by queries and keys (n, head_dim)."""
        if self.positions is not None:
            rows, columns = (self.positions.turn(vectors.T).T for vectors in (rows, columns))
        averages: dict[type, Average] = {Softmax: _softmax, Linear: _linear, Sigmoid: _sigmoid}
        return _masked(kernel.beta * rows, columns, measure.weights, values, averages[type(kernel)], self.window)


class Positions(Protocol):
    """What turns queries and keys by their places."""

    def turn(self, vectors: Array) -> Array:
        """Vectors (head_dim, n), a column a place."""
        ...


Mask = NDArray[np.bool_]
Average = Callable[[Array, Mask, Array, Array], Array]
"""Scores (h, b), which of them are masked, weights (b,), values (b, d) -> averages (h, d)."""


def _masked(
    rows: Array, columns: Array, weights: Array, values: Array, average: Average, window: int | None
) -> Array:
    """Averages of values over j <= i, within the window, with the scores <r_i, c_j>, in blocks of rows."""
    n = len(rows)
    out = np.empty_like(values)
    height = max(1, ROWS // n)
    for start in range(0, n, height):
        end = min(start + height, n)
        first = 0 if window is None else max(0, start - window + 1)
        scores, seen = rows[start:end] @ columns[first:end].T, slice(first, end)
        back = np.arange(start, end)[:, None] - np.arange(first, end)
        masked = back < 0 if window is None else (back < 0) | (back >= window)
        out[start:end] = average(scores, masked, weights[seen], values[seen])
    return out


def _softmax(scores: Array, masked: Mask, weights: Array, values: Array) -> Array:
    scores += np.log(weights)
    scores[masked] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    result: Array = (scores @ values) / scores.sum(axis=1, keepdims=True)
    return result


def _sigmoid(scores: Array, masked: Mask, weights: Array, values: Array) -> Array:
    scores[masked] = -np.inf
    result: Array = scipy.special.expit(scores) @ (values * weights[:, None])
    return result


def _linear(scores: Array, masked: Mask, weights: Array, values: Array) -> Array:
    scores[masked] = 0.0
    result: Array = scores @ (values * weights[:, None])
    return result
