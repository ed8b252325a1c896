"""Claims and the one rule that turns numbers into verdicts; docs/validation.md states it in words.

A part of a claim is one number: predicted (as published), corrected (as derived here, where that differs), measured
with a standard error and a bound on systematic errors, and the values that the claim excludes.

    far(value)   |estimate - value| > 5 error + bias          near(value)   |estimate - value| <= 3 error + bias

    holds        near(predicted), far from every excluded value and from the middle between predicted and corrected
    corrected    near(corrected), and far from predicted and from that middle
    fails        far(predicted), and far from any corrected value
    undecided    everything else, and what a fit says whose points refuse it

Of a bound only what lies beyond it deviates.  Where an error itself is known from few values, 3 and 5 become the
quantiles of Student's t with the same probabilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from scipy.stats import norm, t

from validation.estimates import Estimate, Fitted
from validation.figure import Figure as Figure
from validation.figure import Series as Series

NEAR, FAR = 3.0, 5.0
REFUSED = 1e-4  # probability of the misfit of a fit, below which it says nothing


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    CORRECTED = "corrected"
    FAILS = "fails"
    UNDECIDED = "undecided"


class Bound(StrEnum):
    """On which side of a prediction nothing deviates."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@cache
def quantile(sigmas: float, freedom: float) -> float:
    """Student's t quantile that is exceeded as rarely as `sigmas` by a normal number."""
    return sigmas if np.isinf(freedom) else float(t.isf(norm.sf(sigmas), freedom))


@dataclass(frozen=True)
class Part:
    """One number of a claim.

    Attributes
    ----------
    text : what the number is.
    estimate, error : measured, with its standard error.
    predicted : value of the claim as published (as reported).
    corrected : value derived here, None where it is the same.
    bias : bound on systematic errors (steps, quadrature, finite sizes).
    effect : deviation from the prediction that would matter, where the claim names no value that it excludes.
    at_most, at_least : the prediction is an upper or a lower bound: smaller or larger estimates agree with it.
    excludes : what the claim excludes, in words -> the value that would then be measured.
    freedom : degrees of freedom of the error; infinite for the spread of many samples.
    fit : probability of a misfit as large as the one found, where the number comes from a fit.
    aside : said here beside the claim (how sharp a bound is, what another model does); its verdict is its own.
    """

    text: str
    estimate: float
    error: float
    predicted: float
    corrected: float | None = None
    bias: float = 0.0
    effect: float | None = None
    at_most: bool = False
    at_least: bool = False
    excludes: Mapping[str, float] = field(default_factory=dict)
    freedom: float = np.inf
    fit: float = 1.0
    aside: bool = False

    def __post_init__(self) -> None:
        if not (self.error >= 0 and self.bias >= 0):
            raise ValueError(f"error and bias must be >= 0, got {self.error} and {self.bias}")
        if self.effect is None and self.corrected is None and not self.excludes:
            raise ValueError("effect or excludes must be given where there is no corrected value")
        if self.at_most and self.at_least:
            raise ValueError("a prediction is an upper or a lower bound, not both")
        if not self.freedom > 0:
            raise ValueError(f"freedom must be positive, got {self.freedom}")
        if not self.size > 0:
            raise ValueError(f"effect must be positive, got {self.size}")

    @classmethod
    def of(cls, text: str, found: Estimate | Fitted, predicted: float, corrected: float | None = None,
           **more: Any) -> "Part":  # fmt: skip
        """The part of an estimate or a fit; a bias given here comes on top of that of the fit."""
        if isinstance(found, Fitted):
            more |= {"bias": found.bias + more.get("bias", 0.0), "freedom": found.freedom, "fit": found.fit}
        return cls(text, found.value, found.error, predicted, corrected, **more)

    @property
    def bound(self) -> Bound | None:
        """Whether the prediction is a bound, and on which side."""
        return Bound.AT_MOST if self.at_most else Bound.AT_LEAST if self.at_least else None

    @property
    def rivals(self) -> tuple[float, ...]:
        """Values that the claim excludes: those named, those an effect away, and the middle to the corrected one."""
        found = list(self.excludes.values()) + ([] if self.middle is None else [self.middle])
        if self.effect is not None:
            found += [] if self.at_least else [self.predicted + self.effect]
            found += [] if self.at_most else [self.predicted - self.effect]
        return tuple(found)

    @property
    def middle(self) -> float | None:
        """Halfway from predicted to corrected, where neither is right."""
        return None if self.corrected is None else 0.5 * (self.predicted + self.corrected)

    @property
    def size(self) -> float:
        """The deviation that matters: distance of the prediction to the nearest value that the claim excludes."""
        return float(min(self._beyond(value) for value in self.rivals))

    @property
    def visible(self) -> float:
        """Smallest deviation that would have been seen: 5 error + bias."""
        return quantile(FAR, self.freedom) * self.error + self.bias

    def _beyond(self, value: float) -> float:
        """How far a value deviates from the prediction; nothing on the free side of a bound."""
        above = value - self.predicted
        if self.bound is None:
            return abs(above)
        return max(above if self.at_most else -above, 0.0)

    @property
    def verdict(self) -> Verdict:
        """The rule at the head of this module."""
        if not np.isfinite([self.estimate, self.error, self.bias]).all() or not self.fit >= REFUSED:
            return Verdict.UNDECIDED
        gap, close = self._beyond(self.estimate), quantile(NEAR, self.freedom) * self.error + self.bias
        if gap <= close:
            far = all(abs(self.estimate - value) > self.visible for value in self.rivals)
            return Verdict.HOLDS if far else Verdict.UNDECIDED
        if gap <= self.visible:
            return Verdict.UNDECIDED
        if self.corrected is None:
            return Verdict.FAILS
        rest, middle = abs(self.estimate - self.corrected), 0.5 * (self.predicted + self.corrected)
        if rest <= close:
            return Verdict.CORRECTED if abs(self.estimate - middle) > self.visible else Verdict.UNDECIDED
        return Verdict.FAILS if rest > self.visible else Verdict.UNDECIDED

    def as_json(self) -> dict[str, Any]:
        """The fields of results.json."""
        return {
            "verdict": str(self.verdict),
            "estimate": self.estimate,
            "standard_error": self.error,
            "predicted": self.predicted,
            "corrected": self.corrected,
            "text": self.text,
            "bias": self.bias,
            "visible_deviation": self.visible,
            "effect": self.size,
            "bound": self.bound and str(self.bound),
            "excludes": dict(self.excludes),
            "degrees_of_freedom": None if np.isinf(self.freedom) else self.freedom,
            "fit_probability": self.fit,
            "aside": self.aside,
        }


def together(parts: Mapping[str, Part]) -> Verdict:
    """Verdict of a claim: the worst of its parts, in the order fails, undecided, corrected, holds; asides apart."""
    found = {part.verdict for part in parts.values() if not part.aside}
    for verdict in (Verdict.FAILS, Verdict.UNDECIDED, Verdict.CORRECTED):
        if verdict in found:
            return verdict
    return Verdict.HOLDS


@dataclass(frozen=True)
class Second:
    """The main number found by a second way, which shares with the first one nothing but the claim."""

    value: float
    error: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True)
class Findings:
    """What a study returns.

    Attributes
    ----------
    parts : the numbers of the claim; the first one is the main one.
    figure : drawn by tokenlaw.   table : column -> values, all of one length, written as CSV.
    notes : what a reader should know of this run.
    second : the first part's number by the second way that the claim names, None where it names none.
    """

    parts: Mapping[str, Part]
    figure: Figure
    table: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    second: Second | None = None

    @property
    def agree(self) -> bool:
        """Whether both ways lead to one number; True where there is one way only."""
        main, other = next(iter(self.parts.values())), self.second
        if other is None:
            return True
        close = quantile(NEAR, main.freedom) * float(np.hypot(main.error, other.error)) + main.bias + other.bias
        return bool(abs(main.estimate - other.value) <= close)

    @property
    def verdict(self) -> Verdict:
        """Verdict of the claim; none where two ways to the main number disagree."""
        return together(self.parts) if self.agree else Verdict.UNDECIDED

    @property
    def deciding(self) -> str:
        """Name of the first part that has the verdict of all."""
        verdict = together(self.parts)
        return next((name for name, part in self.parts.items() if part.verdict == verdict and not part.aside),
                    next(iter(self.parts)))  # fmt: skip

    def as_json(self, text: str) -> dict[str, Any]:
        """Entry of results.json: the deciding part's numbers, the verdict of all, and every part."""
        other = self.second
        return {
            **self.parts[self.deciding].as_json(),
            "verdict": str(self.verdict),
            "text": text,
            "notes": list(self.notes),
            "deciding": self.deciding,
            "second": other and {"value": other.value, "standard_error": other.error, "bias": other.bias,
                                 "agrees": self.agree},
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A published statement, and the study that decides.

    Attributes
    ----------
    module : dotted name of the study, which begins with that of the claim: ...d1_weak_error for D1.
    title : in a few words.   text : the claim in words and formula.
    source : authors and arXiv number; "as reported" where known at second hand.
    correction : what was derived here where it differs, or "".
    second : a second way to the main number (closed form, another part of the program, quadrature), or why there is
        none, then beginning with "none".
    """

    module: str
    title: str
    text: str
    source: str
    correction: str = ""
    second: str = ""

    @property
    def name(self) -> str:
        """Short name, as used on the command line."""
        return self.module.rpartition(".")[2].partition("_")[0].upper()

    def run(self, *, quick: bool, seed: int) -> Findings:
        """Run the study; `quick` takes seconds, the full size minutes."""
        findings: Findings = import_module(self.module).study(quick, seed)
        return findings
