"""Which field is the faster one, direct sums or series: chosen for each push by its heads, its measure and `cost`."""

import numpy as np

from particles import L2, Array, AttentionPush, DirectField, Field, FieldFactory, Measure, mean_token
from particles.attention import Spectral
from particles.machine import CHUNK
from spde.field.cost import direct_time, series_time
from spde.field.spectral import SPECTRAL, spectral_field


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
