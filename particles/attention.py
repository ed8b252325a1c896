"""Attention: barycentres m_A[mu](x) of a weighted measure, in blocks of bounded memory.  mathematics (1)."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from particles.arrays import Array
from particles.pushes import AttentionPush, Field, FieldPush
from particles.tokens import Measure, mean_token, second_moment

BLOCK = 1 << 16  # exponentials per block: 512 kB, so that a block stays in the second-level cache
TABLE = 1 << 21  # products of components per pass over a measure: 16 MB
PLAIN_LIMIT = 300.0  # scores below this need no shift: exp(300) and its inverse are far from overflow


class Attention(Protocol):
    """A kernel: how a head averages a measure."""

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentre of one head at `points`: (N, d)."""
        ...


@runtime_checkable
class DifferentiableAttention(Attention, Protocol):
    """A kernel whose barycentres have a derivative in closed form."""

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Derivative of the barycentre of one head at `points`: (N, d, d), [n, i, j] = dm_i/dx_j."""
        ...


def _weighted_exponentials(rows: Array, columns: Array, weights: Array, values: Array, limit: float) -> Array:
    """sum_j w_j e^{<r_i, c_j>} v_j / sum_j w_j e^{<r_i, c_j>} for every row i.

    Below the score `limit` the exponentials are summed as they are (every term is positive, so nothing
    cancels); above it each row is shifted by its maximum over j of <r_i, c_j> + log w_j.
    """
    n_rows, n_columns = rows.shape[0], columns.shape[0]
    out = np.empty((n_rows, values.shape[1]))
    bound = np.sqrt(np.max(np.einsum("ij,ij->i", rows, rows), initial=0.0)) * np.sqrt(
        np.max(np.einsum("ij,ij->i", columns, columns))
    )
    shifted = not bound <= limit
    log_weights = np.log(weights)
    if shifted:
        table = np.column_stack([values, np.ones(n_columns)])
    else:
        table = np.column_stack([values * weights[:, None], weights])
    width = min(n_columns, 1024)
    height = max(1, min(n_rows, BLOCK // width))
    tiles = []
    for left in range(0, n_columns, width):
        part = slice(left, left + width)
        tiles.append((np.ascontiguousarray(columns[part].T), table[part], log_weights[part] if shifted else None))
    for start in range(0, n_rows, height):
        block = rows[start : start + height]
        sums = np.zeros((block.shape[0], table.shape[1]))
        peak = np.full(block.shape[0], -np.inf)
        for transposed, values_one, log_weight in tiles:
            scores = block @ transposed
            if log_weight is not None:
                scores += log_weight
                higher = np.maximum(peak, scores.max(axis=1))
                sums *= np.exp(peak - higher)[:, None]
                scores -= higher[:, None]
                peak = higher
            np.exp(scores, out=scores)
            sums += scores @ values_one
        out[start : start + height] = sums[:, :-1] / sums[:, -1:]
    return out


@dataclass(frozen=True)
class Softmax:
    """Softmax attention with inverse temperature beta >= 0.

    m_A[mu](x) = int y e^{beta <Ax, y>} mu(dy) / int e^{beta <Ax, y>} mu(dy)   (mathematics (1)).

    Accuracy: relative 1e-13; never overflows, whatever beta and A (tests/particles/test_attention.py).
    """

    beta: float

    def __post_init__(self) -> None:
        if not 0 <= self.beta < np.inf:
            raise ValueError(f"beta must be finite and >= 0, got {self.beta}")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentre of the head (query, key), each (head_dim, d), at points (N, d); result (N, d)."""
        rows = points @ (self.beta * query.T)
        columns = measure.points @ key.T
        return _weighted_exponentials(rows, columns, measure.weights, measure.points, PLAIN_LIMIT)

    def barycenters(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentres of M heads, query and key (M, head_dim, d), at points (N, d); result (M, N, d)."""
        return np.stack([self.barycenter(points, measure, q, k) for q, k in zip(query, key, strict=True)])

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """D m_A(x) = beta Cov_x(y) A at points (N, d), Cov_x under the weights that x gives; result (N, d, d)."""
        rows, columns = points @ (self.beta * query.T), measure.points @ key.T
        d = points.shape[1]
        # Taken about the mean: a narrow cloud would lose its covariance to cancellation.
        lifted = np.column_stack([measure.points - mean_token(measure), np.ones(len(columns))])
        moments = np.ones((len(points), d + 1, d + 1))
        first, second = (index[:-1] for index in np.triu_indices(d + 1))
        width = max(1, TABLE // len(columns))
        for start in range(0, len(first), width):
            i, j = first[start : start + width], second[start : start + width]
            products = lifted[:, i] * lifted[:, j]
            moments[:, i, j] = _weighted_exponentials(rows, columns, measure.weights, products, PLAIN_LIMIT)
            moments[:, j, i] = moments[:, i, j]
        mean = moments[:, :d, d]
        covariance = moments[:, :d, :d] - mean[:, :, None] * mean[:, None, :]
        derivative: Array = (covariance @ key.T) @ (self.beta * query)
        return derivative


@dataclass(frozen=True)
class Linear:
    """Linear attention: weights beta <Ax, y>, not normalised, so m_A(x) = beta Sigma A x, Sigma = int y y^T mu.

    With beta = 1 this is U = sum_m C_m Sigma A_m x of the exact solution E2 (mathematics, section 5).
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.beta < np.inf:
            raise ValueError(f"beta must be finite and >= 0, got {self.beta}")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Unnormalised barycentre of the head (query, key) at points (N, d); result (N, d)."""
        return points @ (self.beta * (query.T @ key) @ second_moment(measure))

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """beta Sigma A at every point; result (N, d, d)."""
        form = self.beta * second_moment(measure) @ key.T @ query
        return np.broadcast_to(form, (len(points), *form.shape))


class FieldFactory(Protocol):
    """What makes a field: injected into the time loops."""

    def __call__(self, attention: Attention, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        """Return U of `push` and `measure`; `n_targets` says at how many points it will be wanted."""
        ...


@dataclass(frozen=True, eq=False)
class DirectField:
    """U(x) = sum_m C_m m_{A_m}[mu](x) summed over all points of the measure.  mathematics (2).  Any d; O(n) a point."""

    attention: Attention
    push: AttentionPush
    measure: Measure
    n_targets: int = 0
    degree: int = 0

    def at(self, points: Array) -> Array:
        """U at points (N, d)."""
        velocity = np.zeros_like(points)
        for mixing, query, key in zip(self.push.mixing, self.push.query, self.push.key, strict=True):
            velocity += self.attention.barycenter(points, self.measure, query, key) @ mixing.T
        return velocity

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d)."""
        attention = self.attention
        if not isinstance(attention, DifferentiableAttention):
            raise TypeError(f"characteristics need attention with a derivative; {type(attention).__name__} has none")
        total = np.zeros((*points.shape, points.shape[1]))
        for mixing, query, key in zip(self.push.mixing, self.push.query, self.push.key, strict=True):
            total += mixing @ attention.derivative(points, self.measure, query, key)
        return total


def field_of(
    factory: FieldFactory, attention: Attention, push: AttentionPush | FieldPush, measure: Measure, n_targets: int
) -> Field:
    """The field of a push, for the time loops: made by the factory for attention, or the one that the push holds."""
    if isinstance(push, FieldPush):
        return push.velocity
    return factory(attention, push, measure, n_targets)
