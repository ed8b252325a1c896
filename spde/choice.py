"""Which field is the faster one, direct sums or series: a cost model for each push, from n and beta |A| of its heads.

    direct    sum over heads of (a + b n targets)
    series    c + e targets + sum over heads of (f + g points(beta |A|) sources)

The costs were measured (benchmarks/tokens.py shows what each choice loses); only their ratios count.
"""

import math
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array
from particles.attention import Attention, DirectField, FieldFactory
from particles.attention_kernels import L2, Spectral
from particles.pushes import AttentionPush, Field
from particles.tokens import Measure
from spde.solver import SPECTRAL, spectral_field

DIRECT_HEAD, DIRECT_PAIR = 25.0, 1.3e-3  # microseconds for a head, and for a pair of tokens


@dataclass(frozen=True)
class SeriesCost:
    """Microseconds of a field by series: for the layer, a token, a head, and a pair of grid point and source."""

    layer: float
    token: float
    head: float
    pair: float


COSTS = {2: SeriesCost(100.0, 0.05, 35.0, 0.8e-3), 3: SeriesCost(400.0, 0.15, 200.0, 4.3e-3)}  # by dimension


def strengths(attention: Spectral, push: AttentionPush) -> Array:
    """beta |A| of every head as softmax attention, (M,)."""
    beta = 2 * attention.beta if isinstance(attention, L2) else attention.beta
    forms = beta * np.swapaxes(push.key, 1, 2) @ push.query
    if not np.isfinite(forms).all():
        return np.full(len(forms), np.inf)  # left to direct sums, which carry the NaN on
    found: Array = np.linalg.norm(forms, 2, axis=(1, 2))
    return found


def direct_time(n_heads: int, n: int, n_targets: int) -> float:
    """Microseconds of direct sums over n tokens at n_targets points."""
    return n_heads * (DIRECT_HEAD + DIRECT_PAIR * n * n_targets)


def series_time(strength: Array, n: int, n_targets: int, d: int, tol: float) -> float:
    """Microseconds of a field by series of n tokens on S^(d-1), for heads of these beta |A|, at n_targets points."""
    cost = COSTS[d]
    digits = max(1 + 0.08 * (-math.log10(tol) - 6), 0.5)  # degrees grow with the digits wanted
    if d == 2:
        points, sources = digits * (32 + 64 * strength), np.full(len(strength), n)
    else:
        points = (digits * (6 + 5 * strength) + 1) ** 2
        sources = np.minimum(n, np.where(strength <= 7, digits * (65 + 45 * strength), np.inf))
    return float(cost.layer + cost.token * n_targets + (cost.head + cost.pair * points * sources).sum())


def auto_field(tol: float) -> FieldFactory:
    """Factory of the field that the cost model finds faster, push by push; it depends on nothing but n and the heads."""
    series = spectral_field(tol)

    def factory(attention: Attention, push: AttentionPush, measure: Measure, n_targets: int) -> Field:
        d = push.mixing.shape[-1]
        if d in SPECTRAL and isinstance(attention, Spectral):
            strength, n = strengths(attention, push), len(measure.points)
            if not direct_time(len(strength), n, n_targets) <= series_time(strength, n, n_targets, d, tol):
                return series(attention, push, measure, n_targets)
        return DirectField(attention, push, measure, n_targets)

    return factory
