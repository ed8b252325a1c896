"""Which field a push gets: series where there are some, or what `cost` finds faster for its heads and its measure."""

from typing import Protocol, runtime_checkable

import numpy as np

from particles import L2, Array, AttentionPush, DirectField, Field, FieldFactory, Measure, mean_token
from particles.attention import Spectral
from particles.machine import CHUNK
from spde.domain.base import Domain
from spde.field.circle import CircleField
from spde.field.cost import direct_time, series_time
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


def strengths(push: AttentionPush) -> Array:
    """beta |A| of every head as softmax attention, (M,)."""
    kernel = push.kernel
    assert isinstance(kernel, Spectral)
    beta = 2 * kernel.beta if isinstance(kernel, L2) else kernel.beta
    forms = beta * np.swapaxes(push.key, 1, 2) @ push.query
    if not np.isfinite(forms).all():
        return np.full(len(forms), np.inf)  # left to direct sums, which carry the NaN on
    found: Array = np.linalg.norm(forms, 2, axis=(1, 2))
    return found


def auto_field(tol: float) -> FieldFactory:
    """Factory of the field that the cost model finds faster, push by push.

    It goes by the heads, the number of points and the mean token alone, so that a resumed run chooses the same.
    """
    series = spectral_field(tol)

    def factory(push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        d, n = push.mixing.shape[-1], len(measure.points)
        if d not in SPECTRAL or not isinstance(push.kernel, Spectral):
            return DirectField(push, measure, n_targets)
        if n > CHUNK:
            return series(push, measure, n_targets)
        strength, mean = strengths(push), mean_token(measure)
        expected = series_time(strength, n, n_targets, float(mean @ mean), d, tol)
        if direct_time(len(strength), n, n_targets) <= expected:
            return DirectField(push, measure, n_targets)
        return series(push, measure, n_targets)

    return factory
