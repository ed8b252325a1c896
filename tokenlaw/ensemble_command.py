"""The command `tokenlaw ensemble`; light to import, because every call of the command line does."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Run(StrEnum):
    """What each member is."""

    SOLVE = "solve"
    SIMULATE = "simulate"
    COMPARE = "compare"


def ensemble(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="configuration, a TOML file")],
    members: Annotated[int, typer.Option("--members", metavar="N", min=1, help="realizations of the noise")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="folder to write")],
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
    seed: Annotated[str | None, typer.Option("--seed", metavar="N", help="overrides noise.seed")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no notes and no progress bar")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one configuration key (repeatable)")
    ] = None,
) -> None:
    """Many runs of a configuration: members and grids of values, a file each, on many processes."""
    from tokenlaw import cli

    if workers is not None and scheduler is not None:
        raise ValueError(f"--workers {workers}: belongs to the embedded cluster; leave it out with --scheduler")
    try:
        with cli._heavy("distributed"):
            from tokenlaw import ensemble as ensembles
            from tokenlaw import members as runs

        overrides = [*(set_ or ()), *([] if seed is None else [f"noise.seed={seed}"])]
        sweeps = sweep or ()
        planned, notes = runs.plan(
            config, str(run), members, sweeps, overrides, elsewhere=scheduler is not None
        )
        index, waiting = ensembles.prepare(out, str(run), sweeps, planned, resume=resume)

        said: set[str] = set()

        def tell(text: str) -> None:
            """Notes; the warning of another member that differs in numbers only is left to the index."""
            kind = re.sub(r"[\d.e+-]*\d", "", text.rpartition(".nc: ")[2])
            if not quiet and kind not in said:
                said.add(kind)
                cli._say(text)

        for note in notes:
            tell(note)
        if len(waiting) < len(planned):
            tell(f"{out}: {len(planned) - len(waiting)} of {len(planned)} members are complete")
        # Interrupts wait for `obey`: in the middle of starting or closing a cluster they leave processes behind.
        with cli._progress("ensemble", len(waiting), quiet, "members") as progress, cli._held():
            told = ensembles.Told(tell, cli._say, progress, cli._obey)
            ensembles.run(index, waiting, scheduler=scheduler, n_workers=workers, told=told)
    except KeyboardInterrupt:
        raise cli.Interrupted("interrupted; go on with --resume") from None
