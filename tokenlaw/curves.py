"""Curves over depth time for a page, in plotly: each with labels, and a sentence that says how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import xarray as xr

from tokenlaw.contents import place, record, selected, values_of
from tokenlaw.globes import top
from tokenlaw.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, eigenvalues, overlaps, powers
from tokenlaw.report_words import depth_label

Array = npt.NDArray[np.float64]

__all__ = ["Panel", "panels"]

SYMBOLS = {BLUE: "circle", ORANGE: "square", GREEN: "triangle-up", PURPLE: "diamond", GREY: "x"}
EIGENVALUES = 8  # of a second moment, at most


@dataclass(frozen=True)
class Panel:
    """A figure with its name, heading and the sentence below it; `over_depth` if its first axis is the depth."""

    name: str
    heading: str
    caption: str
    figure: go.Figure
    over_depth: bool = True


def panels(dataset: xr.Dataset, tokens: tuple[Array, Array] | None, unit: bool) -> list[Panel]:
    """All the curves a file gives.

    Parameters
    ----------
    dataset : of a run.   tokens : (n, d) at the first and the last record, or None.   unit : they lie on the sphere.
    """
    makers = (_overlap, _distances, _certificates, _extremes, _entropy, _exponents, _spectrum, _radius)
    found = [panel for make in makers if (panel := make(dataset)) is not None]
    if tokens is not None and min(map(len, tokens)) > 1:
        found.append(_pairs(tokens, dataset, unit))
    return found


def depth_of(dataset: xr.Dataset) -> Array:
    """Depth times of the records."""
    return np.asarray(dataset["depth_time"].values, dtype=np.float64)


def _series(name: str, x: Array, y: Array, colour: str, **line: Any) -> go.Scatter:
    return go.Scatter(x=x, y=np.asarray(y, dtype=np.float64), name=name, mode="lines+markers", connectgaps=True,
                      line={"color": colour, "width": 1.8, **line},
                      marker={"symbol": SYMBOLS[colour], "size": 6, "color": colour})  # fmt: skip


def _figure(dataset: xr.Dataset, series: list[go.Scatter], label: str, log: bool = False) -> go.Figure:
    figure = go.Figure(series)
    figure.update_xaxes(title_text=depth_label(dataset))
    figure.update_yaxes(title_text=label)
    if log:
        figure.update_yaxes(type="log", exponentformat="power", dtick=_decades([one.y for one in series]))
    return figure


def _decades(curves: list[Array]) -> float | str:
    """Decades between ticks, at most eight of them; below two decades ticks at 2 and 5 ("D2"), or at each digit."""
    values = np.concatenate([np.asarray(values, dtype=np.float64) for values in curves])
    values = np.log10(values[np.isfinite(values) & (values > 0)])
    span = float(np.ptp(values)) if len(values) else 1.0
    return "D1" if span < 0.7 else "D2" if span < 2 else float(np.ceil(span / 8))


def _positive(values: Array) -> Array:
    """For a logarithmic axis: NaN where there is no logarithm."""
    return np.where(values > 0, values, np.nan)


def _has(dataset: xr.Dataset, *names: str) -> bool:
    return all(name in dataset.variables for name in names)


def _overlap(dataset: xr.Dataset) -> Panel | None:
    depth, series = depth_of(dataset), []
    if _has(dataset, "mean_overlap"):
        name = "density" if _has(dataset, "density") else "tokens"
        series.append(_series(name, depth, dataset["mean_overlap"].values, BLUE))
    if _has(dataset, "tokens_mean_overlap"):
        of_tokens = dataset["tokens_mean_overlap"].values
        all_there = "tokens" in dataset and not selected(dataset)
        name = f"{dataset.sizes['token']:,} tokens" if all_there else "tokens"
        series.append(_series(name, depth, of_tokens, ORANGE, dash="dash"))
    if not series:
        return None
    figure = _figure(dataset, series, "mean overlap |⟨x⟩|² (1)")
    figure.update_yaxes(rangemode="tozero")
    text = (
        "Squared length of the mean token. On the sphere: 0 for tokens spread evenly, 1 when all of them are at one "
        "point and can no longer be told apart."
    )
    return Panel("overlap", "Overlap", text, figure)


def _distances(dataset: xr.Dataset) -> Panel | None:
    table: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("coupled_rms", "token to its twin, r.m.s.", BLUE, {}),
        ("w2_chordal", "W<sub>2</sub>, chordal", ORANGE, {}),
        ("w1_geodesic", "W<sub>1</sub>, great circle", GREEN, {}),
        ("w2_floor", "W<sub>2</sub> of two samples of the density", GREY, {"dash": "dash"}),
    )
    series = [
        _series(text, depth_of(dataset), _positive(dataset[name].values), colour, **line)
        for name, text, colour, line in table
        if name in dataset and np.any(dataset[name].values > 0)
    ]
    if not series:
        return None
    figure = _figure(dataset, series, "distance (radii)", log=True)
    text = (
        "How far the finite system is from its limit. Each token has a twin that starts with it and is carried by the "
        "flow of the density: blue is the distance between them, the error of the limit itself. Orange and green are "
        "transport distances between the tokens and an independent sample of the density; grey is what orange shows "
        "when the two laws are equal."
    )
    return Panel("distances", "Distance between tokens and density", text, figure)


def _certificates(dataset: xr.Dataset) -> Panel | None:
    table = (
        ("spectral_tail", "spectral tail", ORANGE),
        ("local_error", "error at a point", PURPLE),
        ("moment_defect", "moment defect", BLUE),
    )
    depth = depth_of(dataset)
    series = [
        _series(text, depth, _positive(dataset[name].values), colour)
        for name, text, colour in table
        if _has(dataset, name) and np.any(dataset[name].values > 0)
    ]
    if _has(dataset, "mass") and np.any((drift := np.abs(dataset["mass"].values - 1.0)) > 0):
        series.append(_series("|mass − 1|", depth, _positive(drift), GREEN))
    if not series:
        return None
    text = (
        "What the run says of itself. The tail is the share of the highest degrees: what the cut at lmax leaves. "
        "The error at a point is estimated, as a share of the largest value, from that tail and from a second set of "
        "carried nodes. The moment defect is the largest difference of mean and second moment between the "
        "representations of the density. None of them knows the error of the step dt."
    )
    return Panel("certificates", "Diagnostics", text, _figure(dataset, series, "error indicators (1)", log=True))


def _extremes(dataset: xr.Dataset) -> Panel | None:
    if not _has(dataset, "density"):
        return None
    records = (record(dataset, "density", k) for k in range(dataset.sizes["depth_time"]))
    low, high = np.array([(-top(-field), top(field)) for field in records], dtype=np.float64).T
    depth = depth_of(dataset)
    series = [_series("largest", depth, _positive(high), BLUE)]
    if (low > 0).any():
        series.append(_series("smallest", depth, _positive(low), GREEN))
    if (low < 0).any():
        series.append(_series("smallest, negative: its modulus", depth, _positive(-low), ORANGE, dash="dot"))
    if _has(dataset, "node_log_density"):
        series.append(
            _series("largest, carried nodes", depth, powers(values_of(dataset, "node_log_density").max(axis=1)), PURPLE)
        )
    unit = "unit area of S²" if "lat" in dataset["density"].dims else "radian"
    text = (
        "Largest and smallest density on the grid. A density cannot be negative: where the smallest value is, the "
        "series no longer resolves it, and the size says by how much."
    )
    return Panel(
        "extremes", "Extremes of the density", text, _figure(dataset, series, f"density ρ (per {unit})", log=True)
    )


def _entropy(dataset: xr.Dataset) -> Panel | None:
    if not _has(dataset, "entropy") or not np.isfinite(dataset["entropy"].values).any():
        return None
    d = dataset.sizes.get("component", 2 if "density" in dataset and "lat" not in dataset["density"].dims else 3)
    most = float(np.log(2 * (d - 1) * np.pi))
    figure = _figure(
        dataset, [_series("density", depth_of(dataset), dataset["entropy"].values, BLUE)], "entropy −∫ρ log ρ (nats)"
    )
    figure.add_hline(
        y=most, line={"color": GREY, "dash": "dash"}, annotation_text=f"uniform: log {2 * (d - 1)}π = {most:.3f}"
    )
    return Panel("entropy", "Entropy", "Falls without bound as the law concentrates; by the carried nodes.", figure)


def _exponents(dataset: xr.Dataset) -> Panel | None:
    if not _has(dataset, "lyapunov") or not np.isfinite(dataset["lyapunov"].values).any():
        return None
    values, colours = dataset["lyapunov"].values, (BLUE, ORANGE)
    series = [
        _series(f"λ<sub>{k + 1}</sub>", depth_of(dataset), values[:, k], colours[k % 2]) for k in range(values.shape[1])
    ]
    figure = _figure(dataset, series, "exponents λ (per depth time)")
    figure.add_hline(y=0.0, line={"color": GREY, "dash": "dash"})
    text = (
        "Growth of small distances, averaged over the mass and depth so far: below 0 near tokens approach each other."
    )
    return Panel("exponents", "Lyapunov exponents", text, figure)


def _spectrum(dataset: xr.Dataset) -> Panel | None:
    if not _has(dataset, "second_moment"):
        return None
    values = eigenvalues(dataset["second_moment"].values)
    shown = min(values.shape[1], EIGENVALUES)
    colours = (BLUE, ORANGE, GREEN, PURPLE)
    series = [
        _series(f"{k + 1}", depth_of(dataset), values[:, k], colours[k % 4], dash="solid" if k < 4 else "dot")
        for k in range(shown)
    ]
    part = f", {shown} of {values.shape[1]}" if shown < values.shape[1] else ""
    figure = _figure(dataset, series, f"eigenvalues{part} (1)")
    figure.update_yaxes(rangemode="tozero")
    text = (
        "Eigenvalues of ∫x xᵀ dμ: how many directions the tokens fill. Equal ones mean all directions, a single one a "
        "line (on the sphere: one point, or two that face each other)."
    )
    return Panel("spectrum", "Second moment", text, figure)


def _radius(dataset: xr.Dataset) -> Panel | None:
    if not _has(dataset, "radius"):
        return None
    size = np.sqrt(np.mean(values_of(dataset, "radius") ** 2, axis=1))
    figure = _figure(dataset, [_series("tokens", depth_of(dataset), size, BLUE)], "r.m.s. length of the tokens (1)")
    text = "Tokens of a residual stream grow; the longer they are, the less a block turns them."
    return Panel("radius", "Residual stream", text, figure)


def _pairs(tokens: tuple[Array, Array], dataset: xr.Dataset, unit: bool) -> Panel:
    """Histograms of <x_i, x_j>, i < j, at the first and the last record."""
    values = [overlaps(x) for x in tokens[: 1 if dataset.sizes["depth_time"] == 1 else 2]]
    low, high = (-1.0, 1.0) if unit else (min(v.min() for v in values), max(v.max() for v in values))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    figure = go.Figure()
    for sample, k, colour in zip(values, (0, -1), (GREY, BLUE), strict=False):
        counts, edges = np.histogram(np.clip(sample, low, high), bins=60, range=(low, high))
        figure.add_bar(x=0.5 * (edges[1:] + edges[:-1]), y=counts / counts.sum(), name=place(dataset, k), opacity=0.6,
                       marker={"color": colour, "line": {"width": 0}}, width=float(edges[1] - edges[0]))  # fmt: skip
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title_text="overlap of two tokens ⟨x<sub>i</sub>, x<sub>j</sub>⟩ (1)")
    ticks = _decades([counts / counts.sum() for counts in (np.histogram(v, 60, (low, high))[0] for v in values)])
    figure.update_yaxes(title_text="share of the pairs (1)", type="log", exponentformat="power", dtick=ticks)
    text = "Overlaps of pairs, among at most 1,000 tokens: clusters show as peaks, collapse as one peak at 1."
    return Panel("pairs", "Overlaps of pairs", text, figure, over_depth=False)
