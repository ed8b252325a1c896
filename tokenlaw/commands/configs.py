"""The command config."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal


def config(
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default, as TOML")] = False,
    example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="print an example, with its comments")
    ] = None,
    file: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="check this file and print it whole")] = None,
) -> None:
    """Print the default configuration or an example, or check a file and print it with every default filled in."""
    if defaults + (example is not None) + (file is not None) != 1:
        raise ValueError("config: give one of --defaults, --example NAME and a CONFIG file")
    with terminal.held():
        from tokenlaw.config import examples
        from tokenlaw.config.read import defaults_text, dumps, load

    if example is not None:
        text = examples.example(example)
    elif file is None:
        with terminal.held():
            text = defaults_text()  # with names from the tables of objects
    else:
        configuration = load(file)
        with terminal.heavy("dask"):
            from tokenlaw.runs.build import build
            from tokenlaw.runs.functions import Unread

            text = dumps(build(configuration, Unread()).configuration)
    typer.echo(text.rstrip("\n"))
