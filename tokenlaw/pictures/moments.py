"""Numbers of tokens and of carried nodes that panels show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from particles import Array
from tokenlaw.contents import DEPTH, record, selected

OVERLAP_TOKENS = 1000  # tokens whose pairwise overlaps are counted


def token_moments(dataset: xr.Dataset) -> tuple[Array, Array]:
    """Mean (depth_time, d) and second moment (depth_time, d, d) of tokens, recorded or from those that are there."""
    recorded = "mean_token" in dataset and "second_moment" in dataset and "density" not in dataset
    if recorded and not selected(dataset):
        return dataset["mean_token"].values, dataset["second_moment"].values
    weight = dataset["weight"].values if "weight" in dataset else np.ones(dataset.sizes["token"])
    mean, second = [], []
    for k in range(dataset.sizes[DEPTH]):
        x = record(dataset, "tokens", k)
        known = np.isfinite(x).all(axis=1) & (weight > 0)
        w = weight[known] / max(weight[known].sum(), 1e-300)
        mean.append(w @ x[known] if known.any() else np.full(x.shape[1], np.nan))
        second.append((x[known].T * w) @ x[known] if known.any() else np.full(2 * x.shape[1:], np.nan))
    return np.array(mean), np.array(second)


def on_sphere(tokens: Sequence[Array], kind: Any) -> bool:
    """Whether tokens are unit vectors, as far as the type in which they were stored can tell."""
    within = max(1e-6, 4 * float(np.finfo(kind).eps)) if np.issubdtype(kind, np.floating) else 1e-6
    return all(bool(np.abs(np.linalg.norm(x, axis=1) - 1.0).max(initial=0.0) < within) for x in tokens)


def powers(logs: Array) -> Array:
    """Exponentials, NaN where they are no numbers that can be drawn."""
    with np.errstate(over="ignore"):
        values = np.exp(logs)
    return np.where(values < 1e150, values, np.nan)


def eigenvalues(moments: Array) -> Array:
    """Eigenvalues (depth_time, d) of second moments (depth_time, d, d), falling; NaN where one is not known."""
    known = np.isfinite(moments).all(axis=(1, 2))
    values = np.full(moments.shape[:2], np.nan)
    values[known] = np.linalg.eigvalsh(moments[known])[:, ::-1]
    return values


def overlaps(points: Array) -> Array:
    """Overlaps <x_i, x_j>, i < j, of evenly spaced tokens, at most 1,000 of the (n, d) given."""
    n = len(points)
    chosen = points[np.linspace(0, n - 1, min(n, OVERLAP_TOKENS)).round().astype(int)]
    return np.asarray((chosen @ chosen.T)[np.triu_indices(len(chosen), 1)])


def shares(values: Array, weights: Array, levels: Sequence[float]) -> list[Array]:
    """Quantiles (record,) of values (record, node) over the weight (node,) of the nodes."""
    weights = np.nan_to_num(weights)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    order, rows = np.argsort(values, axis=1), np.arange(len(values))
    below = np.cumsum(weights[order], axis=1)
    places = [(below < level).sum(axis=1).clip(max=len(weights) - 1) for level in levels]
    return [values[rows, order[rows, place]] for place in places]
