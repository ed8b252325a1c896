"""Pushes: one move of a measure, with everything random and every step size inside.  mathematics (2)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from particles.arrays import Array
from particles.retraction import Retraction, normalize
from particles.tokens import Cloud

Riders = tuple[Array, ...]
"""Sets of points (N, d) that ride on the flow of a measure without acting on it."""


class Field(Protocol):
    """Velocity U of one push and one measure, ready to be evaluated."""

    @property
    def degree(self) -> int:
        """Largest spherical-harmonic degree in use; 0 when none is."""
        ...

    def at(self, points: Array) -> Array:
        """U at points (N, d); result (N, d)."""
        ...


@runtime_checkable
class DifferentiableField(Field, Protocol):
    """A field that knows its derivative: what characteristics need."""

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d), [n, i, j] = dU_i/dx_j; only its action on tangent vectors counts."""
        ...


@runtime_checkable
class MovingField(Field, Protocol):
    """A field that knows a faster way to move many points than velocities first and a retraction then."""

    def moved(self, points: Array, retraction: Retraction) -> Array:
        """retraction(x, U(x)) at points (N, d)."""
        ...


class Push(Protocol):
    """One move of a measure."""

    def move(self, measure: Cloud, riders: Riders, make: "MakeField") -> tuple[Cloud, Riders]:
        """Move a measure, and points that ride on its flow; `make` turns a push of one velocity into its field."""
        ...


@runtime_checkable
class VelocityPush(Push, Protocol):
    """A push with one velocity and one retraction: T(x) = retraction(x, U(x))."""

    @property
    def retraction(self) -> Retraction:
        """x, U -> T(x)."""
        ...

    def field(self, measure: Cloud, make: "MakeField") -> Field:
        """The velocity U, of the measure before the move."""
        ...


def euler_move(
    field: Field, retraction: Retraction, measure: Cloud, riders: Riders
) -> tuple[Cloud, Riders]:
    """T(x) = retraction(x, U(x)) at the points of a measure and at riders."""
    return Cloud(_moved(field, retraction, measure.points), measure.weights), ride(field, retraction, riders)


def ride(field: Field, retraction: Retraction, riders: Riders) -> Riders:
    """T(x) = retraction(x, U(x)) at riders."""
    return tuple(_moved(field, retraction, points) if len(points) else points for points in riders)


def _moved(field: Field, retraction: Retraction, points: Array) -> Array:
    if isinstance(field, MovingField):
        return field.moved(points, retraction)
    return retraction(points, field.at(points))


@dataclass(frozen=True, eq=False)
class AttentionPush:
    """U(x) = sum_m C_m m_{A_m}[mu](x), then a retraction.  mathematics (2).

    Attributes
    ----------
    out : (M, d, d), the C_m; or (M, d, k), their left factors, beside `inner`.
    query, key : (M, head_dim, d), A_m = key_m^T query_m.
    retraction : x, U -> T(x).
    inner : (M, k, d), the right factors: C_m = out_m inner_m, and a head averages the k entries of inner_m y instead
        of the d entries of y.  None stands for the identity.
    """

    out: Array
    query: Array
    key: Array
    retraction: Retraction = normalize
    inner: Array | None = None

    @property
    def rank(self) -> int:
        """k, the largest rank that the C_m can have; d where they are not factored."""
        return int(self.out.shape[2])

    @cached_property
    def mixing(self) -> Array:
        """The C_m in full, (M, d, d)."""
        return self.out if self.inner is None else self.out @ self.inner

    def move(self, measure: Cloud, riders: Riders, make: "MakeField") -> tuple[Cloud, Riders]:
        """One step by the field of the measure before the move."""
        return euler_move(self.field(measure, make), self.retraction, measure, riders)

    def field(self, measure: Cloud, make: "MakeField") -> Field:
        """The velocity U of the measure, as the time loop makes it."""
        return make(self, measure)


@dataclass(frozen=True, eq=False)
class FieldPush:
    """A given velocity U, the same for every measure, then a retraction.

    Attributes
    ----------
    velocity : U, ready to be evaluated.
    retraction : x, U -> T(x).
    """

    velocity: Field
    retraction: Retraction = normalize

    def move(self, measure: Cloud, riders: Riders, make: "MakeField") -> tuple[Cloud, Riders]:
        """One step by the given velocity."""
        return euler_move(self.field(measure, make), self.retraction, measure, riders)

    def field(self, measure: Cloud, make: "MakeField") -> Field:
        """The velocity U, as the time loop takes it."""
        return make(self, measure)


MakeField = Callable[[AttentionPush | FieldPush, Cloud], Field]
