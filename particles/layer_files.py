"""Files of recorded layers and of tokens (NetCDF)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from particles import netcdf
from particles.arrays import Array
from particles.euclidean import AnyTokens
from particles.heads import FixedHeads
from particles.input_files import numbers, open_input
from particles.layers import RecordedLayers
from particles.output import versions, without_realization
from particles.retraction import Retraction, normalize
from particles.tokens import Tokens

AXES = ("layer", "head", "row", "col")
FACTOR_AXES = ("layer", "head", "head_row", "col")


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
    """Read a layers file: mixing and either query_key = A or query and key; ValueError names what is wrong."""
    with open_input(path) as dataset:
        beta = dataset.attrs.get("beta")
        if not isinstance(beta, float | int | np.floating | np.integer):
            raise ValueError(f"{path}: attribute beta must be a number, got {beta!r}")
        mixing = numbers(dataset, "mixing", path)
        try:
            if "query_key" in dataset:
                forms = numbers(dataset, "query_key", path)
                return RecordedLayers.from_query_key(mixing, forms, float(beta), retraction)
            if "query" in dataset and "key" in dataset:
                query, key = numbers(dataset, "query", path), numbers(dataset, "key", path)
                return RecordedLayers(mixing, query, key, float(beta), retraction)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
    raise ValueError(f"{path}: needs query_key, or query and key, beside mixing; has {_names(dataset)}")


def read_tokens(path: Path, make: Callable[[Array, Array], AnyTokens] = Tokens) -> AnyTokens:
    """Read tokens(token, component) and optional weight(token); of a token file of a run, the last record.

    `make` is what holds them: `Tokens` on the sphere, or `EuclideanTokens`.
    """
    with open_input(path) as file:
        dataset = without_realization(file)
        if "tokens" in dataset and "depth_time" in dataset["tokens"].dims:
            dataset = dataset.isel(depth_time=-1)
        points = numbers(dataset, "tokens", path)
        weights = numbers(dataset, "weight", path) if "weight" in dataset else np.zeros(0)
        try:
            return make(points, weights)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None


def read_heads(path: Path) -> FixedHeads:
    """Read the heads of every layer: value(head, row, col), query and key(head, head_row, col)."""
    with open_input(path) as dataset:
        arrays = [numbers(dataset, name, path) for name in ("value", "query", "key")]
        try:
            return FixedHeads(*arrays)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None


def _names(dataset: xr.Dataset) -> str:
    return ", ".join(sorted(str(name) for name in dataset.data_vars)) or "no variables"
