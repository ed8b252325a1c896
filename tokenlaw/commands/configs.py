"""The command config."""

from pathlib import Path
from typing import Annotated

import typer


def config(
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default, as TOML")] = False,
    file: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="check this file and print it whole")] = None,
) -> None:
    """Print the default configuration, or check one and print it with every default filled in."""
    from tokenlaw.config import defaults_text as text
    from tokenlaw.config import dumps, load

    if defaults == (file is not None):
        raise ValueError("config: give either --defaults or a CONFIG file")
    typer.echo((text() if file is None else dumps(load(file))).rstrip("\n"))
