"""The commands solve, simulate and compare."""

from pathlib import Path
from typing import Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import Config, Out, Quiet, Resume, Seed, Set, overrides


def solve(
    config: Config, out: Out, resume: Resume = False, seed: Seed = None, quiet: Quiet = False, set_: Set = None
) -> None:
    """Density of the conditional token law on S^2 or S^1, to a NetCDF file."""
    _execute("solve", config, out, resume, overrides(set_, seed), quiet)


def simulate(
    config: Config,
    out: Out,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    record_layers: Annotated[
        Path | None, typer.Option("--record-layers", metavar="F.nc", help="also write the layers to this file")
    ] = None,
) -> None:
    """Finitely many tokens through the same layers, to a NetCDF file."""
    _execute("simulate", config, out, resume, overrides(set_, seed), quiet, record_layers)


def compare(
    config: Config, out: Out, resume: Resume = False, seed: Seed = None, quiet: Quiet = False, set_: Set = None
) -> None:
    """Density and tokens on the same layers, with Wasserstein distances over depth time."""
    _execute("compare", config, out, resume, overrides(set_, seed), quiet)


def _execute(
    command: str, path: Path, out: Path, resume: bool, changes: list[str], quiet: bool, layers: Path | None = None
) -> None:
    with terminal.resumable():
        with terminal.held():
            from tokenlaw.config import read as configuration

        c = configuration.load(path, changes)

        with terminal.heavy("distributed"):
            from tokenlaw.runs import run as runs
            from tokenlaw.runs.build import build

            experiment = build(c)  # reads input files
        inputs = [path, *(read for files in experiment.inputs.values() for read in files)]
        terminal.check_outputs({"--out": out} | ({} if layers is None else {"--record-layers": layers}), inputs)
        tell = terminal.notes(quiet)
        with terminal.progress(command, experiment.plan.n_steps, quiet) as progress:
            runs.execute(command, experiment, out, resume=resume, layers=layers, tell=tell, progress=progress)
