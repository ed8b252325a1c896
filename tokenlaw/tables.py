"""Tables of the command line: drawn on a terminal, plain columns in a pipe."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import typer

from tokenlaw.config_io import one_line


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


def _shown(part: str | Table) -> str | Table:
    """The same with what would move a cursor, hide or reorder text as escapes: it may come from a file."""
    if isinstance(part, str):
        return "\n".join(printable(line.expandtabs()) for line in part.split("\n"))
    rows = tuple(tuple(map(printable, row)) for row in part.rows)
    return Table(part.forms, rows, tuple(map(printable, part.head)))


def tell(parts: Iterable[str | Table]) -> None:
    """Print paragraphs and tables to the standard output."""
    parts = [_shown(part) for part in parts]
    if sys.stdout is None or not sys.stdout.isatty():  # closed, a pipe, a file
        typer.echo("\n".join(map(str, parts)))
        return
    from rich import box, table
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for part in parts:
        if isinstance(part, str):
            console.print(Text(part))
            continue
        drawn = table.Table(box=box.SIMPLE_HEAD, show_header=bool(part.head), pad_edge=False)
        for k, form in enumerate(part.forms):
            heading = part.head[k].strip() if part.head else ""
            drawn.add_column(heading, justify="right" if form.startswith(">") else "left", overflow="fold")
        for row in part.rows:
            drawn.add_row(*(Text(cell.strip()) for cell in row))
        console.print(drawn)
