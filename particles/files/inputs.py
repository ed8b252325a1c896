"""NetCDF files as inputs: opened, and their numbers read; whatever is wrong becomes one line.

Attributes are text or numbers and are never run; nothing in a file is unpickled.  Numbers stay numbers: units such as
"days since 2000" make no dates of them.  Axes are known by the names of their dimensions, whatever their order.

Whoever opens an input file says so (`note`); whoever wants to know what was read asks (`noted`).
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import netCDF4
import numpy as np
from numpy.typing import NDArray

from particles.files.trial import BROKEN, damaged, examine
from particles.machine.locks import FILES
from particles.machine.memory import NUMBER, refuse_beyond

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

COPIES: Final = 3  # of a variable in memory: as read, in double precision, normalised
_notes: ContextVar[dict[Path, str] | None] = ContextVar("_notes", default=None)


@contextmanager
def noted() -> Iterator[dict[Path, str]]:
    """SHA-256 of every file that this thread opens as an input in the meantime, by path, in the order of opening."""
    found: dict[Path, str] = {}
    outside = _notes.get()
    token = _notes.set(found)
    try:
        yield found
    finally:
        _notes.reset(token)
        if outside is not None:
            outside |= found


def note(path: Path) -> None:
    """Say that a file is read as an input; it is hashed where somebody asks (`noted`)."""
    found = _notes.get()
    if found is not None and path not in found:
        with open(path, "rb") as file:
            found[path] = hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_input(path: Path) -> Iterator[xr.Dataset]:
    """Open a NetCDF file to be read.

    Raises
    ------
    ValueError : in one line; it cannot be opened, its coordinates do not fit into memory, or what is read of it within
        is damaged.
    """
    with FILES, _opened(path) as dataset:
        try:
            yield dataset
        except RuntimeError as error:
            if not damaged(error):
                raise
            raise ValueError(f"{path}: is damaged and cannot be read ({error})") from None


@contextmanager
def naming(path: Path, *more: type[Exception]) -> Iterator[None]:
    """Tell what is wrong with the contents of a file with its name: ValueError, TypeError and `more` become one."""
    kinds: tuple[type[Exception], ...] = (ValueError, TypeError, *more)
    try:
        yield
    except kinds as error:
        text = str(error)
        raise ValueError(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


def _opened(path: Path) -> xr.Dataset:
    try:
        examine(path)
        note(path)
        with netCDF4.Dataset(path) as file:
            coordinates = {name: v.shape for name, v in file.variables.items() if v.dimensions == (name,)}
        for name, shape in coordinates.items():  # these are read when the file is opened
            _refuse_too_large(path, f"coordinate {name}", shape)
        with np.errstate(all="ignore"), warnings.catch_warnings():  # of scale factors, and of units that make no sense
            warnings.simplefilter("ignore")
            return xr.open_dataset(
                path, engine="netcdf4", decode_times=False, decode_timedelta=False, decode_coords=False
            )
    except BROKEN as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None


def last_record(dataset: xr.Dataset, name: str, path: Path) -> xr.Dataset:
    """The record of the largest depth_time, where a variable has records; ValueError where it has none."""
    if name not in dataset.variables or "depth_time" not in dataset[name].dims:
        return dataset
    if not dataset.sizes["depth_time"]:
        raise ValueError(f"{path}: {name} must have at least one record, got none")
    depth = numbers(dataset, "depth_time", path) if "depth_time" in dataset.variables else np.zeros(0)
    known = depth.dtype.kind in "fiu" and depth.size and np.isfinite(depth).all()
    return dataset.isel(depth_time=int(np.argmax(depth)) if known else -1)


def arranged(dataset: xr.Dataset, name: str, path: Path, dims: tuple[str, ...]) -> NDArray[Any]:
    """Values of a variable over the named dimensions, in the order given here; others must be of size 1.

    Raises
    ------
    ValueError : the variable is missing, cannot be read, or has other dimensions.
    """
    values = numbers(dataset, name, path)
    has = dataset[name].dims
    beside = tuple(axis for axis, dim in enumerate(has) if dim not in dims)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} must hold real numbers, got {values.dtype}")
    if not set(dims) <= set(has) or len(set(has)) < len(has) or any(values.shape[axis] != 1 for axis in beside):
        raise ValueError(f"{path}: {name} must have the dimensions ({', '.join(dims)}), got ({_dims(dataset, name)})")
    left = [dim for dim in has if dim in dims]
    order = [left.index(dim) for dim in dims]
    return np.ascontiguousarray(np.squeeze(values, beside).transpose(order))


def _dims(dataset: xr.Dataset, name: str) -> str:
    return ", ".join(f"{dim} = {size}" for dim, size in zip(dataset[name].dims, dataset[name].shape, strict=True))


def numbers(dataset: xr.Dataset, name: str, path: Path) -> NDArray[Any]:
    """Values of a variable; ValueError where it is missing, does not fit into memory or cannot be read."""
    if name not in dataset.variables:
        raise ValueError(f"{path}: variable {name} is missing; has {names_of(dataset)}")
    _refuse_too_large(path, f"variable {name}", dataset[name].shape)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(dataset[name].values)
    except BROKEN as error:
        raise ValueError(f"{path}: variable {name} cannot be read ({type(error).__name__})") from None


def names_of(dataset: xr.Dataset) -> str:
    """The variables of a file, in words."""
    return ", ".join(sorted(str(name) for name in dataset.data_vars)) or "no variables"


def _refuse_too_large(path: Path, what: str, shape: tuple[int, ...]) -> None:
    refuse_beyond(f"{path}: {what} of shape {shape}", COPIES * NUMBER * math.prod(shape))
