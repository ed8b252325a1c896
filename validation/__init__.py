"""How close finite transformers and their limit are: distances and comparisons on the same layers."""

from validation.compare import CompareState, Comparison, compare, compare_state, distance_steps
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
    "CompareState",
    "Comparison",
    "Transport",
    "TransportError",
    "chordal",
    "compare",
    "compare_state",
    "distance_steps",
    "geodesic",
    "transport",
    "w1_geodesic",
    "w2_chordal",
    "wasserstein",
]
