"""The three runs of the command line: from a configuration to a file that grows and can be resumed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from particles import Recorder, record
from particles import output as records
from particles.layer_files import write_layers
from particles.output import read_state
from particles.residual import start_points
from particles.simulate import (
    Progress,
    State,
    TokenState,
    advance_tokens,
    run,
    token_record,
    token_state,
    token_static,
)
from spde.state import density_state
from tokenlaw import config
from tokenlaw.build import Experiment
from tokenlaw.config import ConfigError
from validation.compare import Comparison, compare_state, distance_steps
from validation.wasserstein import MAX_POINTS

TITLES = {
    "solve": "conditional token law on the sphere",
    "simulate": "tokens of a transformer",
    "compare": "conditional token law on the sphere, and tokens on the same layers",
}


@dataclass(frozen=True, eq=False)
class Job:
    """A run, ready to go: a start, how to go on, what to record.

    Attributes
    ----------
    start : state at depth 0.   advance, observe : as `particles.simulate.run` takes them.
    restore : state from the arrays a file ends with.   static : what the file says once.   notes : told once.
    """

    start: Any
    advance: Callable[[Any, int, Progress | None], Any]
    observe: Callable[[Any], xr.Dataset]
    restore: Callable[[dict[str, Any]], Any]
    static: xr.Dataset
    notes: tuple[str, ...] = ()


def solve_job(experiment: Experiment) -> Job:
    """The density of the conditional token law."""
    density = experiment.density()
    flow = experiment.flow(density)
    return Job(
        start=flow.start(density),
        advance=flow.advance,
        observe=flow.observe,
        restore=density_state,
        static=flow.static(density.nodes),
    )


def simulate_job(experiment: Experiment) -> Job:
    """Tokens through the layers."""
    tokens, notes = experiment.tokens()
    law, field = experiment.law, experiment.token_field()
    radius = getattr(experiment.configuration.initial, "radius", 1.0)

    def advance(state: TokenState, until: int, progress: Progress | None) -> TokenState:
        return advance_tokens(
            state, until, law=law, attention=experiment.attention, field=field, progress=progress
        )

    return Job(
        start=TokenState(0, start_points(tokens, law, radius), tokens.weights),
        advance=advance,
        observe=partial(token_record, law),
        restore=token_state,
        static=token_static(tokens.weights),
        notes=notes,
    )


def compare_job(experiment: Experiment) -> Job:
    """Density and tokens on the same layers, with the distances between them."""
    density = experiment.density()
    tokens, notes = experiment.tokens()
    n = len(tokens)
    at = distance_steps(experiment.plan.save_steps, experiment.configuration.output.distances)
    if n > MAX_POINTS:
        at = frozenset()
        notes += (f"{n} tokens: exact Wasserstein distances stop at {MAX_POINTS}, only coupled_rms is computed",)
    comparison = Comparison(experiment.flow(density), experiment.token_field(), at)
    start = comparison.start(density, tokens, (experiment.sample(1, n), experiment.sample(2, n)))
    return Job(
        start=start,
        advance=comparison.advance,
        observe=comparison.observe,
        restore=compare_state,
        static=comparison.static(start),
        notes=notes,
    )


JOBS = {"solve": solve_job, "simulate": simulate_job, "compare": compare_job}


def execute(
    command: str,
    experiment: Experiment,
    out: Path,
    *,
    resume: bool = False,
    layers: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
    realization: int | None = None,
) -> None:
    """Run a job to a file.

    Parameters
    ----------
    command : "solve", "simulate" or "compare".   out : NetCDF file.   resume : go on from it if it exists.
    layers : layers file to write beside it.
    tell : receives each note as a sentence.   progress : called with the number of layers applied.
    realization : number of the member, where the run is one of an ensemble.

    Raises
    ------
    ConfigError : nothing was written, or the old file is untouched.   SolverError : the last good state is on disk.
    """
    old = _resumable(command, experiment, out) if resume and out.exists() else None
    job = JOBS[command](experiment)
    state: State = job.start if old is None else _restored(job, old, out)
    keep = 0 if old is None else _records_to_keep(old, experiment)
    if resume and old is None:
        tell(f"{out}: nothing to resume, starting from depth 0")
    for note in (*experiment.plan.notes, *job.notes):
        tell(note)
    if layers is not None:
        record_layers(experiment, layers)
    recorder = Recorder(out, job.static, _attributes(command, experiment), realization=realization)
    if old is not None:
        recorder.continue_file(keep)
        at = f"depth time {state.step * experiment.law.dt:g}"
        tell(f"{out}: going on from {at}" if state.step < experiment.plan.n_steps else f"{out}: complete, ends at {at}")
    run(
        state,
        advance=lambda now, until: job.advance(now, until, progress),
        observe=job.observe,
        save_steps=experiment.plan.save_steps,
        recorder=recorder,
        resumed=old is not None,
    )


def record_layers(experiment: Experiment, path: Path) -> None:
    """Write the layers of the experiment to a layers file, whole or not at all."""
    n_steps = experiment.plan.n_steps
    if not n_steps:
        raise ConfigError(f"--record-layers {path}: the run has no layers to record")
    part = path.with_name(f".{path.name}.part")
    try:
        write_layers(record(experiment.law, n_steps, experiment.configuration.model.beta), part)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise records.WriteError(path, error, begun=False) from error
    finally:
        part.unlink(missing_ok=True)


def _attributes(command: str, experiment: Experiment) -> dict[str, Any]:
    c = experiment.configuration
    return {
        "title": TITLES[command],
        "source": f"tokenlaw {command}",
        "history": f"written by tokenlaw {command}",
        "command": command,
        "configuration": config.dumps(c),
        "seed": str(c.noise.seed),
        "member": str(c.noise.member),
    }


@dataclass(frozen=True, eq=False)
class Old:
    """What a file to be resumed holds: steps of its records, and the state it ends with."""

    steps: list[int]
    state: dict[str, Any]


def _resumable(command: str, experiment: Experiment, out: Path) -> Old:
    """Read the file, once it is clear that the run may go on from it."""
    try:
        with xr.open_dataset(out, engine="netcdf4") as dataset:
            attrs, steps = dict(dataset.attrs), [int(step) for step in dataset["step"].values]
        written_by, text = attrs["command"], str(attrs["configuration"])
        state = read_state(out)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--resume {out}: not a readable file of a run ({type(error).__name__})") from None
    if written_by != command:
        raise ConfigError(f"--resume {out}: was written by tokenlaw {written_by}, not by tokenlaw {command}")
    try:
        before = config.load_text(text, check_files=False)
    except ConfigError as error:
        raise ConfigError(f"--resume {out}: this version does not know its configuration ({error})") from None
    changed = config.changed_keys(before, experiment.configuration)
    if changed:
        raise ConfigError(
            f"--resume {out}: the configuration differs in {', '.join(changed)}; only layers.t_end, layers.depth and "
            "output may change"
        )
    return Old(steps, state)


def check_resume(command: str, experiment: Experiment, out: Path) -> None:
    """ConfigError where the run cannot go on from the file."""
    _records_to_keep(_resumable(command, experiment, out), experiment)


def _records_to_keep(old: Old, experiment: Experiment) -> int:
    """How many leading records fit the schedule; a last one off it is dropped."""
    steps, plan = old.steps, experiment.plan
    if steps[-1] > plan.n_steps:
        key = {"transformer": "depth", "recorded": "file"}.get(experiment.configuration.layers.kind, "t_end")
        raise ConfigError(
            f"layers.{key}: ends the run at depth time {plan.n_steps * plan.dt:g}; must be at least "
            f"{steps[-1] * plan.dt:g}, which the file to resume has reached"
        )
    scheduled = set(plan.save_steps)
    kept = 0
    while kept < len(steps) and steps[kept] in scheduled:
        kept += 1
    if kept < len(steps) - 1:
        raise ConfigError(
            f"output.save_every = {experiment.configuration.output.save_every:g}: the file has records at other "
            "depths; resume with the save_every it was begun with"
        )
    return kept


def _restored(job: Job, old: Old, out: Path) -> State:
    """The state a file ends with; refused where its arrays do not fit (another version, a damaged file)."""
    for name, array in job.start.arrays().items():
        if name not in old.state or np.shape(old.state[name]) != np.shape(array):
            raise ConfigError(f"--resume {out}: its state does not fit this configuration ({name})")
    try:
        state: State = job.restore(old.state)
    except KeyError as error:
        raise ConfigError(f"--resume {out}: its state lacks {error}") from None
    if not old.steps or state.step != old.steps[-1]:
        raise ConfigError(f"--resume {out}: its state does not belong to its last record")
    return state
