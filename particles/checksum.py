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


def seal(path: Path) -> None:
    """Write the checksum of a file behind it."""
    with open(path, "r+b") as file:
        found = _hash(file, os.fstat(file.fileno()).st_size)
        file.seek(0, os.SEEK_END)
        file.write(MARK + found + b"\n")


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
        line = _line(file)
        return line == MARK + _hash(file, os.fstat(file.fileno()).st_size - LENGTH) + b"\n"


def _line(file: BinaryIO) -> bytes:
    file.seek(max(os.fstat(file.fileno()).st_size - LENGTH, 0))
    return file.read()


def _hash(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first bytes of a file, in hexadecimal digits."""
    file.seek(0)
    running = hashlib.sha256()
    while size > 0 and (data := file.read(min(BLOCK, size))):
        running.update(data)
        size -= len(data)
    return running.hexdigest().encode()
