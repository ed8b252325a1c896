"""What a run shows, in sentences made of its numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokenlaw.contents import place, selected
from tokenlaw.tables import printable

__all__ = ["density_label", "depth_label", "findings", "resolution", "settings_of", "spelled", "summary"]

COLLAPSED = 0.99  # mean overlap from which tokens are called indistinguishable
ABOVE_FLOOR = 1.25  # ratio of W2 to its floor from which the two are called different


def summary(dataset: xr.Dataset) -> str:
    """Model, layers and records in a line."""
    settings = settings_of(dataset)
    model, layers, heads = (settings.get(name, {}) for name in ("model", "layers", "heads"))
    parts = []
    if "d" in model:
        beta = f"β = {_number(model['beta'])}, " if "beta" in model else ""
        parts.append(f"d = {model['d']}, {beta}{model.get('attention', 'softmax')} attention")
    if "kind" in layers:
        law = f"{layers['kind']} layers" + (f", {heads['kind']} heads" if "kind" in heads else "")
        sizes = [f"{key} {_number(layers[key])}" for key in ("dt", "eta", "heads", "nodes") if key in layers]
        parts.append(", ".join([law, *sizes]))
    if "token" in dataset.sizes and "tokens" in dataset:
        parts.append(f"{dataset.sizes['token']:,} tokens")
    n = dataset.sizes["depth_time"]
    ends = " to ".join(place(dataset, k, "g") for k in (0, -1)).replace("to depth", "to").replace("to record", "to")
    parts.append(f"{ends} in {n} record{'s' * (n > 1)}")
    if "seed" in dataset.attrs:
        parts.append(f"seed {dataset.attrs['seed']}, member {dataset.attrs.get('member', '0')}")
    return printable(" · ".join(parts))


def _number(value: Any) -> str:
    """A number of the configuration; whatever else stands there, as it is."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def findings(dataset: xr.Dataset) -> Iterator[str]:
    """Sentences: how alike the tokens are, how close tokens and density are, how far to trust the density."""
    if "mean_overlap" in dataset and np.isfinite(dataset["mean_overlap"].values).any():
        yield _collapse(dataset)
    if "overlap" in dataset and np.isfinite(dataset["overlap"].values[-1]):
        yield _of_networks(dataset)
    if "coupled_rms" in dataset and np.isfinite(dataset["coupled_rms"].values[-1]):
        yield from _distance(dataset)
    if "unresolved" in dataset:
        yield _resolution(dataset)


def _collapse(dataset: xr.Dataset) -> str:
    known = np.flatnonzero(np.isfinite(dataset["mean_overlap"].values))
    overlap = dataset["mean_overlap"].values[known]
    if settings_of(dataset).get("model", {}).get("space") == "euclidean":
        first, last = np.sqrt(np.abs(overlap[[0, -1]]))
        course = f"The mean token has length {first:.3g} at the start and {last:.3g} at the end"
        return f"{course}; tokens move in space."
    course = f"The mean overlap goes from {overlap[0]:.3g} to {overlap[-1]:.3g}"
    apart = np.flatnonzero(~(overlap > COLLAPSED))
    begin = apart[-1] + 1 if len(apart) else 0
    if begin < len(overlap):
        where = place(dataset, int(known[begin]))
        return f"{course}; from {where} on the tokens are indistinguishable (above {COLLAPSED})."
    if len(overlap) < 2 or abs(overlap[-1] - overlap[0]) < 0.02:
        return f"{course}: two tokens are about as alike at the end as at the start, on average."
    if overlap[-1] > overlap[0]:
        return f"{course}: two tokens grow more alike, on average."
    return f"{course}: two tokens grow less alike, on average (they spread, or form clusters that face each other)."


def _of_networks(dataset: xr.Dataset) -> str:
    """How alike the tokens of a real network are behind its last block, and those of random networks beside it."""
    names = {"reinit": "fresh networks of the same kind", "forecast": "the forecast of random networks"}
    told = [f"Behind the last block two tokens have the cosine {float(dataset['overlap'][-1]):.3g} on average"]
    for prefix, what in names.items():
        last = dataset[f"{prefix}_overlap"].values[-1] if f"{prefix}_overlap" in dataset else np.zeros(0)
        if (known := last[np.isfinite(last)]).size:
            spread = f" ± {known.std(ddof=1):.2g}" if known.size > 1 else ""
            told.append(f"{what} {'have' if prefix == 'reinit' else 'has'} {known.mean():.3g}{spread}")
    return ", ".join(told) + "."


def _distance(dataset: xr.Dataset) -> Iterator[str]:
    twins = float(dataset["coupled_rms"].values[-1])
    count = f", {dataset.sizes['token']:,} tokens" if "tokens" in dataset and not selected(dataset) else ""
    yield (
        f"At the end a token is {twins:.3g} radii from its twin in the flow of the density (r.m.s.{count})."
    )
    if "w2_chordal" not in dataset or "w2_floor" not in dataset:
        return
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


def resolution(lost: npt.NDArray[np.bool_], place: Callable[[int], str]) -> str:
    """Whether the density at a point is resolved, from where it is lost (record, realization) and what records are."""
    at = np.flatnonzero(lost.any(axis=1))
    if not len(at):
        return "density resolved at every record"
    members = f" in {lost.any(axis=0).sum()} of {lost.shape[1]} realizations" if lost.shape[1] > 1 else ""
    return f"density unresolved at {len(at)} of {len(lost)} records{members}, first at {place(int(at[0]))}"


def _resolution(dataset: xr.Dataset) -> str:
    lost = dataset["unresolved"].values > 0
    said = resolution(lost[:, None], lambda k: place(dataset, k)).capitalize()
    if not lost.any():
        return f"{said}{_largest(dataset, 'local_error', '; its error at a point is', 0)}."
    moments = _largest(dataset, "moment_error", ". Means and second moments are right to", int(lost.argmax()))
    return (
        f"{said}: its values at a point should not be used there{moments}; "
        "a larger solve.lmax resolves more, unless a message of the run says otherwise."
    )


def _largest(dataset: xr.Dataset, name: str, text: str, first: int) -> str:
    """An estimated error in words, the largest from a record on; nothing where there is none."""
    values = dataset[name].values[first:] if name in dataset else np.array([])
    known = values[np.isfinite(values)]
    what = " of the largest value" if name == "local_error" else ""
    return f"{text} about {known.max():.1g}{what} or less" if known.size else ""


def depth_label(dataset: xr.Dataset) -> str:
    """Name of the depth axis with its unit; of that of records where the file has no depths."""
    if dataset["depth_time"].attrs.get("counted"):
        return "record (number)"
    if dataset.attrs.get("command") == "observe":
        return "block (number)"
    kind = settings_of(dataset).get("layers", {}).get("kind")
    return "depth (layers)" if kind == "recorded" else "depth time"


def density_label(dataset: xr.Dataset) -> str:
    """Name of an axis of densities with its unit."""
    return f"density ρ (per {'unit area' if 'lat' in dataset.dims else 'radian'})"


def spelled(name: str) -> str:
    """The name of a variable in words."""
    return name.replace("_", " ")


def settings_of(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Configuration of the run, empty where there is none or it cannot be read."""
    try:
        found = tomllib.loads(str(dataset.attrs.get("configuration", "")))
    except (ValueError, RecursionError, OverflowError):
        return {}
    return {name: section for name, section in found.items() if isinstance(section, dict)}
