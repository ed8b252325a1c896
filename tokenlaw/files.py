"""Files of runs: opened with one clear line on failure, and told in a few lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from particles import checksum
from particles.output import without_realization
from tokenlaw.tables import Table

WORTH_TELLING = (
    ("mass", "mass"),
    ("mean_overlap", "mean overlap"),
    ("tokens_mean_overlap", "mean overlap of the tokens"),
    ("radius", "radius, r.m.s."),
    ("moment_error", "error of the moments"),
    ("moment_defect", "moment defect"),
    ("field_error", "error of the field"),
    ("spectral_tail", "spectral tail"),
    ("local_error", "error at a point"),
    ("min_density", "smallest density"),
    ("negative_mass", "negative mass"),
    ("entropy", "entropy"),
    ("area_defect", "area defect"),
    ("folds", "folded nodes"),
    ("coupled_rms", "coupled rms"),
    ("w2_chordal", "W2, chordal"),
    ("w1_geodesic", "W1, geodesic"),
    ("w2_floor", "W2 between two samples"),
)
RENAMED = {"tail": "spectral_tail"}  # names in files of earlier versions


@contextmanager
def opened(path: Path) -> Iterator[xr.Dataset]:
    """Open a NetCDF file, a member's as if of a single run; ValueError where it, or something in it, cannot be read."""
    if not path.exists():
        raise ValueError(f"{path}: no such file")
    try:
        damaged = checksum.sealed(path) and not checksum.intact(path)
        dataset = xr.Dataset() if damaged else xr.open_dataset(path, engine="netcdf4")
    except (OSError, ValueError, RuntimeError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None
    if damaged:
        raise ValueError(f"{path}: is damaged: its checksum is not that of its contents")
    try:
        with dataset:
            yield without_realization(dataset.rename({old: new for old, new in RENAMED.items() if old in dataset}))
    except RuntimeError as error:  # what NetCDF says of a chunk that fails its checksum
        if not str(error).startswith("NetCDF: "):
            raise
        raise ValueError(f"{path}: is damaged and cannot be read ({error})") from None


def describe_encoder(path: Path) -> list[str | Table]:
    """How the attention matrices of a trained encoder are spread, in lines of text and a table."""
    from particles.checkpoint import MATRICES, read_checkpoint

    try:
        model = read_checkpoint(path)
    except ImportError as error:
        raise ValueError(f"{path}: {error}") from None
    n_layers, n_heads, head_dim, d = model.query.shape
    spread = model.spread()
    lines: list[str | Table] = [
        f"{path}: attention of an encoder, {n_layers} layers, {n_heads} heads of dimension {head_dim}, d = {d}",
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


def describe(dataset: xr.Dataset, path: Path) -> list[str | Table]:
    """What a file holds, in lines of text and a table."""
    lines: list[str | Table] = [f"{path}: {dataset.attrs.get('title', 'no title')}"]
    sizes = ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())
    lines.append(f"sizes: {sizes}")
    if "depth_time" in dataset.coords and dataset.sizes.get("depth_time", 0):
        depth = dataset["depth_time"].values
        lines.append(f"depth time: {depth[0]:g} to {depth[-1]:g} in {len(depth)} records")
        rows = []
        for name, text in WORTH_TELLING:
            if name in dataset:
                values = np.asarray(dataset[name].values, dtype=float)
                if values.ndim > 1:  # a number for each token
                    values = np.sqrt(np.mean(values**2, axis=1))
                finite = values[np.isfinite(values)]
                if finite.size:
                    numbers = (finite[0], finite[-1], finite.max())
                    rows.append((text, *(f"{value:.4g}" for value in numbers)))
        lines.append(Table(("<28", ">12", ">12", ">12"), tuple(rows), ("", "first", "last", "largest")))
        if "unresolved" in dataset:
            lost = np.flatnonzero(dataset["unresolved"].values)
            lines.append(
                f"pointwise density: unresolved from depth time {depth[lost[0]]:g} on" if lost.size
                else "pointwise density: resolved throughout"
            )  # fmt: skip
    for name in sorted(dataset.attrs):
        if name.endswith("_version") or name in ("seed", "member", "command", "beta"):
            lines.append(f"{name.replace('_', ' ')}: {dataset.attrs[name]}")
    if "configuration" in dataset.attrs:
        lines += ["configuration:", *(f"    {line}" for line in str(dataset.attrs["configuration"]).splitlines())]
    return lines
