"""The three runs of the command line: from a configuration to a file that grows and can be resumed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from particles import Empirical, Recorder, record
from particles.interrupts import undisturbed
from particles.layer_files import write_layers
from particles.long_steps import telling_long_steps
from particles.parallel import one_blas_thread
from particles.placing import whole
from particles.residual import start_points
from particles.run_files import recover, writing
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
from spde.density import Density
from spde.said import Said
from spde.solver import NodesTooFew
from spde.state import density_state
from tokenlaw import config, memory
from tokenlaw.build import Experiment
from tokenlaw.config import ConfigError
from tokenlaw.locks import locked
from tokenlaw.resume import begun_with, input_sums, records_to_keep, restored, resumable
from validation.compare import CompareState, Comparison, compare_state, distance_steps
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
    density, nodes : the density at depth 0, and its carried nodes in words; None for tokens.
    """

    start: Any
    advance: Callable[[Any, int, Progress | None], Any]
    observe: Callable[[Any], xr.Dataset]
    restore: Callable[[dict[str, Any]], Any]
    static: xr.Dataset
    notes: tuple[str, ...] = ()
    density: Density | None = None
    nodes: str | None = None


def solve_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """The density of the conditional token law; a density with other nodes may be given."""
    density = density or experiment.density()
    flow = experiment.flow(density, refine)
    return Job(
        start=flow.start(density),
        advance=flow.advance,
        observe=flow.observe,
        restore=density_state,
        static=flow.static(density.nodes),
        density=density,
        nodes=flow.nodes_text(density),
    )


def simulate_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """Tokens through the layers; there is no density."""
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


def compare_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """Density and tokens on the same layers, with the distances between them; see `solve_job`."""
    density = density or experiment.density()
    tokens, notes = experiment.tokens()
    n = len(tokens)
    at = distance_steps(experiment.plan.save_steps, experiment.configuration.output.distances)
    if n > MAX_POINTS:
        at = frozenset()
        notes += (f"{n} tokens: exact Wasserstein distances stop at {MAX_POINTS}, only coupled_rms is computed",)
    comparison = Comparison(experiment.flow(density, refine), experiment.token_field(), at)
    start = comparison.start(density, tokens, (experiment.sample(1, n), experiment.sample(2, n)))
    return Job(
        start=start,
        advance=comparison.advance,
        observe=comparison.observe,
        restore=compare_state,
        static=comparison.static(start),
        notes=notes,
        density=density,
        nodes=comparison.flow.nodes_text(density),
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
    refuse_run(command, experiment, layers)
    with locked(out, *([] if layers is None else [layers])):
        with undisturbed():
            old = resumable(command, experiment, out) if resume and out.exists() else None
            if old is not None and recover(out):  # what a run that was killed had not yet put into its file
                old = resumable(command, experiment, out)
        refine = may_refine(command, experiment, realization)
        job = JOBS[command](experiment, None if old is None else begun_with(old, experiment), refine)
        state: State = job.start if old is None else restored(job.start, job.restore, old, out)
        keep = 0 if old is None else records_to_keep(old, experiment)
        if resume and old is None:
            tell(f"{out}: nothing to resume, starting from depth 0")
        for note in (*experiment.plan.notes, *job.notes):
            tell(note)
        if layers is not None:
            with undisturbed():
                record_layers(experiment, layers)
        attributes = {**_attributes(command, experiment), **_nodes(job)}
        recorder = Recorder(out, job.static, attributes, realization=realization)
        if old is not None:
            recorder.continue_file(keep)
            at = f"depth time {state.step * experiment.law.dt:g}"
            complete = state.step >= experiment.plan.n_steps
            tell(f"{out}: complete, ends at {at}" if complete else f"{out}: going on from {at}")
        begin = Begin(command, experiment, job, state, resumed=old is not None)
        finish(begin, recorder, tell=tell, progress=progress)


@dataclass(frozen=True, eq=False)
class Begin:
    """Where a run begins: its job, and the state from which it goes on."""

    command: str
    experiment: Experiment
    job: Job
    state: Any
    resumed: bool = False

    @classmethod
    def of(cls, command: str, experiment: Experiment) -> "Begin":
        """From depth 0, with nodes that are made finer where they are too few."""
        job = JOBS[command](experiment, None, True)
        return cls(command, experiment, job, job.start)


def finish(
    begin: Begin,
    recorder: Recorder,
    *,
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> None:
    """Run to the end; where chosen nodes turn out too few, from depth 0 again, which is told once."""
    job, state, resumed, told = begin.job, begin.state, begin.resumed, False
    while True:
        try:
            run(
                state,
                advance=partial(_advanced, job, progress),
                observe=job.observe,
                save_steps=begin.experiment.plan.save_steps,
                recorder=recorder,
                resumed=resumed,
            )
            return
        except NodesTooFew as few:
            assert job.density is not None  # who else has nodes
            if not told:
                tell(str(few))
            job = JOBS[begin.command](begin.experiment, few.finer(job.density), True)
            state, resumed, told = begun_again(job.start, few.said), False, True
            recorder.begin_again(job.static, _nodes(job))


def begun_again(start: Any, said: Said) -> Any:
    """A state at depth 0 that has said what was said before."""
    if isinstance(start, CompareState):
        return replace(start, density=replace(start.density, said=said))
    return replace(start, said=said)


def _advanced(job: Job, progress: Progress | None, now: Any, until: int) -> Any:
    return job.advance(now, until, progress)


def needs(command: str, experiment: Experiment, layers: Path | None = None) -> list[memory.Term]:
    """What a run needs of memory; `layers`: file that its layers are to be recorded in."""
    c, initial, plan = experiment.configuration, experiment.initial, experiment.plan
    n_tokens = len(initial.tokens) if isinstance(initial, Empirical) else None
    found = memory.terms(command, c, n_tokens, len(plan.save_steps))
    return found if layers is None else [*found, *memory.record_terms(c, plan.n_steps)]


def refuse_run(command: str, experiment: Experiment, layers: Path | None = None) -> None:
    """ConfigError where a run does not fit into the memory that is there."""
    memory.refuse_too_large(needs(command, experiment, layers))


def may_refine(command: str, experiment: Experiment, realization: int | None) -> bool:
    """Whether nodes may be made finer: not in members whose files hold them, and are to be opened together."""
    holds_nodes = command == "compare" or experiment.configuration.solve.characteristics
    return realization is None or not holds_nodes


def _nodes(job: Job) -> dict[str, str]:
    """The nodes that were used, as an attribute of the file."""
    return {} if job.nodes is None else {"carried_nodes": job.nodes}


def record_layers(experiment: Experiment, path: Path) -> None:
    """Write the layers of the experiment to a layers file, whole or not at all."""
    n_steps = experiment.plan.n_steps
    if not n_steps:
        raise ConfigError(f"--record-layers {path}: the run has no layers to record")
    try:
        recorded = record(experiment.law, n_steps, experiment.configuration.model.beta)
    except ValueError as error:
        raise ConfigError(f"--record-layers {path}: {error}") from None
    with writing(path), whole(path) as part:
        write_layers(recorded, part)


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
