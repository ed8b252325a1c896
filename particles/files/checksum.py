"""Checksum of a run's file: the SHA-256 of its bytes, in a line behind them that readers of HDF5 pass over.

It is checked before HDF5 sees the file: on damaged structure HDF5 may never come to an end.  Fletcher sums inside, on
every array, serve readers that know nothing of it.
"""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

MARK = b"\ntokenlaw sha256 "
LENGTH = len(MARK) + 64 + 1
BLOCK = 1 << 20  # bytes that are read at a time


class Damaged(OSError):
    """Contents that are not those of their checksum."""


def seal(path: Path) -> str:
    """Write the checksum of a file behind it; the checksum."""
    with open(path, "r+b") as file:
        found = digest(file, 0, os.fstat(file.fileno()).st_size).hex()
        file.seek(0, os.SEEK_END)
        file.write(line(found))
    return found


def unseal(path: Path) -> None:
    """Take the checksum of a file away; nothing where it has none."""
    if sealed(path):
        os.truncate(path, path.stat().st_size - LENGTH)


def sealed(path: Path) -> bool:
    """Whether a file ends with a checksum."""
    with open(path, "rb") as file:
        return _line(file).startswith(MARK)


def intact(path: Path) -> bool:
    """Whether a file ends with its checksum; reads all of it."""
    with open(path, "rb") as file:
        found = _line(file)
        return found == line(digest(file, 0, os.fstat(file.fileno()).st_size - LENGTH).hex())


def said(path: Path) -> str:
    """The checksum behind a file, as it stands there; empty where there is none."""
    with open(path, "rb") as file:
        found = _line(file)
    return found[len(MARK) : -1].decode("ascii", "replace") if found.startswith(MARK) else ""


def line(found: str) -> bytes:
    """What stands behind a file of this checksum."""
    return MARK + found.encode() + b"\n"


def copy(source: BinaryIO, target: BinaryIO, size: int | None = None) -> str:
    """Copy the first `size` bytes of a file, or all from where it stands; the checksum of what was copied."""
    running = hashlib.sha256()
    while (size is None or size > 0) and (data := source.read(BLOCK if size is None else min(BLOCK, size))):
        running.update(data)
        target.write(data)
        size = None if size is None else size - len(data)
    return running.hexdigest()


def copy_contents(source: Path, target: BinaryIO, wanted: str) -> None:
    """Copy a file without the line behind it.

    Raises
    ------
    Damaged : what was copied does not have the checksum `wanted`.
    """
    with open(source, "rb") as file:
        if copy(file, target, os.fstat(file.fileno()).st_size - LENGTH) != wanted:
            raise Damaged("it has changed since it was written: its checksum is not that of its contents")


def _line(file: BinaryIO) -> bytes:
    file.seek(max(os.fstat(file.fileno()).st_size - LENGTH, 0))
    return file.read()


def digest(file: BinaryIO, begin: int, end: int) -> bytes:
    """SHA-256 of the bytes of a file between two places; the file stands at the second then."""
    file.seek(begin)
    running, left = hashlib.sha256(), end - begin
    while left > 0 and (data := file.read(min(BLOCK, left))):
        running.update(data)
        left -= len(data)
    return running.digest()
