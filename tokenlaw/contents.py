"""What a file holds, by the names of variables and dimensions, whatever was done to it since it was written.

Selecting, dropping, transposing, sorting, interpolating or averaging leaves fewer variables, other orders, other types
and gaps.  Pictures and pages ask here for what is left: each variable with its dimensions in one order, or why not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from particles import Array
from particles.files import BROKEN, damaged, without_realization
from particles.machine import NUMBER, refuse_beyond
from tokenlaw.curves import CURVES, OTHERS
from tokenlaw.tables import printable

__all__ = [
    "forms_of", "held", "largest", "meaning", "of_convergence", "of_one_run", "place", "read", "record",
    "selected", "tokens_at", "values_of", "variables_of",
]  # fmt: skip

DEPTH = "depth_time"
LARGEST = 1e150  # numbers beyond are drawn as if they were missing: their squares are infinite
SERIES = (
    "mass", "mean_overlap", "tokens_mean_overlap", "moment_error", "moment_defect", "field_error", "spectral_tail",
    "local_error", "negative_mass", "min_density", "entropy", "area_defect", "folds", "coupled_rms", "w2_chordal",
    "w1_geodesic", "w2_floor", "w1_floor", "unresolved", "interaction_energy", "attention_energy", "free_energy",
    "dissipation", "tokens_interaction_energy", "tokens_attention_energy", "tokens_dissipation",
)  # fmt: skip
FORMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "density": ((DEPTH, "lat", "lon"), (DEPTH, "lon")),
    "tokens": ((DEPTH, "token", "component"),),
    "weight": (("token",),),
    "radius": ((DEPTH, "token"),),
    "mean_token": ((DEPTH, "component"),),
    "second_moment": ((DEPTH, "component", "component2"),),
    "node_log_density": ((DEPTH, "node"), (DEPTH, "carried_node")),
    "node_weight": (("node",), ("carried_node",)),
    "lyapunov": ((DEPTH, "exponent"),),
    "mixing": (("layer", "head", "row", "col"),),
    "query_key": (("layer", "head", "row", "col"),),
    "query": (("layer", "head", "head_row", "col"),),
    "key": (("layer", "head", "head_row", "col"),),
    **{f"{prefix}_{name}": ((DEPTH, dim),) for prefix, dim in OTHERS.items() for name in CURVES},
    **{name: ((DEPTH,),) for name in (*SERIES, *CURVES) if name != "radius"},
}
LARGE = {"density", "tokens", "radius", "node_log_density", "mixing", "query_key", "query", "key"}  # read by records
OLD_NAMES = {"spectral_tail": "tail"}
FEWEST = {"lat": 2, "lon": 3}  # places between which a density can be drawn
IN_MEMORY = 3  # copies of a variable while it is read: as it is, in double precision, drawn


class NoUse(ValueError):
    """Why a variable cannot be drawn."""


def forms_of(name: str) -> str:
    """A variable with the dimensions it must have, in words."""
    return " or ".join(f"{name}({', '.join(form)})" for form in FORMS[name])


def variables_of(dataset: xr.Dataset) -> str:
    """The variables of a file, in words."""
    return ", ".join(sorted(printable(name) for name in dataset.data_vars)) or "no variables"


def meaning(variable: xr.Variable | xr.DataArray) -> str:
    """What a variable is: the long_name that the file gives it, nothing where it has none."""
    return printable(variable.attrs.get("long_name", ""))


def of_one_run(dataset: xr.Dataset, what: str) -> xr.Dataset:
    """The file of one run, of a member too; ValueError where there are several realizations, of which `what` is one."""
    n = dataset.sizes.get("realization", 1)
    if n != 1:
        raise ValueError(f"the file holds {n} realizations; {what}")
    return without_realization(dataset)


def of_convergence(dataset: xr.Dataset) -> bool:
    """Whether a dataset is the result of a study of convergence."""
    return dataset.attrs.get("command") == "converge" and all(
        name in dataset.variables and dataset[name].dims == ("level",) and dataset[name].size
        for name in ("gap", "key_value")
    )


def held(dataset: xr.Dataset) -> tuple[xr.Dataset, dict[str, str]]:
    """What can be drawn of a file, and why the rest cannot.

    Parameters
    ----------
    dataset : the file of one run after any work with xarray.

    Returns
    -------
    dataset with the known variables in the order of dimensions of docs/file_format, records by rising depth_time (one
    record where there is no such dimension), small ones in double precision with NaN for what is no finite number;
    and for each variable that was left out the reason.

    Raises
    ------
    ValueError: there are no records, or their depth times are no numbers.
    """
    found: dict[str, xr.Variable] = {}
    reasons: dict[str, str] = {}
    for name in FORMS:
        given = next((one for one in (name, OLD_NAMES.get(name)) if one in dataset.variables), None)
        if given is not None:
            try:
                found[name] = _in_form(name, dataset.variables[given].to_base_variable())
            except ValueError as error:  # no use, too large, or not to be read
                reasons[name] = str(error)
    for name, reason in (*_misplaced(dataset, found), *_misfits(found)):
        reasons.setdefault(name, reason)
        found.pop(name, None)
    over_depth = [v.sizes[DEPTH] for v in found.values() if DEPTH in v.dims]
    n = over_depth[0] if over_depth else 1
    if n == 0:
        raise ValueError(f"the file holds no records yet ({DEPTH} has size 0)")
    for name, variable in list(found.items()):
        if FORMS[name][0][0] == DEPTH and DEPTH not in variable.dims:
            if n > 1:
                reasons[name] = f"has no dimension {DEPTH}, others have"
                del found[name]
            elif name not in LARGE:
                found[name] = xr.Variable((DEPTH, *variable.dims), variable.values[None], variable.attrs)
    coords = {axis: (axis, _numbers(axis, dataset.variables[axis])) for axis in ("lat", "lon") if _on(found, axis)}
    result = xr.Dataset(found, {**coords, DEPTH: _depth(dataset, n, found)}, dataset.attrs)
    order = np.argsort(result[DEPTH].values, kind="stable")
    return (result if np.array_equal(order, np.arange(n)) else result.isel({DEPTH: order})), reasons


def record(dataset: xr.Dataset, name: str, k: int) -> Array:
    """Record k of a variable that `held` gave, in its order of dimensions; NaN for what is no finite number."""
    variable = dataset[name].variable
    return _numbers(name, variable.isel({DEPTH: k}) if DEPTH in variable.dims else variable)


def values_of(dataset: xr.Dataset, name: str) -> Array:
    """All of a variable that `held` gave; NaN for what is no finite number."""
    values = _numbers(name, dataset[name].variable)
    return values[None] if FORMS[name][0][0] == DEPTH and DEPTH not in dataset[name].dims else values


def largest(values: Array) -> float:
    """Largest number among values; 0 where there is none."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0


def tokens_at(dataset: xr.Dataset, k: int) -> Array:
    """Tokens (n, d) at record k all of whose components are known."""
    points = record(dataset, "tokens", int(k))
    return np.asarray(points[np.isfinite(points).all(axis=1)])


def place(dataset: xr.Dataset, k: int, form: str = ".3g") -> str:
    """Where record k of what `held` gave stands, in words: its depth, or its number where the file has no depths."""
    depth = dataset[DEPTH]
    return f"record {k + 1}" if depth.attrs.get("counted") else f"depth {float(depth[k]):{form}}"


def selected(dataset: xr.Dataset) -> bool:
    """Whether recorded moments of the tokens are not those of the tokens that are there, as after a selection."""
    name = "tokens_mean_overlap" if "density" in dataset else "mean_overlap"
    if name not in dataset:
        return False
    x = record(dataset, "tokens", -1)
    weight = dataset["weight"].values if "weight" in dataset else np.full(len(x), 1 / len(x))
    return not abs(float(((weight @ x) ** 2).sum()) - float(dataset[name][-1])) < 1e-4


def _in_form(name: str, variable: xr.Variable) -> xr.Variable:
    """A variable with its dimensions in order, small ones read; NoUse with the reason."""
    if variable.dtype.kind not in "fiub":
        raise NoUse(f"holds no real numbers but {variable.dtype}")
    if len(set(variable.dims)) < len(variable.dims):
        raise NoUse(f"has a dimension twice, {tuple(map(str, variable.dims))}")
    wanted = set().union(*FORMS[name])
    variable = variable.isel({dim: 0 for dim, size in variable.sizes.items() if size == 1 and dim not in wanted})
    for form in FORMS[name]:
        if set(form) - {DEPTH} <= set(variable.dims) <= set(form):
            break
    else:
        raise NoUse(f"has dimensions ({', '.join(map(str, variable.dims))}), must have {forms_of(name)}")
    if not all(size for dim, size in variable.sizes.items() if dim != DEPTH):
        raise NoUse("is empty")
    if name in LARGE:
        return variable
    kept = [dim for dim in form if dim in variable.dims]
    return xr.Variable(kept, _numbers(name, variable, tuple(kept)), variable.attrs)


def read(name: str, variable: xr.Variable) -> Array:
    """Values in double precision; ValueError where they do not fit into memory or cannot be read."""
    refuse_beyond(f"{name} of shape {variable.shape}", IN_MEMORY * NUMBER * math.prod(variable.shape))
    try:
        with np.errstate(all="ignore"):
            return np.asarray(variable.values, dtype=np.float64)
    except BROKEN as error:
        if damaged(error):
            raise  # said by who opened the file
        raise ValueError(f"variable {name} cannot be read ({type(error).__name__})") from None


def _numbers(name: str, variable: xr.Variable, order: tuple[str, ...] = ()) -> Array:
    """Values in the order of the form; NaN for what is no finite number or beyond LARGEST."""
    order = order or next((tuple(d for d in form if d in variable.dims) for form in FORMS.get(name, ())
                           if set(variable.dims) <= set(form)), tuple(map(str, variable.dims)))  # fmt: skip
    values = np.transpose(read(name, variable), [variable.dims.index(dim) for dim in order])
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _misplaced(dataset: xr.Dataset, found: dict[str, xr.Variable]) -> Iterator[tuple[str, str]]:
    """A density whose places are not known, or that is a section of one on the sphere."""
    if "density" not in found:
        return
    for axis in ("lat", "lon"):
        if axis in found["density"].dims and (reason := _no_axis(dataset, axis)):
            yield "density", reason
            return
    dims = found["density"].dims
    if "lat" in dims and _radians(dataset):
        yield "density", "has lat and lon that seem to be radians, must be degrees"
    elif "lat" not in dims and "lat" in dataset.variables:
        yield "density", "is a section at one latitude, not a density on the circle"
    elif "lat" not in dims and found["density"].sizes.get(DEPTH, 1) and not 0.75 < _mass(dataset, found) < 1.25:
        yield "density", "has a mass on the circle that is far from 1"


def _no_axis(dataset: xr.Dataset, axis: str) -> str:
    """Why a coordinate of the density is none; nothing where it is."""
    variable = dataset.variables.get(axis)
    if variable is None:
        return f"has no coordinate {axis}"
    if variable.dims != (axis,) or variable.dtype.kind not in "fiu":
        return f"has a coordinate {axis} that must be one number for each place along {axis}"
    values = _numbers(axis, variable)
    if not np.isfinite(values).all() or len(np.unique(values)) < FEWEST[axis]:
        return f"has a coordinate {axis} that must hold at least {FEWEST[axis]} different finite numbers"
    if axis == "lat" and np.abs(values).max() > 90 + 1e-6:
        return f"has a lat that must lie between -90 and 90 degrees, got {values.min():g} to {values.max():g}"
    return ""


def _radians(dataset: xr.Dataset) -> bool:
    """Whether coordinates look like radians: all of lat within pi/2 and all of lon within 2 pi."""
    lat, lon = (_numbers(axis, dataset.variables[axis]) for axis in ("lat", "lon"))
    return bool(np.abs(lat).max() <= np.pi / 2 + 1e-6 and np.abs(lon).max() <= 2 * np.pi + 1e-6)


def _mass(dataset: xr.Dataset, found: dict[str, xr.Variable]) -> float:
    """Mass of the first record on the circle; 1 where not all of the circle is there."""
    lon, density = _numbers("lon", dataset.variables["lon"]), found["density"]
    values = _numbers("density", density.isel({DEPTH: 0}) if DEPTH in density.dims else density)
    gaps = np.diff(np.sort(lon), append=lon.min() + 360)
    known = np.isfinite(values).all() and np.ptp(gaps) < 1e-3 * gaps.mean()
    return float(2 * np.pi * values.mean()) if known else 1.0


def _misfits(found: dict[str, xr.Variable]) -> Iterator[tuple[str, str]]:
    """Vectors of another dimension than the density, and moments that are no square matrices."""
    needed = None if "density" not in found else 3 if "lat" in found["density"].dims else 2
    for name in ("tokens", "mean_token", "second_moment"):
        if name not in found:
            continue
        sizes = [found[name].sizes[dim] for dim in ("component", "component2") if dim in found[name].dims]
        if needed == 2 and sizes[0] == 3:
            yield "density", "is over lon alone, but tokens have three components: no density on the circle"
        elif needed not in (None, sizes[0]):
            yield name, f"has {sizes[0]} components, the density needs {needed}"
        elif len(set(sizes)) > 1:
            yield name, f"is no square matrix but {sizes[0]} by {sizes[1]}"
    if "tokens" in found and "weight" in found and found["tokens"].sizes["token"] != found["weight"].sizes["token"]:
        yield "weight", "has another size than tokens"


def _on(found: dict[str, xr.Variable], axis: str) -> bool:
    return "density" in found and axis in found["density"].dims


def _depth(dataset: xr.Dataset, n: int, found: dict[str, xr.Variable]) -> tuple[str, Array, dict[str, Any]]:
    """The axis of records: depth times, or numbers of records (attribute `counted`) where the file has no depths."""
    variable = dataset.variables.get(DEPTH)
    if variable is None or variable.dims not in ((DEPTH,), ()) or variable.size != n:
        initial = {"tokens", "weight"} >= set(found)  # tokens of a file of initial tokens are at depth 0
        return (DEPTH, np.zeros(1), {}) if initial and n == 1 else (DEPTH, np.arange(1.0, n + 1), {"counted": 1})
    values = _numbers(DEPTH, variable).reshape(n) if variable.dtype.kind in "fiu" else np.full(n, np.nan)
    if not np.isfinite(values).all():
        raise ValueError(f"{DEPTH} must hold finite numbers")
    return DEPTH, values, {}
