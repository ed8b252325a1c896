"""Many tokens moved by a layer on S^2 with a single transform: new places need a tangent field only.

nrm(x + U) = nrm(x + w) with the tangent field w = P_x U / (1 + <x, U>) wherever 1 + <x, U> > 0, and the geodesic step
exp_x(P_x U) needs w = P_x U.  w is made on a Gauss grid; one spin-1 synthesis gives its two components at a token,
where U itself would take three scalar ones.  mathematics (2), section 7.
"""

from functools import lru_cache

import numpy as np

from particles import (
    PRECISION,
    Array,
    Coefficients,
    Geodesic,
    Normalize,
    Retraction,
    degree_of,
    gauss_grid,
    power,
    resize,
    tangent_analysis,
    tangent_at,
)
from particles.machine import by_chunks, empty
from spde.domain import tables
from spde.domain.base import frame
from spde.domain.transforms import DuccTransforms

MARGIN = 0.1  # share of the field's tolerance given to the degrees that w has beyond those of U
SPARE = 0.5  # 1 + <x, U> must stay above this: w is a quotient
BLOCK = 1 << 13  # tokens that are shifted at a time: their work arrays stay in the second-level cache
FLOOR = 1e-140  # distance from the axis below which its square leaves the range of numbers


def tangent_series(coefficients: Coefficients, retraction: Retraction, tol: float) -> Coefficients | None:
    """Spin-1 coefficients (2, modes) of w, from those of the components of U (3, modes).

    None where w does not say where a retraction goes, or would take too many degrees.
    """
    if not isinstance(retraction, Normalize | Geodesic):
        return None
    own = degree_of(coefficients)
    degree = own + 3
    while degree <= 2 * own + 16:
        u = _on_grid(coefficients, degree)
        points, south, east = _frame(degree)
        along = np.einsum("ijk,ijk->ij", points, u)
        if not along.min() >= SPARE - 1:
            return None
        if isinstance(retraction, Normalize):
            u /= (1 + along)[..., None]
        pair = tangent_analysis(np.einsum("ijk,ijk->ij", south, u), np.einsum("ijk,ijk->ij", east, u))
        size = np.sqrt(power(pair).sum(axis=0)[-2:] * (2 * degree + 1) / (4 * np.pi))
        if size.max() <= MARGIN * tol * np.abs(u).max():
            return pair
        degree = int(1.25 * degree) + 1
    return None


def move(points: Array, location: Array, pair: Coefficients, retraction: Retraction, tol: float) -> Array:
    """T(x) at unit vectors (N, 3) with angles (N, 2), from the series of w; transforms are as precise as `tol` asks."""
    precision = min(max(1e-3 * tol, PRECISION), 1e-9)
    moved = empty(*points.shape)

    def fill(part: slice) -> None:
        south, east = tangent_at(pair, location[part], precision)
        share: Array | float = 1.0
        if isinstance(retraction, Geodesic):
            length = np.sqrt(south * south + east * east)
            share = np.cos(length)
            stretch = np.sinc(length / np.pi)
            south *= stretch
            east *= stretch
        for start in range(0, len(south), BLOCK):
            block = slice(start, start + BLOCK)
            here = slice(part.start + start, min(part.start + start + BLOCK, part.stop))
            scale = share if isinstance(share, float) else share[block]
            _shift(points[here], location[here], scale, south[block], east[block], moved[here])

    by_chunks(fill, len(points))
    return moved


def _shift(points: Array, location: Array, share: Array | float, south: Array, east: Array, out: Array) -> None:
    """out = nrm(share x + south e_theta + east e_phi); `south` and `east` are used up."""
    x, y, z = np.ascontiguousarray(points.T)
    axial = np.sqrt(x * x + y * y)
    polar = np.flatnonzero(axial < FLOOR)
    if polar.size:  # x and y are gone from the axial distance, not from the longitude
        theta, phi = location[polar].T
        turn = np.array([np.cos(phi), np.sin(phi), np.zeros_like(phi)])
        tilt = np.array([np.cos(theta) * turn[0], np.cos(theta) * turn[1], -np.sin(theta)])
        side = np.array([-turn[1], turn[0], turn[2]])
        here = np.broadcast_to(share, x.shape)[polar]
        at_pole = here * points[polar].T + south[polar] * tilt + east[polar] * side
    np.maximum(axial, FLOOR, out=axial)
    z_new = share * z - south * axial
    inverse = np.divide(1.0, axial, out=axial)
    east *= inverse
    south *= z
    south *= inverse
    south += share
    x_new, y_new = south * x, south * y
    x_new -= east * y
    y_new += east * x
    if polar.size:
        x_new[polar], y_new[polar], z_new[polar] = at_pole
    np.multiply(x_new, x_new, out=x)
    x += np.multiply(y_new, y_new, out=y)
    x += np.multiply(z_new, z_new, out=z)
    np.divide(1.0, np.sqrt(x, out=x), out=x)
    for i, new in enumerate((x_new, y_new, z_new)):
        np.multiply(new, x, out=out[:, i])


def _on_grid(coefficients: Coefficients, degree: int) -> Array:
    """U on the Gauss grid of a degree, (degree + 1, 2 degree + 2, 3)."""
    if degree <= tables.ANALYSIS_DEGREE:
        return np.ascontiguousarray(tables.synthesis(coefficients, degree))
    transforms = DuccTransforms(degree, degree + 1, 2 * degree + 2)
    return np.stack([transforms.synthesis(a) for a in resize(coefficients, degree)], axis=-1)


@lru_cache(maxsize=16)
def _frame(degree: int) -> tuple[Array, Array, Array]:
    """Points of the Gauss grid of a degree and their unit vectors along colatitude and longitude."""
    shape = (degree + 1, 2 * degree + 2, 3)
    points, _ = gauss_grid(*shape[:2])
    south, east = frame(points)
    return points.reshape(shape), south.reshape(shape), east.reshape(shape)
