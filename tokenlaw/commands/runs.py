"""The commands solve, simulate and compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokenlaw.commands import terminal
from tokenlaw.commands.options import (
    AllowPython,
    Config,
    DryRun,
    Quiet,
    Resume,
    RunOut,
    Seed,
    Set,
    code_beside,
    overrides,
)

if TYPE_CHECKING:
    from tokenlaw.runs.build import Experiment


def solve(
    config: Config,
    out: RunOut = None,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
    dry_run: DryRun = False,
) -> None:
    """Density of the conditional token law on S^2 or S^1, to a NetCDF file."""
    code = code_beside(config, allow_python)
    _execute("solve", config, out, resume, overrides(set_, seed), quiet, code, dry_run)


def simulate(
    config: Config,
    out: RunOut = None,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
    dry_run: DryRun = False,
    record_layers: Annotated[
        Path | None, typer.Option("--record-layers", metavar="F.nc", help="also write the layers to this file")
    ] = None,
) -> None:
    """Finitely many tokens through the same layers, to a NetCDF file."""
    code = code_beside(config, allow_python)
    _execute("simulate", config, out, resume, overrides(set_, seed), quiet, code, dry_run, record_layers)


def compare(
    config: Config,
    out: RunOut = None,
    resume: Resume = False,
    seed: Seed = None,
    quiet: Quiet = False,
    set_: Set = None,
    allow_python: AllowPython = False,
    dry_run: DryRun = False,
) -> None:
    """Density and tokens on the same layers, with Wasserstein distances over depth time."""
    code = code_beside(config, allow_python)
    _execute("compare", config, out, resume, overrides(set_, seed), quiet, code, dry_run)


def _execute(
    command: str, path: Path, out: Path | None, resume: bool, changes: list[str], quiet: bool, code: str | None,
    dry_run: bool, layers: Path | None = None,
) -> None:
    if dry_run:
        if resume:
            raise ValueError("--dry-run: tells of a run from depth 0, not of --resume; give one of them")
        _tell_plan(command, path, changes, code, layers)
        return
    if out is None:
        raise ValueError("--out: is missing, must name the file to write (--dry-run does without)")
    with terminal.resumable():
        experiment = _experiment(path, changes, code)
        from tokenlaw.runs import run as runs

        inputs = [path, *(read for files in experiment.inputs.values() for read in files)]
        terminal.check_outputs({"--out": out} | ({} if layers is None else {"--record-layers": layers}), inputs)
        tell = terminal.notes(quiet)
        with terminal.progress(command, experiment.plan.n_steps, quiet) as progress:
            runs.execute(command, experiment, out, resume=resume, layers=layers, tell=tell, progress=progress)


def _experiment(path: Path, changes: list[str], code: str | None) -> "Experiment":
    """The objects of a configuration; input files are read."""
    with terminal.held():
        from tokenlaw.config import read as configuration

    c = configuration.load(path, changes)
    with terminal.heavy("distributed"):
        from tokenlaw.runs import run as _  # noqa: F401 - with all that it takes
        from tokenlaw.runs.build import build
        from tokenlaw.runs.functions import functions_of

        return build(c, functions_of(code))


def _tell_plan(command: str, path: Path, changes: list[str], code: str | None, layers: Path | None) -> None:
    experiment = _experiment(path, changes, code)
    with terminal.held():
        from tokenlaw.runs.plan import plan

    terminal.tell(plan(command, experiment, layers))
