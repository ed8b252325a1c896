"""Pictures of forecasts: overlap, length, attention and gradient over layers; maps over two options."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from particles import Array
from tokenlaw.answers.forecast.found import INDISTINGUISHABLE, Found, Seen
from tokenlaw.contents import read
from tokenlaw.pictures.drawing import (
    Axes,
    CenteredNorm,
    Figure,
    LogNorm,
    Normalize,
    QuadMesh,
    StrMethodFormatter,
    new_figure,
    own_style,
)
from tokenlaw.pictures.panel_plots import draw_panel
from tokenlaw.pictures.panels import BLUE, GREEN, GREY, ORANGE, Panel, Series, wide
from tokenlaw.tables import printable

LAYER = "layer (number)"
WIDTH, HEIGHT = 5.6, 4.6  # of a map, in inches


@own_style()
def course(found: Found, title: str, beside: Found | None = None) -> Figure:
    """What was found over layers, in one or four panels; `beside`: the mean's answer.  Sizes in inches."""
    panels = [overlap(found, beside), *([] if found.seen is None else of_chain(found, found.seen))]
    rows, columns = (1, 1) if len(panels) == 1 else (2, 2)
    figure = new_figure(7.0 if columns == 1 else 9.0, 4.2 if rows == 1 else 6.6, layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        draw_panel(axes, panel, above=False)
        if columns > 1:
            axes.set_title(panel.heading, fontsize=9.5)
    figure.suptitle(title, fontsize=11)
    return figure


def overlap(found: Found, beside: Found | None) -> Panel:
    """Mean with its band, and the spread of single pairs."""
    layers, curve = np.arange(found.layers + 1), found.overlap
    band = (curve.low, curve.high)
    series = [Series("mean; band: 90 % of networks", layers, curve.mean, BLUE, marked=False, band=band)]
    if found.seen is not None:
        pairs = found.seen.quantiles
        series += [Series("90 % of pairs", layers, pairs["0.05"], GREY, ":", marked=False),
                   Series("", layers, pairs["0.95"], GREY, ":", marked=False)]  # fmt: skip
    if beside is not None:
        series.append(Series("one overlap for all pairs", layers, beside.overlap.mean, ORANGE, "--", marked=False))
    low = min(-0.02, *(float(np.nanmin(one.y)) for one in series))
    return Panel("overlap", "overlap of the tokens", LAYER, "cosine of two tokens", tuple(series),
                 levels=((INDISTINGUISHABLE, "indistinguishable"),), y_range=(low, 1.02))  # fmt: skip


def of_chain(found: Found, seen: Seen) -> list[Panel]:
    """What the chain sees beside the overlap."""
    layers = np.arange(found.layers + 1)
    radius = (Series("radius", layers, found.radius, BLUE, marked=False),)
    keys = Series("effective keys", layers[1:], seen.effective_keys[1:], BLUE, marked=False)
    return [
        Panel("radius", "length of the tokens", LAYER, "r.m.s. of an entry", radius,
              y_log=wide([found.radius[found.radius > 0]]), legend=False),
        Panel("attention", "attention", LAYER, "keys that a token reads (number)", (keys,), y_log=wide([keys.y]),
              legend=False),
        last(seen, layers),
    ]  # fmt: skip


def last(seen: Seen, layers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Panel:
    """The gradient; else the overlap by position where there is a mask; else the stable rank."""
    if seen.gradient is not None:
        g = seen.gradient
        curve = Series("mean; band: 90 % of networks", layers, g.mean, BLUE, marked=False, band=(g.low, g.high))
        return Panel("gradient", "gradient", LAYER, "mean square, last layer = 1", (curve,), y_log=True)
    if seen.causal:
        place = np.arange(2, seen.by_position.shape[1] + 1)
        shown = sorted({1 + (len(layers) - 2) * k // 3 for k in range(4)})
        curves = tuple(
            Series(f"layer {k}", place, seen.by_position[k][1:], colour, marked=False)
            for k, colour in zip(shown, (GREY, GREEN, ORANGE, BLUE)[-len(shown) :], strict=True)
        )
        return Panel("position", "overlap with the tokens before, by position", "position (number)",
                     "mean cosine", curves, x_log=len(place) > 10)  # fmt: skip
    rank = (Series("stable rank", layers, seen.stable_rank, BLUE, marked=False),)
    return Panel("rank", "stable rank", LAYER, "|X|²/|X|₂²", rank, y_log=wide([seen.stable_rank]), legend=False)


# --- maps


@own_style()
def map_of(found: xr.Dataset) -> Figure:
    """One map beside the other; grey where there is no value."""
    kinds = [one for one in KINDS if one in found and found[one].dims == found["collapse_depth"].dims]
    values = {name: _values(found, name) for name in kinds}
    known = {name: one for name, one in values.items() if np.isfinite(one).any()}
    values = known or {"collapse_depth": values["collapse_depth"]}
    figure = new_figure(7.0 if len(values) == 1 else WIDTH * len(values), HEIGHT, layout="constrained")
    for place, (name, one) in enumerate(values.items(), start=1):
        axes = figure.add_subplot(1, len(values), place)
        _axes(axes, found)
        KINDS[name](figure, axes, one, found)
    return figure


def _values(found: xr.Dataset, name: str) -> Array:
    field = found[name]
    if field.dtype.kind not in "fiu" or not field.size:
        raise ValueError(f"{name} must hold numbers, got {field.size} of type {field.dtype}")
    values = np.asarray(read(name, field.variable), dtype=np.float64)
    return np.where(np.abs(values) < 1e150, values, np.nan)


def _axes(axes: Axes, found: xr.Dataset) -> None:
    y, x = found["collapse_depth"].dims
    axes.set_facecolor("0.8")
    for axis, dim in ((axes.xaxis, x), (axes.yaxis, y)):
        places = found[dim].values
        ticks = [f"{value:g}" if places.dtype.kind in "fiu" else printable(value) for value in places]
        axis.set_ticks(range(len(ticks)), ticks, parse_math=False)
        axis.set_label_text(printable(found[dim].attrs.get("long_name", dim)), parse_math=False)


def _depth(figure: Figure, axes: Axes, depth: Array, found: xr.Dataset) -> None:
    """Collapse depths, on a logarithmic scale."""
    depth = np.where(depth > 0, depth, np.nan)
    finite = depth[np.isfinite(depth)]
    least, most = (max(1.0, finite.min()), max(2.0, finite.max())) if finite.size else (1.0, 2.0)
    mesh = _mesh(axes, depth, LogNorm(least, max(most, 1.01 * least)), "viridis")
    within = f" within {printable(found.attrs['deepest'])}" if "deepest" in found.attrs else ""
    axes.set_title(f"layers until collapse; grey: none{within}", fontsize=11, parse_math=False)
    bar = figure.colorbar(mesh, label="collapse depth (layers)")
    bar.set_ticks(np.unique(np.geomspace(least, most, 5).round()).tolist())
    bar.formatter = StrMethodFormatter("{x:g}")
    bar.minorticks_off()


def _overlaps(figure: Figure, axes: Axes, overlap: Array, found: xr.Dataset) -> None:
    mesh = _mesh(axes, overlap, Normalize(0, 1), "magma")
    axes.set_title("overlap at the last layer", fontsize=11)
    figure.colorbar(mesh, label="mean cosine of two tokens")


def _signed(title: str, label: str) -> Callable[[Figure, Axes, Array, xr.Dataset], None]:
    """A quantity whose sign matters."""

    def draw_it(figure: Figure, axes: Axes, values: Array, found: xr.Dataset) -> None:
        reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
        mesh = _mesh(axes, values, CenteredNorm(0, reach), "RdBu_r")
        axes.set_title(title, fontsize=11)
        figure.colorbar(mesh, label=label)

    return draw_it


def _gradient(figure: Figure, axes: Axes, values: Array, found: xr.Dataset) -> None:
    positive = np.where(values > 0, values, np.nan)
    _signed("gradient at the start", "log10 of mean square, last layer = 1")(
        figure, axes, np.log10(positive), found
    )


def _mesh(axes: Axes, values: Array, norm: Normalize, colours: str) -> QuadMesh:
    rows, columns = values.shape
    return axes.pcolormesh(range(columns), range(rows), values, cmap=colours, norm=norm)


KINDS: dict[str, Callable[[Figure, Axes, Array, xr.Dataset], None]] = {
    "collapse_depth": _depth,
    "overlap": _overlaps,
    "exponent": _signed("exponent of 1 - overlap at 0.99", "rate per layer"),
    "gradient": _gradient,
}
"""Variable -> how it is drawn."""
