"""Stationary laws of an equation with private noise: branches over values of a key, their file, what is told."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from particles import Array, ConvergenceError, LayerLaw
from particles.equations import Equation, Interaction, Zonal
from particles.files import save, versions, whole, writing
from particles.stationary import Branch, StationaryState, follow, onset, secondaries, uniform_state
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError
from tokenlaw.config.toml import write_value
from tokenlaw.ensemble.sweeps import sweep
from tokenlaw.runs.build import Experiment, build
from tokenlaw.runs.functions import functions_of
from tokenlaw.runs.resume import input_sums
from tokenlaw.tables import Table, finite

NAMES = ("uniform", "ordered", "between", "opposite")
"""Branches: the uniform law; behind the last fold; before it; with the other sign of the moment (even degrees).

Behind them stand those that leave these: secondary 1, 2, ..., one for each part between folds, the last part first.
"""
DEGREE = 32  # of the coefficients on file
TEXTS = {
    "order_parameter": "length of the mean; (d lambda - 1)/(d - 1), lambda the largest eigenvalue of the second "
    "moment, where the interaction does not tell x from -x",
    "energy": "interaction energy",
    "free_energy": "interaction energy minus nu times the entropy",
    "stability": "largest growth rate of small disturbances, rotations apart; negative where stable",
}


@dataclass(frozen=True)
class Stationary:
    """Stationary laws at values of a key; `experiment` is that of the last value."""

    dataset: xr.Dataset
    experiment: Experiment


@dataclass(frozen=True)
class Branches:
    """The branches of an interaction: by direction, and those that leave them with the parts between their folds."""

    interaction: Interaction
    by_direction: dict[int, Branch]
    more: tuple[tuple[Branch, int], ...]
    lost: str = ""

    @classmethod
    def of(cls, interaction: Interaction, d: int, least: float) -> "Branches":
        """Followed until nu has fallen to `least`; what is lost on the way says so."""
        found = _branches(interaction, d, least)
        parents = [*found.values()]
        if d == 2 and parents and parents[0].degree % 2 == 0:  # turned by a rotation, with other laws of the same axis
            parents.append(follow(interaction, d, least, direction=-1))
        try:
            more = [branch for parent in parents for branch in secondaries(parent)]
        except ConvergenceError as error:
            return cls(interaction, found, (), str(error))
        return cls(interaction, found, tuple((one, sheet) for one in more for sheet in reversed(range(one.sheets))))

    def transition(self, onset: float) -> float:
        """The largest nu at which a law has the free energy of the uniform one, before that is unstable; NaN: none."""
        up = self.by_direction.get(1)
        first = None if up is None else up.transition()
        others = (branch.transition(sheet) for branch, sheet in self.more)
        return max([first or math.nan, *(nu for nu in others if nu is not None and nu > onset)], key=np.nan_to_num)


def stationary(
    interactions: Sequence[Interaction], nus: Sequence[float], d: int, values: Sequence[float]
) -> xr.Dataset:
    """The laws on all branches of the degree that is lost first, at one interaction and nu for each value."""
    known: Branches | None = None
    columns, onsets, transitions, leaving, lost = [], [], [], [], ""
    for interaction, nu in zip(interactions, nus, strict=True):
        if known is None or known.interaction != interaction:
            same = [one for other, one in zip(interactions, nus, strict=True) if other == interaction]
            known = Branches.of(interaction, d, 0.999 * min(same))
        columns.append(_states(interaction, nu, d, known))
        leaving.append([branch.leaves for branch, _ in known.more])
        onsets.append(onset(interaction, d)[1])
        transitions.append(known.transition(onsets[-1]))
        lost = lost or known.lost
    found, coefficients, leaves = _filled(columns, leaving)
    dataset = _dataset(found, coefficients, leaves, onsets, transitions, nus, values)
    return dataset.assign_attrs(secondary=f"not followed: {lost}") if lost else dataset


def _filled(
    columns: list[list[StationaryState | None]], leaving: list[list[float | None]]
) -> tuple[dict[str, Array], Array, Array]:
    """Numbers of the laws, their coefficients, and nu where secondary branches begin; NaN where there is none."""
    shape = (max(map(len, columns)), len(columns))
    found = {name: np.full(shape, np.nan) for name in TEXTS}
    coefficients, leaves = np.full((*shape, DEGREE + 1), np.nan), np.full(shape, np.nan)
    for k, states in enumerate(columns):
        leaves[len(NAMES) : len(states), k] = leaving[k]
        for row, state in enumerate(states):
            if state is not None:
                for name in TEXTS:
                    found[name][row, k] = getattr(state, name)
                coefficients[row, k] = state.coefficients(DEGREE)
    return found, coefficients, leaves


def _branches(interaction: Interaction, d: int, least: float) -> dict[int, Branch]:
    """Direction -> branch; the second one where no rotation turns the first into it."""
    degree, leaves = onset(interaction, d)
    if not leaves > 0:
        return {}
    directions = (1, -1) if degree % 2 == 0 and d > 2 else (1,)
    return {direction: follow(interaction, d, least, direction=direction) for direction in directions}


def _states(interaction: Interaction, nu: float, d: int, branches: Branches) -> list[StationaryState | None]:
    """The laws in the order of NAMES, and those of the secondary branches."""
    up, down = branches.by_direction.get(1), branches.by_direction.get(-1)
    return [
        uniform_state(interaction, nu, d),
        None if up is None else up.at(nu),
        None if up is None or up.sheets < 2 else up.at(nu, -2),
        None if down is None else down.at(nu),
        *(branch.at(nu, sheet) for branch, sheet in branches.more),
    ]


def _dataset(
    found: dict[str, Array], coefficients: Array, leaves: Array, onsets: list[float], transitions: list[float],
    nus: Sequence[float], values: Sequence[float],
) -> xr.Dataset:  # fmt: skip
    def told(text: str) -> dict[str, str]:
        return {"long_name": text, "units": "1"}

    data: dict[str, Any] = {name: (("branch", "parameter"), found[name], told(text)) for name, text in TEXTS.items()}
    text = "orthonormal coefficients of the density in order 0, axis of the law along z (x on the circle)"
    data["coefficients"] = (("branch", "parameter", "degree"), coefficients, told(text))
    text = "nu at which a secondary branch leaves another one"
    data["leaves"] = (("branch", "parameter"), leaves, told(text))
    data["nu"] = ("parameter", np.asarray(nus, dtype=np.float64), told("strength of the private noise"))
    data["onset"] = ("parameter", onsets, told("nu below which the uniform law is unstable"))
    text = "nu at which ordered and uniform law have equal free energies; missing where the transition is continuous"
    data["transition"] = ("parameter", transitions, told(text))
    names = [*NAMES, *(f"secondary {k + 1}" for k in range(len(leaves) - len(NAMES)))]
    coordinates = {
        "branch": ("branch", names, {"long_name": "branch of stationary laws"}),
        "parameter": ("parameter", np.asarray(values, dtype=np.float64), told("value of the key")),
        "degree": ("degree", np.arange(DEGREE + 1), told("degree")),
    }
    return xr.Dataset(data, coordinates)


def of_configuration(
    path: Path, vary: str | None, *, overrides: Sequence[str] = (), code: str | None = None
) -> Stationary:
    """The stationary laws of a configuration of kind "equation", at each value of a key.

    Raises
    ------
    ConfigError : the equation has other terms than one interaction, or no private noise.
    """
    key, values = ("layers.private_noise", []) if vary is None else _numbers(vary)
    changes = [[f"{key}={write_value(value)}"] for value in values] or [[]]
    functions = functions_of(code)
    experiments = [build(config.load(path, [*overrides, *change]), functions) for change in changes]
    terms = [_terms(one.law) for one in experiments]
    values = values or [terms[0][1]]
    d = experiments[-1].configuration.model.d
    if any(one.configuration.model.d != d for one in experiments):
        raise ConfigError("--vary model.d: dimensions have branches of their own")
    dataset = stationary([w for w, _ in terms], [nu for _, nu in terms], d, values)
    c = experiments[-1].configuration
    dataset["parameter"].attrs["long_name"] = key
    dataset.attrs |= {
        "title": f"stationary laws in {key}", "source": "tokenlaw stationary",
        "history": "written by tokenlaw stationary", "command": "stationary", "key": key,
        "configuration": config.dumps(c), "seed": str(c.noise.seed), "Conventions": "CF-1.11",
        **versions(), **input_sums(experiments[-1]),
    }  # fmt: skip
    return Stationary(dataset, experiments[-1])


def _numbers(vary: str) -> tuple[str, list[Any]]:
    try:
        key, values = sweep(vary)
    except ConfigError as error:
        raise ConfigError(str(error).replace("--sweep", "--vary")) from None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values):
        raise ConfigError(f"--vary {vary}: must be section.key=a,b,c with numbers")
    return key, sorted(values)


def _terms(law: LayerLaw) -> tuple[Interaction, float]:
    """The interaction and nu of an equation that has nothing else."""
    if not isinstance(law, Equation):
        raise ConfigError('layers.kind: stationary laws are those of kind "equation"')
    if law.common:
        raise ConfigError("layers.common_noise: must be left out, no law stays where it is under common noise")
    if not law.nu > 0:
        raise ConfigError("layers.private_noise: must be positive for stationary laws, got 0")
    if len(law.drift) != 1 or not isinstance(law.drift[0], Zonal):
        raise ConfigError('layers.drift: must be one term of kind "zonal" for stationary laws')
    return law.drift[0].interaction, law.nu


def write(dataset: xr.Dataset, file: Path) -> None:
    """Write the file, whole or not at all."""
    with writing(file), whole(file) as part:
        save(dataset, part, {str(name): {"_FillValue": None} for name in dataset.coords if name != "branch"})


def as_json(dataset: xr.Dataset) -> dict[str, Any]:
    """The laws at the last value, by branch, and where the transitions are."""
    last = dataset.isel(parameter=-1)
    branches = {
        str(name): {key: float(last[key].sel(branch=name)) for key in TEXTS}
        for name in last["branch"].values
        if np.isfinite(float(last["stability"].sel(branch=name)))
    }
    numbers = {name: float(last[name]) for name in ("nu", "onset", "transition")}
    found: dict[str, Any] = finite(
        {
            "key": str(dataset.attrs.get("key", "value")),
            "value": float(last["parameter"]),
            **numbers,
            "branches": branches,
            "leaves": {name: nu for name, nu in _leaves(dataset).items() if name in branches},
        }
    )
    return found


def _leaves(dataset: xr.Dataset) -> dict[str, float]:
    """Where secondary branches begin, at the last value."""
    last = dataset["leaves"].isel(parameter=-1)
    return {str(name): float(nu) for name, nu in zip(last["branch"].values, last.values, strict=True) if nu > 0}


def lines(dataset: xr.Dataset) -> list[str | Table]:
    """All laws in a table."""
    rows = [
        (f"{float(value):g}", f"  {name}", *(f"{float(one[key]):.6g}" for key in TEXTS))
        for value in dataset["parameter"].values
        for name in dataset["branch"].values
        if np.isfinite(float((one := dataset.sel(parameter=value, branch=name))["stability"]))
    ]
    head = (str(dataset.attrs.get("key", "value")), "  branch", "order", "energy", "free energy", "growth")
    told: list[str | Table] = [Table((">22", "<12", ">12", ">12", ">12", ">13"), tuple(rows), head)]
    last = dataset.isel(parameter=-1)
    told.append(f"the uniform law is stable above nu = {float(last['onset']):.9g}")
    if np.isfinite(float(last["transition"])):
        told.append(f"first-order transition at nu = {float(last['transition']):.9g}: equal free energies")
    told += [f"{name} leaves another branch at nu = {nu:.9g}" for name, nu in _leaves(dataset).items()]
    if "secondary" in dataset.attrs:
        told.append(f"secondary branches {dataset.attrs['secondary']}")
    return told
