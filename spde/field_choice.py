"""Which field a layer gets, and a field as the time loop of densities uses it."""

from typing import Protocol, runtime_checkable

import numpy as np

from particles.arrays import Array
from particles.attention import Attention, DirectField, FieldFactory
from particles.attention_kernels import Spectral
from particles.characteristics import jacobian
from particles.pushes import AttentionPush, Field
from particles.tokens import Measure
from spde.circle_field import CircleField
from spde.domain import Domain
from spde.field import SpectralField

SPECTRAL: dict[int, type[CircleField] | type[SpectralField]] = {2: CircleField, 3: SpectralField}  # by dimension


@runtime_checkable
class GridField(Protocol):
    """A field that knows a faster way to the points of a grid."""

    def on_grid(self, sphere: Domain) -> Array:
        """U at the grid points, (N, d)."""
        ...


def default_field(attention: Attention, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
    """`SpectralField` or `CircleField` for softmax and L2 attention in d = 3 or 2, `DirectField` else."""
    return spectral_field(1e-6)(attention, push, measure, n_targets)


def spectral_field(tol: float) -> FieldFactory:
    """`default_field` with another tolerance than 1e-6."""

    def factory(attention: Attention, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        kind = SPECTRAL.get(push.mixing.shape[-1])
        if kind is not None and isinstance(attention, Spectral):
            return kind(attention, push, measure, n_targets, tol)
        return DirectField(attention, push, measure, n_targets)

    return factory


class WatchedField:
    """A field inside a step: takes the fast way to grid points, remembers the largest |U| at the measure's points."""

    def __init__(self, field: Field, sphere: Domain, watched: Array) -> None:
        self._field, self._sphere, self._watched = field, sphere, watched
        self.degree, self.longest = field.degree, 0.0

    def at(self, points: Array) -> Array:
        """U at points (N, 3)."""
        if points is self._sphere.points and isinstance(self._field, GridField):
            return self._field.on_grid(self._sphere)
        velocity = self._field.at(points)
        if points is self._watched:
            self.longest = float(np.sqrt(np.einsum("ij,ij->i", velocity, velocity).max()))
        return velocity

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, 3), shape (N, 3, 3)."""
        return jacobian(self._field, points)
