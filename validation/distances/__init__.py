"""Distances between measures: exact transport, and what is cheaper or compares laws of random measures."""

from validation.distances.approximate import (
    Nested,
    coefficients_of,
    nested,
    sampling_floor,
    sinkhorn_divergence,
    sliced_w2,
    sobolev,
    sobolev_floor,
)
from validation.distances.exact import (
    MAX_POINTS,
    Transport,
    chordal,
    geodesic,
    transport,
    w1_geodesic,
    w2_chordal,
    wasserstein,
)
from validation.distances.simplex import TransportError

__all__ = [
    "MAX_POINTS", "Nested", "Transport", "TransportError", "chordal", "coefficients_of", "geodesic", "nested",
    "sampling_floor", "sinkhorn_divergence", "sliced_w2", "sobolev", "sobolev_floor", "transport",
    "w1_geodesic", "w2_chordal", "wasserstein",
]  # fmt: skip
