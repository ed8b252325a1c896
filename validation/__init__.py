"""How close finite transformers and their limit are: distances, comparisons on the same layers, claims and verdicts."""

from typing import TYPE_CHECKING, Any

from validation.distances import (
    Transport,
    TransportError,
    chordal,
    geodesic,
    transport,
    w1_geodesic,
    w2_chordal,
    wasserstein,
)
from validation.pair import PairFlow, PairState, distance_steps
from validation.paper import RESTATEMENT, STATEMENTS, Statement
from validation.verdict import Claim, Figure, Findings, Part, Second, Series, Verdict

RENAMED = {
    "Comparison": "validation.PairFlow", "CompareState": "validation.PairState",
    "compare": "the method run of validation.PairFlow", "compare_state": "the method record of validation.PairFlow",
}  # fmt: skip
"""Names that were, and what they are."""

if TYPE_CHECKING:
    from validation.claims import CLAIMS
else:

    def __getattr__(name: str) -> Any:
        """`CLAIMS`, which imports every study."""
        if name == "CLAIMS":
            from validation.claims import CLAIMS

            return CLAIMS
        if name in RENAMED:
            raise ImportError(f"validation.{name} is {RENAMED[name]} now")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

__all__ = [
    "CLAIMS", "RESTATEMENT", "STATEMENTS", "Claim", "Figure", "Findings", "PairFlow", "PairState", "Part", "Second",
    "Series", "Statement", "Transport", "TransportError", "Verdict", "chordal", "distance_steps", "geodesic",
    "transport", "w1_geodesic", "w2_chordal", "wasserstein",
]  # fmt: skip
