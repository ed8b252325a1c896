"""The file of a run: put in place whole, added to by a copy, read where a run goes on from it."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np

from particles.arrays import Array, rebuilt
from particles.files import checksum, journal, netcdf
from particles.files.placing import Aside, put_in_place
from particles.machine.interrupts import undisturbed
from particles.machine.locks import serially

AXIS: Final = "depth_time"
PIECE: Final = 1 << 22  # bytes of small records that are written together
LITTLE_ROOM = 1 << 20  # bytes on the disk below which a message speaks of them


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

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), self.args, self.__dict__)


@contextmanager
def writing(path: Path, *, begun: bool = False) -> Iterator[None]:
    """Make a `WriteError` of what the system, or HDF5 on a full disk, says of a file that is written within."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise WriteError(path, error, begun) from error


def _room(path: Path) -> str:
    """What HDF5 does not say: that the disk is full."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return ""
    return f"; {free} bytes are free on the disk" if free < LITTLE_ROOM else ""


def summed(array: Any) -> bool:
    """Whether HDF5 can hold a Fletcher sum for an array: it is not a scalar, not empty, not text."""
    return array.ndim > 0 and array.size > 0 and array.dtype.kind in "iuf"


def replace(
    aside: Aside, old: str, room: float, change: Callable[[netCDF4.Dataset, Aside], None]
) -> tuple[str, float]:
    """Put a changed copy in the place of a file with checksum `old`, or a new file where that is empty.

    Returns
    -------
    The checksum, and the seconds it took but for those of the change itself.
    """
    begin, inside = time.monotonic(), 0.0
    with netcdf.making(aside.part, room, (aside.path, old) if old else None, sealed=True) as file:
        changing = time.monotonic()
        change(file, aside)
        inside = time.monotonic() - changing
    found = checksum.said(aside.part)
    put_in_place(aside.part, aside.path)
    with suppress(OSError):  # what is left is known as that of another state of the file
        aside.journal.unlink()
    return found, time.monotonic() - begin - inside


def extend(file: netCDF4.Dataset, start: int, records: Mapping[str, Array]) -> int:
    """Write records into a file from number `start` on; their number."""
    count = 0
    for name, values in records.items():
        variable, count = file.variables[name], len(values)
        before = variable.dimensions.index(AXIS)
        place = (slice(None),) * before + (slice(start, start + count),)
        variable[place] = values[(None,) * before]
    return count


def from_journal(file: netCDF4.Dataset, aside: Aside, start: int) -> int:
    """Write the records of a journal into its file from number `start` on, and the state after them; their number."""
    count = 0
    with open(aside.journal, "rb") as found:
        last = None
        for entry in journal.entries(found):
            for name, begin, values in entry.pieces(PIECE):
                extend(file, start + count + begin, {name: values})
            count, last = count + entry.count, entry
        if last is not None:
            write_state(file, last.last())
    return count


@serially
def recover(path: Path) -> int:
    """Bring the records that a killed run has left in the journal of its file into the file; their number.

    The file must be intact.  A journal of another state of the file is removed.

    Raises
    ------
    WriteError : the file cannot be written; it is as it was, and so is the journal.
    """
    path = path.resolve()
    with undisturbed(), writing(path), Aside(path) as aside:
        if not aside.journal.is_file():
            return 0
        with open(aside.journal, "rb") as found:
            follows, count = journal.follows(found), sum(entry.count for entry in journal.entries(found))
        now = checksum.said(path)
        if not count or follows is None or follows[0] != now:
            aside.journal.unlink()
            return 0
        start, room = follows[1], 1.2 * aside.journal.stat().st_size
        replace(aside, now, room, lambda file, aside: _check(from_journal(file, aside, start), count))
        return count


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise checksum.Damaged("the journal beside it has changed")


def write_state(file: netCDF4.Dataset, state: Mapping[str, Array]) -> None:
    """Write the state to go on from, name -> array, in place of the one that is there."""
    group = file.groups.get("state") or file.createGroup("state")
    for name, array in state.items():
        values = np.asarray(array)
        if name not in group.variables:
            dims = tuple(f"{name}_{axis}" for axis in range(values.ndim))
            for dim, size in zip(dims, values.shape, strict=True):
                group.createDimension(dim, size)
            group.createVariable(name, values.dtype, dims, fletcher32=summed(values))
        group.variables[name][...] = values


@serially
def read_end(path: Path) -> tuple[dict[str, Any], list[int], dict[str, Array]]:
    """What a run goes on from: the attributes of its file, the steps of its records, the state it ends with."""
    with netcdf.reading(path) as file:
        if "state" not in file.groups:
            raise ValueError(f"{path} holds no state to go on from")
        group = file.groups["state"]
        group.set_auto_mask(False)
        state = {name: np.asarray(variable[...]) for name, variable in group.variables.items()}
        attrs = {name: file.getncattr(name) for name in file.ncattrs()}
        return attrs, [int(step) for step in file.variables["step"][...]], state
