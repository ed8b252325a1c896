"""States over depth drawn for a page: sphere, circle or plane, one plotly frame for each record shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import xarray as xr

from particles import Array
from tokenlaw.contents import largest
from tokenlaw.pictures.circle import angles
from tokenlaw.pictures.drawing import colormaps, to_hex
from tokenlaw.pictures.globe import DOTS, NEGATIVE, even, fields_of, negative, power_of
from tokenlaw.pictures.orthographic import best_direction, closed, directions, graticule, sample
from tokenlaw.pictures.panels import BLUE, GREY, ORANGE
from tokenlaw.pictures.words import density_label

Records = npt.NDArray[np.int64]

__all__ = ["Scene", "circle", "plane", "sphere"]

ROWS = 80  # latitudes of the sphere shown, at most: 2.25 degrees
BINS = 72  # of a histogram around the circle
DARK = "#0b4f8a"
DIAMOND = {"color": ORANGE, "symbol": "diamond", "line": {"color": "white", "width": 1}}
BESIDE = 0.8  # share of the width that is left of the colour bar
BELOW_ZERO = 0.02  # share of a scale of colours that negative values take


@dataclass(frozen=True)
class Scene:
    """A figure with a frame for each record shown, named "0", "1", ...

    Attributes
    ----------
    figure : plotly figure.   kind : sphere, circle or plane.   caption : what is seen.
    """

    figure: go.Figure
    kind: str
    caption: str


def sphere(dataset: xr.Dataset, shown: Records, tokens: Sequence[Array] | None, means: Array) -> Scene:
    """The sphere: density as colour where the file has it, tokens as dots, direction of the mean as a diamond.

    Parameters
    ----------
    dataset : density(depth_time, lat, lon) in it, or tokens alone.   shown : records.
    tokens : (n, 3) at the records shown, or None.   means : mean token (record shown, 3).
    """
    where, fields = _surface(dataset, shown)
    x, y, z = np.moveaxis(where.astype(np.float32), -1, 0)
    values = [field.astype(np.float32) for field in fields]
    coloured = "density" in dataset
    colours = _colours(fields, density_label(dataset)) if coloured else {
        "colorscale": [[0, "#e4e6ea"], [1, "#e4e6ea"]], "showscale": False, "hoverinfo": "skip",
    }  # fmt: skip
    lighting = {"ambient": 1.0, "diffuse": 0.0, "specular": 0.0, "fresnel": 0.0}
    contours = {axis: {"highlight": False} for axis in "xyz"}
    surface = go.Surface(x=x, y=y, z=z, surfacecolor=values[0], name="density", lighting=lighting, contours=contours,
                         **colours)  # fmt: skip
    rim = {"color": "black", "width": 0.8}
    dots = [_markers(1.008 * even(x), "tokens", size=3.4, color="white", line=rim) for x in tokens or []]
    marks = [_markers(1.02 * _direction(mean), "direction of the mean", size=7, **DIAMOND) for mean in means]
    frames = [
        go.Frame(name=str(k), traces=[0, 2, 3][: 2 + bool(dots)],
                 data=[go.Surface(surfacecolor=value), marks[k], *dots[k : k + 1]])
        for k, value in enumerate(values)
    ]  # fmt: skip
    figure = go.Figure(data=[surface, _graticule(), marks[0], *dots[:1]], frames=frames)
    _around(figure, best_direction(means), BESIDE if coloured else 1.0)
    what = ["Drag to turn the sphere, scroll to come nearer."]
    if np.isnan(where).any():
        what.append("The surface has holes where the file has no values.")
    if coloured:
        what.append("Colour is the density at this depth, one scale for all depths; uniform is 1/4π ≈ 0.080.")
    if any(map(negative, fields)):
        what.append("Negative values, where the run does not resolve its density, are pink.")
    if tokens:
        what.append(f"Dots are tokens{_some(len(tokens[0]))}.")
    what.append("The orange diamond is the direction of the mean token; lines are drawn every 30°.")
    return Scene(figure, "sphere", " ".join(what))


def _around(figure: go.Figure, direction: Array, width: float) -> None:
    """The sphere seen from a direction, over a share of the width, with the names of the axes where they leave it."""
    eye = 1.25 * direction + np.array([0.0, 0.0, 0.2])
    ends = [
        {**dict(zip("xyz", end.tolist(), strict=True)), "text": f"x{sub}", "showarrow": False}
        for sub, end in zip("₁₂₃", 1.1 * np.eye(3), strict=True)
    ]
    hidden = {"visible": False, "range": [-1.12, 1.12]}
    figure.update_layout(
        scene={
            "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "cube", "annotations": ends,
            "camera": {"eye": dict(zip("xyz", eye.tolist(), strict=True))}, "dragmode": "orbit",
            "domain": {"x": [0.0, width]},
        },
        legend={"orientation": "h", "y": 0.02, "x": 0.5 * width, "xanchor": "center"},
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, uirevision="kept",
    )  # fmt: skip


def circle(dataset: xr.Dataset, shown: Records, tokens: Sequence[Array] | None, means: Array) -> Scene:
    """The circle: density over the angle where the file has it, else a histogram of the tokens; tokens as a rug."""
    if "density" in dataset:
        drawn = [closed(dataset["lon"].values, field) for field in fields_of(dataset, shown)]
        angle, curves, name = drawn[0][0], [values for _, values in drawn], "density ρ"
    else:
        edges = np.linspace(0.0, 360.0, BINS + 1)
        angle = 0.5 * (edges[1:] + edges[:-1])
        curves = [np.histogram(angles(x), edges)[0] / (max(len(x), 1) * 2 * np.pi / BINS) for x in tokens or []]
        name = f"tokens in bins of {360 / BINS:g}°"
    tops, alike = [abs(largest(curve)) or 1.0 for curve in curves], power_of(curves) == 1
    frames = []
    for k, curve in enumerate(curves):
        high = max(tops) if alike else tops[k]
        low = float(np.nan_to_num(curve).min(initial=0.0))
        data: list[Any] = [_curve(angle, curve, name)]
        if tokens:
            data.append(_markers(_above(even(tokens[k]), low - 0.05 * high), "tokens", symbol="line-ns-open", size=10,
                                 color=GREY, line={"width": 1}))  # fmt: skip
            low -= 0.09 * high
        data.append(_markers(_above(_direction(means[k]), 1.04 * high), "angle of the mean", size=10, **DIAMOND))
        layout = {"yaxis": {"range": [low, 1.1 * high]}}
        frames.append(go.Frame(name=str(k), data=data, layout=layout, traces=list(range(len(data)))))
    figure = go.Figure(data=frames[0].data, frames=frames)
    figure.update_layout(
        xaxis={"title": {"text": "angle of x on the circle (degrees)"}, "range": [0, 360], "dtick": 45},
        yaxis={"title": {"text": density_label(dataset)}, **frames[0].layout.yaxis.to_plotly_json()},
        legend={"orientation": "h", "y": 1.08}, margin={"l": 60, "r": 20, "t": 30, "b": 50},
    )  # fmt: skip
    what = ["The circle unrolled; uniform is 1/2π ≈ 0.159."]
    if not alike:
        what.append("The vertical axis changes with depth: the largest densities differ too much for one.")
    if tokens:
        what.append(f"Ticks below are tokens{_some(len(tokens[0]))}.")
    what.append("The orange diamond is the angle of the mean token.")
    return Scene(figure, "circle", " ".join(what))


def plane(tokens: Sequence[Array], means: Array, unit: bool) -> Scene:
    """Tokens of any dimension on the plane of the two leading directions of all the records shown together."""
    pooled, d = np.concatenate([even(x) for x in tokens]), tokens[0].shape[1]
    if not len(pooled) or d < 2:
        raise ValueError(f"tokens must have two components and finite numbers to be drawn, got {len(pooled)} of {d}")
    values, directions = np.linalg.eigh(pooled.T @ pooled / len(pooled))
    two = np.eye(2) if d == 2 else directions[:, [-1, -2]]
    shares = values[[-1, -2]] / max(float(values.sum()), 1e-300)
    frames = []
    for k, points in enumerate(tokens):
        frames.append(go.Frame(name=str(k), traces=[0, 1], data=[
            _markers(even(points) @ two, "tokens", size=5, color=DARK, opacity=0.6),
            _markers(means[k][None] @ two, "mean token", size=11, **DIAMOND),
        ]))  # fmt: skip
    figure = go.Figure(data=frames[0].data, frames=frames)
    reach = 1.05 if unit else 1.05 * float(np.abs(pooled @ two).max() or 1.0)
    if unit:
        turn = np.linspace(0, 2 * np.pi, 181)
        figure.add_trace(go.Scatter(x=np.cos(turn), y=np.sin(turn), mode="lines", name="unit circle", hoverinfo="skip",
                                    line={"color": GREY, "width": 1}))  # fmt: skip
    titles = [f"x{sub}" for sub in "₁₂"] if d == 2 else [
        f"⟨x, direction {k + 1}⟩, {100 * shares[k]:.0f} % of the second moment" for k in range(2)
    ]  # fmt: skip
    figure.update_layout(
        xaxis={"title": {"text": titles[0]}, "range": [-reach, reach], "constrain": "domain",
               "zerolinecolor": "#c3c9d3"},
        yaxis={"title": {"text": titles[1]}, "range": [-reach, reach], "scaleanchor": "x", "constrain": "domain",
               "zerolinecolor": "#c3c9d3"},
        legend={"orientation": "h", "y": 1.06}, margin={"l": 60, "r": 20, "t": 30, "b": 50},
    )  # fmt: skip
    caption = f"Tokens in dimension {d}{_some(len(tokens[0]))}" + ("." if d == 2 else (
        ", seen on the plane of the two directions in which their second moment, over all the depths shown, is largest."
    ))  # fmt: skip
    return Scene(figure, "plane", caption)


def _surface(dataset: xr.Dataset, shown: Records) -> tuple[Array, list[Array]]:
    """Places of the surface (row, column, 3), NaN where a record has no value, and the densities there (row, column).

    Rows go from north to south, columns eastwards from longitude 0; densities are 0 where the file has none.
    """
    rows = min(ROWS, max(48, int(dataset.sizes.get("lat", 0))))
    where = directions(np.linspace(90, -90, rows + 1)[:, None], np.linspace(0, 360, 2 * rows + 1))
    if "density" not in dataset:
        return where, [np.zeros(where.shape[:2])] * len(shown)
    axes = dataset["lat"].values, dataset["lon"].values
    fields = [sample(field, *axes, where) for field in fields_of(dataset, shown)]
    where[np.any(np.isnan(fields), axis=0)] = np.nan
    return where, fields


def _colours(fields: Sequence[Array], label: str) -> dict[str, Any]:
    """Colours of densities from 0 to the largest, finer near 0 where the records differ much, and their bar."""
    top, power = max(*map(largest, fields), 1e-300), power_of(fields)
    begin = BELOW_ZERO if any(map(negative, fields)) else 0.0
    stops = [(begin + (1 - begin) * t ** (1 / power), to_hex(colormaps["viridis"](t))) for t in np.linspace(0, 1, 33)]
    return {
        "colorscale": [(0.0, NEGATIVE), (begin, NEGATIVE), *stops] if begin else stops,
        "cmin": -top * begin / (1 - begin), "cmax": top, "hoverinfo": "none",
        "colorbar": {"title": {"text": label, "side": "right"}, "len": 0.8, "thickness": 16, "x": BESIDE + 0.02},
    }  # fmt: skip


def _graticule() -> go.Scatter3d:
    """The graticule a little above the surface."""
    gap = np.full((1, 3), np.nan)
    x, y, z = (1.003 * np.concatenate([part for line in graticule() for part in (line, gap)])).astype(np.float32).T
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", hoverinfo="skip", showlegend=False,
                        line={"color": "rgba(255,255,255,0.45)", "width": 1})  # fmt: skip


def _markers(points: Array, name: str, **marker: Any) -> go.Scatter | go.Scatter3d:
    """Markers at points (n, 2) or (n, 3)."""
    kind = go.Scatter3d if points.shape[1] == 3 else go.Scatter
    where = dict(zip("xyz", points.astype(np.float32).T, strict=False))
    return kind(**where, mode="markers", name=name, marker=marker, hoverinfo="skip")


def _direction(mean: Array) -> Array:
    """Direction (1, d) of a mean token, nowhere if it is shorter than 1e-3."""
    length = float(np.linalg.norm(mean))
    return np.asarray(mean[None] / length if length > 1e-3 else np.full((1, len(mean)), np.nan))


def _above(points: Array, height: float) -> Array:
    """Angles of points on the circle, and a height."""
    return np.stack([angles(points), np.full(len(points), height)], axis=1)


def _curve(angle: Array, values: Array, name: str) -> go.Scatter:
    return go.Scatter(x=angle, y=values.astype(np.float32), mode="lines", name=name, fill="tozeroy",
                      line={"color": BLUE, "width": 1.5}, fillcolor="rgba(0,114,178,0.2)")  # fmt: skip


def _some(n: int) -> str:
    return f" ({DOTS:,} of {n:,} drawn)" if n > DOTS else f" (all {n:,} drawn)"
