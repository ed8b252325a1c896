"""The command `tokenlaw converge`; light to import, because every call of the command line does."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.observables import OBSERVABLES

HELP = "\n".join([
    "How an observable converges in one key: slope with its interval, error left, sampling floor.",
    "",
    "\b",
    "Observables, all at the last depth:",
    *(f"  {name:<15}{observable.text}" for name, observable in OBSERVABLES.items()),
])


def converge(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="configuration, a TOML file")],
    vary: Annotated[str, typer.Option("--vary", metavar="KEY=A,B,C", help="key and its values, the finest last")],
    observable: Annotated[str, typer.Option("--observable", metavar="NAME", help="one of those above")],
    members: Annotated[
        int | None,
        typer.Option("--members", metavar="N", help="realizations of the noise  [default: 8; 1 if nothing is random]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="F", help="F.nc or a picture (F.png, F.pdf, ...): both are written"),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="print numbers as JSON")] = False,
    seed: Annotated[str | None, typer.Option("--seed", metavar="N", help="overrides noise.seed")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no notes and no progress bar")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one configuration key (repeatable)")
    ] = None,
) -> None:
    """Convergence of an observable in one key; the help is HELP."""
    import json

    from tokenlaw import cli

    with cli._heavy("dask"):
        from tokenlaw import converge as study
        from tokenlaw import converge_files as files
        from tokenlaw.tables import tell as say

    overrides = [*(set_ or ()), *([] if seed is None else [f"noise.seed={seed}"])]
    written = None if out is None else files.names(out)
    if written is not None:
        read = study.inputs(config, vary, overrides)
        cli._check_outputs({"--out": written[0], "--out, picture": written[1]}, read)
    key = vary.partition("=")[0].strip()
    tell = (lambda text: None) if quiet or json_ else (lambda text: cli._say(f"{key}: {text} done"))
    result = study.converge(config, vary, observable, members=members, overrides=overrides, progress=tell)
    if written is not None:
        files.write(result, *written)
    say([json.dumps(result.as_json())] if json_ else files.table(result))
