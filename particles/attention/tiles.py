"""Softmax averages in tiles: exact, never overflowing, in memory that does not grow with the number of pairs.

    a_i = sum_j w_j e^{<r_i, c_j>} v_j / sum_j w_j e^{<r_i, c_j>}

Scores are formed with the rows r_i along the last axis: both products of a tile then have their long side there, which
OpenBLAS does 10 to 25 % faster than the other way round.  The denominator is one more column of values.
"""

from typing import Final, NamedTuple

import numpy as np

from particles.arrays import Array
from particles.machine import scratch, side_by_side

HEIGHT: Final = 256  # rows of a tile
TILE: Final = 1 << 19  # bytes of the scores of a tile, which stays in the second-level cache
PLAIN_LIMIT: Final = 300.0  # scores below this need no shift: exp(300) and its inverse are far from overflow
LOWEST: Final = -650.0  # shifted scores are raised to this: numbers that underflow take 20 to 200 times as long
SINGLE_LIMIT: Final = 40.0  # the same two in single precision
SINGLE_LOWEST: Final = -75.0
PAIRS: Final = 1 << 17  # of a head, from which on threads pay: a millisecond
FOLDED: Final = 4.0  # bounds up to this many limits may be tight enough to serve as a shift


class _Tile(NamedTuple):
    columns: Array  # (k, width)
    values: Array  # (width, v + 1 or v + 2): values times weights, weights, perhaps zeros


def weighted_average(rows: Array, columns: Array, weights: Array, values: Array) -> Array:
    """Averages a_i, (N, v), for rows (N, k), columns (n, k), positive weights (n,) and values (n, v).

    Rows, columns and values are all of double or all of single precision, and so is the result.  Rows and columns that
    are transposes of contiguous arrays are taken apart fastest, and the result is such a transpose.  What keeps the
    exponentials in range depends on b_i = |r_i| max_j |c_j|, a bound of the scores of row i:

    - up to the limit they are summed as they are: every term is positive, so nothing cancels;
    - up to four times the limit b_i is subtracted, as one more column of the product that forms the scores.  A row
      whose sum is so small, because the bound is loose, that raised scores would count in it is done again by
      the third way;
    - beyond, or when the weights spread over more than e^limit, each row is shifted by its maximum over j of
      <r_i, c_j> + log w_j.

    Accuracy: rounding of the scores, about b_i times the unit of the precision
    (tests/particles/attention/test_tiles.py).
    """
    limit, lowest = (PLAIN_LIMIT, LOWEST) if rows.dtype == np.float64 else (SINGLE_LIMIT, SINGLE_LOWEST)
    shares = weights / weights.max()
    bounds = _lengths(rows) * _lengths(columns).max()
    highest = bounds.max(initial=0.0)
    by_maximum = not highest <= FOLDED * limit
    if not -np.log(shares.min()) <= limit:  # weights go into the exponent
        rows, columns = _one_more(rows, 1.0), _one_more(columns, np.log(shares))
        shares, by_maximum = np.ones_like(shares), True
    elif limit < highest <= FOLDED * limit:
        rows, columns = _one_more(rows, -bounds), _one_more(columns, 1.0)
    floor = lowest if by_maximum or highest > limit else -np.inf
    height = max(1, min(len(rows), HEIGHT))
    tiles = _tiles(columns, shares.astype(rows.dtype), values, max(1, TILE // rows.itemsize // height))
    least = len(columns) * np.exp(lowest) / np.finfo(rows.dtype).eps
    n_values = values.shape[1]
    out = np.empty((n_values, len(rows)), rows.dtype)

    def fill(start: int, by_maximum: bool) -> bool:
        """Of a block of rows; whether most of them needed the third way."""
        block, most = rows[start : start + height], False
        sums = _sums(block, tiles, floor, by_maximum)
        lost = ~(sums[n_values] >= least)
        if not by_maximum and lost.any():
            sums[:, lost] = _sums(block[lost], tiles, lowest, True)
            most = bool(lost.mean() > 0.5)
        np.divide(sums[:n_values], sums[n_values], out=out[:, start : start + height])
        return most

    first, *others = range(0, len(rows), height) or [0]
    by_maximum = fill(first, by_maximum) or by_maximum  # the other rows will fare no better
    few = len(rows) * len(columns) < 4 * PAIRS
    side_by_side(lambda start: fill(start, by_maximum), others, 1 if few else None)
    return out.T


def _lengths(vectors: Array) -> Array:
    lengths: Array = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def _one_more(vectors: Array, last: Array | float) -> Array:
    """Vectors (n, k) with one more coordinate, in their precision."""
    wide = np.empty((vectors.shape[1] + 1, len(vectors)), vectors.dtype)
    wide[:-1], wide[-1] = vectors.T, last
    return wide.T


def _tiles(columns: Array, shares: Array, values: Array, width: int) -> list[_Tile]:
    n, n_values = values.shape
    table = np.zeros((n, n_values + 2 - n_values % 2), columns.dtype)  # an even number of columns is faster
    np.multiply(values, shares[:, None], out=table[:, :n_values])
    table[:, n_values] = shares
    parts = [slice(start, start + width) for start in range(0, n, width)]
    return [_Tile(np.ascontiguousarray(columns[part].T), table[part]) for part in parts]


def _sums(rows: Array, tiles: list[_Tile], floor: float, by_maximum: bool) -> Array:
    """Sums over all columns of values and of weights, (v + 1 or v + 2, height); by maximum, over its exponential."""
    transposed = np.ascontiguousarray(rows.T)
    height, space = len(rows), scratch(TILE).view(rows.dtype)
    sums, part = np.zeros((2, tiles[0].values.shape[1], height), rows.dtype)
    peak = np.full(height, -np.inf, rows.dtype)
    for tile in tiles:
        width = len(tile.values)
        scores = np.matmul(tile.columns.T, transposed, out=space[: width * height].reshape(width, height))
        if by_maximum:
            higher = np.maximum(peak, scores.max(axis=0))
            sums *= np.exp(peak - higher)
            scores -= higher
            peak = higher
        if floor > -np.inf:
            np.maximum(scores, floor, out=scores)
        np.exp(scores, out=scores)
        sums += np.matmul(tile.values.T, scores, out=part)
    return sums
