"""Pushes: one move of a measure, with everything random and every step size inside.  mathematics (2)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from particles.arrays import Array
from particles.measure import Cloud
from particles.retraction import Retraction, normalize

Riders = tuple[Array, ...]
"""Sets of points (N, d) that ride on the flow of a measure without acting on it."""

Field = Callable[[Array], Array]
"""Velocity U of one push and one measure: a function of points (N, d), result (N, d).

It may have a `degree`, the largest spherical-harmonic degree in use, and be a `DifferentiableField` or `MovingField`.
"""


def field_degree(field: Field) -> int:
    """Largest spherical-harmonic degree that a field uses; 0 when it uses none."""
    return int(getattr(field, "degree", 0))


def velocity_at(field: Field, points: Array) -> Array:
    """U at points (N, d); ValueError where it has another shape: numpy would spread it over all points."""
    velocity = field(points)
    if np.shape(velocity) != points.shape:
        raise ValueError(f"a velocity must have shape {points.shape}, that of the points, got {np.shape(velocity)}")
    return velocity


@runtime_checkable
class DifferentiableField(Protocol):
    """A field that knows its derivative: what characteristics need."""

    def __call__(self, points: Array, /) -> Array:
        """U at points (N, d); result (N, d)."""
        ...

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d), [n, i, j] = dU_i/dx_j; only its action on tangent vectors counts."""
        ...


@runtime_checkable
class MovingField(Protocol):
    """A field that knows a faster way to move many points than velocities first and a retraction then."""

    def __call__(self, points: Array, /) -> Array:
        """U at points (N, d); result (N, d)."""
        ...

    def moved(self, points: Array, retraction: Retraction) -> Array:
        """retraction(x, U(x)) at points (N, d)."""
        ...


class Move(Protocol):
    """One move of a measure, of any kind; most are a `Push`.

    One that is differentiable in riders may say so, `smooth = True`: characteristics then carry neighbours of points.
    """

    def move(self, measure: Cloud, riders: Riders, make: "MakeField", /) -> tuple[Cloud, Riders]:
        """Move a measure, and points that ride on its flow; `make` gives the velocity of a push."""
        ...


class Push(ABC):
    """A move with one velocity and one retraction: T(x) = retraction(x, U(x)).

    A push of one's own is one method, `velocity`, and a retraction where it is not `normalize`.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import dataclass
    >>> from particles import Layers, Push, Tokens, Uniform, mean_token, simulate
    >>> @dataclass(frozen=True)
    ... class Pull(Push):
    ...     \"\"\"x' = P_x K int y mu(dy).\"\"\"
    ...     strength: float
    ...     def velocity(self, measure):
    ...         pull = self.strength * mean_token(measure)
    ...         return lambda points: np.broadcast_to(pull, points.shape)
    >>> tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 50))
    >>> run = simulate(tokens, Layers(lambda step: Pull(0.2), d=3, dt=0.1), n_steps=40)
    >>> bool(run.mean_overlap[-1] > 0.9)
    True
    """

    retraction: Retraction = normalize

    @abstractmethod
    def velocity(self, measure: Cloud) -> Field:
        """The velocity U, of the measure before the move."""

    def move(self, measure: Cloud, riders: Riders, make: "MakeField") -> tuple[Cloud, Riders]:
        """One step by the field of the measure before the move."""
        field = make(self, measure)
        return Cloud(_moved(field, self.retraction, measure.points), measure.weights), self.ride(field, riders)

    def ride(self, field: Field, riders: Riders) -> Riders:
        """T(x) = retraction(x, U(x)) at riders."""
        return tuple(_moved(field, self.retraction, points) if len(points) else points for points in riders)


def _moved(field: Field, retraction: Retraction, points: Array) -> Array:
    if isinstance(field, MovingField):
        return field.moved(points, retraction)
    return retraction(points, velocity_at(field, points))


def moved_together(measure: Cloud, riders: Riders, move: Callable[[Array], Array]) -> tuple[Cloud, Riders]:
    """A measure and its riders after a map of all their points at once, (N, d) to (N, d)."""
    parts = [measure.points, *riders]
    moved = np.split(move(np.concatenate(parts)), np.cumsum([len(part) for part in parts])[:-1])
    return Cloud(moved[0], measure.weights), tuple(moved[1:])


@dataclass(frozen=True, eq=False)
class FieldPush(Push):
    """A given velocity U, the same for every measure, then a retraction.

    Attributes
    ----------
    field : U, a function of points.   retraction : x, U -> T(x).
    """

    field: Field
    retraction: Retraction = normalize

    def velocity(self, measure: Cloud) -> Field:
        return self.field


@dataclass(frozen=True, eq=False)
class SumField:
    """U(x) = sum_k U_k(x) of several fields."""

    parts: tuple[Field, ...]

    @property
    def degree(self) -> int:
        """Largest degree among the parts."""
        return max(map(field_degree, self.parts), default=0)

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        total = np.zeros(points.shape)
        for part in self.parts:
            total += velocity_at(part, points)
        return total


@dataclass(frozen=True, eq=False)
class SumPush(Push):
    """One move by the sum of the velocities of several pushes, whose own retractions play no part."""

    parts: tuple[Push, ...]
    retraction: Retraction = normalize

    def velocity(self, measure: Cloud) -> Field:
        return SumField(tuple(part.velocity(measure) for part in self.parts))


MakeField = Callable[[Push, Cloud], Field]
"""How the velocity of a push is evaluated."""


def own_velocity(push: Push, measure: Cloud) -> Field:
    """The velocity of a push as the push itself evaluates it."""
    return push.velocity(measure)
