"""Retractions x, U -> T(x): back to the sphere, or none in R^d.  mathematics (2), sections 5 and 6."""

from collections.abc import Callable

import numpy as np

from particles.arrays import Array, lengths, unit

Retraction = Callable[[Array, Array], Array]


def normalize(points: Array, velocity: Array) -> Array:
    """nrm(x + U), the transformer's own step."""
    moved = points + velocity
    moved /= lengths(moved)[..., None]  # in place: memory is what this costs
    return moved


def geodesic(points: Array, velocity: Array) -> Array:
    """exp_x(P_x U), the great circle in the direction of U with the length of its tangent part."""
    tangent = velocity - np.einsum("...i,...i->...", points, velocity)[..., None] * points
    length = np.sqrt(np.einsum("...i,...i->...", tangent, tangent))[..., None]
    return unit(np.cos(length) * points + np.sinc(length / np.pi) * tangent)


def flow(points: Array, velocity: Array) -> Array:
    """Unit-time flow of x' = P_x h with h = U(x) frozen; the exact solution E1 when U is constant (tests only)."""
    strength = np.sqrt(np.einsum("...i,...i->...", velocity, velocity))[..., None]
    direction = velocity / np.where(strength != 0, strength, 1.0)
    along = np.einsum("...i,...i->...", points, direction)[..., None]
    moved = (np.sinh(strength) + along * np.cosh(strength)) * direction + (points - along * direction)
    return unit(moved)


def translate(points: Array, velocity: Array) -> Array:
    """x + U, for tokens in R^d and for streams that are not brought back to the sphere."""
    return points + velocity


RETRACTIONS: dict[str, Retraction] = {
    "normalize": normalize,
    "geodesic": geodesic,
    "flow": flow,
    "translate": translate,
}
