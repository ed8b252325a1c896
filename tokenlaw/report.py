"""One page on a run: state with a depth slider, curves, numbers, configuration, versions; opens without a network."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles.output import whole
from tokenlaw import curves, scenes
from tokenlaw.contents import forms_of, held, of_one_run, record, rows_with_numbers
from tokenlaw.files import summaries
from tokenlaw.globes import fields_of, means_of, top
from tokenlaw.orthographic import closed
from tokenlaw.plots import on_sphere
from tokenlaw.report_words import MEANINGS, depth_label, findings, summary
from tokenlaw.tables import printable

Array = npt.NDArray[np.float64]

__all__ = ["page", "write"]

RECORDS = 25  # steps of the slider, at most
# Nothing is fetched, whatever stands in the page; plotly compiles its own code.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; worker-src blob:"
)
FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1c2430"}


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
    name = printable(name)
    shown = np.unique(np.linspace(0, dataset.sizes["depth_time"] - 1, RECORDS).round().astype(np.int64))
    scene, panels = _scene(dataset, shown), _panels(dataset)
    title = printable(dataset.attrs.get("title", "run"))
    parts = [
        "<!doctype html>", '<html lang="en">', '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>tokenlaw: {html.escape(name)}</title>", f"<style>{_asset('report.css')}</style>",
        f"<header><h1>{html.escape(title[:1].upper() + title[1:])}</h1>",
        f'<p class="lead">{html.escape(name)} · {html.escape(summary(dataset))}</p>',
        '<ul class="findings">', *(f"<li>{line}</li>" for line in findings(dataset)), "</ul></header>",
        *_stage(scene, dataset, shown), '<section class="grid">', *(_figure(panel) for panel in panels), "</section>",
        *_numbers(given), *_origin(dataset),
        '<noscript><p>The figures are drawn by JavaScript, which is switched off here.</p></noscript>',
        _data("page", _state(dataset, shown, scene)), _data("figure-scene", _plain(scene.figure)),
        *(_data(f"figure-{panel.name}", _plain(_with_mark(panel))) for panel in panels),
        f"<script>{_plotly()}</script>", f"<script>{_asset('report.js')}</script>", "</html>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _run_of(dataset: xr.Dataset) -> xr.Dataset:
    """What is known of the run in a file, or ValueError where there is neither density nor tokens."""
    found, reasons = held(dataset)
    if "density" not in found and "tokens" not in found:
        there = ", ".join(sorted(printable(name) for name in dataset.data_vars)) or "no variables"
        wrong = "".join(f"; {name} {reasons[name]}" for name in ("density", "tokens") if name in reasons)
        raise ValueError(
            f"a report is made of the file of a run: {forms_of('density')}, {forms_of('tokens')}, or both; "
            f"the file has {there}{wrong}"
        )
    return found


def _tokens(dataset: xr.Dataset, k: int) -> Array:
    return rows_with_numbers(record(dataset, "tokens", k))


def _scene(dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> scenes.Scene:
    """The state at the records shown, as the space and its dimension ask for."""
    tokens = [_tokens(dataset, int(k)) for k in shown] if "tokens" in dataset else None
    means = _means(dataset, shown, tokens)
    if "density" in dataset:
        draw = scenes.sphere if "lat" in dataset["density"].dims else scenes.circle
        return draw(dataset, shown, tokens, means)
    assert tokens is not None
    unit = on_sphere(tokens, dataset["tokens"].dtype)
    curved = {2: scenes.circle, 3: scenes.sphere}.get(tokens[0].shape[1]) if unit else None
    return curved(dataset, shown, tokens, means) if curved else scenes.plane(tokens, means, unit)


def _means(dataset: xr.Dataset, shown: npt.NDArray[np.int64], tokens: list[Array] | None) -> Array:
    """Mean tokens at the records shown, 0 where not known; about those of the density where the file has none."""
    if "mean_token" in dataset:
        found = dataset["mean_token"].values[shown]
    elif "density" not in dataset:
        found = np.array([x.mean(axis=0) if len(x) else np.zeros(x.shape[1]) for x in tokens or []])
    elif "lat" in dataset["density"].dims:
        found = means_of(dataset, shown, fields_of(dataset, shown))
    else:
        curves_ = [closed(dataset["lon"].values, field) for field in fields_of(dataset, shown)]
        found = np.array([_mean_on_circle(np.radians(angle), np.nan_to_num(values)) for angle, values in curves_])
    return np.nan_to_num(np.asarray(found, dtype=np.float64))


def _mean_on_circle(angle: Array, values: Array) -> Array:
    return np.array([np.trapezoid(values * wave(angle), angle) for wave in (np.cos, np.sin)])


def _panels(dataset: xr.Dataset) -> list[curves.Panel]:
    if "tokens" not in dataset:
        return curves.panels(dataset, None, True)
    ends = _tokens(dataset, 0), _tokens(dataset, -1)
    return curves.panels(dataset, ends, on_sphere(ends, dataset["tokens"].dtype))


def _state(dataset: xr.Dataset, shown: npt.NDArray[np.int64], scene: scenes.Scene) -> dict[str, Any]:
    """What the slider says at each of its steps, and how colours mean densities."""
    depth, of = curves.depth_of(dataset), dataset.sizes["depth_time"]
    steps = []
    for k in map(int, shown):
        counted = dataset["depth_time"].attrs.get("counted")
        said = [] if counted else [f"{depth_label(dataset).split(' (')[0]} {depth[k]:.4g}"]
        said.append(f"record {k + 1} of {of}")
        if "mean_overlap" in dataset:
            said.append(f"mean overlap {float(dataset['mean_overlap'][k]):.3f}")
        if "density" in dataset:
            said.append(f"largest density {top(record(dataset, 'density', k)):.3g}")
        if "unresolved" in dataset and dataset["unresolved"].values[k] > 0:
            said.append("density not resolved at a point")
        steps.append({"depth": float(depth[k]), "text": " · ".join(said)})
    scale = None if scene.scale is None else {
        "top": scene.scale.top, "power": scene.scale.power, "first": scene.scale.first
    }  # fmt: skip
    return {"shown": steps, "scale": scale}


def _stage(scene: scenes.Scene, dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> Iterator[str]:
    turn = '<button id="turn" type="button" aria-pressed="false">Turn</button>' if scene.kind == "sphere" else ""
    yield '<section class="stage"><h2>The state over depth</h2>'
    yield '<div id="scene" class="figure"></div>'
    yield '<div class="control"><button id="play" type="button" aria-pressed="false">Play</button>' + turn
    yield f'<label for="depth">{html.escape(depth_label(dataset).split(" (")[0])}</label>'
    yield f'<input id="depth" type="range" min="0" max="{len(shown) - 1}" step="1" value="0"></div>'
    yield '<div id="readout" aria-live="polite"></div><div id="pointer"></div>'
    yield f"<figcaption>{scene.caption}</figcaption></section>"


def _figure(panel: curves.Panel) -> str:
    return (
        f'<figure><h2>{panel.heading}</h2><div id="{panel.name}" class="figure" '
        f'data-over-depth="{str(panel.over_depth).lower()}"></div><figcaption>{panel.caption}</figcaption></figure>'
    )


def _numbers(dataset: xr.Dataset) -> Iterator[str]:
    """First, last and largest value of what is worth telling, with its meaning."""
    yield '<section><h2>Numbers</h2><div class="wide"><table><tr><th>quantity<th class="number">first'
    yield '<th class="number">last<th class="number">largest<th>what it is</tr>'
    for name, text, numbers in summaries(dataset):
        cells = "".join(f'<td class="number">{v:.4g}' for v in numbers)
        yield f"<tr><td>{html.escape(text)}{cells}<td>{html.escape(MEANINGS.get(name, ''))}</tr>"
    yield '</table></div><p class="quiet">Everything is dimensionless, written (1) at the axes; lengths are in radii '
    yield "of the sphere.</p></section>"


def _origin(dataset: xr.Dataset) -> Iterator[str]:
    """Versions, seeds and the configuration, which can be saved and run."""
    yield '<section><h2>Where it comes from</h2><div class="wide"><table>'
    for name, value in sorted(dataset.attrs.items()):
        if name.endswith("_version") or name in ("command", "seed", "member", "Conventions", "history"):
            yield f"<tr><td>{html.escape(printable(name.replace('_', ' ')))}<td>{html.escape(printable(value))}</tr>"
    yield "</table></div></section>"
    if "configuration" in dataset.attrs:
        lines = str(dataset.attrs["configuration"]).strip().splitlines()
        text = html.escape("\n".join(printable(line.expandtabs()) for line in lines))
        yield "<section><details open><summary>Configuration, with every default; saved as a file it can be run"
        yield "</summary>"
        yield f"<pre>{text}</pre></details></section>"


def _with_mark(panel: curves.Panel) -> Any:
    """The figure of a panel, styled, with a line at the depth of the slider."""
    figure = panel.figure
    figure.update_xaxes(showline=True, linecolor="#8a93a3", gridcolor="#e6e9ee", zeroline=False)
    figure.update_yaxes(showline=True, linecolor="#8a93a3", gridcolor="#e6e9ee", zeroline=False, automargin=True)
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, margin={"l": 65, "r": 15, "t": 30, "b": 50}
    )
    if panel.over_depth:
        mark = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 0, "x1": 0,
                "line": {"color": "#1c2430", "width": 1, "dash": "dot"}}  # fmt: skip
        figure.layout.shapes = (mark, *figure.layout.shapes)
    return figure


def _plain(figure: Any) -> dict[str, Any]:
    """A figure as what JSON holds, without plotly's own template."""
    figure.update_layout(template="none", font=FONT, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    found: dict[str, Any] = json.loads(figure.to_json())
    return found


def _data(name: str, value: Any) -> str:
    """A block of data in the page; no text in it can end the block."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _asset(name: str) -> str:
    return resources.files("tokenlaw").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
