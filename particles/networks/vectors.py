"""Vectors in R^d of which only the overlaps matter: coordinates in a basis of their span.  mathematics, section 9.

A matrix W (k x d) of independent normal entries sees n vectors X only through their Gram matrix: rotate R^d so that the
vectors lie along the first m <= n axes, and the entries of W there are normal and independent again.  Images Y = W O,
W (d x r), are drawn likewise: m rows along the axes that are known, and beyond them the triangular factor of the
(d - m) x r matrix that is left (Bartlett 1933), at most r rows whatever d is.

Coordinates are kept, not products: 1 - cosine of two columns comes from their difference and keeps its digits where
tokens meet.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from particles.arrays import Array

CLOSE = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-3}
"""Smallest pivot, relative to the square of its column, at which products still tell columns apart."""
RUN = 1 << 14  # numbers that are made at once
NEAR = 1e-7  # squared distance of two columns, relative to those from their mean, below which it is taken by itself


def draw(rng: np.random.Generator, rows: int, columns: int, dtype: Any = np.float64) -> Array:
    """Independent standard normal numbers; in single precision by Box and Muller's formula, up to 5.7."""
    if dtype != np.float32:
        return rng.standard_normal((rows, columns))
    pairs: Array = np.empty((-(-rows * columns // (2 * RUN)), 2, RUN), dtype=np.float32)
    for pair in pairs:
        uniform = rng.random((2, RUN), dtype=np.float32)
        radius, angle = np.sqrt(-2 * np.log(1 - uniform[0])), np.float32(2 * np.pi) * uniform[1]
        pair[:] = radius * np.cos(angle), radius * np.sin(angle)
    return pairs.reshape(-1)[: rows * columns].reshape(rows, columns)


def times(matrix: Array, columns: Array) -> Array:
    """matrix (k, m) @ columns (m, n), at half the cost where the columns are triangular; the matrix is spent."""
    m, n = columns.shape
    if m != n or columns[1:, 0].any() or np.tril(columns, -1).any():
        return np.asarray(matrix @ columns)
    product = scipy.linalg.get_blas_funcs("trmm", (matrix,))(1.0, columns.T, matrix.T, lower=1, overwrite_b=1)
    return np.asarray(product.T)


def bartlett(columns: int, degrees: int, rng: np.random.Generator) -> Array:
    """Triangular factor of a (degrees x columns) matrix of normal entries, (min(degrees, columns), columns).

    Bartlett 1933: chi of degrees - i degrees of freedom at place i of the diagonal, normal numbers to the right of it.
    """
    rows = max(0, min(degrees, columns))
    factor = np.triu(draw(rng, rows, columns), 1)
    factor[np.arange(rows), np.arange(rows)] = np.sqrt(rng.chisquare(degrees - np.arange(rows)))
    return factor


def root(rows: Array) -> Array:
    """T of at most as many rows as columns, T^T T = rows^T rows.

    By the Gram matrix, in the precision of the rows and then in double, unless columns are so close that it would lose
    their difference (`CLOSE`); then by reflections, at four times the cost.
    """
    count, columns = rows.shape
    if count <= columns:
        return rows.astype(np.float64, copy=False)
    for dtype in dict.fromkeys((rows.dtype, np.dtype(np.float64))):
        exact = rows.astype(dtype, copy=False)
        gram = (exact.T @ exact).astype(np.float64, copy=False)
        factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=0, clean=1)
        if failed == 0 and np.all(np.diag(factor) ** 2 > CLOSE[dtype] * np.diag(gram)):
            return np.asarray(factor)
    return reflected(rows)


def reflected(rows: Array) -> Array:
    """The same by Householder's reflections, which keep differences of columns of any rank."""
    factor = np.asarray(np.linalg.qr(rows.astype(np.float64, copy=False), mode="r"))
    return factor * _signs(factor)


def _signs(factor: Array) -> Array:
    """Of the diagonal, (k, 1): with them a triangular factor is the one that Cholesky's algorithm finds."""
    return np.where(np.diag(factor) < 0, -1.0, 1.0)[:, None]


def axes_and_factor(rows: Array) -> tuple[Array, Array]:
    """Q (k, r), orthonormal, and T (r, n), triangular with a positive diagonal, rows = Q T."""
    axes, factor = np.linalg.qr(rows)
    signs = _signs(factor)
    return np.asarray(axes * signs.T), np.asarray(factor * signs)


def image(factor: Array, known: int, d: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """W @ factor for W (d x r) of independent normal entries, factor (r x n).

    Returns its rows (p, n), p = known + min(d - known, r), the first `known` along axes that are known, and the rows of
    W along the known axes and beyond them, (known, r) and (p - known, r).
    """
    along, across = draw(rng, known, len(factor)), bartlett(len(factor), d - known, rng)
    return np.concatenate([times(along.copy(), factor), times(across.copy(), factor)]), along, across


@dataclass(frozen=True, eq=False)
class Turn:
    """How the axes of a basis were changed: (p, p) orthogonal behind the first `fixed`, or None for not at all."""

    fixed: int
    matrix: Array | None
    before: int
    after: int

    def back(self, rows: Array) -> Array:
        """Coordinates in the axes before, (p, n), from those in the axes after and what is left of the p, (p, n)."""
        if self.matrix is None:
            return rows
        return np.concatenate([rows[: self.fixed], self.matrix @ rows[self.fixed :]])


def compress(rows: Array, fixed: int, turned: bool = False) -> tuple[Array, Turn]:
    """The same columns in at most fixed + n axes, of which the first `fixed` stay, and how they were turned.

    That is known with `turned` only.
    """
    free = rows[fixed:]
    count, columns = free.shape
    if count <= columns:
        return rows, Turn(fixed, None, len(rows), len(rows))
    if turned:
        matrix, factor = scipy.linalg.qr(free, check_finite=False)
        signs = _signs(factor[:columns])
        matrix[:, :columns] *= signs.T
        return np.concatenate([rows[:fixed], factor[:columns] * signs]), Turn(fixed, matrix, len(rows), fixed + columns)
    return np.concatenate([rows[:fixed], root(free)]), Turn(fixed, None, len(rows), fixed + columns)


def split(beyond: Array, dimensions: int, first: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Vectors in a uniformly random orientation: coordinates along `first` axes, and a factor of what is left.

    beyond : (c, n), their factor in a space of so many `dimensions`, c <= dimensions.
    The frame that carries them is Q of a (dimensions x c) matrix of normal entries, uniform on orthonormal frames.
    """
    count = len(beyond)
    if first == 0 or count == 0:
        return np.zeros((first, beyond.shape[1])), beyond
    frame = np.concatenate([draw(rng, first, count), bartlett(count, dimensions - first, rng)])
    axes, _ = axes_and_factor(frame)  # with its signs Q is uniform (Mezzadri, arXiv math-ph/0609050)
    turned = axes @ beyond
    return turned[:first], turned[first:]


def gaps(rows: Array) -> Array:
    """1 - cosine of all pairs of columns, (n, n), to some ten digits of each: from differences, not from 1 minus.

    A column of length 0 has no direction, and counts as orthogonal to all others.
    """
    length = np.sqrt(np.einsum("ij,ij->j", rows, rows))
    units = rows / np.where(length > 0, length, 1)
    apart = units - units.mean(axis=1, keepdims=True)
    square = np.einsum("ij,ij->j", apart, apart)
    scale = square[:, None] + square
    found = np.maximum(scale - 2 * (apart.T @ apart), 0)
    np.fill_diagonal(found, 0)
    near = np.triu(found < NEAR * scale, 1)
    for one in np.flatnonzero(near.any(axis=1)):
        others = np.flatnonzero(near[one])
        difference = units[:, others] - units[:, one, None]
        found[one, others] = found[others, one] = np.einsum("ij,ij->j", difference, difference)
    found /= 2
    bare = np.flatnonzero(length == 0)
    found[bare], found[:, bare] = 1, 1
    found[bare, bare] = 0
    return np.asarray(found)
