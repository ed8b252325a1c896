"""Which field is the faster one, direct sums or series: a cost model for each push, from its heads and the measure.

    direct    sum over heads of  a + b n targets
    series    c + e targets + sum over heads of  f + min(g points sources, a + b n targets)

points and sources, whose product is that of exponentials, are what a head's series takes, as far as beta |A|, the mean
token and the tolerance tell; a head for which that is more than direct sums is summed directly by the series too.
"""

import math
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array
from particles.attention import AttentionPush, DirectField, FieldFactory
from particles.attention_kernels import L2, Spectral
from particles.parallel import CHUNK
from particles.pushes import Field
from particles.tokens import Measure, mean_token
from spde.field import GUARD
from spde.field_choice import SPECTRAL, spectral_field
from spde.head_series import bounded_on_a_grid, guessed_degree
from spde.sources import ROUNDING

DIRECT_HEAD, DIRECT_PAIR = 22.0, 1.6e-3  # microseconds of a head, and of a pair of source and target


@dataclass(frozen=True)
class SeriesCost:
    """Microseconds of a field by series: of a layer, a target, a head, and an exponential.

    Measured on one core; only the ratios count, and benchmarks/tokens.py shows what the choices made by them lose.
    """

    layer: float
    target: float
    head: float
    pair: float


COSTS = {2: SeriesCost(123.0, 0.06, 43.0, 1e-3), 3: SeriesCost(470.0, 0.23, 40.0, 4e-3)}  # by dimension


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


def direct_time(n_heads: int, n: int, n_targets: int) -> float:
    """Microseconds of direct sums over n tokens at n_targets points."""
    return n_heads * (DIRECT_HEAD + DIRECT_PAIR * n * n_targets)


def series_time(strength: Array, n: int, n_targets: int, overlap: float, d: int, tol: float) -> float:
    """Microseconds of a field by series on S^(d-1), for heads of these beta |A|.

    n tokens whose mean has the squared length `overlap`, n_targets points, tolerance `tol`.
    """
    cost, strength = COSTS[d], np.minimum(strength, 1e6)  # far beyond any series
    digits = max(1 + 0.08 * (-math.log10(tol) - 6), 0.5)  # degrees grow with the digits wanted
    if d == 2:
        points, sources = digits * (32 + 64 * strength), np.full(len(strength), n)
    else:
        spread = math.sqrt(max(1 - overlap, 0.0))  # scores of a narrow cloud vary little
        points = np.array([(guessed_degree(b * spread, GUARD * tol) + 1) ** 2 / 2 for b in strength])
        deposited = np.minimum(n, 2 / 3 * (digits * (2.9 + 5.2 * strength) + 1) ** 2)
        room = math.log(GUARD * tol / 2 / ROUNDING) - 0.65  # of the exponentials that the bound on a deposit admits
        on_grid = [bounded_on_a_grid(b, spread, GUARD * tol) for b in strength]
        sources = np.where((strength * (1 + math.sqrt(overlap)) <= room) | on_grid, deposited, n)
    own = np.minimum(cost.pair * points * sources, direct_time(1, n, n_targets))
    return float(cost.layer + cost.target * n_targets + (cost.head + own).sum())


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
