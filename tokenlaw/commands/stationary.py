"""The command stationary."""

from json import dumps
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import AllowPython, Config, Json, Out, Quiet, Set, code_beside, overrides


def stationary(
    config: Config,
    out: Out,
    vary: Annotated[str | None, typer.Option("--vary", metavar="KEY=A,B,C", help="key and its values")] = None,
    json: Json = False,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
) -> None:
    """Stationary laws of an equation with private noise: branches, stability, free energies; a file and its picture."""
    with terminal.heavy("dask"):
        from tokenlaw.answers import stationary as study
        from tokenlaw.pictures import paper
        from tokenlaw.pictures.studies import branches_figure

    changes = overrides(set_, None)
    file, picture = paper.file_and_picture(out)
    terminal.check_outputs({"--out": file, "--out, picture": picture}, [config])
    found = study.of_configuration(config, vary, overrides=changes, code=code_beside(config, allow_python))
    inputs = [config, *(read for files in found.experiment.inputs.values() for read in files)]
    terminal.check_outputs({"--out": file, "--out, picture": picture}, inputs)
    study.write(found.dataset, file)
    paper.save(branches_figure(found.dataset), picture)
    if json:
        terminal.tell([dumps(study.as_json(found.dataset))])
    elif not quiet:
        terminal.tell(study.lines(found.dataset))
