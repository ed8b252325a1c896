"""How close finite transformers and their limit are: distances and comparisons on the same layers."""

from validation.compare import PairFlow, PairState, distance_steps
from validation.wasserstein import (
    Transport,
    TransportError,
    chordal,
    geodesic,
    transport,
    w1_geodesic,
    w2_chordal,
    wasserstein,
)

__all__ = [
    "PairFlow",
    "PairState",
    "Transport",
    "TransportError",
    "chordal",
    "distance_steps",
    "geodesic",
    "transport",
    "w1_geodesic",
    "w2_chordal",
    "wasserstein",
]
