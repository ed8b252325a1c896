"""Results of `tokenlaw converge`: table, file, picture."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from particles.files import save, versions, whole, writing
from tokenlaw.answers.converge import Convergence
from tokenlaw.answers.converge_weak import Weak
from tokenlaw.answers.observables import GAPS, OBSERVABLES
from tokenlaw.config import read as config
from tokenlaw.pictures import paper
from tokenlaw.pictures.studies import order_figure
from tokenlaw.runs.resume import input_sums
from tokenlaw.tables import Table

FITTED = ("slope", "slope_low", "slope_high", "error_left", "error_left_low", "error_left_high")
ENDS = {"": "slope", "low": "95 percent interval of the slope, lower end,", "high": "the same, upper end,"}
EXPECTATIONS = {"weak": "the expectation", "extrapolated": "2 E(h/2) - E(h)"}
COLUMNS = ("mean", "mean_error", "gap", "gap_error", "floor")


def write(result: Convergence, file: Path, picture: Path) -> None:
    """Write both, each whole or not at all."""
    dataset = as_dataset(result)
    with writing(file), whole(file) as part:
        save(dataset, part, {str(name): {"_FillValue": None} for name in dataset.coords})
    paper.save(order_figure(dataset), picture)


def as_dataset(result: Convergence) -> xr.Dataset:
    """The result as a file holds it; NaN stands for what there is not."""

    def column(name: str) -> list[float]:
        found = [getattr(level, name) for level in result.levels]
        return [np.nan if value is None else value for value in found]

    texts = {
        "mean": (column("mean"), "mean of the observable over members, its norm if it is a vector"),
        "mean_error": (column("error"), "standard error of the mean"),
        "gap": (column("gap"), f"{GAPS[result.kind]} ({result.kind})"),
        "gap_error": (column("gap_error"), "standard error of the gap"),
        "floor": (column("floor"), "what sampling alone shows"),
    }
    data: dict[str, Any] = {name: ("level", values, _attributes(text)) for name, (values, text) in texts.items()}
    data["samples"] = (("member", "level"), result.samples, _attributes("the observable of each member"))
    for name, text in (
        ("value", "slope of the error in the key"), ("error", "standard error of the slope"),
        ("low", "95 percent interval of the slope, lower end"), ("high", "95 percent interval of the slope, upper end"),
        ("prefactor", "c of the error c value^slope"), ("misfit", "chi^2 per degree of freedom"),
        ("left", "error at the last value by the slope"), ("left_low", "the same, least over the interval"),
        ("left_high", "the same, largest; infinite where errors do not fall"),
    ):  # fmt: skip
        number = np.nan if result.slope is None else getattr(result.slope, name)
        stored = {"value": "slope", "left": "error_left", "left_low": "error_left_low", "left_high": "error_left_high"}
        data[stored.get(name, f"slope_{name}")] = ((), number, _attributes(text))
    data |= _weak(result.weak)
    c = result.experiment.configuration
    attributes = {
        "title": f"convergence of {result.observable} in {result.key}", "source": "tokenlaw converge",
        "history": "written by tokenlaw converge", "command": "converge", "key": result.key,
        "observable": result.observable, "observable_text": OBSERVABLES[result.observable].text, "kind": result.kind,
        "coupled": int(result.coupled), "members": result.members, "note": result.note,
        "configuration": config.dumps(c), "seed": str(c.noise.seed), "Conventions": "CF-1.11",
        **versions(), **input_sums(result.experiment),
    }  # fmt: skip
    values = ("level", [level.value for level in result.levels], _attributes(result.key))
    return xr.Dataset(data, {"key_value": values}, attributes)


def _weak(weak: Weak | None) -> dict[str, Any]:
    """Variables of expectations; none where there is nothing of them."""
    if weak is None:
        return {}
    found: dict[str, Any] = {}
    for name, text in (("mean", "2 E(h/2) - E(h), h/2 the step at the level"), ("error", "standard error of the same")):
        column = [np.nan, *(getattr(one, name) for one in weak.extrapolated)]
        found["extrapolated" if name == "mean" else "extrapolated_error"] = ("level", column, _attributes(text))
    for prefix, slope in (("weak", weak.slope), ("extrapolated", weak.extrapolated_slope)):
        for name, text in ENDS.items():
            number = np.nan if slope is None else getattr(slope, name or "value")
            stored = f"{prefix}_slope{name and '_' + name}"
            found[stored] = ((), number, _attributes(f"{text} of the error of {EXPECTATIONS[prefix]}"))
    return found


def _attributes(text: str) -> dict[str, str]:
    return {"long_name": text, "units": "1"}


def lines(dataset: xr.Dataset) -> list[str | Table]:
    """The result, as a file holds it, in a table and lines of text."""
    key = str(dataset.attrs.get("key", "value"))
    columns = [dataset[name].values if name in dataset else np.full(dataset.sizes["level"], np.nan) for name in COLUMNS]
    digits = (6, 2, 3, 3, 3)
    rows = tuple(
        (f"{value:g}", *(_cell(column[k], n) for column, n in zip(columns, digits, strict=True)))
        for k, value in enumerate(dataset["key_value"].values)
    )
    head = (key, "mean", "error", GAPS.get(str(dataset.attrs.get("kind")), "gap"), "error", "floor")
    told: list[str | Table] = [Table((">16", ">15", ">11", ">17", ">11", ">11"), rows, head)]
    found = {name: float(dataset[name]) for name in FITTED if name in dataset}
    if len(found) == len(FITTED) and np.isfinite(found["slope"]):
        told.append(
            f"slope {found['slope']:.3f}, 95 percent interval [{found['slope_low']:.3f}, {found['slope_high']:.3f}]"
        )
        if dataset.attrs.get("kind") != "distance" and np.isfinite(found["error_left"]):
            low, high = found["error_left_low"], found["error_left_high"]
            bound = f"to {high:.2g}" if np.isfinite(high) else "without an upper bound"
            told.append(
                f"by this slope the error at {key} = {dataset['key_value'].values[-1]:g} is {found['error_left']:.2g}, "
                f"with the interval {low:.2g} {bound}"
            )
    told += _expectations(dataset, key)
    if dataset.attrs.get("note"):
        told.append(str(dataset.attrs["note"]))
    return told


def _expectations(dataset: xr.Dataset, key: str) -> list[str]:
    """Lines on expectations, where a file has them."""
    if not {"extrapolated", "extrapolated_error"} <= set(dataset):
        return []
    told = []
    for prefix, what in EXPECTATIONS.items():
        slope, low, high = (float(dataset.get(f"{prefix}_slope{end}", np.nan)) for end in ("", "_low", "_high"))
        known = f"slope {slope:.3f}, 95 percent interval [{low:.3f}, {high:.3f}]"
        told.append(f"error of {what}: {known if np.isfinite(slope) else 'no slope stands out of the sampling error'}")
    last, error = (float(dataset[name].values[-1]) for name in ("extrapolated", "extrapolated_error"))
    at = f"{key} = {dataset['key_value'].values[-1]:g}"
    return [*told, f"{EXPECTATIONS['extrapolated']} at {at}: {last:.6g}, standard error {error:.2g}"]


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if np.isfinite(value) else "-"
