"""How an observable converges in one key of a configuration: slope, interval and sampling floor."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from particles import Homogenized, Recorder
from particles.simulate import run
from tokenlaw import config, memory, runs
from tokenlaw.build import Experiment, build
from tokenlaw.config import ConfigError
from tokenlaw.tables import Table
from validation.statistics import Slope, slope

OBSERVABLES = {  # observable -> command whose file holds it
    "mean_overlap": "simulate",
    "mean_token": "simulate",
    "coefficients": "solve",
    "moment_defect": "solve",
    "spectral_tail": "solve",
    "coupled_rms": "compare",
    "w2_chordal": "compare",
    "w1_geodesic": "compare",
}
DISTANCES = ("coupled_rms", "w2_chordal", "w1_geodesic", "moment_defect", "spectral_tail")
SAME_PATH = ("solve.", "simulate.", "initial.", "model.beta", "layers.retraction", "heads.sigma", "output.")


@dataclass(frozen=True)
class Level:
    """One value of the key.

    Attributes
    ----------
    value : of the key.   mean, error : of the observable at the last depth over members (its norm, if not a number).
    gap, gap_error : root mean square over members of the difference to the last value, or the observable itself where
        it is a distance; for levels of unlike noise the difference of the means.
    floor : what sampling alone shows: W_2 between two samples, or the standard error of a difference of means.
    """

    value: float
    mean: float
    error: float
    gap: float | None
    gap_error: float | None
    floor: float | None


@dataclass(frozen=True)
class Convergence:
    """Levels of one key and the power law through their gaps; `coupled`: all levels meet the same noise."""

    key: str
    observable: str
    coupled: bool
    levels: tuple[Level, ...]
    slope: Slope | None
    note: str

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


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
    members: int = 8,
    overrides: Sequence[str] = (),
    progress: Callable[[float], None] = lambda value: None,
) -> Convergence:
    """Run a configuration at several values of one key, the last one being the reference.

    Parameters
    ----------
    path : configuration.   vary : "section.key=a,b,c", the value meant as finest last.
    observable : one of OBSERVABLES, at the last depth.   members : realizations of the noise.
    overrides : assignments as of --set.   progress : called with each value when it is done.
    """
    if observable not in OBSERVABLES:
        raise ConfigError(f"--observable {observable}: must be one of {', '.join(OBSERVABLES)}")
    if members < 2:
        raise ConfigError(f"--members {members}: must be at least 2")
    key, values = values_of(vary)
    texts = [_write(value) for value in values]
    experiments = [
        [
            build(config.load(path, [*overrides, f"{key}={text}", f"noise.member={member}"]))
            for member in range(members)
        ]
        for text in texts
    ]
    coupled = key.startswith(SAME_PATH)
    if key == "layers.dt" and (laws := _one_path(experiments, values)) is not None:
        experiments, coupled = laws, True
    samples, floors = [], []
    for value, row in zip(values, experiments, strict=True):
        found = [_last(experiment, observable) for experiment in row]
        samples.append(np.array([pair[0] for pair in found]))
        floors.append([pair[1] for pair in found])
        progress(value)
    levels = tuple(
        _level(value, sample, samples[-1] if k < len(values) - 1 else None, floor, observable, coupled)
        for k, (value, sample, floor) in enumerate(zip(values, samples, floors, strict=True))
    )
    return _judged(key, observable, coupled, levels)


def _write(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _one_path(experiments: list[list[Experiment]], values: list[float]) -> list[list[Experiment]] | None:
    """Experiments in which a coarse path is the sum of the finest one, where fixed nodes allow it."""
    finest = experiments[int(np.argmin(values))]
    laws = [experiment.law for experiment in finest]
    factors = [round(value / min(values)) for value in values]
    whole = all(abs(value / min(values) - factor) < 1e-9 for value, factor in zip(values, factors, strict=True))
    if not whole or not all(isinstance(law, Homogenized) and law.fixed for law in laws):
        return None
    return [
        [replace(one, law=law.coarsen(factor)) for one, law in zip(row, laws, strict=True)]  # type: ignore[attr-defined]
        for row, factor in zip(experiments, factors, strict=True)
    ]


def _last(experiment: Experiment, observable: str) -> tuple[Any, float]:
    """The observable at the last depth, and W_2 between two samples where the run has it."""
    plan = replace(experiment.plan, save_steps=(0, experiment.plan.n_steps))
    experiment = replace(experiment, plan=plan)
    memory.refuse_run(OBSERVABLES[observable], experiment)
    job = runs.JOBS[OBSERVABLES[observable]](experiment)
    recorder = Recorder(static=job.static)
    run(
        job.start,
        advance=lambda state, until: job.advance(state, until, None),
        observe=job.observe,
        save_steps=plan.save_steps,
        recorder=recorder,
    )
    result = recorder.result()
    floor = float(result["w2_floor"][-1]) if observable == "w2_chordal" else math.nan
    return result[observable].values[-1], floor


def _level(
    value: float, sample: Any, reference: Any, floors: list[float], observable: str, coupled: bool
) -> Level:
    n = len(sample)
    sizes = np.linalg.norm(sample.reshape(n, -1), axis=1)
    mean, error = float(sizes.mean()), float(sizes.std(ddof=1) / math.sqrt(n))
    floor = None if math.isnan(floors[0]) else float(np.mean(floors))
    if observable in DISTANCES:
        return Level(value, mean, error, mean, error, floor)
    if reference is None:
        return Level(value, mean, error, None, None, floor)
    if not coupled:
        other = np.linalg.norm(reference.reshape(n, -1), axis=1)
        spread = math.hypot(error, float(other.std(ddof=1) / math.sqrt(n)))
        return Level(value, mean, error, abs(mean - float(other.mean())), spread, spread)
    if sample.shape != reference.shape:
        longest = max(sample.shape[1], reference.shape[1])  # coefficients by degree: those that lack are zero
        sample, reference = (
            np.pad(a, ((0, 0), (0, longest - a.shape[1]), (0, 0))) for a in (sample, reference)
        )
    squares = np.sum((sample - reference).reshape(n, -1) ** 2, axis=1)
    rms = float(np.sqrt(squares.mean()))
    spread = float(squares.std(ddof=1) / math.sqrt(n) / (2 * rms)) if rms > 0 else 0.0
    return Level(value, mean, error, rms, spread, floor)


def _judged(key: str, observable: str, coupled: bool, levels: tuple[Level, ...]) -> Convergence:
    rows = [level for level in levels if level.gap is not None and level.gap_error is not None]
    useful = [row for row in rows if row.gap and row.gap_error and row.gap > 2 * row.gap_error]
    notes = []
    if len(useful) < len(rows):
        notes.append(f"{len(rows) - len(useful)} of {len(rows)} gaps are within two standard errors of zero: left out")
    if not coupled and observable not in DISTANCES:
        notes.append("the values do not share their noise: gaps are differences of means; raise --members")
    if len(useful) < 3:
        notes.append("fewer than three gaps stand out of the sampling error: no slope")
        return Convergence(key, observable, coupled, levels, None, "; ".join(notes))
    x, gaps, errors = np.array([(row.value, row.gap, row.gap_error) for row in useful], dtype=float).T
    fit = slope(x, gaps, errors)
    return Convergence(key, observable, coupled, levels, fit, "; ".join(notes))


def table(result: Convergence) -> list[str | Table]:
    """The result in a table and lines of text."""
    what = "value" if result.observable in DISTANCES else "gap to the last"
    rows = []
    for level in result.levels:
        cells = (level.gap, level.gap_error, level.floor)
        gap, gap_error, floor = ("-" if cell is None else f"{cell:.3g}" for cell in cells)
        rows.append((f"{level.value:g}", f"{level.mean:.6g}", f"{level.error:.2g}", gap, gap_error, floor))
    head = (result.key, "mean", "error", what, "error", "floor")
    lines: list[str | Table] = [Table((">16", ">15", ">11", ">17", ">11", ">11"), tuple(rows), head)]
    if result.slope is not None:
        fit = result.slope
        lines.append(f"slope {fit.value:.3f}, 95 percent interval [{fit.low:.3f}, {fit.high:.3f}]")
    if result.note:
        lines.append(result.note)
    return lines
