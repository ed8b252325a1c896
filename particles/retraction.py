"""Retractions x, U -> T(x): back to the sphere, or none in R^d.  mathematics (2), sections 5 and 6."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from particles.arrays import Array, lengths, unit


def dot(one: Array, other: Array) -> Array:
    """Scalar products of rows, (n, 1)."""
    products: Array = np.einsum("ij,ij->i", one, other)
    return products[:, None]


def unit_vjp(vectors: Array, gradient: Array) -> Array:
    """Transposed derivative of nrm at `vectors` (n, d)."""
    length = np.sqrt(dot(vectors, vectors))
    direction = vectors / length
    return (gradient - dot(direction, gradient) * direction) / length


def tangent(points: Array, vectors: Array) -> Array:
    """P_x v for every point, shapes (N, d)."""
    result: Array = vectors - np.einsum("ij,ij->i", points, vectors)[:, None] * points
    return result


@dataclass(frozen=True)
class Retraction(ABC):
    """x, U -> T(x) for points and velocities (N, d); what is known of it beside that.

    Attributes
    ----------
    name : in a configuration.   on_sphere : whether T(x) is a unit vector where x is one; else the space is R^d.
    radial : c in T(x) = x + P U - c <x, U> P U - |P U|^2/2 x + O(|U|^3), what the part of U along x does at second
        order; None where it is not known.
    """

    name: ClassVar[str]
    on_sphere: ClassVar[bool] = True
    radial: ClassVar[float | None] = None

    @abstractmethod
    def __call__(self, points: Array, velocity: Array) -> Array:
        """T(x)."""

    def vjp(self, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
        """Gradients (n, d) at x and at U of a gradient at T(x); TypeError where they are not known."""
        raise TypeError(f"gradients know the retractions normalize, geodesic and translate, got {self}")

    def settle(self, points: Array) -> Array:
        """Points near the space, taken to it."""
        return unit(points) if self.on_sphere else points

    def tangent_part(self, points: Array, vectors: Array) -> Array:
        """The part of vectors (N, d) that is tangent to the space at its points."""
        return tangent(points, vectors) if self.on_sphere else vectors

    def __str__(self) -> str:
        return self.name


def known(retraction: Retraction) -> Retraction:
    """A retraction of which more is known than its points; TypeError where it is a plain function."""
    if isinstance(retraction, Retraction):
        return retraction
    got = getattr(retraction, "__name__", repr(retraction))
    raise TypeError(f"retraction must be a particles.Retraction here, such as normalize or geodesic, got {got}")


class Normalize(Retraction):
    """nrm(x + U), the transformer's own step."""

    name = "normalize"
    radial = 1.0

    def __call__(self, points: Array, velocity: Array) -> Array:
        moved = points + velocity
        moved /= lengths(moved)[..., None]  # in place: memory is what this costs
        return moved

    def vjp(self, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
        both = unit_vjp(points + velocity, gradient)
        return both, both


class Geodesic(Retraction):
    """exp_x(P_x U), the great circle in the direction of U with the length of its tangent part."""

    name = "geodesic"
    radial = 0.0

    def __call__(self, points: Array, velocity: Array) -> Array:
        tangent = velocity - np.einsum("...i,...i->...", points, velocity)[..., None] * points
        length = np.sqrt(np.einsum("...i,...i->...", tangent, tangent))[..., None]
        return unit(np.cos(length) * points + np.sinc(length / np.pi) * tangent)

    def vjp(self, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
        """Of unit(cos(L) x + sin(L)/L t), t = U - <x, U> x, L = |t|."""
        along = dot(points, velocity)
        tangent = velocity - along * points
        length = np.sqrt(dot(tangent, tangent))
        cosine, ratio = np.cos(length), np.sinc(length / np.pi)
        safe = np.where(length > 1e-3, length, 1.0)
        slope = np.where(length > 1e-3, (cosine - ratio) / safe**2, -1 / 3 + length**2 / 30)  # of sin(L)/L, over L
        back = unit_vjp(cosine * points + ratio * tangent, gradient)
        on_tangent = ratio * back + (slope * dot(tangent, back) - ratio * dot(points, back)) * tangent
        inward = dot(points, on_tangent)
        return cosine * back - inward * velocity - along * on_tangent, on_tangent - inward * points


class FrozenFlow(Retraction):
    """Unit-time flow of x' = P_x h with h = U(x) frozen; the exact solution E1 when U is constant (tests only)."""

    name = "flow"

    def __call__(self, points: Array, velocity: Array) -> Array:
        strength = np.sqrt(np.einsum("...i,...i->...", velocity, velocity))[..., None]
        direction = velocity / np.where(strength != 0, strength, 1.0)
        along = np.einsum("...i,...i->...", points, direction)[..., None]
        moved = (np.sinh(strength) + along * np.cosh(strength)) * direction + (points - along * direction)
        return unit(moved)


class Translate(Retraction):
    """x + U, for tokens in R^d and for streams that are not brought back to the sphere."""

    name = "translate"
    on_sphere = False

    def __call__(self, points: Array, velocity: Array) -> Array:
        return points + velocity

    def vjp(self, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
        return gradient, gradient


class VelocityAlone(Retraction):
    """U in place of a retraction: what a residual stream adds to x."""

    name = "velocity"
    on_sphere = False

    def __call__(self, points: Array, velocity: Array) -> Array:
        return velocity

    def vjp(self, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
        return np.zeros_like(gradient), gradient


normalize, geodesic, flow, translate = Normalize(), Geodesic(), FrozenFlow(), Translate()
velocity_alone = VelocityAlone()
RETRACTIONS: dict[str, Retraction] = {
    "normalize": normalize, "geodesic": geodesic, "flow": flow, "translate": translate,
}  # fmt: skip
