"""A number of somebody else's beside ours, and the rule that says whether they are the same.

Theirs stands as printed, with all its digits.  It is the same where ours, within three of its standard errors and its
numerical error, rounds to it.  Where it is not, the row says why, and `their_way` is our number once their choice is
made (their step, their precision, their convention): a difference is explained where that one rounds to theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from validation.estimates import half_unit

NEAR = 3.0


@dataclass(frozen=True)
class Row:
    """One outside number.

    Attributes
    ----------
    what : the number in words.   theirs : as printed; "" where they print none.
    ours, error : our number, its standard error.   bias : bound on its numerical error.
    reason : why it differs, where it does.
    their_way, way_error : ours with their choices, where these are the reason, and the scatter of theirs under them.
    reading : half the uncertainty of theirs where it is read off a figure; 0 for a printed number.
    seen : False where theirs is quoted at second hand.
    """

    what: str
    theirs: str
    ours: float
    error: float = 0.0
    bias: float = 0.0
    reason: str = ""
    their_way: float | None = None
    way_error: float = 0.0
    reading: float = 0.0
    seen: bool = True

    def rounds_to_theirs(self, value: float, error: float) -> bool:
        """Whether a number of ours is theirs, as far as both are known."""
        allowed = max(half_unit(self.theirs), self.reading) + NEAR * error + self.bias
        return bool(abs(value - float(Decimal(self.theirs))) <= allowed * (1 + 1e-12))

    @property
    def same(self) -> bool | None:
        """Whether ours is theirs; None where they print none."""
        return self.rounds_to_theirs(self.ours, self.error) if self.theirs else None

    @property
    def explained(self) -> bool:
        """Whether ours, done their way, is theirs to all printed digits."""
        if not self.theirs or self.their_way is None:
            return False
        return self.rounds_to_theirs(self.their_way, self.way_error)

    @property
    def verdict(self) -> str:
        """same; differs because ...; or that there is nothing to compare with."""
        if self.same is None:
            return "they print no number"
        if self.same:
            return "same"
        return f"differs because {self.reason}" if self.reason else "differs"

    def as_json(self) -> dict[str, Any]:
        """The fields of a results file."""
        return {
            "what": self.what, "theirs": self.theirs, "ours": self.ours, "standard_error": self.error,
            "bias": self.bias, "their_way": self.their_way, "way_error": self.way_error, "verdict": self.verdict,
            "same": self.same, "explained": self.explained,
            "read_off_a_figure": self.reading > 0, "seen": self.seen,
        }  # fmt: skip


@dataclass(frozen=True)
class Reproduction:
    """A group of outside numbers.

    Attributes
    ----------
    title : what they are about.   source : authors, year, arXiv number or repository.
    seen : where the numbers were read, and where not.   note : what is to be known of the way they are computed.
    run : (quick, seed) -> rows.
    """

    title: str
    source: str
    seen: str
    note: str
    run: Callable[[bool, int], tuple[Row, ...]]
