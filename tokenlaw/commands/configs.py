"""The command config."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal


def config(
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default, as TOML")] = False,
    file: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="check this file and print it whole")] = None,
) -> None:
    """Print the default configuration, or check one and print it with every default filled in."""
    if defaults == (file is not None):
        raise ValueError("config: give either --defaults or a CONFIG file")
    with terminal.held():
        from tokenlaw.config.read import defaults_text, dumps, load

    if file is None:
        with terminal.held():
            text = defaults_text()  # with names from the tables of objects
    else:
        configuration = load(file)
        with terminal.heavy("dask"):
            from tokenlaw.runs.build import build
            from tokenlaw.runs.functions import Unread

            text = dumps(build(configuration, Unread()).configuration)
    typer.echo(text.rstrip("\n"))
