"""Pictures of files: density, token, compare and layers files, each told by the variables it holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles.files import whole
from tokenlaw.contents import (
    forms_of,
    held,
    of_convergence,
    of_one_run,
    place,
    tokens_at,
    values_of,
    variables_of,
)
from tokenlaw.pictures.circle import density_rings, token_rings
from tokenlaw.pictures.drawing import Axes, Figure, own_style, written
from tokenlaw.pictures.globe import DOTS, density_globes, means_of, token_globes
from tokenlaw.pictures.layer_panels import layer_panels
from tokenlaw.pictures.layout import bar, canvas, note
from tokenlaw.pictures.moments import on_sphere
from tokenlaw.pictures.network_panels import network_panels
from tokenlaw.pictures.panel_plots import draw_panel
from tokenlaw.pictures.panels import Panel, panels
from tokenlaw.pictures.words import resolution, spelled

__all__ = ["plot", "save"]

RECORDS = 6  # spheres of a figure
STYLE: Any = {  # the types of the keys differ between versions of matplotlib
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.02,
    "axes.formatter.limits": (-2, 4),
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
}
PICTURES = {"jpeg", "jpg", "pdf", "png", "svg", "svgz", "tif", "tiff", "webp"}  # others lose transparency


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
    if not {"density", "tokens"} & set(found):
        if layers := layer_panels(found):
            n_layers, n_heads, d = (found.sizes[dim] for dim in ("layer", "head", "col"))
            return _figure(found, layers, [], f"{n_layers} layers of {n_heads} heads in dimension {d}")
        if (study := _of_a_study(dataset)) is not None:
            return study
    if networks := network_panels(found):
        return _figure(found, networks[:3], networks[3:], _told(found))
    first, below = (panels(found, *names) if names else [] for names in _rows(found))
    if not first and "density" in found:  # beside tokens, with no curve of either
        first = panels(found, "extremes")
    if not first:
        raise ValueError(_nothing(dataset, reasons))
    lost = [f"{name} not drawn: it {reasons[name]}" for name in ("density", "tokens") if name in reasons]
    return _figure(found, first, below, _told(found), "  ·  ".join(lost))


def file_and_picture(out: Path) -> tuple[Path, Path]:
    """Both names that --out asks for, by either of them; ValueError for an ending of neither."""
    kind = out.suffix[1:].lower()
    if kind == "nc":
        return out, out.with_suffix(".png")
    if kind not in PICTURES:
        raise ValueError(f"--out {out}: must end in .nc, or in one of {', '.join(sorted(PICTURES))}")
    return out.with_suffix(".nc"), out


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


def _of_a_study(dataset: xr.Dataset) -> Figure | None:
    """The picture of a map of collapse depths, of branches of stationary laws, or of a study of convergence."""
    from tokenlaw.pictures import forecasts, studies

    if studies.of_branches(dataset):
        return studies.branches_figure(dataset)
    if "collapse_depth" in dataset and dataset["collapse_depth"].ndim == 2:
        return forecasts.map_of(dataset)
    return studies.order_figure(dataset) if of_convergence(dataset) else None


def _nothing(dataset: xr.Dataset, reasons: Mapping[str, str]) -> str:
    """Why there is no picture: what it could be made of, what there is, and what is wrong with it."""
    wrong = "".join(f"; {name} {reasons[name]}" for name in ("density", "tokens", "mixing") if name in reasons)
    return (
        f"nothing in the file can be plotted; plots are made of {forms_of('density')}, of {forms_of('tokens')}, of "
        f"both, of curves over depth_time, or of {forms_of('mixing')} and query_key, or query and key; "
        f"the file has {variables_of(dataset)}{wrong}"
    )


def _rows(dataset: xr.Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the panels below the state, in two rows."""
    if "density" in dataset:
        first = ("overlap", "distances") if "tokens" in dataset else ("overlap", "certificates", "extremes")
        return first, ("entropy", "energy", "exponents", "nodes")
    first = ("overlap", "spectrum", "pairs") if "tokens" in dataset else ("overlap", "distances", "certificates")
    return first, ("energy",)


@own_style(STYLE)
def _figure(dataset: xr.Dataset, first: list[Panel], below: list[Panel], text: str, lost: str = "") -> Figure:
    """The state where the file has one, one or two rows of panels, and notes at the foot."""
    draw, shown, beside = _state(dataset)
    figure, places, axes = canvas(len(shown), len(first), beside, len(below))
    draw(figure, places)
    for where, panel in zip(axes, (*first, *below), strict=True):
        draw_panel(where, panel)
    note(figure, text)
    if lost:
        note(figure, lost, line=1)
    return figure


def _state(dataset: xr.Dataset) -> tuple[Callable[[Figure, list[Axes]], None], npt.NDArray[np.int64], float]:
    """What draws the state, the records at which it does, and the room that a colour bar takes beside it, in inches."""
    shown = np.unique(np.linspace(0, dataset.sizes["depth_time"] - 1, RECORDS).round().astype(np.int64))
    if "density" in dataset:
        if "lat" not in dataset["density"].dims:
            return lambda figure, places: density_rings(figure, places, dataset, shown), shown, 0.0
        return lambda figure, places: density_globes(figure, places, bar(figure, places), dataset, shown), shown, 0.7
    draw = {2: token_rings, 3: token_globes}.get(dataset.sizes["component"]) if "tokens" in dataset else None
    ends = [tokens_at(dataset, k) for k in (0, -1)] if draw else []
    if draw is None or not on_sphere(ends, dataset["tokens"].dtype):
        return lambda figure, places: None, shown[:0], 0.0
    titles, points = [place(dataset, int(k)) for k in shown], [tokens_at(dataset, k) for k in shown]
    means = means_of(dataset, shown)
    return lambda figure, places: draw(places, titles, points, means), shown, 0.0


def _told(dataset: xr.Dataset) -> str:
    """What the run says about itself: its largest estimated errors and where it was not resolved, or its tokens."""
    n = dataset.sizes.get("token", 0) if "tokens" in dataset else 0
    if "density" not in dataset and n:
        parts = [f"{n:,} tokens in dimension {dataset.sizes['component']}"]
        if "radius" in dataset:
            radius = np.sqrt(np.mean(values_of(dataset, "radius") ** 2, axis=1))[[0, -1]]
            parts[0] += ", directions of a residual stream"
            parts.append(f"radius (r.m.s.) from {radius[0]:.3g} to {radius[1]:.3g}")
    else:
        names = "moment_defect", "local_error" if "local_error" in dataset else "spectral_tail"
        known = [name for name in names if name in dataset and np.isfinite(dataset[name].values).any()]
        parts = [f"{spelled(name)} at most {float(dataset[name].max()):.1e}" for name in known]
        if "unresolved" in dataset:
            parts.append(resolution(dataset["unresolved"].values[:, None] > 0, lambda k: place(dataset, k)))
    if n > DOTS:
        parts.append(f"{DOTS:,} tokens drawn")
    return "  ·  ".join(parts)
