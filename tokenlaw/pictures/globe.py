"""Densities and tokens drawn on the visible side of the sphere, on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles import Array
from tokenlaw.contents import largest, place, record, tokens_at
from tokenlaw.pictures.drawing import Axes, Circle, Colormap, Figure, Normalize, PowerNorm, ScalarMappable, colormaps
from tokenlaw.pictures.moments import token_moments
from tokenlaw.pictures.orthographic import best_direction, directions, graticule, pixels, sample, view
from tokenlaw.pictures.words import density_label

__all__ = [
    "DOTS", "NEGATIVE", "density_globes", "even", "fields_of", "means_of", "negative", "power_of",
    "token_globes",
]  # fmt: skip

PIXELS = 400  # a side of the picture of a hemisphere
DOTS = 600  # tokens drawn on a sphere, both sides counted
SPREAD = 5.0  # ratio between the largest densities of the records from which on the colour scale is a power
POWER = 0.4
NEGATIVE_SHARE = 1e-3  # values below -NEGATIVE_SHARE * (largest density of the record) are shown as negative
NEGATIVE = "#E6007E"
UNKNOWN = "#d5d5d5"  # where the file says nothing about the density


def density_globes(
    figure: Figure, globes: Sequence[Axes], bar: Axes, dataset: xr.Dataset, shown: npt.NDArray[np.int64]
) -> None:
    """Draw the records `shown` of the density, with the tokens on top where the file has them.

    All records share one view and one colour scale, from 0 to their largest density. Negative values, which
    a run has once it no longer resolves its density, have a colour of their own and are named under the
    sphere; grey is where the file has no values.
    """
    fields = fields_of(dataset, shown)
    lat, lon = dataset["lat"].values, dataset["lon"].values
    norm, cmap = _scale(fields)
    seen = view(best_direction(means_of(dataset, shown)))
    unknown = False
    for axes, k, field in zip(globes, shown, fields, strict=True):
        _globe(axes, seen, place(dataset, int(k)), "white")
        image = sample(field, lat, lon, pixels(seen, PIXELS))
        unknown = unknown or bool(np.isnan(image).any())
        picture = axes.imshow(image, origin="lower", extent=(-1, 1, -1, 1), norm=norm, cmap=cmap)
        picture.set_clip_path(Circle((0.0, 0.0), 1.0, transform=axes.transData))
        if negative(field):
            text = f"negative: min \u2212{-np.nanmin(field):.2g}"
            axes.text(0.0, -1.03, text, ha="center", va="top", color=NEGATIVE, fontsize=7)
        if "tokens" in dataset:
            _dots(axes, seen, tokens_at(dataset, k), back=False)
    label = density_label(dataset) + (f",  scale: power {POWER}" if isinstance(norm, PowerNorm) else "")
    _colour_bar(figure, bar, norm, cmap, label + (",  grey: no value" if unknown else ""), any(map(negative, fields)))


def fields_of(dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> list[Array]:
    """Densities at records, without the negative values of rounding and truncation; ValueError where none has a value.

    Values below -NEGATIVE_SHARE of the largest of a record stay: there the run no longer resolves its density.
    """
    fields = [record(dataset, "density", int(k)) for k in shown]
    if not any(np.isfinite(field).any() for field in fields):
        raise ValueError("density has no finite number at the records that would be drawn")
    lost = (-largest(-field) < -NEGATIVE_SHARE * max(largest(field), 0.0) for field in fields)
    return [field if keep else np.maximum(field, 0.0) for field, keep in zip(fields, lost, strict=True)]


def negative(field: Array) -> bool:
    """Whether a density of `fields_of` has negative values."""
    return largest(-field) > 0


def power_of(fields: Sequence[Array]) -> float:
    """Exponent of a scale of colours from 0: 1 where the records are comparable, else early ones would be black."""
    tops = [largest(field) for field in fields]
    return POWER if max(tops) > SPREAD * max(min(tops), 1e-300) else 1.0


def means_of(dataset: xr.Dataset, shown: npt.NDArray[np.int64]) -> Array:
    """Mean tokens at records (record, d), 0 where not known; about those of the densities where the file has none."""
    if "density" not in dataset:
        return np.asarray(np.nan_to_num(token_moments(dataset)[0][shown]))
    if "mean_token" in dataset:
        return np.asarray(np.nan_to_num(dataset["mean_token"].values[shown]))
    if "lat" in dataset["density"].dims:
        points = directions(dataset["lat"].values[:, None], dataset["lon"].values[None, :])
        area = np.cos(np.radians(dataset["lat"].values))[:, None]
    else:
        points, area = directions(0.0, dataset["lon"].values)[:, :2], np.ones(1)
    mass = [np.nan_to_num(field) * area for field in fields_of(dataset, shown)]
    return np.array([np.tensordot(m, points, m.ndim) / max(float(np.abs(m).sum()), 1e-300) for m in mass])


def even(points: Array) -> Array:
    """An even choice of at most DOTS tokens."""
    n = len(points)
    return np.asarray(points[np.linspace(0, max(n - 1, 0), min(n, DOTS)).round().astype(int)], dtype=np.float64)


def token_globes(
    globes: Sequence[Axes], titles: Sequence[str], tokens: Sequence[Array], means: Array
) -> None:
    """Draw tokens (n, 3), one array a sphere; those behind are faint."""
    seen = view(best_direction(means))
    for axes, title, points in zip(globes, titles, tokens, strict=True):
        _globe(axes, seen, title, "#8a8f98")
        _dots(axes, seen, points, back=True)


def _scale(fields: Sequence[Array]) -> tuple[Normalize, Colormap]:
    """Colours from 0 to the largest density, at least to twice the uniform one."""
    top = max(*map(largest, fields), 1.0 / (2.0 * np.pi))
    cmap = colormaps["viridis"].with_extremes(under=NEGATIVE, bad=UNKNOWN)
    power = power_of(fields)
    return (Normalize(0.0, top) if power == 1 else PowerNorm(power, vmin=0.0, vmax=top)), cmap


def _globe(axes: Axes, seen: Array, title: str, line: str) -> None:
    """Empty sphere: outline and graticule, without axes."""
    axes.set_aspect("equal")
    axes.set_xlim(-1.02, 1.02)
    axes.set_ylim(-1.02, 1.02)
    axes.set_axis_off()
    axes.set_title(title, pad=3)
    for curve in graticule():
        x, y, depth = seen @ curve.T
        axes.plot(np.where(depth >= 0, x, np.nan), y, color=line, linewidth=0.4, alpha=0.3, zorder=2)
    axes.add_patch(Circle((0.0, 0.0), 1.0, fill=False, edgecolor="#303030", linewidth=0.6, zorder=4))


def _dots(axes: Axes, seen: Array, points: Array, *, back: bool) -> None:
    """Tokens in front as dots, those behind faint or left out; an even choice where there are too many."""
    n = len(points)
    x, y, depth = seen @ even(points).T
    size = float(np.clip(1200.0 / max(n, 1), 2.0, 12.0))
    front = depth > 0
    if back:
        axes.scatter(x[~front], y[~front], s=size, color="#c9ccd1", linewidths=0, zorder=1)
        axes.scatter(x[front], y[front], s=size, color="#0b4f8a", linewidths=0, alpha=0.8, zorder=3)
    else:
        axes.scatter(x[front], y[front], s=size, color="white", edgecolors="black", linewidths=0.15, zorder=3)


def _colour_bar(
    figure: Figure, bar: Axes, norm: Normalize, cmap: Colormap, label: str, negative: bool
) -> None:
    """Colour bar; ticks that stay apart on a power scale, and the colour of negative values."""
    mappable = ScalarMappable(norm, cmap)
    drawn = figure.colorbar(mappable, cax=bar, extend="min" if negative else "neither")
    drawn.set_label(label)
    drawn.outline.set_linewidth(0.5)
    if isinstance(norm, PowerNorm):
        ticks, place = [0.0], 0.0
        for tick in (float(f"{m}e{e}") for e in range(-300, 300) for m in (1, 2, 5)):
            at = float(norm(tick))
            if place + 0.06 <= at <= 1.0:
                ticks.append(tick)
                place = at
        drawn.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    if negative:
        bar.text(
            0.5, -0.075, "< 0", transform=bar.transAxes, ha="center", va="top", color=NEGATIVE, fontsize=7
        )
