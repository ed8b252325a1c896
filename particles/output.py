"""Records of a run: in memory, or in a NetCDF-4 file that grows as the run goes.

A file is never changed in place.  New records go to a copy, and the copy takes the place of the old file by one
rename, so whatever moment a run is killed at, the file on disk opens and holds the state to go on from.  A checksum
behind it tells a damaged file from a good one.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from particles import checksum
from particles.arrays import Array
from particles.interrupts import undisturbed
from particles.layers import LayerLaw
from particles.parallel import serially

AXIS = "depth_time"
LITTLE_ROOM = 1 << 20  # bytes on the disk below which a message speaks of them
DIGITS = 12  # after the point, of depth times
REALIZATION = "realization"
OF_GRID = ("area",)  # the same for all members
OF_RECORDS = (AXIS, "step", "diffusive_time")
DEPTH_TIME_ATTRS = {"long_name": "depth time", "units": "1"}


class WriteError(OSError):
    """A file that cannot be written.

    Attributes
    ----------
    begun : whether earlier records of the run are on disk.
    """

    def __init__(self, path: Path, reason: BaseException, begun: bool) -> None:
        text = getattr(reason, "strerror", None) or f"{reason}{_room(path)}"
        super().__init__(f"{path}: cannot be written ({text})")
        self.begun = begun


def _room(path: Path) -> str:
    """What HDF5 does not say: that the disk is full."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return ""
    return f"; {free} bytes are free on the disk" if free < LITTLE_ROOM else ""


def versions() -> dict[str, str]:
    """Versions of this package and of the libraries its numbers depend on, as file attributes."""
    found = {}
    for name in ("tokenlaw", "numpy", "shtns", "ducc0"):
        try:
            found[f"{name}_version"] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[f"{name}_version"] = "not installed"
    return found


def record(step: int, law: LayerLaw, variables: Mapping[str, tuple[tuple[str, ...], Any, str]]) -> xr.Dataset:
    """One record: variables name -> (dimensions, values, long_name) after `step` layers of a law.

    Where the law has a noise scale eps, diffusive_time = eps * depth_time stands beside depth_time.  Both are rounded
    to 12 digits after the point, so that a record is found by the number one would write.
    """
    depth_time = round(step * law.dt, DIGITS)
    data = {
        name: ((AXIS, *dims), np.asarray(values)[None], {"long_name": text, "units": "1"})
        for name, (dims, values, text) in variables.items()
    }
    coords: dict[str, Any] = {
        AXIS: (AXIS, [depth_time], DEPTH_TIME_ATTRS),
        "step": (AXIS, np.array([step], dtype=np.int64), {"long_name": "number of layers applied", "units": "1"}),
    }
    if law.noise_scale is not None:
        text = {"long_name": "diffusive time, noise scale times depth time", "units": "1"}
        coords["diffusive_time"] = (AXIS, [round(law.noise_scale * step * law.dt, DIGITS)], text)
    return xr.Dataset(data, coords)


def encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Encoding in which coordinates carry no _FillValue, records are chunks, and chunks have a Fletcher sum."""
    result: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in dataset.variables}
    for name, variable in dataset.variables.items():
        if AXIS in variable.dims and variable.ndim > 1:
            after = variable.ndim - variable.dims.index(AXIS) - 1
            result[str(name)]["chunksizes"] = (1,) * (variable.ndim - after) + variable.shape[variable.ndim - after :]
        result[str(name)]["fletcher32"] = _summed(variable)
    return result


def _summed(array: Any) -> bool:
    """Whether HDF5 can hold a Fletcher sum for an array: it is not a scalar, not empty, not text."""
    return array.ndim > 0 and array.size > 0 and array.dtype.kind in "iuf"


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a whole file over an old one, so that after a loss of power there is the one or the other."""
    with open(temporary, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    with contextlib.suppress(OSError):  # a folder that cannot be flushed: the rename waits for the system to do it
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name under which to write a file that takes its place at the end, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def in_realization(dataset: xr.Dataset, member: int) -> xr.Dataset:
    """All variables but areas and the coordinates of the records with a leading dimension `realization` of size 1.

    The dimension `node` becomes `carried_node`: files are combined by their coordinates, and a variable of several
    dimensions that has the name of one of them is none (docs/file_format.md).
    """
    text = {"standard_name": "realization", "long_name": "number of the member", "units": "1"}
    coords: dict[str, Any] = {REALIZATION: (REALIZATION, np.array([member], dtype=np.int64), text)}
    data: dict[str, Any] = {}
    for name, variable in dataset.variables.items():
        dims = tuple("carried_node" if dim == "node" else dim for dim in variable.dims)
        if name in OF_RECORDS + OF_GRID or (name in dataset.coords and name != "node"):
            coords[str(name)] = (dims, variable.values, variable.attrs)
        else:
            data[str(name)] = ((REALIZATION, *dims), variable.values[None], variable.attrs)
    return xr.Dataset(data, coords, dataset.attrs)


def without_realization(dataset: xr.Dataset) -> xr.Dataset:
    """A member's file as the file of a single run; other files as they are."""
    if dataset.sizes.get(REALIZATION) != 1:
        return dataset
    return dataset.squeeze(REALIZATION, drop=True).rename(
        {"carried_node": "node"} if "carried_node" in dataset.dims else {}
    )


class Recorder:
    """Collects records and the state to go on from; with a path, writes them as the run goes.

    Parameters
    ----------
    path : NetCDF file, or None to keep everything in memory.
    static : variables without depth_time (grids, weights).
    attrs : global attributes (text and numbers).
    patience : a file is rewritten at most once in this many seconds, and never more than a tenth of the time;
        0 writes every record at once.
    realization : member of an ensemble; its records get a leading dimension of that name, of size 1.
    """

    def __init__(
        self,
        path: Path | None = None,
        static: xr.Dataset | None = None,
        attrs: Mapping[str, Any] | None = None,
        patience: float = 1.0,
        *,
        realization: int | None = None,
    ) -> None:
        self.path = None if path is None else Path(os.path.realpath(path))  # a link stays a link
        self.static = xr.Dataset() if static is None else static
        self.attrs = {"Conventions": "CF-1.11", **versions(), **(attrs or {})}
        self.patience = patience
        self.realization = realization
        self._pending: list[xr.Dataset] = []
        self._state: dict[str, Array] = {}
        self._written = 0  # records on disk
        self._keep: int | None = None  # of those of a file to go on from
        self._last, self._cost = -np.inf, 0.0

    def _paths(self) -> tuple[Path, Path]:
        """The file and the copy being written."""
        if self.path is None:
            raise ValueError("a recorder in memory has no file")
        return self.path, self.path.with_name(f".{self.path.name}.part")

    def _replace(self) -> None:
        path, temporary = self._paths()
        put_in_place(temporary, path)

    def begin_again(self, static: xr.Dataset, attrs: Mapping[str, Any]) -> None:
        """Forget all records, those on disk with the next one; these static variables and attributes replace others."""
        self.static = static.merge(self.static.drop_vars(list(static.variables), errors="ignore"))
        self.attrs |= attrs
        self._pending, self._written, self._keep = [], 0, None

    def continue_file(self, keep: int) -> None:
        """Go on from an existing file, of which the first `keep` records stay.

        The file stays as it is until there is a new record; then attributes are written anew, too.
        """
        self._keep = keep

    def append(self, new: xr.Dataset, state: Mapping[str, Array]) -> None:
        """Add a record and the state at its depth."""
        self._pending.append(new)
        self._state = dict(state)
        wait = max(self.patience, 10 * self._cost) if self.patience > 0 else 0.0
        if self.path is not None and time.monotonic() - self._last >= wait:
            self.flush()

    @serially
    def flush(self) -> None:
        """Bring everything collected so far to disk (nothing to do in memory); interrupts wait until it is there."""
        if self.path is not None and self._pending:
            with undisturbed():
                self._flush()

    def _flush(self) -> None:
        path, temporary = self._paths()
        begin = time.monotonic()
        written = self._written if self._keep is None else self._keep
        try:
            if self._keep is not None:
                self._trim(path, temporary, self._keep)
            elif written:
                shutil.copyfile(path, temporary)
                checksum.unseal(temporary)
            if written:
                self._extend(temporary, written)
            else:
                dataset = self._assemble()
                dataset.to_netcdf(temporary, unlimited_dims=[AXIS], encoding=encoding(dataset))
            self._write_state(self._state)
            checksum.seal(temporary)
            self._replace()
        except (OSError, RuntimeError) as error:  # RuntimeError: what HDF5 says of a full disk
            raise WriteError(path, error, written > 0) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._written, self._keep, self._pending = written + len(self._pending), None, []
        self._last = time.monotonic()
        self._cost = self._last - begin

    def result(self) -> xr.Dataset:
        """Everything recorded: from memory, or the file opened."""
        if self.path is None:
            return self._assemble()
        self.flush()
        return xr.open_dataset(self.path)

    def _assemble(self) -> xr.Dataset:
        dataset = xr.merge([self.static, self._records()], combine_attrs="override").assign_attrs(self.attrs)
        return dataset if self.realization is None else in_realization(dataset, self.realization)

    def _records(self) -> xr.Dataset:
        """What is not on disk yet."""
        return xr.concat(self._pending, AXIS, data_vars="all", coords="minimal")

    def _trim(self, path: Path, temporary: Path, keep: int) -> None:
        """Copy the first `keep` records of a file, with the attributes of this run."""
        with xr.open_dataset(path, engine="netcdf4") as old:
            kept = old.isel({AXIS: slice(0, keep)}).load().assign_attrs(self.attrs)
        kept.to_netcdf(temporary, unlimited_dims=[AXIS], encoding=encoding(kept))

    def _extend(self, temporary: Path, start: int) -> None:
        new = self._records() if self.realization is None else in_realization(self._records(), self.realization)
        with netCDF4.Dataset(temporary, "a") as file:
            for name, variable in new.variables.items():
                if AXIS in variable.dims:
                    before = (slice(None),) * variable.dims.index(AXIS)
                    file.variables[str(name)][(*before, slice(start, start + new.sizes[AXIS]))] = variable.values

    def _write_state(self, state: Mapping[str, Array]) -> None:
        with netCDF4.Dataset(self._paths()[1], "a") as file:
            group = file.groups.get("state") or file.createGroup("state")
            for name, array in state.items():
                values = np.asarray(array)
                if name not in group.variables:
                    dims = tuple(f"{name}_{axis}" for axis in range(values.ndim))
                    for dim, size in zip(dims, values.shape, strict=True):
                        group.createDimension(dim, size)
                    group.createVariable(name, values.dtype, dims, fletcher32=_summed(values))
                group.variables[name][...] = values


@serially
def read_state(path: Path) -> dict[str, Array]:
    """The state a file ends with: name -> array."""
    with netCDF4.Dataset(path, "r") as file:
        if "state" not in file.groups:
            raise ValueError(f"{path} holds no state to go on from")
        group = file.groups["state"]
        group.set_auto_mask(False)
        return {name: np.asarray(variable[...]) for name, variable in group.variables.items()}
