"""The three runs of the command line: from a configuration to a file that grows and can be resumed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from particles import Recorder, record
from particles import output as records
from particles.interrupts import undisturbed
from particles.layer_files import write_layers
from particles.long_steps import telling_long_steps
from particles.parallel import one_blas_thread
from particles.residual import start_points
from particles.run_files import recover
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
from tokenlaw import config, memory
from tokenlaw.build import Experiment
from tokenlaw.config import ConfigError
from tokenlaw.locks import locked
from tokenlaw.resume import input_sums, records_to_keep, restored, resumable
from validation.compare import Comparison, compare_state, distance_steps
from validation.wasserstein import MAX_POINTS

TITLES = {
    "solve": "conditional token law",
    "simulate": "tokens of a transformer",
    "compare": "conditional token law, and tokens on the same layers,",
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
    law, field, c = experiment.law, experiment.token_field(), experiment.configuration
    radius = getattr(c.initial, "radius", 1.0)
    if hasattr(c.layers, "dt") and c.model.space == "sphere":  # a flow in steps; a transformer's step is its own
        field = telling_long_steps(field)

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


@one_blas_thread()
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
    memory.refuse_run(command, experiment, layers)
    with locked(out, *([] if layers is None else [layers])):
        with undisturbed():
            old = resumable(command, experiment, out) if resume and out.exists() else None
            if old is not None and recover(out):  # what a run that was killed had not yet put into its file
                old = resumable(command, experiment, out)
        job = JOBS[command](experiment)
        state: State = job.start if old is None else restored(job.start, job.restore, old, out)
        keep = 0 if old is None else records_to_keep(old, experiment)
        if resume and old is None:
            tell(f"{out}: nothing to resume, starting from depth 0")
        for note in (*experiment.plan.notes, *job.notes):
            tell(note)
        if layers is not None:
            with undisturbed():
                record_layers(experiment, layers)
        recorder = Recorder(out, job.static, _attributes(command, experiment), realization=realization)
        if old is not None:
            recorder.continue_file(keep)
            at = f"depth time {state.step * experiment.law.dt:g}"
            complete = state.step >= experiment.plan.n_steps
            tell(f"{out}: complete, ends at {at}" if complete else f"{out}: going on from {at}")
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
    try:
        recorded = record(experiment.law, n_steps, experiment.configuration.model.beta)
    except ValueError as error:
        raise ConfigError(f"--record-layers {path}: {error}") from None
    try:
        with records.whole(path) as part:
            write_layers(recorded, part)
    except (OSError, RuntimeError) as error:
        raise records.WriteError(path, error, begun=False) from error


def _attributes(command: str, experiment: Experiment) -> dict[str, Any]:
    c = experiment.configuration
    return {
        "title": TITLES[command] + (f" on S^{c.model.d - 1}" if c.model.space == "sphere" else ""),
        "source": f"tokenlaw {command}",
        "history": f"written by tokenlaw {command}",
        "command": command,
        "configuration": config.dumps(c),
        "seed": str(c.noise.seed),
        "member": str(c.noise.member),
        **input_sums(experiment),
    }
