"""Runs of one member at all values of a key, and what they end with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from particles import Array, TokenState
from particles.layers import coarsen_within, diffuses
from particles.machine import one_blas_thread
from tokenlaw.answers.observables import NESTED, Observable
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import Experiment
from validation import PairFlow, PairState
from validation.distances import MAX_POINTS

SAME_PATH = (
    "solve.", "simulate.", "initial.", "model.beta", "layers.retraction", "layers.refine", "layers.drift",
    "layers.tolerance", "heads.sigma", "output.",
)  # fmt: skip
WITHOUT_NOISE = ("ballistic", "modified", "recorded", "equation")  # kinds of layers; their heads are drawn once


@dataclass(frozen=True, eq=False)
class Last:
    """What a run ends with.

    Attributes
    ----------
    value : of the observable, (n, d): one row for each token, one row for vectors.
    floor : W_2 between two samples, NaN where the run has none.
    """

    value: Array
    floor: float = float("nan")


def pathwise(c: Configuration, command: str) -> bool:
    """Whether layers have no noise, so that all values of a key meet one path; private noise moves tokens alone."""
    layers = c.layers
    noisy = getattr(layers, "mlp", None) is not None or bool(getattr(layers, "common_noise", ()))
    noisy = noisy or (command != "solve" and getattr(layers, "private_noise", 0.0) > 0)
    return layers.kind in WITHOUT_NOISE and not noisy


def nothing_random(c: Configuration, command: str) -> bool:
    """Whether all members are alike."""
    drawn = command == "compare" or (
        command == "simulate" and not (c.initial.kind == "tokens" or c.simulate.sampling == "quadrature")
    )
    given = c.layers.kind in ("recorded", "equation") or (c.heads is not None and c.heads.kind == "fixed")
    return pathwise(c, command) and given and not drawn


def on_one_path(
    rows: list[list[Experiment]], key: str, values: Sequence[float], command: str
) -> list[list[Experiment]] | None:
    """Experiments, by value and member, in which all values of a member meet the same noise; None where they cannot."""
    if key.startswith(SAME_PATH) or pathwise(rows[-1][0].configuration, command):
        return rows
    return _summed(rows, values) if key == "layers.dt" else None


def _summed(rows: list[list[Experiment]], steps: Sequence[float]) -> list[list[Experiment]] | None:
    """Coarse paths as sums of the finest one, which fixed nodes allow."""
    factors = [round(step / steps[-1]) for step in steps]
    if not all(abs(step / steps[-1] - factor) < 1e-9 for step, factor in zip(steps, factors, strict=True)):
        return None
    try:
        return [
            [replace(one, law=coarsen_within(finest.law, factor)) for one, finest in zip(row, rows[-1], strict=True)]
            for row, factor in zip(rows, factors, strict=True)
        ]
    except ValueError:  # laws that cannot be coarsened
        return None


@one_blas_thread()
def at_the_end(row: Sequence[Experiment], observable: Observable, key: str) -> list[Last]:
    """The observable of one member at all values of the key."""
    row = [replace(one, plan=replace(one.plan, save_steps=(0, one.plan.n_steps))) for one in row]
    for one in row:
        runs.refuse_run(observable.command, one)
    if observable.command == "compare" and key.startswith("simulate.") and _moves_freely(row):
        return _beside_one_density(row, observable.variable)
    if observable.command == "simulate" and key == NESTED:
        return _nested(row, observable.variable)
    jobs = [runs.JOBS[observable.command](one) for one in row]
    return [
        _found(job.flow.record(job.flow.advance(job.start, one.plan.n_steps)), observable.variable)
        for one, job in zip(row, jobs, strict=True)
    ]


def _moves_freely(row: Sequence[Experiment]) -> bool:
    """Whether points ride on the density whatever rides beside them; private steps go by their places."""
    return not any(diffuses(one.law) for one in row)


def _beside_one_density(row: Sequence[Experiment], variable: str) -> list[Last]:
    """All numbers of tokens beside a density that is solved once and carries the twins of all."""
    first, n_steps = row[0], row[0].plan.n_steps
    density = first.density()
    flow, clouds = first.flow(density), [one.tokens()[0] for one in row]
    at = [frozenset({n_steps} if len(cloud) <= MAX_POINTS else ()) for cloud in clouds]
    comparisons = [PairFlow(flow, one.token_field(), steps) for one, steps in zip(row, at, strict=True)]
    starts = [
        comparison.start(density, cloud, (one.sample(1, len(cloud)), one.sample(2, len(cloud))))
        for one, comparison, cloud in zip(row, comparisons, clouds, strict=True)
    ]
    riders = [start.density.passive for start in starts]
    end = flow.advance(flow.start(density, np.concatenate(riders)), n_steps)
    twins = np.split(end.passive, np.cumsum([len(part) for part in riders])[:-1])
    found = []
    for comparison, start, passive in zip(comparisons, starts, twins, strict=True):
        state = PairState(replace(end, passive=passive), comparison.token_flow.advance(start.tokens, n_steps))
        found.append(_found(comparison.record(state), variable))
    return found


def _nested(row: Sequence[Experiment], variable: str) -> list[Last]:
    """n tokens as the first n of the largest sample."""
    for one in row:
        c = one.configuration
        if c.initial.kind == "tokens" or c.simulate.sampling == "quadrature":
            source = "initial.kind" if c.initial.kind == "tokens" else "simulate.sampling"
            raise ConfigError(f"--vary {NESTED}: needs tokens that are drawn independently; see {source}")
    most = max(row, key=lambda one: one.configuration.simulate.tokens)
    start = runs.simulate_job(most).start
    found = []
    for one in row:
        n, flow = one.configuration.simulate.tokens, runs.simulate_job(one).flow
        state = flow.advance(TokenState(0, start.points[:n], np.full(n, 1.0 / n)), one.plan.n_steps)
        found.append(_found(flow.record(state), variable))
    return found


def _found(record: xr.Dataset, variable: str) -> Last:
    value = np.asarray(record[variable].values[-1], dtype=np.float64)
    if not np.isfinite(value).all():
        beyond = f"; exact distances stop at {MAX_POINTS} tokens" if variable.startswith("w") else ""
        raise ConfigError(f"--observable {variable}: is not finite at the end{beyond}")
    floor = float(record["w2_floor"].values[-1]) if variable == "w2_chordal" else float("nan")
    return Last(value if variable == "tokens" else value.reshape(1, -1), floor)
