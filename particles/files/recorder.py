"""Records of a run: in memory, or in a NetCDF-4 file that grows as the run goes.

A file is never changed in place.  New records go to a copy, and the copy takes the place of the old file by one
rename, so whatever moment a run is killed at, the file on disk opens and holds the state to go on from.  A checksum
behind it tells a damaged file from a good one.  Where copying takes long, records wait in a journal beside the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import netCDF4
import numpy as np

from particles.arrays import Array
from particles.files import checksum, journal, netcdf, run_files
from particles.files.placing import Aside
from particles.files.run_files import AXIS, writing
from particles.layers.base import LayerLaw
from particles.machine.interrupts import undisturbed
from particles.machine.locks import serially

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

WAITING: Final = 1 << 26  # bytes of records in memory beyond which they are written at once
CHUNK: Final = 1 << 12  # bytes of a chunk of small records
SHARE: Final = 10  # a file is copied at most once in so many times the seconds that this takes
DIGITS = 12  # after the point, of depth times
REALIZATION = "realization"
OF_GRID = ("area",)  # the same for all members
OF_RECORDS = (AXIS, "step", "diffusive_time")
DEPTH_TIME_ATTRS = {"long_name": "depth time", "units": "1"}


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
    """Encoding in which coordinates carry no _FillValue; chunks of records, many of small ones, with Fletcher sums."""
    result: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in dataset.variables}
    for name, variable in dataset.variables.items():
        if AXIS in variable.dims and variable.ndim > 1:
            before = variable.dims.index(AXIS)
            after = variable.shape[before + 1 :]
            many = max(1, CHUNK // max(1, int(np.prod(after)) * variable.dtype.itemsize))
            result[str(name)]["chunksizes"] = (1,) * before + (many, *after)
        result[str(name)]["fletcher32"] = run_files.summed(variable)
    return result


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

    A record is on the disk `patience` seconds after it was made, or with the next one: in the file, or in the journal
    beside it where a copy of the file takes long (it is copied for a tenth of the time at most).  Records of
    `WAITING` bytes wait in memory at most.

    Parameters
    ----------
    path : NetCDF file, or None to keep everything in memory.
    static : variables without depth_time (grids, weights).
    attrs : global attributes (text and numbers).
    patience : seconds; 0 writes every record to the file at once.
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
        self.path = None if path is None else Path(path).resolve()  # a link stays a link
        self.static = xr.Dataset() if static is None else static
        self.attrs = {"Conventions": "CF-1.11", **versions(), **(attrs or {})}
        self.patience = patience
        self.realization = realization
        self._pending: list[xr.Dataset] = []
        self._waiting = 0  # bytes of these
        self._state: dict[str, Array] = {}
        self._written = 0  # records in the file
        self._noted, self._end = 0, 0  # records in the journal, and its bytes
        self._sum = ""  # checksum of the file
        self._continued = False
        self._saved, self._copied, self._cost = -np.inf, -np.inf, 0.0

    def begin_again(self, static: xr.Dataset) -> None:
        """Forget all records, those on disk with the next one; these static variables and attributes replace others."""
        self.static = static.merge(self.static.drop_vars(list(static.variables), errors="ignore"))
        self.static.attrs = {}
        self.attrs |= static.attrs
        self._pending, self._waiting, self._sum, self._copied = [], 0, "", -np.inf
        self._written, self._noted, self._end, self._continued = 0, 0, 0, False

    def continue_file(self, keep: int) -> None:
        """Go on from an existing file, of which the first `keep` records stay: all, or all but the last.

        The file stays as it is until there is a new record; then attributes are written anew, too.
        """
        self._written, self._continued = keep, True

    def append(self, new: xr.Dataset, state: Mapping[str, Array]) -> None:
        """Add a record and the state at its depth."""
        with undisturbed():
            self._pending.append(new)
            self._waiting += new.nbytes
            self._state = dict(state)
            now = time.monotonic()
            if self.path is None or (now - self._saved < self.patience and self._waiting < WAITING):
                return
            if self.patience <= 0 or now - self._copied >= SHARE * self._cost:
                self.flush()
            else:
                self._note()

    @serially
    def flush(self) -> None:
        """Bring everything collected so far into the file, if there is one; interrupts wait until it is there."""
        if self.path is not None and (self._pending or self._noted):
            with undisturbed():
                self._flush()

    def _flush(self) -> None:
        path, written = self._path(), self._written
        with writing(path, begun=written > 0):
            if self._continued and not self._sum:
                self._sum = checksum.said(path)
                if not self._sum:
                    raise checksum.Damaged("it does not end with a checksum")
            with Aside(path) as aside:
                self._sum, self._cost = run_files.replace(aside, self._sum, self._room(), self._complete)
        self._written = written + self._noted + len(self._pending)
        self._noted, self._end, self._pending, self._waiting, self._continued = 0, 0, [], 0, False
        self._saved = self._copied = time.monotonic()

    def _note(self) -> None:
        """Write what waits in memory to the journal."""
        first = self._pending[0]
        records = {str(name): [new.variables[name].values for new in self._pending] for name in first.variables}
        state = {name: np.asarray(array) for name, array in self._state.items()}
        path, follows = self._path(), (self._sum, self._written)
        with writing(path, begun=True), Aside(path) as aside:
            if not self._end:
                aside.journal.unlink(missing_ok=True)  # of a run before this one
            begun = not self._end
            self._end = journal.append(aside.journal, self._end, follows, len(self._pending), records, state)
            if begun:
                aside.flush()
        self._noted += len(self._pending)
        self._pending, self._waiting = [], 0
        self._saved = time.monotonic()

    def _path(self) -> Path:
        if self.path is None:
            raise ValueError("a recorder in memory has no file")
        return self.path

    def _room(self) -> float:
        """Bytes that the file will grow by, about."""
        state = sum(np.asarray(array).nbytes for array in self._state.values())
        return 1.2 * (self._waiting + self._end + (0 if self._sum else self.static.nbytes + state))

    def _complete(self, file: netCDF4.Dataset, aside: Aside) -> None:
        """Put everything collected so far into the copy of the file, or into a new one."""
        if not self._sum:
            dataset = self._assemble()
            netcdf.put(dataset, file, encoding(dataset), (AXIS,))
        else:
            if self._continued:
                file.setncatts(self.attrs)
            start = self._written
            if self._noted:
                start += run_files.from_journal(file, aside, start)
                if start != self._written + self._noted:
                    raise checksum.Damaged("the journal beside it has changed since it was written")
            for records in self._batches():
                start += run_files.extend(file, start, records)
        run_files.write_state(file, self._state)

    def _batches(self) -> Iterator[dict[str, Array]]:
        """What waits in memory, in pieces: name -> array with the records along its first axis."""
        names = [str(name) for name in self._pending[0].variables] if self._pending else []
        many = max(1, int(run_files.PIECE * len(self._pending) / max(self._waiting, 1)))
        for begin in range(0, len(self._pending), many):
            few = self._pending[begin : begin + many]
            yield {name: np.concatenate([new.variables[name].values for new in few]) for name in names}

    def result(self) -> xr.Dataset:
        """Everything recorded: from memory, or the file opened."""
        if self.path is None:
            return self._assemble()
        self.flush()
        return netcdf.open_lazily(self.path)

    def _assemble(self) -> xr.Dataset:
        records = xr.concat(self._pending, AXIS, data_vars="all", coords="minimal")
        dataset = xr.merge([self.static, records], combine_attrs="override").assign_attrs(self.attrs)
        return dataset if self.realization is None else in_realization(dataset, self.realization)


