"""Which field a push gets: series where there are some, or what `cost` finds faster for its heads and its measure."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from particles import L2, Array, AttentionPush, DirectField, Field, FieldFactory, Measure, Push, mean_token
from particles.attention import Spectral
from particles.equations import ZonalPush
from particles.machine import CHUNK
from spde.domain.base import Domain
from spde.field.circle import CircleField
from spde.field.convolution import ConvolutionField
from spde.field.cost import direct_time, series_time
from spde.field.sphere import SpectralField

SPECTRAL: dict[int, type[CircleField] | type[SpectralField]] = {2: CircleField, 3: SpectralField}  # by dimension
FEW_PAIRS = 1 << 15  # of source and target: a convolution of so few is summed directly before it is transformed


@runtime_checkable
class GridField(Protocol):
    """A field that knows a faster way to the points of a grid."""

    def on_grid(self, sphere: Domain) -> Array:
        """U at the grid points, (N, d)."""
        ...


@dataclass(frozen=True)
class SeriesFactory:
    """`SpectralField` or `CircleField` for softmax and L2 attention in d = 3 or 2, series of convolutions there too.

    `DirectField` for other attention, and in other d.  Attributes: tol, the tolerance of the series.
    """

    tol: float = 1e-6

    def __call__(self, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        kind = SPECTRAL.get(push.mixing.shape[-1])
        if kind is not None and isinstance(push.kernel, Spectral):
            return kind(push, measure, n_targets, self.tol)
        return DirectField(push, measure, n_targets)

    def faster(self, push: Push, measure: Measure, n_targets: int) -> Field | None:
        """The series of a convolution, where there is one; None for other pushes."""
        if not isinstance(push, ZonalPush) or push.d not in SPECTRAL:
            return None
        return ConvolutionField.of(push, measure, self.tol)


default_field = SeriesFactory()


def spectral_field(tol: float) -> FieldFactory:
    """`default_field` with another tolerance than 1e-6."""
    return SeriesFactory(tol)


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


@dataclass(frozen=True)
class AutoFactory(SeriesFactory):
    """The field that the cost model finds faster, push by push.

    It goes by the heads, the number of points and the mean token alone, so that a resumed run chooses the same.
    """

    def __call__(self, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        d, n = push.mixing.shape[-1], len(measure.points)
        if d not in SPECTRAL or not isinstance(push.kernel, Spectral):
            return DirectField(push, measure, n_targets)
        if n > CHUNK:
            return super().__call__(push, measure, n_targets)
        strength, mean = strengths(push), mean_token(measure)
        expected = series_time(strength, n, n_targets, float(mean @ mean), d, self.tol)
        if direct_time(len(strength), n, n_targets) <= expected:
            return DirectField(push, measure, n_targets)
        return super().__call__(push, measure, n_targets)

    def faster(self, push: Push, measure: Measure, n_targets: int) -> Field | None:
        if len(measure.points) * n_targets <= FEW_PAIRS:
            return None
        return super().faster(push, measure, n_targets)


def auto_field(tol: float) -> FieldFactory:
    """Factory of the field that the cost model finds faster."""
    return AutoFactory(tol)
