"""An entry of `tokenlaw theory`: a function with annotated parameters (`tokenlaw.answers.arguments`), and words on it.

Numerical packages are imported by that function, so that the command starts at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

from annotated_types import Interval

from tokenlaw.answers.arguments import Argument, Derived, arguments_of

Result = Mapping[str, Any]

MOST: Final = 10**6
D = Annotated[int, Interval(ge=2, le=MOST), "dimension of the tokens"]
D3 = Annotated[int, Interval(ge=3, le=MOST), "dimension of the tokens"]
Beta = Annotated[float, Interval(ge=0), "inverse temperature"]
SigmaA = Annotated[
    float,
    Interval(ge=0),
    "standard deviation of the entries of W and W', A = W W'^T",
    Derived("d^-1/2", lambda values: values["d"] ** -0.5),
]
HeadDim = Annotated[
    int, Interval(ge=1, le=MOST), "inner dimension of A, at most d", Derived("d", lambda values: values["d"])
]
Overlap = Annotated[float, Interval(ge=-1, le=1), "overlap R of the two tokens"]
Samples = Annotated[
    int,
    Interval(ge=2, le=10**8),
    "number of heads drawn",
    Derived("2^23/n, between 2^10 and 2^20", lambda values: min(max(2**23 // values["n"], 2**10), 2**20)),
]


@dataclass(frozen=True)
class Entry:
    """A result that can be asked for.

    Attributes
    ----------
    name, summary : as the user sees them.
    results : key -> meaning.
    source : where the formulas stand.
    compute : keyword arguments -> key -> number, list of numbers, or None; exactly the keys of `results`.
    """

    name: str
    summary: str
    results: Mapping[str, str]
    source: str
    compute: Callable[..., Result]

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """What it takes."""
        return arguments_of(self.compute)


ENTRIES: dict[str, Entry] = {}


def entry(summary: str, results: Mapping[str, str], source: str) -> Callable[[Callable[..., Result]], object]:
    """Make a function an entry; its name, with hyphens, is that of the entry."""

    def enter(compute: Callable[..., Result]) -> object:
        name = compute.__name__.strip("_").replace("_", "-")
        ENTRIES[name] = Entry(name, summary, results, source, compute)
        return compute

    return enter
