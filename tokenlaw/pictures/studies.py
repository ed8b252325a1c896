"""Figures of studies and forecasts: curves with error bars, theory dashed; the course of an overlap; maps."""

from itertools import cycle

import numpy as np
import xarray as xr

import validation
from particles.reduced import Forecast
from tokenlaw.answers.observables import GAPS
from tokenlaw.contents import read
from tokenlaw.pictures.drawing import Figure as Canvas
from tokenlaw.pictures.drawing import LogNorm, StrMethodFormatter, new_figure, own_style
from tokenlaw.pictures.panel_plots import single
from tokenlaw.pictures.panels import COLOURS, GREY, Panel, Series
from tokenlaw.tables import printable


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


def course(found: Forecast, title: str) -> Canvas:
    """Mean overlap and its band over layers."""
    layers = np.arange(found.architecture.layers + 1)
    mean = Series("mean; band: 90 % of random weights", layers, found.mean, marked=False, band=found.band)
    panel = Panel("course", title, "layer (number)", "overlap of the tokens, cosine (1)", (mean,),
                  levels=((0.99, "indistinguishable"),), y_range=(-0.02, 1.02))  # fmt: skip
    return single(panel, title)


@own_style()
def map_figure(found: xr.Dataset) -> Canvas:
    """A map of collapse depths, logarithmic in everything; grey where there is no collapse."""
    field = found["collapse_depth"]
    if field.dtype.kind not in "fiu" or not field.size:
        raise ValueError(f"collapse_depth must hold numbers, got {field.size} of type {field.dtype}")
    y, x = field.dims
    depth = read("collapse_depth", field.variable)
    depth = np.where((depth > 0) & (depth < 1e150), depth, np.nan)
    finite = depth[np.isfinite(depth)]
    least, most = (max(1.0, finite.min()), max(2.0, finite.max())) if finite.size else (1.0, 2.0)
    canvas = new_figure(7.0, 4.6, layout="constrained")
    axes = canvas.add_subplot()
    axes.set_facecolor("0.8")
    norm = LogNorm(least, max(most, 1.01 * least))
    mesh = axes.pcolormesh(range(field.sizes[x]), range(field.sizes[y]), depth, cmap="viridis", norm=norm)
    for axis, dim in ((axes.xaxis, x), (axes.yaxis, y)):
        places = found[dim].values
        ticks = [f"{value:g}" if places.dtype.kind in "fiu" else printable(value) for value in places]
        axis.set_ticks(range(len(ticks)), ticks, parse_math=False)
        axis.set_label_text(f"{printable(found[dim].attrs.get('long_name', dim))} (1)", parse_math=False)
    within = f" within {printable(found.attrs['deepest'])}" if "deepest" in found.attrs else ""
    axes.set_title(f"layers until collapse; grey: none{within}", fontsize=11, parse_math=False)
    bar = canvas.colorbar(mesh, label="collapse depth (layers)")
    bar.set_ticks(np.unique(np.geomspace(least, most, 5).round()).tolist())
    bar.formatter = StrMethodFormatter("{x:g}")
    bar.minorticks_off()
    return canvas
