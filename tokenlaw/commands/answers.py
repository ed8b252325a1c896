"""The commands validate, converge and theory, whose answers are printed."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.answers.observables import OBSERVABLES
from tokenlaw.commands import terminal
from tokenlaw.commands.options import AllowPython, Config, Json, OwnSeed, Quiet, Seed, Set, code_beside, overrides


def validate(
    claims: Annotated[list[str] | None, typer.Argument(metavar="[CLAIM ...]", help="claims; all if left out")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="folder to write")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="small sizes: minutes in all")] = False,
    list_: Annotated[bool, typer.Option("--list", help="list the claims and end")] = False,
    seed: OwnSeed = 0,
    quiet: Quiet = False,
) -> None:
    """Studies of published claims, with verdicts computed from the numbers."""
    with terminal.heavy("dask"):
        from tokenlaw.answers import validate as studies

    if list_:
        terminal.tell([studies.claims_table(studies.chosen(claims or ()))])
        return
    if out is None:
        raise ValueError("validate: give --out DIR, or --list")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file, must be the name of a folder")
    studies.execute(claims or (), out, quick=quick, seed=seed, tell=terminal.notes(quiet))


def converge(
    config: Config,
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
    json: Json = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
) -> None:
    """How an observable converges in one key: slope with its interval, error left, sampling floor."""
    with terminal.heavy("dask"):
        from tokenlaw.answers import converge as study
        from tokenlaw.answers import converge_files as files
        from tokenlaw.pictures import paper

    changes = overrides(set_, seed)
    written = None if out is None else paper.file_and_picture(out)
    if written is not None:
        read = study.inputs(config, vary, changes)
        terminal.check_outputs({"--out": written[0], "--out, picture": written[1]}, read)
    key, tell = vary.partition("=")[0].strip(), terminal.notes(quiet or json)
    result = study.converge(
        config, vary, observable, members=members, overrides=changes, code=code_beside(config, allow_python),
        progress=lambda text: tell(f"{key}: {text} done"),
    )
    if written is not None:
        files.write(result, *written)
    terminal.tell([dumps(result.as_json())] if json else files.lines(files.as_dataset(result)))


converge.__doc__ = "\n".join([
    str(converge.__doc__),
    "",
    "\b",
    "Observables, all at the last depth:",
    *(f"  {name:<15}{observable.text}" for name, observable in OBSERVABLES.items()),
])


def theory(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="which result; --list explains them")] = None,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="its arguments")] = None,
    json: Json = False,
    list_: Annotated[bool, typer.Option("--list", help="explain the results, all or NAME, and what they take")] = False,
) -> None:
    """Exact one-dimensional and closed-form results: exponents, probabilities, kernels, drifts."""
    with terminal.held():
        from tokenlaw.answers import theory as table

    if name is None and not list_:
        raise ValueError(f"theory: give a NAME or --list; names: {', '.join(table.ENTRIES)}")
    if not list_ and name is not None:
        with terminal.heavy():
            import particles.reduced  # noqa: F401 - explaining needs none of it
        result = table.evaluate(name, settings or ())
        terminal.tell([table.to_json(result) if json else table.to_table(name, result)])
        return
    if settings:
        raise ValueError("theory: --list takes a NAME or nothing")
    names = list(table.ENTRIES) if name is None else [name]
    terminal.tell([dumps(table.explain(names), indent=2)] if json else table.explanation(names))
