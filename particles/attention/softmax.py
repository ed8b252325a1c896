"""Softmax and linear attention."""

from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, check_not_negative
from particles.attention.tiles import PAIRS, weighted_average
from particles.machine import product, side_by_side
from particles.measure import Measure, mean_token, second_moment

TABLE = 1 << 21  # products of components per pass over a measure: 16 MB


@dataclass(frozen=True)
class Softmax:
    """Softmax attention with inverse temperature beta >= 0.

    m_A[mu](x) = int y e^{beta <Ax, y>} mu(dy) / int e^{beta <Ax, y>} mu(dy)   (mathematics (1)).

    Accuracy: relative 1e-13; never overflows, whatever beta and A (tests/particles/attention/test_softmax.py).
    """

    beta: float

    def __post_init__(self) -> None:
        check_not_negative(self.beta, "beta")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentre of the head (query, key), each (head_dim, d), at points (N, d); result (N, d)."""
        rows, columns = (self.beta * query) @ points.T, key @ measure.points.T
        return weighted_average(rows.T, columns.T, measure.weights, measure.points)

    def averages(self, points: Array, measure: Measure, query: Array, key: Array, inner: Array) -> Array:
        """Averages of inner_m y, inner (M, k, d), by M heads at points (N, d), side by side; result (N, M k).

        points, measure.points and the matrices are all of double or all of single precision.
        """
        (n_heads, head_dim, d), size = query.shape, inner.shape[1]
        rows = product((self.beta * query).reshape(-1, d), points.T)  # one product for all heads is the faster one
        columns = product(key.reshape(-1, d), measure.points.T)
        values = product(measure.points, inner.reshape(-1, d).T)
        found = np.empty((n_heads * size, len(points)), points.dtype)

        def fill(head: int) -> None:
            part, own = slice(head * head_dim, (head + 1) * head_dim), slice(head * size, (head + 1) * size)
            found[own] = weighted_average(rows[part].T, columns[part].T, measure.weights, values[:, own]).T

        side_by_side(fill, range(n_heads), 1 if len(points) * len(measure.weights) < PAIRS else None)
        return found.T

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
            moments[:, i, j] = weighted_average(rows, columns, measure.weights, products)
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
        check_not_negative(self.beta, "beta")

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Unnormalised barycentre of the head (query, key) at points (N, d); result (N, d)."""
        return points @ (self.beta * (query.T @ key) @ second_moment(measure))

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """beta Sigma A at every point; result (N, d, d)."""
        form = self.beta * second_moment(measure) @ key.T @ query
        return np.broadcast_to(form, (len(points), *form.shape))
