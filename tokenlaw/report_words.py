"""What a run shows, in sentences made of its numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["MEANINGS", "depth_label", "findings", "settings_of", "summary"]

MEANINGS = {
    "mass": "1 in exact arithmetic",
    "mean_overlap": "squared length of the mean token; on the sphere 0 spread evenly, 1 a single point",
    "tokens_mean_overlap": "the same of the tokens",
    "radius": "length of the tokens in the residual stream",
    "moment_error": "estimated error of mean and second moment, from a second set of carried nodes",
    "moment_defect": "largest difference of mean and second moment between the representations of the density",
    "spectral_tail": "share of the highest degrees: what the cut at lmax leaves",
    "local_error": "estimated error of the density at a point, as a share of its largest value",
    "negative_mass": "mass of the negative part of the series",
    "min_density": "smallest value on the grid; negative where the series rings",
    "entropy": "−∫ρ log ρ by the carried nodes; largest for the uniform law",
    "area_defect": "how well the carried nodes integrate; entropy is good while it is small",
    "folds": "carried nodes at which a layer folded the sphere",
    "coupled_rms": "distance of each token to its twin in the density's flow: the error of the limit",
    "w2_chordal": "transport distance, chordal, tokens to a sample of the density",
    "w1_geodesic": "transport distance, great circle, tokens to a sample of the density",
    "w2_floor": "what W2 shows when the laws are equal",
}
COLLAPSED = 0.99  # mean overlap from which tokens are called indistinguishable
ABOVE_FLOOR = 1.25  # ratio of W2 to its floor from which the two are called different


def summary(dataset: xr.Dataset) -> str:
    """Model, layers and records in a line."""
    settings = settings_of(dataset)
    model, layers, heads = (settings.get(name, {}) for name in ("model", "layers", "heads"))
    parts = []
    if "d" in model:
        parts.append(f"d = {model['d']}, β = {model.get('beta'):g}, {model.get('attention', 'softmax')} attention")
    if "kind" in layers:
        law = f"{layers['kind']} layers" + (f", {heads['kind']} heads" if "kind" in heads else "")
        sizes = [f"{key} {layers[key]:g}" for key in ("dt", "eta", "heads", "nodes") if key in layers]
        parts.append(", ".join([law, *sizes]))
    if "token" in dataset.sizes and "tokens" in dataset:
        parts.append(f"{dataset.sizes['token']:,} tokens")
    depth = dataset["depth_time"].values
    parts.append(f"depth {depth[0]:g} to {depth[-1]:g} in {len(depth)} record{'s' * (len(depth) > 1)}")
    if "seed" in dataset.attrs:
        parts.append(f"seed {dataset.attrs['seed']}, member {dataset.attrs.get('member', '0')}")
    return " · ".join(parts)


def findings(dataset: xr.Dataset) -> Iterator[str]:
    """Sentences (HTML): how alike the tokens are, how close tokens and density are, how far to trust the density."""
    if "mean_overlap" in dataset:
        yield _collapse(dataset)
    if "coupled_rms" in dataset:
        yield from _distance(dataset)
    if "unresolved" in dataset:
        yield _resolution(dataset)


def _collapse(dataset: xr.Dataset) -> str:
    overlap, depth = dataset["mean_overlap"].values, dataset["depth_time"].values
    if settings_of(dataset).get("model", {}).get("space") == "euclidean":
        first, last = np.sqrt(overlap[[0, -1]])
        course = f"The mean token has length {first:.3g} at the start and <b>{last:.3g}</b> at the end"
        return f"{course}; tokens move in R<sup>d</sup>."
    course = f"The mean overlap goes from {overlap[0]:.3g} to <b>{overlap[-1]:.3g}</b>"
    apart = np.flatnonzero(~(overlap > COLLAPSED))
    begin = apart[-1] + 1 if len(apart) else 0
    if begin < len(overlap):
        return f"{course}; from depth {depth[begin]:.3g} on the tokens are indistinguishable (above {COLLAPSED})."
    if len(overlap) < 2 or abs(overlap[-1] - overlap[0]) < 0.02:
        return f"{course}: two tokens are about as alike at the end as at the start, on average."
    if overlap[-1] > overlap[0]:
        return f"{course}: two tokens grow more alike, on average."
    return f"{course}: two tokens grow less alike, on average (they spread, or form clusters that face each other)."


def _distance(dataset: xr.Dataset) -> Iterator[str]:
    twins, n = float(dataset["coupled_rms"].values[-1]), dataset.sizes["token"]
    yield (
        f"At the end a token is <b>{twins:.3g}</b> radii from its twin in the flow of the density "
        f"(r.m.s., {n:,} tokens)."
    )
    known = np.flatnonzero(np.isfinite(dataset["w2_chordal"].values) & (dataset["w2_floor"].values > 0))
    if len(known):
        found, floor = (float(dataset[name].values[known[-1]]) for name in ("w2_chordal", "w2_floor"))
        verdict = (
            "no difference beyond sampling" if found < ABOVE_FLOOR * floor
            else f"{found / floor:.2g} times what sampling alone gives (one draw of it)"
        )  # fmt: skip
        yield (
            f"W₂ between tokens and density is {found:.3g}, two samples of the density are {floor:.3g} apart: "
            f"{verdict}."
        )


def _resolution(dataset: xr.Dataset) -> str:
    lost = np.flatnonzero(dataset["unresolved"].values)
    if not len(lost):
        known = _largest(dataset, "local_error", "; its error at a point is", 0)
        return f"The density is resolved at every record{known}."
    first = int(lost[0])
    begin = float(dataset["depth_time"].values[first])
    moments = _largest(dataset, "moment_error", " Means and second moments are right to", first)
    return (
        f"The density is <b>not resolved</b> at {len(lost)} of {dataset.sizes['depth_time']} records, first at depth "
        f"{begin:.3g}: its values at a point should not be used there{moments and '.' + moments}; "
        "a larger <code>solve.lmax</code> resolves more, unless a message of the run says otherwise."
    )


def _largest(dataset: xr.Dataset, name: str, text: str, first: int) -> str:
    """An estimated error in words, the largest from a record on; nothing where there is none."""
    values = dataset[name].values[first:] if name in dataset else np.array([])
    known = values[np.isfinite(values)]
    what = " of the largest value" if name == "local_error" else ""
    return f"{text} about {known.max():.1g}{what} or less" if known.size else ""


def depth_label(dataset: xr.Dataset) -> str:
    """Name of the depth axis with its unit."""
    kind = settings_of(dataset).get("layers", {}).get("kind")
    return "depth (layers)" if kind == "recorded" else "depth time (1)"


def settings_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Configuration of the run, empty where there is none or it cannot be read."""
    try:
        return tomllib.loads(str(dataset.attrs.get("configuration", "")))
    except tomllib.TOMLDecodeError:
        return {}
