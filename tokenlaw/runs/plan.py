"""What a run would do: steps, sizes, the memory it needs, and the time, measured on two steps; nothing is written."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from particles import BeginAgain, Empirical, Flow
from particles.machine import available, one_blas_thread, size
from tokenlaw.runs import memory
from tokenlaw.runs.build import Experiment
from tokenlaw.runs.run import JOBS, needs, refuse_run
from tokenlaw.tables import Table
from validation import PairFlow

MEASURED = 2  # steps
UNITS = ((7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"), (0.0, 1.0, "s"))


class Measured(NamedTuple):
    """Seconds of the parts of a run.

    Attributes
    ----------
    first, later : the first step, which sets up what others find ready; one behind it.
    start, record : the record at depth 0, where distances are computed, and one behind the steps.
    """

    first: float
    later: float
    start: float
    record: float

    def total(self, n_steps: int, n_records: int, n_distances: int) -> float:
        """Of a run with so many steps and records, some of them with distances."""
        steps = self.first + self.later * (n_steps - 1) if n_steps else 0.0
        return steps + self.start * n_distances + self.record * (n_records - n_distances)


def measured(flow: Flow[Any], start: Any, n_steps: int, clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Time a run at its beginning; n_steps: as many as it has."""
    state = flow.fresh(start)
    times = [clock()]
    try:
        flow.record(state)
        times.append(clock())
        for _ in range(min(n_steps, MEASURED)):
            state = flow.advance(state, state.step + 1)
            times.append(clock())
        flow.record(state)
    except BeginAgain as why:  # with finer nodes, which are what the run will have
        return measured(*flow.again(start, why), n_steps, clock)
    times.append(clock())
    first, *parts, last = (after - before for before, after in pairwise(times))
    steps = parts or [0.0]
    return Measured(steps[0], steps[-1], first, last)


@one_blas_thread()
def plan(
    command: str, experiment: Experiment, layers: Path | None = None, clock: Callable[[], float] = time.perf_counter
) -> list[str | Table]:
    """What "solve", "simulate" or "compare" would do, for people; ConfigError where it does not fit into memory."""
    refuse_run(command, experiment, layers)
    begun = clock()
    job = JOBS[command](experiment)
    made, steps = clock() - begun, experiment.plan
    distances = len(job.flow.distance_steps) if isinstance(job.flow, PairFlow) else 0
    took = measured(job.flow, job.start, steps.n_steps, clock)
    seconds = made + took.total(steps.n_steps, len(steps.save_steps), distances)
    dear = f", {told(took.start)} with distances" if distances else ""
    rows = [
        *_what(command, experiment, distances),
        ("memory", _memory(command, experiment, layers)),
        ("time", f"about {told(seconds)}: {told(made)} to begin, {told(took.later)} a step, {told(took.record)} a "
                 f"record{dear} (measured on {min(steps.n_steps, MEASURED)} steps, on this machine as it is now; "
                 "without writing the file)"),
    ]  # fmt: skip
    return [f"{command} would run:", Table(("<10", ""), tuple(rows)), *steps.notes, *job.notes, "nothing was written"]


def _what(command: str, experiment: Experiment, distances: int) -> Iterator[tuple[str, str]]:
    c, steps, size_of = experiment.configuration, experiment.plan, experiment.law.dt
    n = len(experiment.initial.tokens) if isinstance(experiment.initial, Empirical) else None
    end = f"{steps.n_steps * size_of:g}"
    if c.layers.kind == "recorded":
        yield "layers", f"recorded, {steps.n_steps} of them"
    else:
        yield "layers", f"{c.layers.kind}, {steps.n_steps} steps of {size_of:g}, to depth time {end}"
    if command != "simulate":
        nodes = "as many carried nodes as needed" if c.solve.given_nodes is None else (
            f"{' x '.join(map(str, c.solve.given_nodes))} carried nodes"
        )
        yield "density", f"on S^{c.model.d - 1} up to degree lmax = {c.solve.lmax}, {nodes}"
    if command != "solve":
        yield "tokens", f"{c.simulate.tokens if n is None else n:,} in dimension {c.model.d}"
    count = len(steps.save_steps)
    apart = f", {distances} of them with distances" if distances else ""
    yield "records", f"{count}{apart}; a file of about {size(count * memory.record_size(command, c, n))}"


def _memory(command: str, experiment: Experiment, layers: Path | None) -> str:
    terms = needs(command, experiment, layers)
    most = max(terms, key=lambda term: term.need)
    need = sum(term.need for term in terms)
    return f"about {size(need)} of {size(available())} available; most of it for {most.key} = {most.value}"


def told(seconds: float) -> str:
    """A time for people."""
    least, unit, name = next(one for one in UNITS if seconds >= one[0])
    return f"{seconds / unit:.2g} {name}" if seconds < 100 or least else f"{seconds:.0f} {name}"
