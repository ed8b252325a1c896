"""Arguments and options that several commands take."""

import os
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="configuration, a TOML file")]
File = Annotated[Path, typer.Argument(metavar="F.nc", help="file of a run")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="F.nc", help="file to write")]
RunOut = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="F.nc", help="file to write; needed unless --dry-run")
]
Folder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="folder to write")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the state in the file")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="say what would run, the memory and the time it needs; write nothing")
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="overrides noise.seed")]
OwnSeed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="seed of all random numbers")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no notes and no progress bar")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one configuration key (repeatable)")
]
AllowPython = Annotated[
    bool, typer.Option("--allow-python", help="run the Python files beside CONFIG that it names functions of")
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]


def code_beside(config: Path, allowed: bool) -> str | None:
    """The folder whose Python files a command may run; None where it may run none."""
    return os.path.dirname(os.path.abspath(config)) if allowed else None


def overrides(set_: list[str] | None, seed: str | None) -> list[str]:
    """What --set and --seed change in a configuration, as "key=value"; the seed comes last."""
    return [*(set_ or ()), *([] if seed is None else [f"noise.seed={seed}"])]
