"""NetCDF files opened so that whatever the disk answers becomes an exception.

The library of NetCDF ends the process where the system cannot close a file, which disks behind a network and quotas
answer with.  So it sees small files in memory only; what goes to the disk is written here.  Large ones are flushed to
the disk before they are closed, so that an error is met while it can be told.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import netCDF4

from particles.files import checksum
from particles.machine.locks import FILES, serially

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

SMALL: Final = 1 << 24  # bytes of a file that is made in memory
_MEMORY: Final = Path("/dev/shm")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[netCDF4.Dataset]:
    """Open a file to read."""
    if path.stat().st_size <= SMALL:
        file = netCDF4.Dataset(path.name, "r", memory=path.read_bytes())
    else:
        file = netCDF4.Dataset(path, "r")
    with contextlib.closing(file):
        yield file


@serially
def open_lazily(path: Path) -> xr.Dataset:
    """`xr.open_dataset(path)`, of which any thread may read while others are at other files; it closes alike."""
    backends: Any = xr.backends
    manager = backends.CachingFileManager(netCDF4.Dataset, str(path), mode="r", lock=FILES)
    dataset = xr.open_dataset(backends.NetCDF4DataStore(manager, mode="r", lock=FILES))
    dataset.encoding["source"] = str(path)
    return dataset


@contextlib.contextmanager
def making(
    part: Path, room: float, old: tuple[Path, str] | None = None, *, sealed: bool = False
) -> Iterator[netCDF4.Dataset]:
    """Make a file: an empty one to be filled within, or a copy of an old one to be changed; at the end it is there.

    Parameters
    ----------
    part : file to make, which does not exist.   room : bytes that will be added, about.
    old : file to begin with, and the checksum that its contents must have.   sealed : whether to write one behind it.

    Raises
    ------
    OSError, RuntimeError : from the system, from HDF5.   checksum.Damaged : the old file has changed.
    """
    size = room + (0 if old is None else old[0].stat().st_size)
    where = _in_memory if _fits(size) else _on_disk
    with where(part, old) as file:
        yield file
    if sealed:
        checksum.seal(part)


def _fits(size: float) -> bool:
    """Whether a file is small, and there is room for it in a folder that is memory."""
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return False
    return size <= SMALL and 4 * SMALL <= found.f_bavail * found.f_frsize and os.access(_MEMORY, os.W_OK | os.X_OK)


@contextlib.contextmanager
def _in_memory(part: Path, old: tuple[Path, str] | None) -> Iterator[netCDF4.Dataset]:
    handle, name = tempfile.mkstemp(dir=_MEMORY, prefix="tokenlaw-")
    with open(handle, "w+b") as memory:
        try:
            if old is not None:
                checksum.copy_contents(old[0], memory, old[1])
                memory.flush()
            opened = netCDF4.Dataset(name, "w" if old is None else "a")
        finally:
            os.unlink(name)  # what is killed from here on leaves nothing
        with contextlib.closing(opened) as file:
            yield file
        memory.seek(0)
        with open(part, "wb") as target:
            checksum.copy(memory, target)


@contextlib.contextmanager
def _on_disk(part: Path, old: tuple[Path, str] | None) -> Iterator[netCDF4.Dataset]:
    with open(part, "wb") as target:
        if old is not None:
            checksum.copy_contents(old[0], target, old[1])
    with contextlib.closing(netCDF4.Dataset(part, "w" if old is None else "a")) as file:
        yield file
        file.sync()
        with open(part, "rb") as flushed:
            os.fsync(flushed.fileno())


@serially
def save(
    dataset: xr.Dataset, part: Path, encoding: Mapping[str, Mapping[str, Any]], unlimited_dims: tuple[str, ...] = ()
) -> None:
    """Write a dataset to a file, as `Dataset.to_netcdf` does."""
    with making(part, 1.2 * dataset.nbytes) as file:
        put(dataset, file, encoding, unlimited_dims)


def put(
    dataset: xr.Dataset,
    file: netCDF4.Dataset,
    encoding: Mapping[str, Mapping[str, Any]],
    unlimited_dims: tuple[str, ...] = (),
) -> None:
    """Write a dataset into an open, empty file."""
    store: Any = xr.backends.NetCDF4DataStore
    dataset.dump_to_store(store(file), encoding=encoding, unlimited_dims=list(unlimited_dims))
