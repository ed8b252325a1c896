"""Densities and tokens drawn on the visible side of the sphere, on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from tokenlaw.orthographic import View, best_direction, graticule, sample

Array = npt.NDArray[np.float64]

__all__ = ["DOTS", "density_globes", "token_globes"]

PIXELS = 400  # a side of the picture of a hemisphere
DOTS = 600  # tokens drawn on a sphere, both sides counted
SPREAD = 5.0  # ratio between the largest densities of the records from which on the colour scale is a power
POWER = 0.4
NEGATIVE_SHARE = 1e-3  # values below -NEGATIVE_SHARE * (largest density of the record) are shown as negative
NEGATIVE = "#E6007E"


def density_globes(
    figure: Figure, globes: Sequence[Axes], bar: Axes, dataset: xr.Dataset, shown: npt.NDArray[np.int64]
) -> None:
    """Draw the records `shown` of the density, with the tokens on top where the file has them.

    All records share one view and one colour scale, from 0 to their largest density. Negative values, which
    a run has once it no longer resolves its density, have a colour of their own and are named under the
    sphere.
    """
    fields = [
        dataset["density"].isel(depth_time=k).transpose("lat", "lon").values.astype(np.float64) for k in shown
    ]
    negative = [bool(field.min() < -NEGATIVE_SHARE * field.max()) for field in fields]
    norm, cmap = _scale([float(field.max()) for field in fields])
    view = View.from_direction(best_direction(dataset["mean_token"].values[shown]))
    for axes, k, field, below in zip(globes, shown, fields, negative, strict=True):
        _globe(axes, view, f"depth {float(dataset['depth_time'][int(k)]):.3g}", "white")
        if not below:
            field = np.maximum(field, 0.0)  # rounding and truncation, not a loss of resolution
        image = sample(field, dataset["lat"].values, dataset["lon"].values, view.directions(PIXELS))
        picture = axes.imshow(image, origin="lower", extent=(-1, 1, -1, 1), norm=norm, cmap=cmap)
        picture.set_clip_path(Circle((0.0, 0.0), 1.0, transform=axes.transData))
        if below:
            text = f"negative: min \u2212{-field.min():.2g}"
            axes.text(0.0, -1.03, text, ha="center", va="top", color=NEGATIVE, fontsize=7)
        if "tokens" in dataset:
            points = dataset["tokens"].isel(depth_time=int(k)).transpose("token", "component").values
            _dots(axes, view, points, back=False)
    label = "density (per unit area)" + (f",  scale: power {POWER}" if isinstance(norm, PowerNorm) else "")
    _colour_bar(figure, bar, norm, cmap, label, any(negative))


def token_globes(
    globes: Sequence[Axes], depths: Sequence[float], tokens: Sequence[Array], means: Array
) -> None:
    """Draw tokens (n, 3), one array a sphere; those behind are faint."""
    view = View.from_direction(best_direction(means))
    for axes, depth, points in zip(globes, depths, tokens, strict=True):
        _globe(axes, view, f"depth {depth:.3g}", "#8a8f98")
        _dots(axes, view, points, back=True)


def _scale(largest: list[float]) -> tuple[Normalize, Colormap]:
    """From 0: linear where the records are comparable, else a power, so that early records are not black."""
    top = max(*largest, 1.0 / (2.0 * np.pi))  # at least twice the uniform density
    cmap = colormaps["viridis"].with_extremes(under=NEGATIVE)
    if top > SPREAD * max(min(largest), 1e-300):
        return PowerNorm(POWER, vmin=0.0, vmax=top), cmap
    return Normalize(vmin=0.0, vmax=top), cmap


def _globe(axes: Axes, view: View, title: str, line: str) -> None:
    """Empty sphere: outline and graticule, without axes."""
    axes.set_aspect("equal")
    axes.set_xlim(-1.02, 1.02)
    axes.set_ylim(-1.02, 1.02)
    axes.set_axis_off()
    axes.set_title(title, pad=3)
    for curve in graticule(view):
        axes.plot(curve[:, 0], curve[:, 1], color=line, linewidth=0.4, alpha=0.3, zorder=2)
    axes.add_patch(Circle((0.0, 0.0), 1.0, fill=False, edgecolor="#303030", linewidth=0.6, zorder=4))


def _dots(axes: Axes, view: View, points: Array, *, back: bool) -> None:
    """Tokens in front as dots, those behind faint or left out; an even choice where there are too many."""
    n = len(points)
    image, depth = view.project(points[np.linspace(0, n - 1, min(n, DOTS)).round().astype(int)])
    front = depth > 0
    size = float(np.clip(1200.0 / max(n, 1), 2.0, 12.0))
    if back:
        axes.scatter(image[~front, 0], image[~front, 1], s=size, color="#c9ccd1", linewidths=0, zorder=1)
        axes.scatter(
            image[front, 0], image[front, 1], s=size, color="#0b4f8a", linewidths=0, alpha=0.8, zorder=3
        )
    else:
        axes.scatter(
            image[front, 0],
            image[front, 1],
            s=size,
            color="white",
            edgecolors="black",
            linewidths=0.15,
            zorder=3,
        )


def _colour_bar(
    figure: Figure, bar: Axes, norm: Normalize, cmap: Colormap, label: str, negative: bool
) -> None:
    """Colour bar; ticks that stay apart on a power scale, and the colour of negative values."""
    mappable = ScalarMappable(norm, cmap)
    drawn = figure.colorbar(mappable, cax=bar, extend="min" if negative else "neither")
    drawn.set_label(label)
    drawn.outline.set_linewidth(0.5)
    if isinstance(norm, PowerNorm):
        ticks, place = [0.0], 0.0
        for tick in (float(f"{m}e{e}") for e in range(-300, 300) for m in (1, 2, 5)):
            at = float(norm(tick))
            if place + 0.06 <= at <= 1.0:
                ticks.append(tick)
                place = at
        drawn.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    if negative:
        bar.text(
            0.5, -0.075, "< 0", transform=bar.transAxes, ha="center", va="top", color=NEGATIVE, fontsize=7
        )
