"""How an observable converges in one key of a configuration: slope, interval, what is left, sampling floor."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from particles import Array
from particles.machine import in_processes
from tokenlaw.answers.converge_runs import Last, at_the_end, nothing_random, on_one_path, pathwise
from tokenlaw.answers.converge_weak import Weak, weak_of
from tokenlaw.answers.observables import NESTED, OBSERVABLES
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.runs.build import Experiment, build
from tokenlaw.runs.functions import Functions, functions_of
from tokenlaw.tables import finite
from validation.estimates import Order, order_of_distances, order_of_gaps, order_of_shifts, squares

MEMBERS = 8
BENT = 4.0  # misfit from which a power law is doubted
FALLING = ("layers.dt", "layers.tolerance", "solve.field_tol")  # keys whose finest value is the smallest
MESHES = ("layers.refine", "layers.nodes", "solve.lmax", "simulate.tokens")  # whose finest value is the largest


@dataclass(frozen=True)
class Level:
    """One value of the key.

    Attributes
    ----------
    value : of the key.   mean, error : of the observable at the last depth over members (its norm, if not a number).
    gap, gap_error : to the next value, None at the last: root mean square over members where they share their noise,
        else the difference of the means; or the observable itself where it goes to zero.
    floor : what sampling alone shows: W_2 between two samples, or the standard error of a difference of means.
    """

    value: float
    mean: float
    error: float | None
    gap: float | None
    gap_error: float | None
    floor: float | None


@dataclass(frozen=True)
class Convergence:
    """Levels of one key and the power law of their errors.

    Attributes
    ----------
    kind : "distance", "gap" or "shift": what the gaps are (`validation.estimates.orders`).
    coupled : all levels of a member meet the same noise.   members : how many.
    slope : power law of the error in the value, with the error left at the last one; None where there is none.
    weak : of expectations, where the values are steps on one path of a noise, each half the one before; else None.
    note : what a reader should know.   experiment : that of the last value, of member 0.
    samples : (members, levels), the observable or its norm.
    """

    key: str
    observable: str
    kind: str
    coupled: bool
    members: int
    levels: tuple[Level, ...]
    slope: Order | None
    weak: Weak | None
    note: str
    experiment: Experiment = field(repr=False)
    samples: Array = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        plain = replace(self, experiment=None, samples=None)  # type: ignore[arg-type]
        found = {name: value for name, value in asdict(plain).items() if name not in ("experiment", "samples")}
        return found | {name: finite(found[name]) for name in ("slope", "weak")}


def values_of(text: str) -> tuple[str, list[float]]:
    """Key and numbers of "key=a,b,c"."""
    key, sign, rest = text.partition("=")
    key = key.strip()
    try:
        values = [float(word) for word in rest.split(",")]
    except ValueError:
        values = []
    if not sign or "." not in key or len(values) < 3 or not all(math.isfinite(v) and v > 0 for v in values):
        raise ConfigError(f"--vary {text}: must be section.key=a,b,c with at least three positive numbers")
    if key.startswith("noise."):
        raise ConfigError(f"--vary {text}: nothing converges in {key}; --members takes several realizations")
    if len(set(values)) < len(values):
        raise ConfigError(f"--vary {text}: must be different numbers")
    return key, values


def converge(
    path: Path,
    vary: str,
    observable: str,
    *,
    members: int | None = None,
    overrides: Sequence[str] = (),
    code: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Convergence:
    """Run a configuration at several values of one key and fit the order in which an observable converges.

    Parameters
    ----------
    path : configuration.   vary : "section.key=a,b,c", coarse to fine; no value is taken for exact.
    observable : one of OBSERVABLES, at the last depth.
    members : realizations of the noise; by default 8, or 1 where nothing is random.
    overrides : assignments as of --set.   code : folder whose Python files may be run.
    progress : called with each member when it is done.
    """
    if observable not in OBSERVABLES:
        raise ConfigError(f"--observable {observable}: must be one of {', '.join(OBSERVABLES)}")
    key, values = values_of(vary)
    if members is not None:
        _refuse_few(members, key, observable, config.load(path, overrides))
    _refuse_order(vary, key, values)
    _refuse_nothing(vary, key, observable)
    functions = functions_of(code)
    rows = [[_experiment(path, overrides, key, value, 0, functions)] for value in values]
    c = rows[-1][0].configuration
    count = members or (1 if nothing_random(c, OBSERVABLES[observable].command) else MEMBERS)
    for value, row in zip(values, rows, strict=True):
        row += [_experiment(path, overrides, key, value, member, functions) for member in range(1, count)]
    together = on_one_path(rows, key, values, OBSERVABLES[observable].command)
    if together is None and observable == "nested_rms":
        raise ConfigError(f"--observable nested_rms: needs values that share their noise, which {key} changes")
    rows = rows if together is None else together
    done: dict[int, list[Last]] = {}
    for member, lasts in in_processes(
        lambda member: at_the_end([row[member] for row in rows], OBSERVABLES[observable], key), range(count)
    ):
        done[member] = lasts
        progress(f"{len(done)} of {count} members")
    found = [done[member] for member in range(count)]
    kind = "distance" if key.startswith(OBSERVABLES[observable].vanishes or ("-",)) else "gap"
    kind = "shift" if kind == "gap" and together is None else kind
    return _judged(key, observable, kind, together is not None, values, found, rows[-1][0])


def inputs(path: Path, vary: str, overrides: Sequence[str] = ()) -> list[Path]:
    """Files that a study reads."""
    key, values = values_of(vary)
    c = config.load(path, [*overrides, _assignment(key, values[-1])])
    names = (getattr(section, "file", None) for section in (c.layers, c.initial, c.heads))
    return [path, *(Path(name) for name in names if name)]


def _assignment(key: str, value: float) -> str:
    return f"{key}={int(value) if value == int(value) and abs(value) < 1e15 else repr(value)}"


def _experiment(
    path: Path, overrides: Sequence[str], key: str, value: float, member: int, functions: Functions
) -> Experiment:
    return build(config.load(path, [*overrides, _assignment(key, value), f"noise.member={member}"]), functions)


def _refuse_few(members: int, key: str, observable: str, c: Configuration) -> None:
    """One member is enough where no noise is to be averaged."""
    least = 1 if members == 1 and key != NESTED and pathwise(c, OBSERVABLES[observable].command) else 2
    if members < least:
        raise ConfigError(f"--members {members}: must be at least 2; 1 will do for steps of layers without noise")


def _refuse_order(vary: str, key: str, values: list[float]) -> None:
    steps = np.diff(values)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise ConfigError(f"--vary {vary}: must rise or fall throughout, the finest value last")
    if (key in FALLING and steps[0] > 0) or (key in MESHES and steps[0] < 0):
        way = "fall" if steps[0] > 0 else "rise"
        raise ConfigError(f"--vary {vary}: the finest value comes last: {key} must {way}")


def _refuse_nothing(vary: str, key: str, observable: str) -> None:
    if OBSERVABLES[observable].command == "solve" and key.startswith("simulate."):
        raise ConfigError(f"--vary {vary}: {observable} is the density's, which knows nothing of {key}")


def _judged(
    key: str, observable: str, kind: str, coupled: bool, values: list[float], found: list[list[Last]],
    experiment: Experiment,
) -> Convergence:
    """Levels and fit of what the members end with."""
    columns = [np.stack([last.value for last in column]) for column in zip(*_padded(found), strict=True)]
    scale = [math.sqrt(column.shape[1]) for column in columns]  # of tokens: root mean square
    samples = np.stack(
        [np.linalg.norm(c.reshape(len(c), -1), axis=1) / s for c, s in zip(columns, scale, strict=True)], axis=1
    )
    gaps = [one[:, : min(one.shape[1], two.shape[1])] - two[:, : one.shape[1]]
            for one, two in pairwise(columns)]  # fmt: skip
    floors = np.array([[last.floor for last in one] for one in found]).mean(axis=0)
    if kind == "distance":
        rungs = samples
    elif kind == "gap":
        rungs = np.stack([squares(gap) for gap in gaps], axis=1)
    else:
        rungs = samples[:, :-1] - samples[:, 1:]
    levels = tuple(_level(k, value, samples, rungs, kind, floors) for k, value in enumerate(values))
    whole = _before_zero(rungs)
    fit = None
    if whole >= 2:
        used = values[: whole + (kind != "distance")]
        if kind == "gap":
            fit = order_of_gaps(used, gaps[:whole])
        else:
            fit = (order_of_distances if kind == "distance" else order_of_shifts)(used, rungs[:, :whole])
    note = _note(key, kind, rungs, whole, fit)
    noisy = not pathwise(experiment.configuration, OBSERVABLES[observable].command)
    weak = weak_of(key, values, columns) if kind == "gap" and noisy else None
    return Convergence(key, observable, kind, coupled, len(found), levels, fit, weak, note, experiment, samples)


def _padded(found: list[list[Last]]) -> list[list[Last]]:
    """Vectors of one length: coefficients of degrees that one value lacks are zero there."""
    longest = max(last.value.shape[1] for last in found[0])
    return [
        [replace(last, value=np.pad(last.value, ((0, 0), (0, longest - last.value.shape[1])))) for last in one]
        for one in found
    ]


def _level(k: int, value: float, samples: Array, rungs: Array, kind: str, floors: Array) -> Level:
    mean, error = _mean(samples[:, k])
    gap = gap_error = floor = None
    if k < rungs.shape[1]:
        gap, gap_error = _mean(rungs[:, k])
        if kind == "gap":
            gap = math.sqrt(gap)
            gap_error = None if gap_error is None else gap_error / (2 * gap) if gap > 0 else 0.0
        if kind == "shift":
            gap, floor = abs(gap), gap_error
    if np.isfinite(floors[k]):
        floor = float(floors[k])
    return Level(value, mean, error, gap, gap_error, floor)


def _mean(samples: Array) -> tuple[float, float | None]:
    n = len(samples)
    return float(samples.mean()), None if n < 2 else float(samples.std(ddof=1) / math.sqrt(n))


def _before_zero(rungs: Array) -> int:
    """Number of rungs before one where nothing is left to see."""
    zero = np.flatnonzero(~np.any(rungs != 0, axis=0))
    return int(zero[0]) if zero.size else rungs.shape[1]


def _note(key: str, kind: str, rungs: Array, whole: int, fit: Order | None) -> str:
    notes = []
    if whole == 0:
        return f"nothing changes with {key}"
    if whole < rungs.shape[1]:
        notes.append(f"from value {whole + 1} on nothing changes: left out")
    if kind == "shift":
        notes.append(
            "the values do not share their noise: gaps are differences of means; raise --members, or put the steps on "
            "one path (layers.refine, or layers.dt with layers.nodes_fixed = true)"
        )
    if len(rungs) == 1:
        notes.append("one member: the interval is that of the next terms")
    if fit is None:
        why = "fewer than two gaps" if whole < 2 else "the gaps do not stand out of the sampling error"
        notes.append(f"no slope: {why}")
    elif whole == 2:
        notes.append("two gaps: nothing checks that they follow a power law")
    elif fit.misfit > BENT:
        notes.append(f"the gaps bend (chi^2 per degree of freedom {fit.misfit:.0f}): no power law over these values")
    return "; ".join(notes)
