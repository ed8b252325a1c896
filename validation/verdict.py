"""Claims and the one rule that turns numbers into verdicts; docs/validation.md states it in words.

A part of a claim is one number: predicted (as published), corrected (as derived here, where that differs), measured
with a standard error, a bound on systematic errors, and the effect: a deviation from the prediction that would matter.

    far(value)   |estimate - value| > 5 error + bias          near(value)   |estimate - value| <= 3 error + bias
    sharp        5 error + bias <= effect                     (a deviation as large as the effect would have been seen)

    holds        near(predicted) and sharp
    corrected    far(predicted), near(corrected) and sharp
    fails        far(predicted), and not near any corrected value
    undecided    everything else
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

import numpy as np

NEAR, FAR = 3.0, 5.0


class Verdict(StrEnum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    CORRECTED = "corrected"
    FAILS = "fails"
    UNDECIDED = "undecided"


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
    effect : deviation from the prediction that would matter; default |predicted - corrected|.
    at_most : the prediction is an upper bound: smaller estimates agree with it.
    """

    text: str
    estimate: float
    error: float
    predicted: float
    corrected: float | None = None
    bias: float = 0.0
    effect: float | None = None
    at_most: bool = False

    def __post_init__(self) -> None:
        if not (self.error >= 0 and self.bias >= 0):
            raise ValueError(f"error and bias must be >= 0, got {self.error} and {self.bias}")
        if self.effect is None and self.corrected is None:
            raise ValueError("effect must be given where there is no corrected value")
        if not self.size > 0:
            raise ValueError(f"effect must be positive, got {self.size}")

    @property
    def size(self) -> float:
        """The effect: deviation that would matter."""
        if self.effect is not None:
            return self.effect
        return abs(self.predicted - (self.predicted if self.corrected is None else self.corrected))

    @property
    def visible(self) -> float:
        """Smallest deviation that would have been seen: 5 error + bias."""
        return FAR * self.error + self.bias

    @property
    def verdict(self) -> Verdict:
        """The rule at the head of this module."""
        if not np.isfinite([self.estimate, self.error, self.bias]).all():
            return Verdict.UNDECIDED
        sharp = self.visible <= self.size
        above = self.estimate - self.predicted
        gap = max(above, 0.0) if self.at_most else abs(above)
        close = NEAR * self.error + self.bias
        if gap <= close:
            return Verdict.HOLDS if sharp else Verdict.UNDECIDED
        if gap <= self.visible:
            return Verdict.UNDECIDED
        if self.corrected is None:
            return Verdict.FAILS
        rest = abs(self.estimate - self.corrected)
        if rest <= close:
            return Verdict.CORRECTED if sharp else Verdict.UNDECIDED
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
        }


def together(parts: Mapping[str, Part]) -> Verdict:
    """Verdict of a claim: the worst of its parts, in the order fails, undecided, corrected, holds."""
    found = {part.verdict for part in parts.values()}
    for verdict in (Verdict.FAILS, Verdict.UNDECIDED, Verdict.CORRECTED):
        if verdict in found:
            return verdict
    return Verdict.HOLDS


@dataclass(frozen=True)
class Series:
    """One curve or set of points: x, y and standard errors of y; `line` joins the points, `dashed` marks theory."""

    label: str
    x: Any
    y: Any
    error: Any = None
    line: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Figure:
    """What a study wants drawn."""

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False


@dataclass(frozen=True)
class Findings:
    """What a study returns.

    Attributes
    ----------
    parts : the numbers of the claim; the first one is the main one.
    figure : drawn by tokenlaw.   table : column -> values, all of one length, written as CSV.
    notes : what a reader should know of this run.
    """

    parts: Mapping[str, Part]
    figure: Figure
    table: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Verdict of the claim."""
        return together(self.parts)

    def as_json(self, text: str) -> dict[str, Any]:
        """Entry of results.json: the main part's numbers, the verdict of all, and every part."""
        main = next(iter(self.parts.values())).as_json()
        return {
            **main,
            "verdict": str(self.verdict),
            "text": text,
            "notes": list(self.notes),
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }


@dataclass(frozen=True)
class Claim:
    """A published statement, and the study that decides.

    Attributes
    ----------
    module : dotted name of the study, which begins with that of the claim: ...d1_weak_error for D1.
    title : in a few words.   text : the claim in words and formula.
    source : authors and arXiv number; "as reported" where known at second hand.
    correction : what was derived here where it differs, or "".
    """

    module: str
    title: str
    text: str
    source: str
    correction: str = ""

    @property
    def name(self) -> str:
        """Short name, as used on the command line."""
        return self.module.rpartition(".")[2].partition("_")[0].upper()

    def run(self, *, quick: bool, seed: int) -> Findings:
        """Run the study; `quick` takes seconds, the full size minutes."""
        findings: Findings = import_module(self.module).study(quick, seed)
        return findings
