"""Panels of recorded layers: how strongly heads mix tokens, and how sharp their attention is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from particles import Array
from tokenlaw.contents import values_of
from tokenlaw.pictures.panels import BLUE, GREEN, ORANGE, Panel, Series

LAYER_WORK = 2e10  # of singular value decompositions, in units of d^3


def layer_panels(dataset: xr.Dataset) -> list[Panel]:
    """What a file of layers gives, as `held` gave it; nothing where there are no layers."""
    there = set(dataset)
    found = [mixing(values_of(dataset, "mixing"))] if "mixing" in there else []
    return [*found, forms(dataset)] if "query_key" in there or {"query", "key"} <= there else found


def mixing(matrices: Array) -> Panel:
    """Singular values of the mixing matrices (layer, head, d, d) by layer: largest, r.m.s. and smallest."""
    shown = affordable(matrices.shape)
    values = singular_values(matrices[shown])
    by_head = {
        "largest": (values[..., 0], BLUE),
        "r.m.s.": (np.sqrt((values**2).mean(axis=-1)), ORANGE),
        "smallest": (values[..., -1], GREEN),
    }
    curves = [
        Series(name, shown.astype(float), y.mean(axis=1), colour, band=(y.min(axis=1), y.max(axis=1)))
        for name, (y, colour) in by_head.items()
    ]
    part = "" if len(shown) == len(matrices) else f"; {len(shown)} of {len(matrices)} drawn"
    return Panel(
        "mixing", "Mixing", f"layer (number{part})", "singular values of mixing", tuple(curves), over_depth=False,
        y_range=(0.0, None), legend_title="mean over heads; band: all heads",
    )  # fmt: skip


def forms(dataset: xr.Dataset) -> Panel:
    """Histogram of beta |A_m| (spectral norm) over the heads of all layers; A = key^T query."""
    beta = dataset.attrs.get("beta")
    beta = float(beta) if isinstance(beta, int | float | np.number) and np.isfinite(beta) else None
    norms = form_norms(dataset).ravel() * (1.0 if beta is None else beta)
    norms = norms[np.isfinite(norms)]
    bars: tuple[Series, ...] = ()
    if norms.size:
        alike = np.ptp(norms) < 1e3 * abs(float(np.median(norms)))  # else the rule would make bins without end
        counts, edges = np.histogram(norms, bins="auto" if alike else 60)
        bars = (Series("heads", edges, counts),)
    label = "|A| (the file has no β)" if beta is None else "β |A|"
    return Panel("forms", "Attention", label, "heads (number)", bars, over_depth=False, empty="no finite value")


def singular_values(matrices: Array) -> Array:
    """Singular values (..., k), falling, of matrices (..., m, n); NaN where one is not known."""
    known = np.isfinite(matrices).all(axis=(-2, -1))
    values = np.full((*matrices.shape[:-2], min(matrices.shape[-2:])), np.nan)
    values[known] = np.linalg.svd(matrices[known], compute_uv=False)
    return values


def form_norms(dataset: xr.Dataset) -> Array:
    """Spectral norms |A_m| (layer, head) of evenly spaced layers; NaN where a matrix is not known."""
    if "query_key" in dataset:
        matrices = values_of(dataset, "query_key")
        return singular_values(matrices[affordable(matrices.shape)])[..., 0]
    key, query = (values_of(dataset, name) for name in ("key", "query"))
    shown = affordable((*key.shape[:2], key.shape[-1]))
    # |key^T query| = |R_key R_query^T| with key^T = Q_key R_key, and so for query
    small = [np.linalg.qr(np.swapaxes(x[shown], -1, -2))[1] for x in (key, query)]
    return singular_values(small[0] @ np.swapaxes(small[1], -1, -2))[..., 0]


def affordable(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Evenly spaced layers of an array (layer, head, d, d) whose decompositions take some seconds at most."""
    n_layers, n_heads, d = shape[:3]
    count = min(n_layers, max(2, int(LAYER_WORK / (n_heads * float(d) ** 3))))
    return np.unique(np.linspace(0, n_layers - 1, count).round().astype(np.int64))
