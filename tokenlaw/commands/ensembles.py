"""The command ensemble."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import AllowPython, Config, Folder, Quiet, Seed, Set, code_beside, overrides


class Run(StrEnum):
    """What each member is."""

    SOLVE = "solve"
    SIMULATE = "simulate"
    COMPARE = "compare"


def ensemble(
    config: Config,
    members: Annotated[int, typer.Option("--members", metavar="N", min=1, help="realizations of the noise")],
    out: Folder,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="KEY=A,B", help="members for each value of a key (repeatable: a grid)"),
    ] = None,
    run: Annotated[Run, typer.Option("--run", help="what each member is")] = Run.SOLVE,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="W", min=1, help="processes  [default: number of cores]")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="use the workers of a running Dask scheduler")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the ensemble in the folder")] = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
) -> None:
    """Many runs of a configuration: members and grids of values, a file each, on many processes."""
    if workers is not None and scheduler is not None:
        raise ValueError(f"--workers {workers}: belongs to the embedded cluster; leave it out with --scheduler")
    with terminal.resumable():
        with terminal.heavy("distributed"):
            from tokenlaw.ensemble import member as runs
            from tokenlaw.ensemble import run as ensembles

        sweeps, changes, elsewhere = sweep or (), overrides(set_, seed), scheduler is not None
        code = code_beside(config, allow_python)
        planned, notes = runs.plan(config, str(run), members, sweeps, changes, elsewhere=elsewhere, code=code)
        index, waiting = ensembles.prepare(out, str(run), sweeps, planned, resume=resume)
        tell = _once_of_a_kind(terminal.notes(quiet))
        for note in notes:
            tell(note)
        if len(waiting) < len(planned):
            tell(f"{out}: {len(planned) - len(waiting)} of {len(planned)} members are complete")
        # Interrupts wait for `obey`: in the middle of starting or closing a cluster they leave processes behind.
        with terminal.progress("ensemble", len(waiting), quiet, "members") as progress, terminal.held():
            told = ensembles.Told(tell, terminal.say, progress, terminal.obey)
            ensembles.run(index, waiting, scheduler=scheduler, n_workers=workers, told=told)


def _once_of_a_kind(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Notes; the warning of another member that differs in numbers only is left to the index."""
    said: set[str] = set()

    def once(text: str) -> None:
        kind = re.sub(r"[\d.e+-]*\d", "", text.rpartition(".nc: ")[2])
        if kind not in said:
            said.add(kind)
            tell(text)

    return once
