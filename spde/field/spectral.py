"""Which field a layer gets."""

from typing import Protocol, runtime_checkable

from particles import Array, AttentionPush, DirectField, Field, FieldFactory, Measure
from particles.attention import Spectral
from spde.domain.base import Domain
from spde.field.circle import CircleField
from spde.field.sphere import SpectralField

SPECTRAL: dict[int, type[CircleField] | type[SpectralField]] = {2: CircleField, 3: SpectralField}  # by dimension


@runtime_checkable
class GridField(Protocol):
    """A field that knows a faster way to the points of a grid."""

    def on_grid(self, sphere: Domain) -> Array:
        """U at the grid points, (N, d)."""
        ...


def default_field(push: AttentionPush, measure: Measure, n_targets: int) -> Field:
    """`SpectralField` or `CircleField` for softmax and L2 attention in d = 3 or 2, `DirectField` else."""
    return spectral_field(1e-6)(push, measure, n_targets)


def spectral_field(tol: float) -> FieldFactory:
    """`default_field` with another tolerance than 1e-6."""

    def factory(push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        kind = SPECTRAL.get(push.mixing.shape[-1])
        if kind is not None and isinstance(push.kernel, Spectral):
            return kind(push, measure, n_targets, tol)
        return DirectField(push, measure, n_targets)

    return factory
