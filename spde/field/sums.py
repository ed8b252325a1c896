"""Barycentres of one head at points that share exponentials: on its own Gauss grid, and on two great circles.

m_A(x) = sum_j w_j e^{s_j} y_j / sum_j w_j e^{s_j}, s_j = beta <Ax, y_j>, mathematics (2).  A Gauss grid of odd degree
is mapped to itself by x -> -x and by half a turn about its axis.  They take e^{s} = g h, with g from the height of x
and h from the rest, to 1/(g h) and g/h: one exponential and one division for four points.
"""

import math
from functools import lru_cache

import numpy as np

from particles import Array, gauss_grid
from particles.attention import BLOCK
from particles.machine import scratch
from spde.field.deposits import LANES, Pairs

NARROW = 64  # sources per block at least


def on_gauss_grid(forms: Array, degree: int, pairs: Pairs) -> Array:
    """Barycentres of heads on the Gauss grid of an odd degree, (M, 3, degree + 1, 2 degree + 2).

    forms : beta A, (M, 3, 3), with |scores| <= 300.
    """
    count, sums = len(forms), _grid_sums(forms, degree, pairs)
    rings, turns = sums.shape[3] // count, sums.shape[4]
    found = _ratio(sums).reshape(2, 2, 3, count, rings, turns)
    values = np.empty((count, 3, 2, rings, 2, turns))
    values[:, :, 0] = found[:, 0].transpose(2, 1, 3, 0, 4)
    values[:, :, 1] = found[:, 1, :, :, ::-1].transpose(2, 1, 3, 0, 4)
    return values.reshape(count, 3, 2 * rings, 2 * turns)


def on_circles(forms: Array, axes: Array, half: int, pairs: Pairs) -> Array:
    """Barycentres at 2 half equidistant points of great circles, (M, 2, 3, 2 half); axes (M, 3, 3), by rows.

    The circles of a head go through its axes 0, 1 and 0, 2.
    """
    scores = axes @ np.swapaxes(forms, 1, 2) @ pairs.columns
    found = _ratio(_sums(_half_turn(half), scores[:, [[0, 1], [0, 2]]].reshape(-1, 2, scores.shape[2]), pairs.table))
    return found[:, 0].transpose(2, 1, 0, 3).reshape(len(forms), 2, 3, 2 * half)


def partition_margin(form: Array, strength: float, degree: int, pairs: Pairs) -> float:
    """Lower bound over the sphere of log Z(x) - |Bx|, Z(x) = int e^{<B x, y>} mu(dy), for positive sources; form = B.

    log Z is convex in r = Bx with gradient m(x), and |r| has the second derivative 1/|r| across r.  With b = |B|,
    u = r/|r| and h the covering radius of the grid, log Z - |r| falls around a grid point by no more than the smaller
    of |B^T (m - u)| h + (b h)^2 / (2 |r|) and (|B^T m| + b) h.  The Gauss grid is that of an odd degree.
    """
    sums, (heights, rows) = _grid_sums(form[None], degree, pairs), _quarter_grid(degree)
    sign = np.array([1.0, -1.0])
    x = np.empty((2, 2, *rows.shape[:2], 3))  # power of h, power of g, as the sums
    x[..., :2] = sign[:, None, None, None, None] * rows
    x[..., 2] = sign[:, None, None] * heights[:, None]
    r, means = x @ form.T, np.moveaxis(sums[:, :, :3] / sums[:, :, 3:], 2, -1)
    length, reach = np.linalg.norm(r, axis=-1), _covering_radius(degree)
    near = np.linalg.norm(means @ form, axis=-1) + strength
    with np.errstate(divide="ignore", invalid="ignore"):  # where r = 0
        far = np.linalg.norm((means - r / length[..., None]) @ form, axis=-1) + strength**2 * reach / (2 * length)
    return float((np.log(sums[:, :, 3]) - length - reach * np.fmin(near, far)).min())


@lru_cache(maxsize=64)
def _covering_radius(degree: int) -> float:
    """Bound of the distance of a point from the Gauss grid.

    Along the parallel and then the meridian a way is at most |(dtheta, dphi)| long, and |(dtheta, theta dphi)| around a
    pole, where it is longest from the pole itself.
    """
    theta = np.sort(np.arccos(np.polynomial.legendre.leggauss(degree + 1)[0]))
    return float(max(theta[0], np.hypot(np.diff(theta).max() / 2, np.pi / (2 * degree + 2))))


def _grid_sums(forms: Array, degree: int, pairs: Pairs) -> Array:
    """`_sums` of all heads on the quarter of a grid, ring after ring and head after head."""
    heights, rows = _quarter_grid(degree)
    count, rings = len(forms), len(rows)
    axes = np.swapaxes(forms, 1, 2) @ pairs.columns
    lift = (heights[:, None] * axes[:, 2:]).reshape(count * rings, -1)
    return _sums(np.tile(rows, (count, 1, 1)), np.repeat(axes[:, :2], rings, axis=0), pairs.table, lift)


def _ratio(sums: Array) -> Array:
    """Barycentres from sums by signs of the scores: (2, S, 4 or 8, R, n) to (2, S, 3, R, n)."""
    total = sums[:, :, :4]
    if sums.shape[2] == 8:
        total = total + sums[::-1, ::-1, 4:]  # e^{<r, -y>} = 1 / e^{<r, y>}
    found: Array = total[:, :, :3] / total[:, :, 3:]
    return found


def _sums(rows: Array, axes: Array, table: Array, lift: Array | None = None) -> Array:
    """Sums over sources of h^{+-1} T, h = e^{rows axes}, or of h^{+-1} g^{+-1} T, g = e^{lift}.

    rows (R or 1, n, 2), axes (R or 1, 2, J), table T (k, J), lift (R, J).  Result (2, 1, k, R, n), with `lift`
    (2, 2, k, R, n): power of h, power of g, row of T, then the point.
    """
    rings, n, n_sources, kind = max(len(rows), len(axes)), rows.shape[1], table.shape[1], len(table)
    parts = -(-n_sources // max(NARROW, BLOCK // (2 * n)))
    width = LANES * -(-n_sources // (LANES * parts))
    depth = max(1, BLOCK // (2 * n * width))
    sums = np.zeros((rings, kind if lift is None else 2 * kind, 2 * n))
    for first in range(0, rings, depth):
        ring = slice(first, first + depth)
        own = ring if len(rows) > 1 else slice(None)
        for start in range(0, n_sources, width):
            part = slice(start, start + width)
            factors = table[:, part] if lift is None else _lifted(table[:, part], lift[ring, part])
            shape = min(depth, rings - first), 2, n, min(width, n_sources - start)
            powers = scratch(8 * math.prod(shape)).view(np.float64).reshape(shape)
            np.matmul(rows[own], axes[ring if len(axes) > 1 else slice(None), :, part], out=powers[:, 0])
            np.exp(powers[:, 0], out=powers[:, 0])
            np.divide(1.0, powers[:, :1], out=powers[:, 1:])
            sums[ring] += factors @ powers.reshape(len(powers), 2 * n, -1).swapaxes(1, 2)
    return sums.reshape(rings, -1, kind, 2, n).transpose(3, 1, 2, 0, 4)


def _lifted(table: Array, lift: Array) -> Array:
    """g T above T / g, (R, 2 k, J)."""
    powers = np.empty((len(lift), 2, 1, lift.shape[1]))
    np.exp(lift, out=powers[:, 0, 0])
    np.divide(1.0, powers[:, 0], out=powers[:, 1])
    lifted: Array = table * powers
    return lifted.reshape(len(lift), 2 * len(table), -1)


@lru_cache(maxsize=256)
def _quarter_grid(degree: int) -> tuple[Array, Array]:
    """North below longitude pi of the Gauss grid of an odd degree: x_3 (rings,) and x_1, x_2 (rings, degree + 1, 2)."""
    points, _ = gauss_grid(degree + 1, 2 * degree + 2)
    quarter = points.reshape(degree + 1, 2, degree + 1, 3)[: (degree + 1) // 2, 0]
    return np.ascontiguousarray(quarter[:, 0, 2]), np.ascontiguousarray(quarter[..., :2])


@lru_cache(maxsize=64)
def _half_turn(half: int) -> Array:
    phi = np.pi * np.arange(half) / half
    return np.stack([np.cos(phi), np.sin(phi)], axis=1)[None]
