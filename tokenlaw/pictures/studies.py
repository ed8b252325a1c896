"""Figures of studies: curves with error bars, theory dashed; gaps over values; branches of stationary laws."""

from itertools import cycle

import numpy as np
import xarray as xr

import validation
from particles import Array
from tokenlaw.answers.observables import GAPS
from tokenlaw.pictures.drawing import Figure as Canvas
from tokenlaw.pictures.drawing import new_figure, own_style
from tokenlaw.pictures.panel_plots import single
from tokenlaw.pictures.panels import COLOURS, GREY, Panel, Series

ROUNDING = 1e-10  # of a growth rate: two wells may exchange mass at a rate that no number holds
BRANCHES = (
    ("order_parameter", "order parameter"), ("free_energy", "free energy above uniform"),
    ("stability", "largest growth rate"),
)  # fmt: skip


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
    return draw(validation.Figure(str(key), str(observable), tuple(series), x_log=True, y_log=True), title)


def of_branches(dataset: xr.Dataset) -> bool:
    """Whether a dataset holds branches of stationary laws."""
    return dataset.attrs.get("command") == "stationary" and all(
        name in dataset.variables and dataset[name].dims == ("branch", "parameter") and dataset[name].size
        for name, _ in BRANCHES
    )


@own_style()
def branches_figure(dataset: xr.Dataset) -> Canvas:
    """Three panels above each other."""
    figure = new_figure(7.5, 8.5, layout="constrained")
    first = figure.add_subplot(len(BRANCHES), 1, 1)
    axes = [first, *(figure.add_subplot(len(BRANCHES), 1, k, sharex=first) for k in range(2, len(BRANCHES) + 1))]
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    x, growth = dataset["parameter"].values, dataset["stability"].values
    for ax, (name, label) in zip(axes, BRANCHES, strict=True):
        values = dataset[name].values
        if name == "free_energy":
            values = values - values[:1]
        for row, branch in enumerate(dataset["branch"].values):
            if not np.isfinite(values[row]).any():
                continue
            colour = COLOURS[row % len(COLOURS)]
            for stable, style in ((True, "-"), (False, "--")):
                ax.plot(x, _only(values[row], (growth[row] <= ROUNDING) == stable), style, color=colour, marker=".")
            ax.plot([], [], color=colour, label=str(branch))
        ax.set_ylabel(label)
        ax.axhline(0.0, color=GREY, linewidth=0.6)
    axes[0].legend()
    axes[0].set_title(f"{dataset.attrs.get('title', 'stationary laws')}: stable solid, unstable dashed")
    axes[-1].set_xlabel(str(dataset.attrs.get("key", "value")))
    return figure


def _only(values: Array, shown: Array) -> Array:
    """Values where shown, NaN else."""
    found: Array = np.where(shown, values, np.nan)
    return found
