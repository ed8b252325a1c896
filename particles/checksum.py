"""Checksum of a run's file: what a run goes on from is what was written, to the bit, or it is refused.

sha256 = H(attributes, variables said once, record 0, ..., record n - 1, state).  Each record is hashed when it is
written, so a file that grows needs only the new ones.  HDF5 keeps Fletcher sums of its own for all other readers.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

import numpy as np
import xarray as xr

BLOCK = 64  # records that are read at a time


class Running(Protocol):
    """A hash of what was seen so far, as hashlib makes it."""

    def update(self, data: bytes, /) -> None:
        """See more."""
        ...

    def copy(self) -> Self:
        """One that goes on by itself."""
        ...

    def hexdigest(self) -> str:
        """The hash in hexadecimal digits."""
        ...


def begin(dataset: xr.Dataset, axis: str) -> Running:
    """Checksum of all attributes, and of the variables without the record axis."""
    running: Running = hashlib.sha256()
    for owner, attrs in (("", dataset.attrs), *((name, variable.attrs) for name, variable in _sorted(dataset))):
        for name in sorted(attrs):
            running.update(f"{owner}:{name}={np.ravel(attrs[name]).tolist()}\n".encode())
    _feed(running, ((str(name), v.values) for name, v in _sorted(dataset) if axis not in v.dims))
    return running


def add(running: Running, dataset: xr.Dataset, axis: str) -> Running:
    """The checksum with the records of a dataset behind it; the one given stays as it is."""
    running = running.copy()
    for start in range(0, dataset.sizes[axis], BLOCK):
        block = dataset.isel({axis: slice(start, start + BLOCK)})
        columns = {
            str(name): np.moveaxis(v.values, v.dims.index(axis), 0) for name, v in _sorted(block) if axis in v.dims
        }
        for k in range(block.sizes[axis]):
            _feed(running, ((name, values[k]) for name, values in columns.items()))
    return running


def seal(running: Running, state: Mapping[str, Any]) -> str:
    """Checksum of all that, and of the state to go on from: what the file holds."""
    running = running.copy()
    _feed(running, ((name, np.asarray(state[name])) for name in sorted(state)))
    return running.hexdigest()


def _sorted(dataset: xr.Dataset) -> list[tuple[Any, xr.Variable]]:
    return sorted(dataset.variables.items(), key=lambda item: str(item[0]))


def _feed(running: Running, arrays: Iterable[tuple[str, Any]]) -> None:
    for name, array in arrays:
        values = np.asarray(array)
        if values.dtype.kind in "OU":
            data = "\n".join(map(str, values.ravel())).encode()
        else:
            data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
        running.update(f"{name} {values.shape}\n".encode() + data)
