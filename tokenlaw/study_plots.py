"""Figures of studies: curves with error bars, theory dashed."""

import numpy as np

from tokenlaw.drawing import Figure as Canvas
from tokenlaw.drawing import new_figure, own_style
from tokenlaw.panels import BLUE, GREEN, GREY, ORANGE, PURPLE
from validation import Figure

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@own_style()
def draw(figure: Figure, title: str) -> Canvas:
    """Draw what a study wants drawn."""
    canvas = new_figure(7.5, 5.0, layout="constrained")
    axes = canvas.add_subplot()
    solid = 0
    for series in figure.series:
        x, y = np.atleast_1d(series.x), np.atleast_1d(series.y)
        if series.dashed:
            axes.plot(x, y, "--", color=GREY, label=series.label, zorder=1)
            continue
        axes.errorbar(
            x, y, yerr=series.error, label=series.label, color=COLOURS[solid % len(COLOURS)], markersize=5,
            marker=MARKERS[solid % len(MARKERS)], linestyle="-" if series.line else "none", capsize=2,
        )  # fmt: skip
        solid += 1
    if figure.x_log:
        axes.set_xscale("log")
    if figure.y_log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label)
    axes.set_title(title, fontsize=11)
    canvas.supxlabel("all quantities are dimensionless", fontsize=8, x=0.99, ha="right", color=GREY)
    axes.grid(alpha=0.25)
    if len(figure.series) > 0:
        axes.legend(fontsize=8, frameon=False)
    return canvas
