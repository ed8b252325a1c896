"""Pictures of files: density, token, compare and layers files, each told by the variables it holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from particles.output import whole, without_realization
from tokenlaw import panels
from tokenlaw.globes import DOTS, density_globes, token_globes
from tokenlaw.report_words import depth_label
from tokenlaw.rings import density_rings, token_rings

Array = npt.NDArray[np.float64]

__all__ = ["plot", "save"]

RECORDS = 6  # spheres of a figure
WIDTH = 7.2  # inches: two columns of a journal
GLOBE = 2.15  # inches, height of a row of spheres with its titles
PANEL = 1.95  # inches, height of the curves
ROW_GAP = 0.55  # inches between two rows of curves
BELOW = 0.78  # inches: axis labels and the footnote
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
    if "realization" in dataset.dims:
        if dataset.sizes["realization"] != 1:
            raise ValueError(
                f"the file holds {dataset.sizes['realization']} realizations; plot one of them: "
                "plot(dataset.isel(realization=0))"
            )
        dataset = without_realization(dataset)
    if dataset.sizes.get("depth_time") == 0:
        raise ValueError("the file holds no records yet (depth_time has size 0)")
    on_sphere = "density" in dataset and frozenset(map(str, dataset["density"].dims)) in DENSITIES
    with mpl.rc_context(STYLE):
        if on_sphere and "tokens" in dataset:
            return _over_depth(_plot_compare(dataset), dataset)
        if on_sphere:
            return _over_depth(_plot_density(dataset), dataset)
        if "tokens" in dataset and {"token", "component"} <= set(dataset["tokens"].dims):
            return _over_depth(_plot_tokens(dataset), dataset)
        if "mixing" in dataset and ("query_key" in dataset or {"query", "key"} <= set(dataset)):
            return _plot_layers(dataset)
        if "collapse_depth" in dataset:
            from tokenlaw.predict import map_figure

            return map_figure(dataset)
    held = ", ".join(sorted(map(str, dataset.data_vars))) or "no variables"
    raise ValueError(
        "nothing in the file can be plotted; plots are made of density(depth_time, lat, lon) or (depth_time, lon), of "
        "tokens(depth_time, token, component), of both, or of mixing(layer, head, row, col) with query_key "
        f"or with query and key; the file has {held}"
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
        figure.savefig(part, format=kind, dpi=dpi)


def _spheres(dataset: xr.Dataset, shown: npt.NDArray[np.int64], n_panels: int) -> tuple[Figure, list[Axes]]:
    """Density on S^2 above the panels."""
    figure, globes, below = _canvas(len(shown), n_panels, followed=_followed(dataset))
    density_globes(figure, globes, _bar(figure, globes), dataset, shown)
    return figure, below


def _circles(dataset: xr.Dataset, shown: npt.NDArray[np.int64], n_panels: int) -> tuple[Figure, list[Axes]]:
    """Density on S^1 above the panels."""
    figure, places, below = _canvas(len(shown), n_panels, bar=0.0, followed=_followed(dataset))
    density_rings(figure, places, dataset, shown)
    return figure, below


PICTURES = {"jpeg", "jpg", "pdf", "png", "svg", "svgz", "tif", "tiff", "webp"}  # others lose transparency
DENSITIES = {frozenset({"depth_time", "lat", "lon"}): _spheres, frozenset({"depth_time", "lon"}): _circles}
TOKENS = {2: token_rings, 3: token_globes}


def _with_density(dataset: xr.Dataset, shown: npt.NDArray[np.int64], n_panels: int) -> tuple[Figure, list[Axes]]:
    """Figure with the density at the records shown, and the panels below, still empty."""
    return DENSITIES[frozenset(map(str, dataset["density"].dims))](dataset, shown, n_panels)


def _plot_compare(dataset: xr.Dataset) -> Figure:
    depth = _depth(dataset)
    shown = _records(depth)
    figure, (left, right, *below) = _with_density(dataset, shown, 2)
    n = dataset.sizes["token"]
    tokens_overlap = dataset["tokens_mean_overlap"].values
    panels.overlap(left, depth, {"density": dataset["mean_overlap"].values, f"{n:,} tokens": tokens_overlap})
    panels.distances(right, depth, dataset)
    _characteristics(below, depth, dataset)
    _note(figure, _certificate(dataset) + (f"  ·  {DOTS:,} tokens drawn" if n > DOTS else ""))
    return figure


def _plot_density(dataset: xr.Dataset) -> Figure:
    depth = _depth(dataset)
    shown = _records(depth)
    figure, (left, middle, right, *below) = _with_density(dataset, shown, 3)
    panels.overlap(left, depth, {"density": dataset["mean_overlap"].values})
    panels.certificates(middle, depth, dataset)
    extremes = _extremes(dataset)
    panels.extremes(right, depth, extremes[:, 0], extremes[:, 1], _unit(dataset))
    _characteristics(below, depth, dataset)
    _note(figure, _certificate(dataset))
    return figure


def _unit(dataset: xr.Dataset) -> str:
    """What a density is per."""
    return "unit area" if "lat" in dataset["density"].dims else "radian"


def _extremes(dataset: xr.Dataset) -> Array:
    """Largest and smallest density on the grid at every record, (depth_time, 2)."""
    records = (dataset["density"].isel(depth_time=k).values for k in range(dataset.sizes["depth_time"]))
    return np.array([(record.max(), record.min()) for record in records])


def _followed(dataset: xr.Dataset) -> bool:
    """Whether the density was followed along the carried nodes."""
    return {"node_log_density", "node_weight", "entropy", "lyapunov"} <= set(map(str, dataset.variables))


def _characteristics(below: list[Axes], depth: Array, dataset: xr.Dataset) -> None:
    """The row of characteristics: entropy, Lyapunov exponents, density at the nodes; nothing without its axes."""
    if not below:
        return
    panels.entropy(below[0], depth, dataset["entropy"].values, dataset.sizes["component"])
    panels.exponents(below[1], depth, dataset["lyapunov"].values)
    at_nodes, weights = dataset["node_log_density"].values, dataset["node_weight"].values
    panels.node_densities(below[2], depth, at_nodes, weights, _extremes(dataset)[:, 0], _unit(dataset))


def _plot_tokens(dataset: xr.Dataset) -> Figure:
    tokens = dataset["tokens"]
    if "depth_time" not in tokens.dims:  # a file of initial tokens
        tokens = tokens.expand_dims(depth_time=[0.0])
    tokens = tokens.transpose("depth_time", "token", "component")
    depth = tokens["depth_time"].values.astype(np.float64)
    shown = _records(depth)
    first, last = tokens[0].values, tokens[-1].values
    unit = all(bool(np.abs(np.linalg.norm(x, axis=1) - 1.0).max() < 1e-6) for x in (first, last))
    draw = TOKENS.get(first.shape[1]) if unit else None
    figure, globes, (left, middle, right) = _canvas(len(shown) if draw else 0, 3, bar=0.0)
    mean, second = _token_moments(dataset, tokens)
    if draw:
        draw(globes, depth[shown].tolist(), [tokens[int(k)].values for k in shown], mean[shown])
    panels.overlap(left, depth, {"tokens": (mean**2).sum(axis=1)})
    panels.spectrum(middle, depth, second)
    panels.pairs(right, first, last, (depth[0], depth[-1]), unit)
    count = f"{len(first):,} tokens in dimension {first.shape[1]}"
    if "radius" in dataset:
        ends = [float(np.sqrt(np.mean(dataset["radius"][k].values ** 2))) for k in (0, -1)]
        count += f", directions of a residual stream  ·  radius (r.m.s.) from {ends[0]:.3g} to {ends[1]:.3g}"
    _note(figure, count + (f"  ·  {DOTS:,} drawn" if draw and len(first) > DOTS else ""))
    return figure


def _plot_layers(dataset: xr.Dataset) -> Figure:
    figure, _, (left, right) = _canvas(0, 2)
    order = ("layer", "head", "row", "col")
    mixing = dataset["mixing"].transpose(*order).values
    panels.layer_mixing(left, mixing)
    panels.layer_forms(right, dataset)
    n_layers, n_heads, d = mixing.shape[:3]
    _note(figure, f"{n_layers} layers of {n_heads} heads in dimension {d}")
    return figure


def _token_moments(dataset: xr.Dataset, tokens: xr.DataArray) -> tuple[Array, Array]:
    """Mean (depth_time, d) and second moment (depth_time, d, d), recorded or else from the tokens."""
    if {"mean_token", "second_moment"} <= set(dataset):
        return dataset["mean_token"].values, dataset["second_moment"].values
    n = tokens.sizes["token"]
    weight = (
        dataset["weight"].values / dataset["weight"].values.sum()
        if "weight" in dataset
        else np.full(n, 1 / n)
    )
    records = [tokens[k].values for k in range(tokens.sizes["depth_time"])]
    return np.array([weight @ x for x in records]), np.array([(x.T * weight) @ x for x in records])


def _certificate(dataset: xr.Dataset) -> str:
    """What the run says about itself: its largest estimated errors, and where it was not resolved."""
    parts = []
    local = "local_error" if "local_error" in dataset else "spectral_tail"
    texts = {"moment_defect": "moment defect", "local_error": "error at a point", "spectral_tail": "spectral tail"}
    for name, text in ((name, texts[name]) for name in ("moment_defect", local)):
        if name in dataset and np.isfinite(largest := float(dataset[name].max())):
            parts.append(f"{text} at most {largest:.1e}")
    if "unresolved" in dataset:
        lost = np.flatnonzero(dataset["unresolved"].values)
        if len(lost):
            begin = float(dataset["depth_time"][int(lost[0])])
            count = dataset.sizes["depth_time"]
            parts.append(f"density unresolved at {len(lost)} of {count} records, first at depth {begin:.3g}")
        else:
            parts.append("density resolved at every record")
    return "  ·  ".join(parts)


def _note(figure: Figure, text: str) -> None:
    figure.text(
        0.5, 0.1 / figure.get_figheight(), text, ha="center", va="bottom", fontsize=7, color="#404040"
    )


def _depth(dataset: xr.Dataset) -> Array:
    return np.asarray(dataset["depth_time"].values, dtype=np.float64)


def _records(depth: Array) -> npt.NDArray[np.int64]:
    """Evenly spaced records, the first and the last among them."""
    return np.unique(np.linspace(0, len(depth) - 1, RECORDS).round().astype(np.int64))


def _canvas(
    n_globes: int, n_panels: int, bar: float = 0.7, followed: bool = False
) -> tuple[Figure, list[Axes], list[Axes]]:
    """Rows of three spheres above a row of panels, `followed` by one of three; in inches, so that nothing overlaps."""
    rows, columns = -(-n_globes // 3), min(n_globes, 3)
    above = 0.12 + GLOBE * rows
    lowest = BELOW + (PANEL + ROW_GAP if followed else 0.0)  # foot of the first row of panels
    height = lowest + PANEL + above + (0.15 if rows else 0.0)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)

    def axes(left: float, bottom: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))

    side = 2.05
    margin = (WIDTH - bar - side * columns) / 2  # the colour bar takes `bar` on the right
    globes = [
        axes(margin + side * (k % 3), height - 0.12 - GLOBE * (k // 3 + 1) + 0.18, side, GLOBE - 0.4)
        for k in range(n_globes)
    ]
    pad = 0.65
    row_axes = []
    for count, foot in ((n_panels, lowest), *(((3, BELOW),) if followed else ())):
        width = (WIDTH - 0.18) / count - pad
        row_axes += [axes(pad + k * (width + pad), foot, width, PANEL) for k in range(count)]
    return figure, globes, row_axes


def _bar(figure: Figure, globes: list[Axes]) -> Axes:
    """Axes of the colour bar, to the right of the spheres."""
    boxes = [axes.get_position() for axes in globes]
    bottom, top = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    middle, tall = (bottom + top) / 2, 0.72 * (top - bottom)
    return figure.add_axes((max(box.x1 for box in boxes) + 0.012, middle - tall / 2, 0.014, tall))
