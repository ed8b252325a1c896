"""What is to be drawn of a file beside its state: one list of panels, for paper (`plots`) and for a page (`report`).

A curve of a variable has the variable's name; what it is says the long_name in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from particles import Array
from tokenlaw.contents import largest, meaning, place, record, selected, tokens_at, values_of
from tokenlaw.pictures.moments import OVERLAP_TOKENS, eigenvalues, on_sphere, overlaps, powers, shares, token_moments
from tokenlaw.pictures.words import density_label, depth_label, spelled

__all__ = ["Panel", "Series", "depth_of", "panels"]

# Okabe and Ito: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#707070"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#000000")
EIGENVALUES = 8  # of a second moment, at most


@dataclass(frozen=True)
class Series:
    """A curve of values y over x, or bars: then x are their edges, one more than y.

    Attributes
    ----------
    dash : "-", "--", ":", or "" for points that are not joined.   marked : points are marked where they are few.
    error : standard errors of y.   band : lower and upper end of a shaded band.   text : what it is, if the file says.
    """

    label: str
    x: Any
    y: Any
    colour: str = BLUE
    dash: str = "-"
    marked: bool = True
    error: Any = None
    band: tuple[Any, Any] | None = None
    opacity: float = 1.0
    text: str = ""


@dataclass(frozen=True)
class Panel:
    """Curves with one pair of axes.

    Attributes
    ----------
    name : of the panel in the list.   heading, caption : what is seen, and how to read it.
    x_label, y_label : with the unit where there is one; (number) says whole numbers.
    empty : what to say where there is no curve.   levels : values to compare with, and their labels.
    y_range : ends of the axis, None for what the values need.   over_depth : x is the depth.
    """

    name: str
    heading: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    caption: str = ""
    empty: str = ""
    levels: tuple[tuple[float, str], ...] = ()
    x_log: bool = False
    y_log: bool = False
    y_range: tuple[float | None, float | None] = (None, None)
    over_depth: bool = True
    legend: bool = True
    legend_title: str = ""


def panels(dataset: xr.Dataset, *names: str) -> list[Panel]:
    """Those panels that a file can fill, as `held` gave it; all of the list where none is named."""
    found = (PANELS[name](dataset) for name in names or PANELS)
    return [panel for panel in found if panel is not None]


def depth_of(dataset: xr.Dataset) -> Array:
    """Depth times of the records."""
    return np.asarray(dataset["depth_time"].values, dtype=np.float64)


def of_variable(dataset: xr.Dataset, name: str, colour: str, dash: str = "-") -> Series:
    """The curve of a variable over the depth, by its own name."""
    variable = dataset[name]
    return Series(spelled(name), depth_of(dataset), variable.values, colour, dash, text=meaning(variable))


def over_depth(dataset: xr.Dataset, *words: str, curves: Iterable[Series], log: bool = False, **more: Any) -> Panel:
    """A panel over the depth of the curves that have a value; `words` are name, heading and label."""
    name, heading, label = words
    series = known(curves, log)
    y_log = log and wide([one.y for one in series])
    return Panel(name, heading, depth_label(dataset), label, series, y_log=y_log, **more)


def known(curves: Iterable[Series], log: bool) -> tuple[Series, ...]:
    """Those that have a value that can be drawn, the others as NaN; on a logarithmic axis they must be positive."""
    found = (replace(one, y=np.where(np.isfinite(one.y) & ((one.y > 0) | (not log)), one.y, np.nan)) for one in curves)
    return tuple(one for one in found if np.isfinite(one.y).any())


def wide(curves: list[Array]) -> bool:
    """Whether positive values span more than a decade; in less the labels of a logarithmic axis meet."""
    values = np.concatenate([np.zeros(0), *curves])
    values = values[np.isfinite(values) & (values > 0)]
    return bool(values.size and values.max() > 10 * values.min())


def overlap(dataset: xr.Dataset) -> Panel | None:
    depth, curves = depth_of(dataset), []
    if "tokens" in dataset and "density" not in dataset and "tokens_mean_overlap" not in dataset:
        curves.append(Series("tokens", depth, (token_moments(dataset)[0] ** 2).sum(axis=1)))
    elif "mean_overlap" in dataset:
        curves.append(replace(of_variable(dataset, "mean_overlap", BLUE), label="density"))
    if "tokens_mean_overlap" in dataset:
        all_there = "tokens" in dataset and not selected(dataset)
        name = f"{dataset.sizes['token']:,} tokens" if all_there else "tokens"
        curves.append(replace(of_variable(dataset, "tokens_mean_overlap", ORANGE, "--"), label=name, text=""))
    if not curves:
        return None
    most = max(largest(one.y) for one in curves)
    return over_depth(
        dataset, "overlap", "Overlap", "mean overlap |⟨x⟩|²", curves=curves,
        empty="no value recorded", y_range=(0.0, None if most > 1e-3 else 1e-3),
        caption="On the sphere 0 for tokens spread evenly, 1 when all of them are at one point and can no longer be "
        "told apart.",
    )  # fmt: skip


def distances(dataset: xr.Dataset) -> Panel | None:
    styles = {"coupled_rms": (BLUE, "-"), "w2_chordal": (ORANGE, "-"), "w1_geodesic": (GREEN, "-"),
              "w2_floor": (GREY, "--")}  # fmt: skip
    curves = [of_variable(dataset, name, *style) for name, style in styles.items() if name in dataset]
    return None if not curves else over_depth(
        dataset, "distances", "Distance between tokens and density", "distance, tokens to density (radii)",
        curves=curves, log=True, empty="no distance was computed",
        caption="How far the finite system is from its limit. Each token has a twin that starts with it and is carried "
        "by the flow of the density: the distance between them is the error of the limit itself. A distance W₂ at its "
        "floor is that of two equal laws.",
    )  # fmt: skip


def certificates(dataset: xr.Dataset) -> Panel | None:
    colours = {"spectral_tail": ORANGE, "local_error": PURPLE, "moment_defect": BLUE}
    curves = [of_variable(dataset, name, colour) for name, colour in colours.items() if name in dataset]
    if not curves:
        return None
    if "mass" in dataset:
        curves.append(Series("|mass − 1|", depth_of(dataset), np.abs(dataset["mass"].values - 1.0), GREEN))
    return over_depth(
        dataset, "certificates", "Certificates", "certificates", curves=curves, log=True,
        empty="no positive value recorded",
        caption="What the run says of itself. The error at a point is estimated from the tail and from a second set of "
        "carried nodes. None of them knows the error of the step dt.",
    )  # fmt: skip


def extremes(dataset: xr.Dataset) -> Panel | None:
    if "density" not in dataset:
        return None
    records = (record(dataset, "density", k) for k in range(dataset.sizes["depth_time"]))
    high, low = np.array([(largest(field), -largest(-field)) for field in records]).T
    depth, low = depth_of(dataset), np.where(np.abs(low) > 1e-10 * largest(high), low, np.nan)
    curves = [
        Series("largest", depth, high),
        Series("smallest", depth, low, GREEN),
        Series("|smallest| where negative", depth, -low, ORANGE, ":"),
    ]
    return over_depth(
        dataset, "extremes", "Extremes of the density", density_label(dataset), curves=curves, log=True,
        empty="no positive value recorded",
        caption="Largest and smallest density on the grid. A density cannot be negative: where the smallest value is, "
        "the series no longer resolves it, and the size says by how much. Below 1e-10 of the largest it is not drawn.",
    )  # fmt: skip


def entropy(dataset: xr.Dataset) -> Panel | None:
    if "entropy" not in dataset:
        return None
    d = 2 if "density" in dataset and "lat" not in dataset["density"].dims else dataset.sizes.get("component", 3)
    uniform = float(np.log(2 * (d - 1) * np.pi)), f"uniform, log {2 * (d - 1)}π"
    return over_depth(
        dataset, "entropy", "Entropy", "entropy −∫ρ log ρ (nats)", curves=[of_variable(dataset, "entropy", BLUE)],
        empty="no finite value recorded", levels=(uniform,),
        caption="Falls without bound as the law concentrates.",
    )  # fmt: skip


def energy(dataset: xr.Dataset) -> Panel | None:
    names = (("free_energy", BLUE), ("interaction_energy", GREEN), ("attention_energy", ORANGE))
    both = ((prefix + name, colour, dash) for prefix, dash in (("", "-"), ("tokens_", "--")) for name, colour in names)
    curves = [of_variable(dataset, name, colour, dash) for name, colour, dash in both if name in dataset]
    return over_depth(
        dataset, "energy", "Energy", "energy", curves=curves, empty="no finite value recorded",
        caption="Without common noise the free energy of an equation falls, and that of attention grows.",
    ) if curves else None  # fmt: skip


def exponents(dataset: xr.Dataset) -> Panel | None:
    if "lyapunov" not in dataset:
        return None
    values = dataset["lyapunov"].values
    depth, names = depth_of(dataset), (("λ₁", BLUE), ("λ₂", ORANGE))
    curves = [Series(name, depth, y, colour) for (name, colour), y in zip(names, values.T, strict=False)]
    return over_depth(
        dataset, "exponents", "Lyapunov exponents", "Lyapunov exponents (per depth time)", curves=curves,
        empty="none at depth 0", levels=((0.0, ""),),
        caption="Growth of small distances, averaged over the mass and depth so far: below 0 near tokens approach each "
        "other.",
    )  # fmt: skip


def node_densities(dataset: xr.Dataset) -> Panel | None:
    """Density at the carried nodes: largest, median and lowest tenth over the mass, beside the largest on the grid."""
    if not {"node_log_density", "node_weight", "density"} <= set(dataset):
        return None
    logs = np.where(np.isfinite(logs := values_of(dataset, "node_log_density")), logs, -np.inf)
    median, tenth = shares(logs, dataset["node_weight"].values, (0.5, 0.1))
    depth = depth_of(dataset)
    on_grid = np.array([largest(record(dataset, "density", k)) for k in range(len(depth))])
    curves = [
        Series("largest, nodes", depth, powers(logs.max(axis=1))), Series("largest, grid", depth, on_grid, GREY, "--"),
        Series("median", depth, powers(median), GREEN), Series("lowest tenth", depth, powers(tenth), ORANGE),
    ]  # fmt: skip
    label = density_label(dataset).replace("density ρ", "density at the mass")
    return over_depth(
        dataset, "nodes", "Density at the mass", label, curves=curves, log=True,
        empty="no finite value recorded", caption="Density where the carried nodes are, over their mass.",
    )  # fmt: skip


def spectrum(dataset: xr.Dataset) -> Panel | None:
    if "tokens" in dataset and "density" not in dataset:
        moments = token_moments(dataset)[1]
    elif "second_moment" in dataset:
        moments = dataset["second_moment"].values
    else:
        return None
    values = eigenvalues(moments)
    n = min(values.shape[1], EIGENVALUES)
    part = f", {n} of {values.shape[1]}" if n < values.shape[1] else ""
    curves = [Series(f"{k + 1}", depth_of(dataset), values[:, k], opacity=1.0 - 0.8 * k / n) for k in range(n)]
    return over_depth(
        dataset, "spectrum", "Second moment", f"eigenvalues of ⟨x xᵀ⟩{part}", curves=curves, legend=False,
        empty="no value recorded", y_range=(0.0, None),
        caption="How many directions the tokens fill. Equal eigenvalues mean all directions, a single one a line (on "
        "the sphere: one point, or two that face each other).",
    )  # fmt: skip


def radius(dataset: xr.Dataset) -> Panel | None:
    if "radius" not in dataset:
        return None
    size = np.sqrt(np.mean(values_of(dataset, "radius") ** 2, axis=1))
    return over_depth(
        dataset, "radius", "Residual stream", "r.m.s. length of the tokens",
        curves=[Series("tokens", depth_of(dataset), size)], empty="no value recorded",
        caption="Tokens of a residual stream grow; the longer they are, the less a block turns them.",
    )  # fmt: skip


def pairs(dataset: xr.Dataset) -> Panel | None:
    """Histograms of <x_i, x_j>, i < j, at the first and the last record, among at most 1,000 tokens of each."""
    if "tokens" not in dataset:
        return None
    ends = (0, -1) if dataset.sizes["depth_time"] > 1 else (0,)
    tokens = [tokens_at(dataset, k) for k in ends]
    values, bars = [overlaps(x) for x in tokens], []
    if all(map(len, values)):
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        if on_sphere(tokens, dataset["tokens"].dtype):
            low, high = -1.0, 1.0
        elif not high > low:
            low, high = low - 0.5, high + 0.5
        for sample, k, colour in zip(values, ends, (GREY, BLUE), strict=False):
            counts, edges = np.histogram(np.clip(sample, low, high), bins=60, range=(low, high))
            bars.append(Series(place(dataset, k), edges, counts / counts.sum(), colour))
    return Panel(
        "pairs", "Overlaps of pairs", "overlap of two tokens ⟨xᵢ, xⱼ⟩", "share of the pairs in a bin",
        tuple(bars), y_log=wide([one.y for one in bars]), over_depth=False, empty="less than two tokens: no pairs",
        caption=f"Among at most {OVERLAP_TOKENS:,} tokens: clusters show as peaks, collapse as one peak at 1.",
    )  # fmt: skip


PANELS: dict[str, Callable[[xr.Dataset], Panel | None]] = {
    "overlap": overlap, "distances": distances, "certificates": certificates, "extremes": extremes,
    "entropy": entropy, "energy": energy, "exponents": exponents, "nodes": node_densities, "spectrum": spectrum,
    "radius": radius, "pairs": pairs,
}  # fmt: skip
