"""States over depth drawn for a page: sphere, circle or plane, one plotly frame for each record shown.

Densities on the sphere travel as one byte a place, the entry of the colour table of `Scale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import xarray as xr

from tokenlaw.colour_scale import BESIDE, TABLE, Scale
from tokenlaw.globes import DOTS, SPREAD, fields_of, top
from tokenlaw.orthographic import best_direction, closed, sample
from tokenlaw.panels import BLUE, GREY, ORANGE

Array = npt.NDArray[np.float64]
Records = npt.NDArray[np.int64]

__all__ = ["Scene", "circle", "plane", "sphere"]

ROWS = 80  # latitudes of the sphere shown, at most: 2.25 degrees
BINS = 72  # of a histogram around the circle
DARK = "#0b4f8a"


@dataclass(frozen=True)
class Scene:
    """A figure with a frame for each record shown, named "0", "1", ...

    Attributes
    ----------
    figure : plotly figure.   kind : sphere, circle or plane.   caption : what is seen, in HTML.
    scale : how colours mean densities; None where there are none.
    """

    figure: go.Figure
    kind: str
    caption: str
    scale: Scale | None = None


def sphere(dataset: xr.Dataset, shown: Records, tokens: Sequence[Array] | None, means: Array) -> Scene:
    """The sphere: density as colour where the file has it, tokens as dots, direction of the mean as a diamond.

    Parameters
    ----------
    dataset : density(depth_time, lat, lon) in it, or tokens alone.   shown : records.
    tokens : (n, 3) at the records shown, or None.   means : mean token (record shown, 3).
    """
    place, scale, codes = _coloured(dataset, shown)
    surface = go.Surface(
        x=place[..., 0], y=place[..., 1], z=place[..., 2], surfacecolor=codes[0], cmin=0, cmax=TABLE,
        colorscale=scale.colours() if scale else [[0, "#e4e6ea"], [1, "#e4e6ea"]], showscale=scale is not None,
        colorbar=scale.bar() if scale else None, hoverinfo="none" if scale else "skip",
        lighting={"ambient": 1.0, "diffuse": 0.0, "specular": 0.0, "fresnel": 0.0}, name="density",
        contours={axis: {"highlight": False} for axis in "xyz"},
    )  # fmt: skip
    dots, marks = [_dots(x) for x in tokens or []], [_mark(mean) for mean in means]
    traces = [surface, _graticule(), marks[0], *dots[:1]]
    frames = [
        go.Frame(name=str(k), traces=[0, 2, 3][: 2 + bool(dots)],
                 data=[go.Surface(surfacecolor=codes[k]), marks[k], *dots[k : k + 1]])
        for k in range(len(shown))
    ]  # fmt: skip
    figure = go.Figure(data=traces, frames=frames)
    eye = 1.25 * best_direction(means) + np.array([0.0, 0.0, 0.2])
    hidden = {"visible": False, "range": [-1.12, 1.12]}
    figure.update_layout(
        scene={
            "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "cube", "annotations": _ends(),
            "camera": {"eye": dict(zip("xyz", eye.tolist(), strict=True))}, "dragmode": "orbit",
            "domain": {"x": [0.0, BESIDE if scale else 1.0]},
        },
        legend={"orientation": "h", "y": 0.02, "x": 0.5 * (BESIDE if scale else 1.0), "xanchor": "center"},
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, uirevision="kept",
    )  # fmt: skip
    what = ["Drag to turn the sphere, scroll to come nearer."]
    if np.isnan(place).any():
        what.append("The surface has holes where the file has no values.")
    if scale:
        what.append("Colour is the density at this depth, one scale for all depths; uniform is 1/4π ≈ 0.080.")
    if tokens:
        what.append(f"Dots are tokens{_some(len(tokens[0]))}.")
    what.append("The orange diamond is the direction of the mean token; lines are drawn every 30°.")
    return Scene(figure, "sphere", " ".join(what), scale)


def circle(dataset: xr.Dataset, shown: Records, tokens: Sequence[Array] | None, means: Array) -> Scene:
    """The circle: density over the angle where the file has it, else a histogram of the tokens; tokens as a rug."""
    if "density" in dataset:
        drawn = [closed(dataset["lon"].values, field) for field in fields_of(dataset, shown)]
        angle, curves, name = drawn[0][0], [values for _, values in drawn], "density ρ"
    else:
        edges = np.linspace(0.0, 360.0, BINS + 1)
        angle = 0.5 * (edges[1:] + edges[:-1])
        curves = [np.histogram(_angles(x), edges)[0] / (max(len(x), 1) * 2 * np.pi / BINS) for x in tokens or []]
        name = f"tokens in bins of {360 / BINS:g}°"
    tops = [abs(top(curve)) or 1.0 for curve in curves]
    alike = max(tops) <= SPREAD * min(tops)
    frames = []
    for k, curve in enumerate(curves):
        high = max(tops) if alike else tops[k]
        low = float(np.nan_to_num(curve).min(initial=0.0))
        data: list[Any] = [_curve(angle, curve, name)]
        if tokens:
            points = _angles(_even(tokens[k]))
            data.append(_rug(points, low - 0.05 * high))
            low -= 0.09 * high
        data.append(_angle_of_mean(means[k], 1.04 * high))
        layout = {"yaxis": {"range": [low, 1.1 * high]}}
        frames.append(go.Frame(name=str(k), data=data, layout=layout, traces=list(range(len(data)))))
    figure = go.Figure(data=frames[0].data, frames=frames)
    figure.update_layout(
        xaxis={"title": {"text": "angle of x on the circle (degrees)"}, "range": [0, 360], "dtick": 45},
        yaxis={"title": {"text": "density ρ (per radian)"}, **frames[0].layout.yaxis.to_plotly_json()},
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
    pooled, d = np.concatenate([_even(x) for x in tokens]), tokens[0].shape[1]
    if not len(pooled) or d < 2:
        raise ValueError(f"tokens must have two components and finite numbers to be drawn, got {len(pooled)} of {d}")
    values, directions = np.linalg.eigh(pooled.T @ pooled / len(pooled))
    two = np.eye(2) if d == 2 else directions[:, [-1, -2]]
    shares = values[[-1, -2]] / max(float(values.sum()), 1e-300)
    frames = []
    for k, points in enumerate(tokens):
        image, centre = _even(points) @ two, means[k] @ two
        frames.append(go.Frame(name=str(k), traces=[0, 1], data=[
            go.Scatter(x=image[:, 0], y=image[:, 1], mode="markers", name="tokens",
                       marker={"size": 5, "color": DARK, "opacity": 0.6}),
            go.Scatter(x=[centre[0]], y=[centre[1]], mode="markers", name="mean token",
                       marker={"size": 11, "color": ORANGE, "symbol": "diamond"}),
        ]))  # fmt: skip
    figure = go.Figure(data=frames[0].data, frames=frames)
    reach = 1.05 if unit else 1.05 * float(np.abs(pooled @ two).max() or 1.0)
    if unit:
        turn = np.linspace(0, 2 * np.pi, 181)
        figure.add_trace(go.Scatter(x=np.cos(turn), y=np.sin(turn), mode="lines", name="unit circle", hoverinfo="skip",
                                    line={"color": GREY, "width": 1}))  # fmt: skip
    titles = [f"x<sub>{k + 1}</sub> (1)" for k in range(2)] if d == 2 else [
        f"⟨x, direction {k + 1}⟩ (1), {100 * shares[k]:.0f} % of the second moment" for k in range(2)
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


def _coloured(dataset: xr.Dataset, shown: Records) -> tuple[Array, Scale | None, list[npt.NDArray[np.uint8]]]:
    """Places of the surface (rows, columns, 3), NaN where a record has no value; the scale; codes of each record."""
    rows = min(ROWS, max(48, int(dataset.sizes.get("lat", 0))))
    lat, lon = np.meshgrid(np.linspace(90, -90, rows + 1), np.linspace(0, 360, 2 * rows + 1), indexing="ij")
    place = _directions(lat, lon)
    if "density" not in dataset:
        return place.astype(np.float32), None, [np.zeros(lat.shape, dtype=np.uint8) for _ in shown]
    axes = dataset["lat"].values, dataset["lon"].values
    fields = [sample(field, *axes, place) for field in fields_of(dataset, shown)]
    scale = Scale.of(fields)
    place = np.where(np.any([np.isnan(field) for field in fields], axis=0)[..., None], np.nan, place)
    return place.astype(np.float32), scale, [scale.codes(field) for field in fields]


def _directions(lat: Array, lon: Array) -> Array:
    """Unit vectors (..., 3) from degrees."""
    up, round_ = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)], axis=-1)


def _graticule() -> go.Scatter3d:
    """Parallels and meridians every 30 degrees, a little above the surface."""
    fine, gap = np.linspace(0.0, 360.0, 121), np.full((1, 3), np.nan)
    lines = [_directions(np.full_like(fine, lat), fine) for lat in (-60, -30, 0, 30, 60)]
    lines += [_directions(fine, np.full_like(fine, lon)) for lon in range(0, 180, 30)]
    points = 1.003 * np.concatenate([part for line in lines for part in (line, gap)])
    x, y, z = points.astype(np.float32).T
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", hoverinfo="skip", showlegend=False,
                        line={"color": "rgba(255,255,255,0.45)", "width": 1})  # fmt: skip


def _ends() -> list[dict[str, Any]]:
    """Names of the axes where they leave the sphere."""
    return [
        {**dict(zip("xyz", end.tolist(), strict=True)), "text": f"x<sub>{k + 1}</sub>", "showarrow": False}
        for k, end in enumerate(1.1 * np.eye(3))
    ]  # fmt: skip


def _dots(points: Array) -> go.Scatter3d:
    x, y, z = (1.008 * _even(points)).astype(np.float32).T
    marker = {"size": 3.4, "color": "white", "line": {"color": "black", "width": 0.8}}
    return go.Scatter3d(x=x, y=y, z=z, mode="markers", name="tokens", marker=marker, hoverinfo="skip")


def _mark(mean: Array) -> go.Scatter3d:
    """Direction of the mean, nowhere if it is shorter than 1e-3."""
    length = float(np.linalg.norm(mean))
    x, y, z = (1.02 * mean / length).tolist() if length > 1e-3 else (None, None, None)
    marker = {"size": 7, "color": ORANGE, "symbol": "diamond", "line": {"color": "white", "width": 1}}
    return go.Scatter3d(
        x=[x], y=[y], z=[z], mode="markers", name="direction of the mean", marker=marker, hoverinfo="skip"
    )


def _curve(angle: Array, values: Array, name: str) -> go.Scatter:
    return go.Scatter(x=angle, y=values.astype(np.float32), mode="lines", name=name, fill="tozeroy",
                      line={"color": BLUE, "width": 1.5}, fillcolor="rgba(0,114,178,0.2)")  # fmt: skip


def _rug(angles: Array, height: float) -> go.Scatter:
    marker = {"symbol": "line-ns-open", "size": 10, "color": GREY, "line": {"width": 1}}
    return go.Scatter(x=angles.astype(np.float32), y=np.full(len(angles), height, dtype=np.float32), mode="markers",
                      name="tokens", marker=marker, hoverinfo="skip")  # fmt: skip


def _angle_of_mean(mean: Array, height: float) -> go.Scatter:
    gone = float(np.linalg.norm(mean)) <= 1e-3
    marker = {"size": 10, "color": ORANGE, "symbol": "diamond"}
    return go.Scatter(x=[None if gone else float(_angles(mean[None])[0])], y=[height], mode="markers",
                      name="angle of the mean", marker=marker, hoverinfo="skip")  # fmt: skip


def _angles(points: Array) -> Array:
    """Angles in [0, 360)."""
    return np.asarray(np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360.0)


def _even(points: Array) -> Array:
    """An even choice of at most DOTS tokens."""
    n = len(points)
    return np.asarray(points[np.linspace(0, max(n - 1, 0), min(n, DOTS)).round().astype(int)], dtype=np.float64)


def _some(n: int) -> str:
    return f" ({DOTS:,} of {n:,} drawn)" if n > DOTS else f" (all {n:,} drawn)"
