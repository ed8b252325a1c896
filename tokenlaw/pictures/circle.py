"""Densities on the circle drawn as curves over the angle, tokens as a rug below them or around the circle itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles import Array
from tokenlaw.contents import largest, place, tokens_at
from tokenlaw.pictures.drawing import Axes, Figure, MaxNLocator
from tokenlaw.pictures.globe import NEGATIVE, even, fields_of, negative, power_of
from tokenlaw.pictures.orthographic import closed
from tokenlaw.pictures.panels import BLUE, GREY, ORANGE
from tokenlaw.pictures.words import density_label

__all__ = ["angles", "density_rings", "token_rings"]

RUG = 0.09  # height of the rug under a curve, share of the largest density
ROOM = 1.08  # of the panel above its largest density
BINS = 90  # of the histogram around the circle
LIFT = 0.38  # height of its largest bin, in radii


def density_rings(
    figure: Figure, places: Sequence[Axes], dataset: xr.Dataset, shown: npt.NDArray[np.int64]
) -> None:
    """Draw the records `shown` of density(depth_time, lon) over the angle, the tokens below where the file has them.

    All share one scale where their largest densities are comparable, else each has its own.  Negative values, which
    a run has once it no longer resolves its density, have a colour of their own and are named.
    """
    fields = fields_of(dataset, shown)
    tops = [largest(field) or 1.0 for field in fields]
    alike = power_of(fields) == 1
    lowest = min(box.get_position().y0 for box in places)
    leftmost = min(box.get_position().x0 for box in places)
    for axes, k, field, own in zip(places, shown, fields, tops, strict=True):
        box = axes.get_position()
        _inset(figure, axes)
        axes.set_title(place(dataset, int(k)), pad=3)
        angle, values = closed(dataset["lon"].values, field)
        axes.plot(angle, values, color=BLUE, linewidth=1.0, zorder=2)
        axes.fill_between(angle, values, color=BLUE, alpha=0.2, linewidth=0)
        high = abs(max(tops) if alike else own)
        low = float(np.nan_to_num(field).min(initial=0.0))
        if negative(field):
            axes.plot(angle, np.where(values < 0, values, np.nan), color=NEGATIVE, linewidth=1.2, zorder=3)
            axes.text(0.5, 0.98, f"negative: min \u2212{-low:.2g}", transform=axes.transAxes, ha="center", va="top",
                      color=NEGATIVE, fontsize=7)  # fmt: skip
        if "tokens" in dataset:
            at, ends = angles(even(tokens_at(dataset, k))), (low - RUG * high, low - 0.25 * RUG * high)
            axes.vlines(at, *ends, color=ORANGE, linewidth=0.3, alpha=0.6, zorder=1)
            low -= 1.3 * RUG * high
        axes.set_ylim(low, ROOM * high)
        axes.set_xlim(0.0, 360.0)
        axes.set_xticks([0, 90, 180, 270, 360], labels=["0°", "", "180°", "", "360°"])
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.grid(True, linewidth=0.4, alpha=0.35)
        if box.x0 == leftmost:
            axes.set_ylabel(density_label(dataset), labelpad=2)
        if box.y0 == lowest:
            axes.set_xlabel("angle (degrees)", labelpad=1)


def token_rings(places: Sequence[Axes], titles: Sequence[str], tokens: Sequence[Array], means: Array) -> None:
    """Draw tokens (n, 2) on the circle, a histogram of their angles around it, their mean as a cross inside."""
    turn = np.linspace(0, 2 * np.pi, 361)
    for axes, title, points, mean in zip(places, titles, tokens, means, strict=True):
        axes.set_aspect("equal")
        axes.set_xlim(-1.42, 1.42)
        axes.set_ylim(-1.42, 1.42)
        axes.set_axis_off()
        axes.set_title(title, pad=3)
        axes.plot(np.cos(turn), np.sin(turn), color=GREY, linewidth=0.6, zorder=1)
        counts, edges = np.histogram(np.radians(angles(points)), bins=BINS, range=(0, 2 * np.pi))
        radius = np.repeat(1 + LIFT * counts / max(counts.max(), 1), 2)
        around = np.stack([edges[:-1], edges[1:]], axis=1).ravel()
        outline = np.stack([radius * np.cos(around), radius * np.sin(around)])
        axes.fill(*outline, color=BLUE, alpha=0.25, linewidth=0, zorder=1)
        axes.fill(np.cos(turn), np.sin(turn), color="white", linewidth=0, zorder=1)
        axes.plot(*np.append(outline, outline[:, :1], axis=1), color=BLUE, linewidth=0.5, zorder=2)
        drawn = even(points)
        axes.scatter(drawn[:, 0], drawn[:, 1], s=3.0, color="#0b4f8a", linewidths=0, zorder=3)
        axes.plot(mean[0], mean[1], marker="x", color=ORANGE, markersize=5, zorder=4)
    places[0].text(0.0, -1.2, "\u00d7 mean", color=ORANGE, fontsize=7, ha="center", va="top")


def _inset(figure: Figure, axes: Axes) -> None:
    """Room for tick labels inside the place of a sphere, in inches."""
    box = axes.get_position()
    width, height = figure.get_size_inches()
    axes.set_position(
        (box.x0 + 0.38 / width, box.y0 + 0.26 / height, box.width - 0.52 / width, box.height - 0.28 / height)
    )


def angles(points: Array) -> Array:
    """Angles in [0, 360), degrees."""
    return np.asarray(np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360.0)
