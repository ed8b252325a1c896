"""Panels of a real network: the given weights, fresh networks of its kind and the forecast of random ones, together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from particles import Array
from tokenlaw.contents import values_of
from tokenlaw.pictures.panels import BLUE, GREEN, ORANGE, Panel, Series, depth_of, over_depth

__all__ = ["IN_THEIR_PLACE", "network_panels"]

IN_THEIR_PLACE = ("overlap", "radius")
"""Panels of tokens that these stand for."""
BAND = (0.05, 0.95)  # shares of the networks at the ends of a band
SOURCES = (("", "given weights", BLUE, "-"), ("reinit_", "fresh networks", ORANGE, "-"),
           ("forecast_", "forecast", GREEN, "--"))  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """A panel: its variable, the scale on which networks are averaged, and the way back to what is drawn."""

    name: str
    variable: str
    heading: str
    label: str
    caption: str
    scale: Callable[[Array], Array] = np.asarray
    back: Callable[[Array], Array] = np.asarray
    log: bool = False
    least: float | None = None


KINDS = (
    _Kind("overlap", "overlap", "Overlap", "mean cosine of pairs",
          "Mean cosine of two different tokens; 1 when they can no longer be told apart. Bands hold 90 percent of the "
          "random networks."),
    _Kind("gap", "log_gap", "Gap", "geometric mean of 1 − cosine",
          "How close pairs of tokens are where their cosine is near 1.", back=np.exp, log=True),
    _Kind("gradient", "gradient", "Gradient", "mean square gradient, last = 1",
          "Gradient of a random linear function of the last tokens, taken back block by block.", np.log, np.exp, True),
    _Kind("radius", "radius", "Length", "r.m.s. length of the tokens",
          "Tokens of a stream grow; the longer they are, the less a block turns them.", np.log, np.exp, True),
    _Kind("keys", "effective_keys", "Attention", "effective keys",
          "1/Σ of squared weights: how many tokens a token attends to, mean over heads and tokens.", least=0.0),
)  # fmt: skip


def network_panels(dataset: xr.Dataset) -> list[Panel]:
    """What a file of `tokenlaw observe` gives, as `held` gave it; nothing where it is none."""
    if "overlap" not in dataset:
        return []
    panels = []
    for kind in KINDS:
        if curves := list(_curves(dataset, kind)):
            panels.append(over_depth(dataset, kind.name, kind.heading, kind.label, curves=curves, log=kind.log,
                                     y_range=(kind.least, None), caption=kind.caption))  # fmt: skip
    return panels


def _curves(dataset: xr.Dataset, kind: _Kind) -> Iterator[Series]:
    """A curve of each source that the file has: the given weights, and means and bands over networks."""
    for prefix, label, colour, dash in SOURCES:
        if (name := prefix + kind.variable) not in dataset:
            continue
        values = values_of(dataset, name)
        if name == "radius":  # of each token
            values = np.sqrt(np.mean(values**2, axis=1))
        values = values.reshape(len(values), -1)
        with np.errstate(all="ignore"):
            scaled = np.where(np.isfinite(values), kind.scale(values), np.nan)
            known = np.isfinite(scaled).any(axis=1)
            middle, low, high = (np.full(len(scaled), np.nan) for _ in range(3))
            middle[known] = np.nanmean(scaled[known], axis=1)
            low[known], high[known] = np.nanquantile(scaled[known], BAND, axis=1)
            band = (kind.back(low), kind.back(high)) if values.shape[1] > 1 else None
            yield Series(label, depth_of(dataset), kind.back(middle), colour, dash, band=band)
