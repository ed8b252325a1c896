"""What a forecast has found, whichever way: numbers by layer and a few words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from particles import Array

INDISTINGUISHABLE = 0.99  # overlap beyond which tokens count as one


@dataclass(frozen=True, eq=False)
class Curve:
    """A mean by layer, (L + 1,), with the ends of a band that holds 90 percent of the networks."""

    mean: Array
    low: Array
    high: Array

    def as_json(self) -> dict[str, Any]:
        """Three lists."""
        return {"mean": self.mean.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}


@dataclass(frozen=True, eq=False)
class Seen:
    """What the chain sees beside the overlap.

    Attributes
    ----------
    quantiles : share -> quantile of the cosines of pairs by layer, (L + 1,), mean over networks.
    by_position : (L + 1, n) mean cosine of a token with those before it, and whether it sees only these (`causal`).
    stable_rank : (L + 1,).
    score_std, entropy, effective_keys : of attention, (L + 1,), NaN at layer 0.
    gradient : mean square by layer, or None.
    """

    quantiles: dict[str, Array]
    by_position: Array
    causal: bool
    stable_rank: Array
    score_std: Array
    entropy: Array
    effective_keys: Array
    gradient: Curve | None


@dataclass(frozen=True, eq=False)
class Found:
    """A forecast.

    Attributes
    ----------
    method : "chain" or "mean".   networks : how many.   overlap, radius : by layer from 0 on.
    exponent, error : rate of E log(1 - overlap) in a layer at INDISTINGUISHABLE, its standard error.
    moves : whether any layer moves a token.
    course : where the overlap goes if it does not collapse: "collapsing", "arrested" or "spreading".
    resting_overlap : where it comes to rest, or None.
    seen : what only the chain sees.   advice, not_included, notes : in words.
    """

    method: str
    networks: int
    overlap: Curve
    radius: Array
    exponent: float
    error: float
    moves: bool
    course: str
    resting_overlap: float | None
    seen: Seen | None = None
    advice: tuple[str, ...] = ()
    not_included: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> int:
        """L."""
        return len(self.overlap.mean) - 1

    @property
    def collapse_layer(self) -> int | None:
        """First layer whose mean overlap exceeds INDISTINGUISHABLE, or None."""
        above = np.flatnonzero(self.overlap.mean > INDISTINGUISHABLE)
        return int(above[0]) if above.size else None

    @property
    def regime(self) -> str:
        """The course of the overlap in a word.

        collapse : the mean passes 0.99 within the layers.   collapsing : it still rises towards 1.
        arrested : it rises to an overlap below 0.99, where the drift vanishes.   spreading : it falls.
        constant : nothing moves, every scale is 0.
        """
        if not self.moves:
            return "constant"
        return self.course if self.collapse_layer is None else "collapse"

    @property
    def gradient_exponent(self) -> float | None:
        """Slope of log mean square gradient over the later half of the layers, going back: growth for each layer."""
        if self.seen is None or self.seen.gradient is None:
            return None
        logs = np.log(self.seen.gradient.mean)[self.layers // 2 :]
        return float(-np.polyfit(np.arange(len(logs)), logs, 1)[0]) if len(logs) > 1 else 0.0

    def told(self, advice: Sequence[str]) -> "Found":
        """The same with advice."""
        return replace(self, advice=tuple(advice))
