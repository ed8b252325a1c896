"""Pictures of files: density, token, compare and layers files, each told by the variables it holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles.output import whole
from tokenlaw import panels
from tokenlaw.contents import (
    forms_of,
    held,
    of_one_run,
    place,
    record,
    rows_with_numbers,
    selected,
    values_of,
)
from tokenlaw.drawing import Axes, Figure, own_style, written
from tokenlaw.globes import DOTS, density_globes, token_globes, top
from tokenlaw.layout import bar, canvas, note
from tokenlaw.report_words import depth_label
from tokenlaw.rings import density_rings, token_rings
from tokenlaw.tables import printable

Array = npt.NDArray[np.float64]

__all__ = ["plot", "save"]

RECORDS = 6  # spheres of a figure
STYLE: Any = {  # the types of the keys differ between versions of matplotlib
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
}


def plot(dataset: xr.Dataset) -> Figure:
    """Draw what a file holds.

    Parameters
    ----------
    dataset : a density, token, compare or layers file (docs/file_format), as xarray.open_dataset gives it. A
        leading `realization` dimension of size 1 is dropped.

    Returns
    -------
    Figure, 7.2 inches wide.  Density: spheres at six depths, mean overlap, certificates, extremes of the density; with
    characteristics a row more (in compare files too): entropy, Lyapunov exponents, density at the carried nodes.
    Compare: the spheres with the tokens on them, mean overlap of both, distances.  Tokens: spheres where d = 3, circles
    where d = 2, mean overlap, spectrum of the second moment, pairwise overlaps.  Layers: singular values of the mixing
    matrices, beta |A|.

    Raises
    ------
    ValueError: none of these is in the file, or it has no records.

    Examples
    --------
    >>> import xarray as xr
    >>> save(plot(xr.open_dataset("run.nc")), "run.png")    # doctest: +SKIP
    """
    found, reasons = held(of_one_run(dataset, "plot one of them: plot(dataset.isel(realization=0))"))
    with own_style(STYLE):
        if "density" in found:
            figure = _plot_density(found)
        elif "tokens" in found:
            figure = _plot_tokens(found)
        elif "mixing" in found or "query_key" in found or {"query", "key"} <= set(found):
            return _plot_layers(found)
        elif "collapse_depth" in dataset and dataset["collapse_depth"].ndim == 2:
            from tokenlaw.predict import map_figure

            return map_figure(dataset)
        elif dataset.attrs.get("command") == "converge":
            from tokenlaw import converge_files

            if not converge_files.holds(dataset):
                raise ValueError(_nothing(dataset, reasons))
            return converge_files.figure(dataset)
        elif _fitting(found, *CURVES):
            figure = _plot_curves(found)
        else:
            raise ValueError(_nothing(dataset, reasons))
        lost = [f"{name} not drawn: it {reasons[name]}" for name in ("density", "tokens") if name in reasons]
        if lost:
            note(figure, "  ·  ".join(lost), line=1)
        return _over_depth(figure, found)


def _nothing(dataset: xr.Dataset, reasons: Mapping[str, str]) -> str:
    """Why there is no picture: what it could be made of, what there is, and what is wrong with it."""
    there = ", ".join(sorted(printable(name) for name in dataset.data_vars)) or "no variables"
    wrong = "".join(f"; {name} {reasons[name]}" for name in ("density", "tokens", "mixing") if name in reasons)
    return (
        f"nothing in the file can be plotted; plots are made of {forms_of('density')}, of {forms_of('tokens')}, of "
        f"both, of curves over depth_time, or of {forms_of('mixing')} and query_key, or query and key; "
        f"the file has {there}{wrong}"
    )


def _over_depth(figure: Figure, dataset: xr.Dataset) -> Figure:
    """The figure with the name of its depth axes that the layers of the run ask for."""
    for axes in figure.axes:
        if axes.get_xlabel() == panels.DEPTH:
            axes.set_xlabel(depth_label(dataset))
    return figure


def save(figure: Figure, path: str | os.PathLike[str], dpi: float = 200.0) -> None:
    """Write a figure; the ending of the name tells the format (png, pdf, svg, ...).

    Parameters
    ----------
    dpi : dots an inch of the pictures of spheres and of pixel formats.

    Raises
    ------
    ValueError: an ending that is not a known format; its message lists those that are.
    """
    path = Path(path)
    known = sorted(PICTURES & set(figure.canvas.get_supported_filetypes()))
    kind = path.suffix[1:].lower()
    if kind not in known:
        raise ValueError(
            f"{path.name}: pictures end in one of {', '.join(known)}, got {path.suffix or 'no ending'!r}"
        )
    with whole(path) as part:
        written(figure, part, kind, dpi)


PICTURES = {"jpeg", "jpg", "pdf", "png", "svg", "svgz", "tif", "tiff", "webp"}  # others lose transparency
TOKENS = {2: token_rings, 3: token_globes}


def _with_density(
    dataset: xr.Dataset, shown: npt.NDArray[np.int64], n_panels: int, n_below: int
) -> tuple[Figure, list[Axes]]:
    """Figure with the density on S^2 or S^1 at the records shown, and the panels below, still empty."""
    on_sphere = "lat" in dataset["density"].dims
    figure, places, below = canvas(len(shown), n_panels, beside=0.7 if on_sphere else 0.0, n_below=n_below)
    if on_sphere:
        density_globes(figure, places, bar(figure, places), dataset, shown)
    else:
        density_rings(figure, places, dataset, shown)
    return figure, below


def _plot_density(dataset: xr.Dataset) -> Figure:
    """Density, with the tokens where the file has them, and below it the curves that it has."""
    depth = _depth(dataset)
    shown = _records(depth)
    n = dataset.sizes["token"] if "tokens" in dataset else 0
    curves = _fitting(dataset, _overlap, *([_distances] if n else [_certificates, _extremes]))
    below = _fitting(dataset, _entropy, _exponents, _node_densities)
    figure, axes = _with_density(dataset, shown, len(curves), len(below))
    for draw, where in zip((*curves, *below), axes, strict=True):
        draw(where, dataset)
    note(figure, _certificate(dataset) + (f"  ·  {DOTS:,} tokens drawn" if n > DOTS else ""))
    return figure


def _plot_curves(dataset: xr.Dataset) -> Figure:
    """The curves of a file without density and tokens."""
    curves = _fitting(dataset, *CURVES)
    figure, _, axes = canvas(0, len(curves))
    for draw, where in zip(curves, axes, strict=True):
        draw(where, dataset)
    note(figure, _certificate(dataset))
    return figure


def _overlap(axes: Axes, dataset: xr.Dataset) -> None:
    tokens = f"{dataset.sizes['token']:,} tokens" if "tokens" in dataset and not selected(dataset) else "tokens"
    names = {"mean_overlap": "density", "tokens_mean_overlap": tokens}
    curves = {label: dataset[name].values for name, label in names.items() if name in dataset}
    panels.overlap(axes, _depth(dataset), curves)


def _distances(axes: Axes, dataset: xr.Dataset) -> None:
    panels.distances(axes, _depth(dataset), dataset)


def _certificates(axes: Axes, dataset: xr.Dataset) -> None:
    panels.certificates(axes, _depth(dataset), dataset)


def _extremes(axes: Axes, dataset: xr.Dataset) -> None:
    extremes = _largest_and_smallest(dataset)
    panels.extremes(axes, _depth(dataset), extremes[:, 0], extremes[:, 1], _unit(dataset))


def _entropy(axes: Axes, dataset: xr.Dataset) -> None:
    d = 3 if "lat" in dataset["density"].dims else 2
    panels.entropy(axes, _depth(dataset), dataset["entropy"].values, d)


def _exponents(axes: Axes, dataset: xr.Dataset) -> None:
    panels.exponents(axes, _depth(dataset), dataset["lyapunov"].values)


def _node_densities(axes: Axes, dataset: xr.Dataset) -> None:
    at_nodes, weights = values_of(dataset, "node_log_density"), dataset["node_weight"].values
    on_grid = _largest_and_smallest(dataset)[:, 0]
    panels.node_densities(axes, _depth(dataset), at_nodes, weights, on_grid, _unit(dataset))


Draw = Callable[[Axes, xr.Dataset], None]
FILLED_BY: dict[Draw, tuple[set[str], ...]] = {  # sets of variables, of which one must be there
    _overlap: ({"mean_overlap"}, {"tokens_mean_overlap"}),
    _distances: tuple({name} for name in panels.DISTANCES),
    _certificates: ({"spectral_tail"}, {"moment_defect"}),
    _extremes: ({"density"},),
    _entropy: ({"entropy"},),
    _exponents: ({"lyapunov"},),
    _node_densities: ({"node_log_density", "node_weight"},),
}


CURVES = (_overlap, _distances, _certificates)


def _fitting(dataset: xr.Dataset, *panels_: Draw) -> list[Draw]:
    """Those panels that the file can fill."""
    return [draw for draw in panels_ if any(names <= set(dataset) for names in FILLED_BY[draw])]


def _unit(dataset: xr.Dataset) -> str:
    """What a density is per."""
    return "unit area" if "lat" in dataset["density"].dims else "radian"


def _largest_and_smallest(dataset: xr.Dataset) -> Array:
    """Largest and smallest density on the grid at every record, (depth_time, 2)."""
    records = (record(dataset, "density", k) for k in range(dataset.sizes["depth_time"]))
    return np.array([(top(field), -top(-field)) for field in records])


def _plot_tokens(dataset: xr.Dataset) -> Figure:
    depth = _depth(dataset)
    shown = _records(depth)
    ends = [rows_with_numbers(record(dataset, "tokens", k)) for k in ([0, -1] if len(depth) > 1 else [0])]
    n, d = dataset.sizes["token"], dataset.sizes["component"]
    unit = on_sphere(ends, dataset["tokens"].dtype)
    draw = TOKENS.get(d) if unit else None
    figure, globes, (left, middle, right) = canvas(len(shown) if draw else 0, 3, beside=0.0)
    mean, second = _token_moments(dataset)
    titles = [place(dataset, int(k)) for k in shown]
    if draw:
        draw(globes, titles, [rows_with_numbers(record(dataset, "tokens", int(k))) for k in shown], mean[shown])
    panels.overlap(left, depth, {"tokens": (mean**2).sum(axis=1)})
    panels.spectrum(middle, depth, second)
    panels.pairs(right, ends, [place(dataset, k) for k in (0, -1)][: len(ends)], unit)
    count = f"{n:,} tokens in dimension {d}"
    if "radius" in dataset:
        radius = np.sqrt(np.mean(values_of(dataset, "radius") ** 2, axis=1))[[0, -1]]
        count += f", directions of a residual stream  ·  radius (r.m.s.) from {radius[0]:.3g} to {radius[1]:.3g}"
    note(figure, count + (f"  ·  {DOTS:,} drawn" if draw and n > DOTS else ""))
    return figure


def on_sphere(tokens: Sequence[Array], kind: Any) -> bool:
    """Whether tokens are unit vectors, as far as the type in which they were stored can tell."""
    within = max(1e-6, 4 * float(np.finfo(kind).eps)) if np.issubdtype(kind, np.floating) else 1e-6
    return all(bool(np.abs(np.linalg.norm(x, axis=1) - 1.0).max(initial=0.0) < within) for x in tokens)


def _plot_layers(dataset: xr.Dataset) -> Figure:
    forms = "query_key" in dataset or {"query", "key"} <= set(dataset)
    figure, _, axes = canvas(0, ("mixing" in dataset) + forms)
    if "mixing" in dataset:
        panels.layer_mixing(axes[0], values_of(dataset, "mixing"))
    if forms:
        panels.layer_forms(axes[-1], dataset)
    n_layers, n_heads, d = (dataset.sizes[dim] for dim in ("layer", "head", "col"))
    note(figure, f"{n_layers} layers of {n_heads} heads in dimension {d}")
    return figure


def _token_moments(dataset: xr.Dataset) -> tuple[Array, Array]:
    """Mean (depth_time, d) and second moment (depth_time, d, d), recorded or else from the tokens."""
    recorded = "mean_token" in dataset and "second_moment" in dataset
    if recorded and not selected(dataset):
        return dataset["mean_token"].values, dataset["second_moment"].values
    weight = dataset["weight"].values if "weight" in dataset else np.ones(dataset.sizes["token"])
    mean, second = [], []
    for k in range(dataset.sizes["depth_time"]):
        x = record(dataset, "tokens", k)
        known = np.isfinite(x).all(axis=1) & (weight > 0)
        w = weight[known] / max(weight[known].sum(), 1e-300)
        mean.append(w @ x[known] if known.any() else np.full(x.shape[1], np.nan))
        second.append((x[known].T * w) @ x[known] if known.any() else np.full(2 * x.shape[1:], np.nan))
    return np.array(mean), np.array(second)


def _certificate(dataset: xr.Dataset) -> str:
    """What the run says about itself: its largest estimated errors, and where it was not resolved."""
    parts = []
    local = "local_error" if "local_error" in dataset else "spectral_tail"
    texts = {"moment_defect": "moment defect", "local_error": "error at a point", "spectral_tail": "spectral tail"}
    for name, text in ((name, texts[name]) for name in ("moment_defect", local)):
        if name in dataset and np.isfinite(dataset[name].values).any():
            parts.append(f"{text} at most {float(dataset[name].max()):.1e}")
    if "unresolved" in dataset:
        lost = np.flatnonzero(dataset["unresolved"].values > 0)
        if len(lost):
            begin, count = place(dataset, int(lost[0])), dataset.sizes["depth_time"]
            parts.append(f"density unresolved at {len(lost)} of {count} records, first at {begin}")
        else:
            parts.append("density resolved at every record")
    return "  ·  ".join(parts)


def _depth(dataset: xr.Dataset) -> Array:
    return np.asarray(dataset["depth_time"].values, dtype=np.float64)


def _records(depth: Array) -> npt.NDArray[np.int64]:
    """Evenly spaced records, the first and the last among them."""
    return np.unique(np.linspace(0, len(depth) - 1, RECORDS).round().astype(np.int64))
