"""Files of runs: opened with one clear line on failure, and told in a few lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from particles import Array
from particles.files import naming, open_input, without_realization
from tokenlaw.contents import DEPTH, OLD_NAMES, SERIES, meaning, of_convergence, read
from tokenlaw.curves import CURVES
from tokenlaw.pictures.words import resolution
from tokenlaw.tables import Table

Summary = tuple[str, str, tuple[float, float, float]]


@contextmanager
def opened(path: Path) -> Iterator[xr.Dataset]:
    """Open a NetCDF file as `open_input` does, a member's as if of a single run."""
    with open_input(path) as dataset:
        yield without_realization(dataset)


def describe_encoder(path: Path) -> list[str | Table]:
    """How the attention matrices of a trained encoder are spread, in lines of text and a table."""
    from particles import read_checkpoint
    from particles.files import MATRICES

    with naming(path, ImportError):
        model = read_checkpoint(path)
    n_layers, n_heads, head_dim, d = model.query.shape
    spread = model.spread()
    lines: list[str | Table] = [
        f"{path}: attention of a trained model, {n_layers} layers, {n_heads} heads of dimension {head_dim}, d = {d}",
        "Gaussian entries would have excess kurtosis 0 and a largest singular value of 1",
    ]
    rows = []
    for layer in range(n_layers):
        for name in MATRICES:
            one = spread.sel(layer=layer, matrix=name)
            numbers = (float(one[key]) for key in ("sigma", "excess_kurtosis", "top_singular_value"))
            sigma, kurtosis, top = (f"{value:.{digits}f}" for value, digits in zip(numbers, (3, 2, 2), strict=True))
            rows.append((f"{layer}", f"  {name}", sigma, kurtosis, top))
    head = ("layer", "  matrix", "sigma d^(1/2)", "excess kurtosis", "largest singular value")
    lines.append(Table((">6", "<10", ">15", ">18", ">25"), tuple(rows), head))
    lines.append(f"standard error of the excess kurtosis of Gaussian entries: {spread.attrs['kurtosis_error']:.2g}")
    return lines


def summaries(dataset: xr.Dataset, lost: list[str] | None = None) -> Iterator[Summary]:
    """Name, meaning, and first, last and largest value over the records of what is worth telling.

    Values are found by the name of their dimension depth_time: a number for each token becomes the root of its mean
    square; of several realizations first and last are means over them, the largest is that of all.  A variable that
    cannot be read is left out, and why goes to `lost`.
    """
    for name in ("radius", *SERIES, *(name for name in CURVES if name != "radius")):
        given = next((one for one in (name, OLD_NAMES.get(name)) if one in dataset.variables), None)
        variable = None if given is None else dataset.variables[given]
        if variable is None or name == "unresolved" or not _countable(variable):
            continue
        try:
            found = _over_records(dataset, name, variable)
        except ValueError as error:
            if lost is not None:
                lost.append(str(error))
            continue
        known = np.isfinite(found)
        if known.any():
            known_at = known.any(axis=1)
            with np.errstate(over="ignore"):
                means = np.where(known, found, 0).sum(axis=1)[known_at] / known.sum(axis=1)[known_at]
            parts = (meaning(variable), "r.m.s." * (variable.size > found.size))
            yield name, ", ".join(filter(None, parts)), (means[0], means[-1], found[known].max())


def _depths(dataset: xr.Dataset) -> Array:
    """Depth times of the records, as they stand; none where the file has no numbers for them."""
    depth = dataset.variables.get(DEPTH)
    if depth is None or depth.dtype.kind not in "fiu" or depth.dims not in ((DEPTH,), ()):
        return np.empty(0)
    return read(DEPTH, depth).reshape(-1)


def _over_records(dataset: xr.Dataset, name: str, variable: xr.Variable) -> Array:
    """Values (record, realization) by rising depth_time; one record, one realization where there is no such axis."""
    axes = [variable.dims.index(dim) for dim in (DEPTH, "realization") if dim in variable.dims]
    values = read(name, variable).transpose(axes + [axis for axis in range(variable.ndim) if axis not in axes])
    values = values.reshape(*(variable.sizes.get(dim, 1) for dim in (DEPTH, "realization")), -1)
    depths = _depths(dataset)
    values = values[np.argsort(depths, kind="stable")] if len(depths) == len(values) else values
    if values.shape[2] == 1:
        return values[:, :, 0]
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(np.mean(values**2, axis=2)))


def _countable(variable: xr.Variable | None) -> bool:
    """Whether there are numbers along dimensions that have names."""
    return variable is not None and variable.dtype.kind in "fiub" and variable.size > 0 and (
        len(set(variable.dims)) == variable.ndim
    )


def describe(dataset: xr.Dataset, path: Path) -> list[str | Table]:
    """What a file holds, in lines of text and a table."""
    lines: list[str | Table] = [f"{path}: {dataset.attrs.get('title', 'no title')}"]
    sizes = ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())
    lines.append(f"sizes: {sizes}")
    n = dataset.sizes.get("realization", 1)
    if n > 1:
        lines.append(f"{n} realizations: first and last are means over them, largest is that of all")
    depths = _depths(dataset)
    if len(depths):
        lines.append(f"depth time: {depths.min():g} to {depths.max():g} in {len(depths)} records")
    lost: list[str] = []
    rows = [
        (name, *(f"{value:.4g}" for value in numbers), f"  {text}") for name, text, numbers in summaries(dataset, lost)
    ]
    if rows:
        head = ("", "first", "last", "largest", "  what it is")
        lines.append(Table(("<20", ">12", ">12", ">12", ""), tuple(rows), head))
    lines += [*lost, *_resolution(dataset)]
    if of_convergence(dataset):
        from tokenlaw.answers import converge_files

        lines += converge_files.lines(dataset)
    elif dataset.attrs.get("command") == "stationary" and "transition" in dataset:
        from tokenlaw.answers import stationary

        lines += stationary.lines(dataset)
    for name in sorted(map(str, dataset.attrs)):
        if name.endswith("_version") or name in ("seed", "member", "command", "beta"):
            lines.append(f"{name.replace('_', ' ')}: {dataset.attrs[name]}")
    if "configuration" in dataset.attrs:
        lines += ["configuration:", *(f"    {line}" for line in str(dataset.attrs["configuration"]).splitlines())]
    return lines


def _resolution(dataset: xr.Dataset) -> list[str]:
    """Whether and where the density at a point is unresolved, in a line; none where the file does not say."""
    variable = dataset.variables.get("unresolved")
    if variable is None or not _countable(variable):
        return []
    lost, depths = _over_records(dataset, "unresolved", variable) > 0, np.sort(_depths(dataset))
    known = len(depths) == len(lost)
    return [resolution(lost, lambda k: f"depth {depths[k]:g}" if known else f"record {k + 1}")]
