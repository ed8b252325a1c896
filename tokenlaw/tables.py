"""Tables of what commands print, and text that is safe to print."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenlaw.config.toml import one_line


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes
    ----------
    forms : of the columns in a pipe, as f"{cell:<28}" takes them; those that begin with > are numbers.
    rows : cells.   head : headings, empty for none.
    """

    forms: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = ([self.head] if self.head else []) + list(self.rows)
        return "\n".join(
            "".join(f"{cell:{form}}" for cell, form in zip(line, self.forms, strict=True)).rstrip() for line in lines
        )


def printable(text: Any) -> str:
    """Text of a file as it can be shown: what moves a cursor, hides or reorders stands there as an escape."""
    return one_line(str(text))


def safe(part: str | Table) -> str | Table:
    """The same with what would move a cursor, hide or reorder text as escapes: it may come from a file."""
    if isinstance(part, str):
        return "\n".join(printable(line.expandtabs()) for line in part.split("\n"))
    rows = tuple(tuple(map(printable, row)) for row in part.rows)
    return Table(part.forms, rows, tuple(map(printable, part.head)))


def finite(value: Any) -> Any:
    """Plain data with None for what is no finite number, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
