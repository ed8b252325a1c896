"""Figures of studies: curves with error bars, theory dashed; gaps over values."""

from itertools import cycle

import numpy as np
import xarray as xr

import validation
from tokenlaw.answers.observables import GAPS
from tokenlaw.pictures.drawing import Figure as Canvas
from tokenlaw.pictures.drawing import own_style
from tokenlaw.pictures.panel_plots import single
from tokenlaw.pictures.panels import COLOURS, GREY, Panel, Series


@own_style()
def draw(figure: validation.Figure, title: str) -> Canvas:
    """Draw what a study wants drawn."""
    colours = cycle(COLOURS)
    series = [
        Series(one.label, one.x, one.y, GREY, "--", marked=False) if one.dashed
        else Series(one.label, one.x, one.y, next(colours), "-" if one.line else "", error=one.error)
        for one in figure.series
    ]  # fmt: skip
    panel = Panel("study", title, figure.x_label, figure.y_label, tuple(series), x_log=figure.x_log, y_log=figure.y_log)
    canvas = single(panel, title, 7.5, 5.0)
    canvas.supxlabel("all quantities are dimensionless", fontsize=8, x=0.99, ha="right", color=GREY)
    return canvas


def order_figure(dataset: xr.Dataset) -> Canvas:
    """Gaps over the values, with the error by the slope where there is one."""
    key, observable = dataset.attrs.get("key", "value"), dataset.attrs.get("observable", "observable")
    kind = dataset.attrs.get("kind", "gap")
    x, gap = dataset["key_value"].values, dataset["gap"].values
    error = dataset["gap_error"].values if "gap_error" in dataset else np.full(len(x), np.nan)
    shown = np.isfinite(gap) & (gap > 0)
    bars = np.where(np.isfinite(error), error, 0.0)[shown]
    series = [validation.Series(f"{observable}: {GAPS.get(kind, 'gap')}", x[shown], gap[shown], bars, line=False)]
    title = f"{observable} in {key}"
    if {"slope", "slope_low", "slope_high", "slope_prefactor"} <= set(dataset) and np.isfinite(dataset["slope"]):
        p, low, high, c = (float(dataset[name]) for name in ("slope", "slope_low", "slope_high", "slope_prefactor"))
        series.append(validation.Series(f"error, {c:.3g} value^{p:.3g}", x, c * x**p, dashed=True))
        title += f": slope {p:.3f}, 95 percent interval [{low:.3f}, {high:.3f}]"
    return draw(validation.Figure(f"{key} (1)", f"{observable} (1)", tuple(series), x_log=True, y_log=True), title)
