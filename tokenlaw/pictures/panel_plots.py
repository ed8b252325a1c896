"""Panels drawn by matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokenlaw.pictures.drawing import Axes, Figure, MaxNLocator, NullFormatter, new_figure, own_style
from tokenlaw.pictures.panels import COLOURS, GREY, Panel, Series, wide

__all__ = ["draw_panel", "single"]

MARKERS = {**dict(zip(COLOURS, "os^DvPX", strict=True)), GREY: "x"}
MARKERS_UP_TO = 30  # values; longer curves carry no markers
HEADROOM = 0.28  # of the height of a panel, for its legend


@own_style()
def single(panel: Panel, title: str, width: float = 7.0, height: float = 4.2) -> Figure:
    """A figure of one panel, sizes in inches."""
    figure = new_figure(width, height, layout="constrained")
    axes = figure.add_subplot()
    draw_panel(axes, panel, above=False)
    axes.set_title(title, fontsize=11)
    return figure


def draw_panel(axes: Axes, panel: Panel, above: bool = True) -> None:
    """Draw a panel; its legend stands in a room of its own above the curves, or where they leave room for it."""
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    if panel.empty and not panel.series:
        axes.set_yticks([])
        axes.text(0.5, 0.5, panel.empty, transform=axes.transAxes, ha="center", color=GREY)
        return
    if panel.x_log:
        axes.set_xscale("log")
    if panel.y_log:
        bars = any(one.error is not None for one in panel.series)
        axes.set_yscale("log", nonpositive="mask" if bars else "clip")
    for value, label in panel.levels:
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", label=label)
    for series in panel.series:
        draw_series(axes, series)
    for axis, label, log in ((axes.xaxis, panel.x_label, panel.x_log), (axes.yaxis, panel.y_label, panel.y_log)):
        if "(number" in label and not log:
            axis.set_major_locator(MaxNLocator(integer=True))
    if panel.y_log and wide([np.array(axes.get_ylim())]):
        axes.yaxis.set_minor_formatter(NullFormatter())
    if panel.x_log and wide([np.array(axes.get_xlim())]):
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", linewidth=0.4, alpha=0.35)
    told = panel.legend and len(axes.get_legend_handles_labels()[1]) > above
    low, high = (given if end is None else end for given, end in zip(axes.get_ylim(), panel.y_range, strict=True))
    if told and above and panel.y_range[1] is None:
        high = high * (high / low) ** HEADROOM if panel.y_log else high + HEADROOM * (high - low)
    axes.set_ylim(low, high)
    if told:
        place: dict[str, Any] = {"loc": "upper center", "ncols": 2} if above else {"loc": "best"}
        axes.legend(frameon=False, title=panel.legend_title or None, columnspacing=0.9, handlelength=1.6,
                    handletextpad=0.5, **place)  # fmt: skip


def draw_series(axes: Axes, series: Series) -> None:
    """Draw the values that are known, joined over those that are not."""
    x, y = np.atleast_1d(series.x), np.atleast_1d(series.y)
    if len(x) > len(y):
        axes.stairs(y, x, fill=True, color=series.colour, alpha=0.25)
        axes.stairs(y, x, color=series.colour, linewidth=1.2, label=series.label)
        return
    if series.band is not None:
        axes.fill_between(x, *series.band, color=series.colour, alpha=0.2, linewidth=0)
    known = np.isfinite(y)
    marked = series.marked and np.count_nonzero(known) <= MARKERS_UP_TO
    style: dict[str, Any] = {
        "color": series.colour, "linestyle": series.dash or "none", "label": series.label, "alpha": series.opacity,
        "marker": MARKERS[series.colour] if marked else "none",
    }  # fmt: skip
    if series.error is None:
        axes.plot(x[known], y[known], **style)
    else:
        axes.errorbar(x[known], y[known], yerr=np.atleast_1d(series.error)[known], capsize=2, **style)
