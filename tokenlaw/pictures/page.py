"""One page on a run: state with a depth slider, curves, numbers, configuration, versions; opens without a network."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import xarray as xr
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from particles import Array
from particles.files import whole
from tokenlaw.contents import forms_of, held, largest, of_one_run, record, tokens_at, variables_of
from tokenlaw.files import summaries
from tokenlaw.pictures import scenes
from tokenlaw.pictures.globe import means_of
from tokenlaw.pictures.moments import on_sphere
from tokenlaw.pictures.network_panels import IN_THEIR_PLACE, network_panels
from tokenlaw.pictures.panels import COLOURS, GREY, Panel, Series, depth_of, panels
from tokenlaw.pictures.templates import asset, rendered
from tokenlaw.pictures.words import depth_label, findings, summary
from tokenlaw.tables import printable

__all__ = ["page", "write"]

RECORDS = 25  # steps of the slider, at most
FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1c2430"}
SYMBOLS = {**dict(zip_longest(COLOURS, ("circle", "square", "triangle-up", "diamond"), fillvalue="cross")), GREY: "x"}
DASHES = {"-": "solid", "--": "dash", ":": "dot"}


def write(dataset: xr.Dataset, source: Path, out: Path) -> int:
    """Write the page of a file; its size in bytes."""
    text = page(dataset, source.name)
    with whole(out) as part:
        part.write_text(text, encoding="utf-8")
    return out.stat().st_size


def page(dataset: xr.Dataset, name: str) -> str:
    """The page of a density, token or compare file as HTML text.

    Parameters
    ----------
    dataset : as xarray.open_dataset gives it (docs/file_format); a `realization` dimension of size 1 is dropped.
    name : of the file, as it is shown.

    Returns
    -------
    str : HTML with plotly.js inside, about 4.9 MB of it; states are thinned to at most 25 records, 81 x 161 places
    on the sphere and 600 tokens, numbers and curves are those of the file.

    Raises
    ------
    ValueError: the file holds no run.
    """
    given = of_one_run(dataset, "a report is of one of them")
    dataset = _run_of(given)
    shown = np.unique(np.linspace(0, dataset.sizes["depth_time"] - 1, RECORDS).round().astype(np.int64))
    networks = network_panels(dataset)
    others = [panel for panel in panels(dataset) if not networks or panel.name not in IN_THEIR_PLACE]
    scene, drawn = _scene(dataset, shown), [panel for panel in (*networks, *others) if panel.series]
    figures = {"scene": _plain(scene.figure), **{panel.name: _plain(_figure(panel)) for panel in drawn}}
    lines = str(dataset.attrs.get("configuration", "")).strip().splitlines()
    return rendered(
        "page.html", name=printable(name), title=printable(dataset.attrs.get("title", "run")),
        summary=summary(dataset), findings=findings(dataset), kind=scene.kind, caption=scene.caption,
        depth=depth_label(dataset).split(" (")[0], steps=_steps(dataset, shown), panels=drawn, figures=figures,
        numbers=summaries(given), origin=_origin(dataset),
        configuration="\n".join(printable(line.expandtabs()) for line in lines),
        css=asset("page.css"), js=asset("page.js"), plotly=_plotly(),
    )  # fmt: skip


def _run_of(dataset: xr.Dataset) -> xr.Dataset:
    """What is known of the run in a file, or ValueError where there is neither density nor tokens."""
    found, reasons = held(dataset)
    if "density" not in found and "tokens" not in found:
        wrong = "".join(f"; {name} {reasons[name]}" for name in ("density", "tokens") if name in reasons)
        raise ValueError(
            f"a report is made of the file of a run: {forms_of('density')}, {forms_of('tokens')}, or both; "
            f"the file has {variables_of(dataset)}{wrong}"
        )
    return found


def _scene(dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> scenes.Scene:
    """The state at the records shown, as the space and its dimension ask for."""
    tokens = [tokens_at(dataset, k) for k in shown] if "tokens" in dataset else None
    means = means_of(dataset, shown)
    if "density" in dataset:
        draw = scenes.sphere if "lat" in dataset["density"].dims else scenes.circle
        return draw(dataset, shown, tokens, means)
    assert tokens is not None
    unit = on_sphere(tokens, dataset["tokens"].dtype)
    curved = {2: scenes.circle, 3: scenes.sphere}.get(tokens[0].shape[1]) if unit else None
    return curved(dataset, shown, tokens, means) if curved else scenes.plane(tokens, means, unit)


def _steps(dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """What the slider says at each of its steps."""
    depth, of = depth_of(dataset), dataset.sizes["depth_time"]
    steps = []
    for k in map(int, shown):
        counted = dataset["depth_time"].attrs.get("counted")
        said = [] if counted else [f"{depth_label(dataset).split(' (')[0]} {depth[k]:.4g}"]
        said.append(f"record {k + 1} of {of}")
        if "mean_overlap" in dataset:
            said.append(f"mean overlap {float(dataset['mean_overlap'][k]):.3f}")
        if "density" in dataset:
            said.append(f"largest density {largest(record(dataset, 'density', k)):.3g}")
        if "unresolved" in dataset and dataset["unresolved"].values[k] > 0:
            said.append("density not resolved at a point")
        steps.append({"depth": float(depth[k]), "text": " · ".join(said)})
    return steps


def _origin(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """Versions and seeds."""
    told = {"command", "seed", "member", "Conventions", "history"}
    return [
        (printable(name.replace("_", " ")), printable(value)) for name, value in sorted(dataset.attrs.items())
        if name.endswith("_version") or name in told
    ]  # fmt: skip


def _figure(panel: Panel) -> go.Figure:
    """A panel drawn by plotly, with a line at the depth of the slider."""
    bands = [_band(series) for series in panel.series if series.band is not None]
    figure = go.Figure([*bands, *(_trace(series) for series in panel.series)])
    line = {"showline": True, "linecolor": "#8a93a3", "gridcolor": "#e6e9ee", "zeroline": False}
    figure.update_xaxes(title_text=panel.x_label, type="log" if panel.x_log else "linear", **line)
    figure.update_yaxes(title_text=panel.y_label, type="log" if panel.y_log else "linear", automargin=True,
                        rangemode="tozero" if panel.y_range[0] == 0 else "normal", **line)  # fmt: skip
    if panel.y_log:
        figure.update_yaxes(exponentformat="power", dtick=_decades([series.y for series in panel.series]))
    if panel.over_depth:
        mark = {"color": FONT["color"], "width": 1, "dash": "dot"}
        figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=0, x1=0, line=mark)
    for value, label in panel.levels:
        figure.add_hline(y=value, line={"color": GREY, "dash": "dash"}, annotation_text=label)
    figure.update_layout(
        showlegend=panel.legend and len(panel.series) > 1, margin={"l": 65, "r": 15, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return figure


def _trace(series: Series) -> go.Scatter:
    x, y = (np.asarray(values, dtype=np.float64) for values in (series.x, series.y))
    line = {"color": series.colour, "width": 1.8, "dash": DASHES[series.dash]}
    if len(x) > len(y):
        line |= {"width": 1, "shape": "hv"}
        return go.Scatter(x=x, y=np.append(y, y[-1]), name=series.label, mode="lines", fill="tozeroy", line=line)
    marker = {"symbol": SYMBOLS[series.colour], "size": 6}
    return go.Scatter(x=x, y=y, name=series.label, mode="lines+markers", connectgaps=True, opacity=series.opacity,
                      line=line, marker=marker)  # fmt: skip


def _band(series: Series) -> go.Scatter:
    """The shaded band of a curve, where both ends are known."""
    assert series.band is not None
    x, low, high = (np.asarray(values, dtype=np.float64) for values in (series.x, *series.band))
    known = np.isfinite(low) & np.isfinite(high)
    around, ends = np.concatenate([x[known], x[known][::-1]]), np.concatenate([high[known], low[known][::-1]])
    return go.Scatter(x=around, y=ends, mode="lines", fill="toself", fillcolor=series.colour, opacity=0.2,
                      line={"width": 0}, hoverinfo="skip", showlegend=False)  # fmt: skip


def _decades(curves: list[Array]) -> float | str:
    """Decades between the ticks of a logarithmic axis, at most eight; ticks at 2 and 5 too ("D2") below two decades."""
    values = np.concatenate(curves)
    span = float(np.ptp(np.log10(values[np.isfinite(values) & (values > 0)])))
    return "D2" if span < 2 else float(np.ceil(span / 8))


def _plain(figure: go.Figure) -> dict[str, Any]:
    """A figure as what JSON holds, without plotly's own template."""
    figure.update_layout(template="none", font=FONT, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    found: dict[str, Any] = json.loads(figure.to_json())
    return found


def _plotly() -> Markup:
    return Markup(get_plotlyjs())
