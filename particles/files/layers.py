"""Files of recorded layers and of tokens (NetCDF)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from particles.arrays import Array
from particles.attention.softmax import Softmax
from particles.files import netcdf
from particles.files.inputs import arranged, last_record, names_of, naming, open_input
from particles.files.recorder import versions, without_realization
from particles.heads import FixedHeads
from particles.layers.recorded import RecordedLayers
from particles.measure import AnyTokens, Tokens
from particles.retraction import Retraction, normalize

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

AXES = ("layer", "head", "row", "col")
FACTOR_AXES = ("layer", "head", "head_row", "col")
TOKEN_AXES = ("token", "component")


def write_layers(law: RecordedLayers, path: Path) -> None:
    """Write mixing(layer, head, row, col) = C_m, query and key(layer, head, head_row, col), attribute beta."""
    dataset = xr.Dataset(
        {
            "mixing": (AXES, law.mixing, {"long_name": "mixing matrix C of a head, step sizes inside", "units": "1"}),
            "query": (FACTOR_AXES, law.query, {"long_name": "query matrix of a head", "units": "1"}),
            "key": (FACTOR_AXES, law.key, {"long_name": "key matrix of a head; A = key^T query", "units": "1"}),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "recorded attention layers",
            "history": "written by tokenlaw",
            "beta": law.beta,
            **versions(),
        },
    )
    netcdf.save(dataset, path, {str(name): {"_FillValue": None} for name in dataset.variables})


def read_layers(path: Path, retraction: Retraction = normalize) -> RecordedLayers:
    """Read a layers file: mixing and either query_key = A or query and key; ValueError names what is wrong.

    Axes are known by their names, those that `write_layers` gives them, in any order.
    """
    with open_input(path) as dataset:
        beta = dataset.attrs.get("beta")
        if not isinstance(beta, float | int | np.floating | np.integer):
            raise ValueError(f"{path}: attribute beta must be a number, got {beta!r}")
        mixing = arranged(dataset, "mixing", path, AXES)
        if "query_key" in dataset:
            forms = arranged(dataset, "query_key", path, AXES)
            with naming(path):
                return RecordedLayers.from_query_key(mixing, forms, Softmax(float(beta)), retraction)
        if "query" in dataset and "key" in dataset:
            query, key = (arranged(dataset, name, path, FACTOR_AXES) for name in ("query", "key"))
            with naming(path):
                return RecordedLayers(mixing, query, key, Softmax(float(beta)), retraction)
    raise ValueError(f"{path}: needs query_key, or query and key, beside mixing; has {names_of(dataset)}")


def read_tokens(
    path: Path, make: Callable[[Array, Array], AnyTokens] = Tokens, stream: bool = False
) -> AnyTokens:
    """Read tokens(token, component) and optional weight(token), axes by name; of the file of a run, the last record.

    `make` is what holds them: `Tokens` on the sphere, or `EuclideanTokens`.
    stream : times their radius(token), where there is one, as in files of residual streams and of real networks.
    """
    with open_input(path) as file:
        dataset = last_record(without_realization(file), "tokens", path)
        points = arranged(dataset, "tokens", path, TOKEN_AXES)
        weights = arranged(dataset, "weight", path, TOKEN_AXES[:1]) if "weight" in dataset else np.zeros(0)
        if stream and "radius" in dataset:
            points = points * arranged(dataset, "radius", path, TOKEN_AXES[:1])[:, None]
    with naming(path):
        return make(points, weights)


def read_heads(path: Path) -> FixedHeads:
    """Read the heads of every layer: value(head, row, col), query and key(head, head_row, col); axes by name."""
    with open_input(path) as dataset:
        value = arranged(dataset, "value", path, AXES[1:])
        query, key = (arranged(dataset, name, path, FACTOR_AXES[1:]) for name in ("query", "key"))
    with naming(path):
        return FixedHeads(value, query, key)
