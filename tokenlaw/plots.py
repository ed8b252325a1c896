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

from tokenlaw import panels
from tokenlaw.globes import DOTS, density_globes, token_globes

Array = npt.NDArray[np.float64]

__all__ = ["plot", "save"]

RECORDS = 6  # spheres of a figure
WIDTH = 7.2  # inches: two columns of a journal
GLOBE = 2.15  # inches, height of a row of spheres with its titles
PANEL = 1.95  # inches, height of the curves
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
    Figure, 7.2 inches wide:
        density : spheres at six depths, mean overlap, certificates, extremes of the density.
        compare : the spheres with the tokens on them, mean overlap of both, distances.
        token : spheres where d = 3, mean overlap, spectrum of the second moment, pairwise overlaps.
        layers : singular values of the mixing matrices, beta |A|.

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
        dataset = dataset.isel(realization=0)
    if dataset.sizes.get("depth_time") == 0:
        raise ValueError("the file holds no records yet (depth_time has size 0)")
    on_sphere = "density" in dataset and {"depth_time", "lat", "lon"} == set(dataset["density"].dims)
    with mpl.rc_context(STYLE):
        if on_sphere and "tokens" in dataset:
            return _plot_compare(dataset)
        if on_sphere:
            return _plot_density(dataset)
        if "tokens" in dataset and {"token", "component"} <= set(dataset["tokens"].dims):
            return _plot_tokens(dataset)
        if "mixing" in dataset and ("query_key" in dataset or {"query", "key"} <= set(dataset)):
            return _plot_layers(dataset)
    held = ", ".join(sorted(map(str, dataset.data_vars))) or "no variables"
    raise ValueError(
        "nothing in the file can be plotted; plots are made of density(depth_time, lat, lon), of "
        "tokens(depth_time, token, component), of both, or of mixing(layer, head, row, col) with query_key "
        f"or with query and key; the file has {held}"
    )


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
    known = sorted(figure.canvas.get_supported_filetypes())
    kind = path.suffix[1:].lower()
    if kind not in known:
        raise ValueError(
            f"{path.name}: pictures end in one of {', '.join(known)}, got {path.suffix or 'no ending'!r}"
        )
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format=kind, dpi=dpi)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _plot_compare(dataset: xr.Dataset) -> Figure:
    depth = _depth(dataset)
    shown = _records(depth)
    figure, globes, (left, right) = _canvas(len(shown), 2)
    density_globes(figure, globes, _bar(figure, globes), dataset, shown)
    n = dataset.sizes["token"]
    tokens_overlap = dataset["tokens_mean_overlap"].values
    panels.overlap(left, depth, {"density": dataset["mean_overlap"].values, f"{n:,} tokens": tokens_overlap})
    panels.distances(right, depth, dataset)
    _note(figure, _certificate(dataset) + (f"  ·  {DOTS:,} tokens drawn" if n > DOTS else ""))
    return figure


def _plot_density(dataset: xr.Dataset) -> Figure:
    depth = _depth(dataset)
    shown = _records(depth)
    figure, globes, (left, middle, right) = _canvas(len(shown), 3)
    density_globes(figure, globes, _bar(figure, globes), dataset, shown)
    panels.overlap(left, depth, {"density": dataset["mean_overlap"].values})
    panels.certificates(middle, depth, dataset)
    records = (dataset["density"].isel(depth_time=k).values for k in range(len(depth)))
    extremes = np.array([(record.max(), record.min()) for record in records])
    panels.extremes(right, depth, extremes[:, 0], extremes[:, 1])
    _note(figure, _certificate(dataset))
    return figure


def _plot_tokens(dataset: xr.Dataset) -> Figure:
    tokens = dataset["tokens"]
    if "depth_time" not in tokens.dims:  # a file of initial tokens
        tokens = tokens.expand_dims(depth_time=[0.0])
    tokens = tokens.transpose("depth_time", "token", "component")
    depth = tokens["depth_time"].values.astype(np.float64)
    shown = _records(depth)
    first, last = tokens[0].values, tokens[-1].values
    unit = all(bool(np.abs(np.linalg.norm(x, axis=1) - 1.0).max() < 1e-6) for x in (first, last))
    on_sphere = unit and first.shape[1] == 3
    figure, globes, (left, middle, right) = _canvas(len(shown) if on_sphere else 0, 3, bar=0.0)
    mean, second = _token_moments(dataset, tokens)
    if on_sphere:
        token_globes(globes, depth[shown].tolist(), [tokens[int(k)].values for k in shown], mean[shown])
    panels.overlap(left, depth, {"tokens": (mean**2).sum(axis=1)})
    panels.spectrum(middle, depth, second)
    panels.pairs(right, first, last, (depth[0], depth[-1]), unit)
    count = f"{len(first):,} tokens in dimension {first.shape[1]}"
    _note(figure, count + (f"  ·  {DOTS:,} drawn" if on_sphere and len(first) > DOTS else ""))
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
    """What the run says about itself: the largest moment_defect and tail, and where it was not resolved."""
    parts = []
    for name, text in (("moment_defect", "moment defect"), ("tail", "spectral tail")):
        if name in dataset:
            parts.append(f"{text} at most {float(dataset[name].max()):.1e}")
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


def _canvas(n_globes: int, n_panels: int, bar: float = 0.7) -> tuple[Figure, list[Axes], list[Axes]]:
    """Rows of three spheres above one row of panels; all sizes in inches, so that nothing overlaps."""
    rows, columns = -(-n_globes // 3), min(n_globes, 3)
    above = 0.12 + GLOBE * rows
    height = BELOW + PANEL + above + (0.15 if rows else 0.0)
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
    width = (WIDTH - 0.18) / n_panels - pad
    return figure, globes, [axes(pad + k * (width + pad), BELOW, width, PANEL) for k in range(n_panels)]


def _bar(figure: Figure, globes: list[Axes]) -> Axes:
    """Axes of the colour bar, to the right of the spheres."""
    boxes = [axes.get_position() for axes in globes]
    bottom, top = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    middle, tall = (bottom + top) / 2, 0.72 * (top - bottom)
    return figure.add_axes((max(box.x1 for box in boxes) + 0.012, middle - tall / 2, 0.014, tall))
