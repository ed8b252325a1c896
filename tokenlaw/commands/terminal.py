"""What all commands share: interrupts, heavy imports, notes and tables, a progress bar, outputs that may be written."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tokenlaw.tables import Table, printable, safe

if TYPE_CHECKING:
    from particles import Progress

until_its_end: ContextVar[ExitStack] = ContextVar("resources of the command")
signals = {"asked": False, "held": False}
"""Whether an interrupt has come, and whether it waits."""


class Interrupted(Exception):
    """Ctrl-C or a request to end, during a run."""


def interrupt(*_: Any) -> None:
    """Handler of Ctrl-C and of a request to end."""
    signals["asked"] = True
    if not signals["held"]:
        raise KeyboardInterrupt


def obey() -> None:
    """Raise what an interrupt could not raise: Python swallows it in callbacks of its own."""
    if signals["asked"]:
        raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Interrupts wait: in the middle of an import they become tracebacks."""
    signals["held"] = True
    try:
        yield
    finally:
        signals["held"] = False
    obey()


@contextmanager
def heavy(dask: str = "") -> Iterator[None]:
    """Heavy imports of a command; from then on its linear algebra keeps to one thread, as that of a run does.

    Several threads take longer over matrices as small as ours, and share sums differently.  `dask` is what the command
    will have loaded of it, "dask" to read datasets, "distributed" to write them.
    """
    with held():
        if dask:
            from tokenlaw.ensemble.dask_settings import fitting

            until_its_end.get().enter_context(fitting(dask))
        yield
        from particles.machine import one_blas_thread

        until_its_end.get().enter_context(one_blas_thread())


@contextmanager
def resumable() -> Iterator[None]:
    """What an interrupt of a run means: its file can be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted; go on with --resume") from None


def say(text: str) -> None:
    """A line on stderr; a run goes on where nobody reads it."""
    with suppress(OSError):
        typer.echo(printable(text), err=True)


def notes(quiet: bool) -> Callable[[str], None]:
    """Who receives the notes of a run."""
    return (lambda text: None) if quiet else say


def one_line(text: str) -> str:
    """Text without its line ends."""
    return " ".join(text.split())


def warnings_as_notes() -> Callable[..., None]:
    """How warnings are shown: a line each, the same line once."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = f"warning: {one_line(str(message))}"
        if line not in said:
            said.add(line)
            say(line)

    return show


def tell(parts: Iterable[str | Table]) -> None:
    """Print paragraphs and tables to the standard output: drawn on a terminal, plain columns elsewhere."""
    parts = [safe(part) for part in parts]
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


@contextmanager
def progress(command: str, n_steps: int, quiet: bool, unit: str = "layers") -> "Iterator[Progress]":
    """Progress bar with remaining time on a terminal, nothing in a pipe; ends the run where Ctrl-C went unheard."""
    if quiet or not sys.stderr.isatty():
        yield lambda step: obey()
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(command, total=n_steps)

        def show(step: int) -> None:
            bar.update(task, completed=step)
            obey()

        yield show


def check_outputs(outputs: dict[str, Path], inputs: list[Path]) -> None:
    """Refuse what cannot or must not be written before any work starts; make missing folders."""
    for option, out in outputs.items():
        if out.is_dir():
            raise ValueError(f"{option} {out}: is a directory, must be the name of a file")
        if out.exists() and not out.is_file():
            raise ValueError(f"{option} {out}: is not a regular file")
        if any(out.exists() and source.exists() and out.samefile(source) for source in inputs):
            raise ValueError(f"{option} {out}: is an input of this run and would be overwritten")
        if out.exists() and not os.access(out, os.W_OK):
            raise ValueError(f"{option} {out}: is there already and not writable")
    for (first, one), (second, other) in combinations(outputs.items(), 2):
        if one.resolve() == other.resolve():
            raise ValueError(f"{second} {other}: must be another file than {first}")
    from particles.files import make_folder

    for option, out in outputs.items():
        try:
            make_folder(out.parent)
        except OSError as error:
            raise ValueError(f"{option} {out}: cannot make the folder {out.parent} ({error.strerror})") from None
        if not os.access(out.parent, os.W_OK | os.X_OK):
            raise ValueError(f"{option} {out}: the folder {out.parent} is not writable")
