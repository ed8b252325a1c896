"""The commands solve, simulate and compare."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import AllowPython, Config, Out, Quiet, Resume, Seed, Set, code_beside, overrides


def solve(
    config: Config,
    out: Out,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
) -> None:
    """Density of the conditional token law on S^2 or S^1, to a NetCDF file."""
    _execute("solve", config, out, resume, overrides(set_, seed), quiet, code_beside(config, allow_python))


def simulate(
    config: Config,
    out: Out,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
    record_layers: Annotated[
        Path | None, typer.Option("--record-layers", metavar="F.nc", help="also write the layers to this file")
    ] = None,
) -> None:
    """Finitely many tokens through the same layers, to a NetCDF file."""
    code = code_beside(config, allow_python)
    _execute("simulate", config, out, resume, overrides(set_, seed), quiet, code, record_layers)


def compare(
    config: Config,
    out: Out,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
) -> None:
    """Density and tokens on the same layers, with Wasserstein distances over depth time."""
    _execute("compare", config, out, resume, overrides(set_, seed), quiet, code_beside(config, allow_python))


def _execute(
    command: str, path: Path, out: Path, resume: bool, changes: list[str], quiet: bool, code: str | None,
    layers: Path | None = None,
) -> None:
    with terminal.resumable():
        with terminal.held():
            from tokenlaw.config import read as configuration

        c = configuration.load(path, changes)

        with terminal.heavy("distributed"):
            from tokenlaw.runs import run as runs
            from tokenlaw.runs.build import build
            from tokenlaw.runs.functions import functions_of

            experiment = build(c, functions_of(code))  # reads input files
        inputs = [path, *(read for files in experiment.inputs.values() for read in files)]
        terminal.check_outputs({"--out": out} | ({} if layers is None else {"--record-layers": layers}), inputs)
        tell = terminal.notes(quiet)
        with terminal.progress(command, experiment.plan.n_steps, quiet) as progress:
            runs.execute(command, experiment, out, resume=resume, layers=layers, tell=tell, progress=progress)
