"""The three runs of the command line: from a configuration to a file that grows and can be resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from particles import Empirical, Flow, Progress, Recorder, State, TokenFlow, record, telling_long_steps
from particles.files import recover, whole, write_layers, writing
from particles.machine import one_blas_thread, undisturbed
from spde import Density
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError
from tokenlaw.config.told import telling
from tokenlaw.runs import memory
from tokenlaw.runs.build import Experiment
from tokenlaw.runs.locks import locked
from tokenlaw.runs.resume import begun_with, input_sums, records_to_keep, restored, resumable
from validation import PairFlow, distance_steps
from validation.distances import MAX_POINTS

TITLES = {
    "solve": "conditional token law",
    "simulate": "tokens of a transformer",
    "compare": "conditional token law, and tokens on the same layers,",
}


class Job(NamedTuple):
    """A run, ready to go: how a state goes through the layers, the state at depth 0, and what is told once."""

    flow: Flow[Any]
    start: Any
    notes: tuple[str, ...] = ()


def solve_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """The density of the conditional token law; a density with other nodes may be given."""
    density = density or experiment.density()
    flow = experiment.flow(density, refine)
    return Job(flow, flow.start(density))


def simulate_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """Tokens through the layers; there is no density."""
    tokens, notes = experiment.tokens()
    field, c = experiment.token_field(), experiment.configuration
    steps = hasattr(c.layers, "dt") and c.layers.kind != "equation"  # a transformer's step is its own
    if steps and c.model.space == "sphere":
        field = telling_long_steps(field)
    flow = TokenFlow(experiment.law, field)
    return Job(flow, flow.start(tokens, getattr(c.initial, "radius", 1.0)), notes)


def compare_job(experiment: Experiment, density: Density | None = None, refine: bool = False) -> Job:
    """Density and tokens on the same layers, with the distances between them; see `solve_job`."""
    density = density or experiment.density()
    tokens, notes = experiment.tokens()
    n = len(tokens)
    at = distance_steps(experiment.plan.save_steps, experiment.configuration.output.distances)
    if n > MAX_POINTS:
        at = frozenset()
        notes += (f"{n} tokens: exact Wasserstein distances stop at {MAX_POINTS}, only coupled_rms is computed",)
    flow = PairFlow(experiment.flow(density, refine), experiment.token_field(), at)
    with telling(experiment.configuration, "layers"):
        return Job(flow, flow.start(density, tokens, (experiment.sample(1, n), experiment.sample(2, n))), notes)


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
        state: State = job.start if old is None else restored(job.start, job.flow.restore, old, out)
        keep = 0 if old is None else records_to_keep(old, experiment)
        if resume and old is None:
            tell(f"{out}: nothing to resume, starting from depth 0")
        for note in (*experiment.plan.notes, *job.notes):
            tell(note)
        if layers is not None:
            with undisturbed():
                record_layers(experiment, layers)
        recorder = Recorder(out, attrs=_attributes(command, experiment), realization=realization)
        if old is not None:
            recorder.continue_file(keep)
            at = f"depth time {state.step * experiment.law.dt:g}"
            complete = state.step >= experiment.plan.n_steps
            tell(f"{out}: complete, ends at {at}" if complete else f"{out}: going on from {at}")
        begun = None if old is None else job.start
        job.flow.run(state, experiment.plan.save_steps, recorder, progress, start=begun, tell=tell)


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


def record_layers(experiment: Experiment, path: Path) -> None:
    """Write the layers of the experiment to a layers file, whole or not at all."""
    n_steps = experiment.plan.n_steps
    if not n_steps:
        raise ConfigError(f"--record-layers {path}: the run has no layers to record")
    try:
        recorded = record(experiment.law, n_steps)
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
