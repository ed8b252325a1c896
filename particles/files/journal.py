"""A journal of records that wait for their file: what is new is written behind it, whatever the size of the file.

It begins with the checksum of the file that it goes on from.  Each entry holds arrays, the state after them, and a
SHA-256 of its own; an entry that was cut or damaged ends the journal, so that what is read is what was written.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from particles.files.checksum import BLOCK, digest

MAGIC: Final = b"tokenlaw journal"
_SIZE: Final = struct.Struct("<Q")
_SUM: Final = 32  # bytes of a SHA-256
HEAD: Final = len(MAGIC) + 64 + _SIZE.size + _SUM

Pieces = Mapping[str, Sequence[NDArray[Any]]]
"""Name -> arrays that follow each other along their first axis."""


@dataclass(frozen=True)
class Entry:
    """Records and the state after them, in an open journal.

    Attributes
    ----------
    count : number of records.   records, state : name -> (place in the file, type, shape).
    """

    file: BinaryIO
    count: int
    records: Mapping[str, tuple[int, np.dtype[Any], tuple[int, ...]]]
    state: Mapping[str, tuple[int, np.dtype[Any], tuple[int, ...]]]

    def pieces(self, most: int) -> Iterator[tuple[str, int, NDArray[Any]]]:
        """The records in pieces of about so many bytes: name, number of the first record in the entry, array."""
        for name, (place, kind, shape) in self.records.items():
            row = int(np.prod(shape[1:]))
            many = max(1, most // max(1, row * kind.itemsize))
            for begin in range(0, shape[0], many):
                yield name, begin, self._read(
                    place + begin * row * kind.itemsize, kind, (min(many, shape[0] - begin), *shape[1:])
                )

    def last(self) -> dict[str, NDArray[Any]]:
        """The state after the records: name -> array."""
        return {name: self._read(*where) for name, where in self.state.items()}

    def _read(self, place: int, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        self.file.seek(place)
        return np.fromfile(self.file, kind, int(np.prod(shape))).reshape(shape)


class _Writer:
    """Writes all of what it is given, and keeps its checksum."""

    def __init__(self, handle: int) -> None:
        self._handle, self._sum = handle, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._sum.update(data)
        left = memoryview(data)
        while len(left):
            left = left[os.write(self._handle, left) :]

    def end(self) -> None:
        """Write the checksum of what was written since the last one."""
        digest, self._sum = self._sum.digest(), hashlib.sha256()
        self.write(digest)
        self._sum = hashlib.sha256()


def append(
    path: Path, end: int, follows: tuple[str, int], count: int, records: Pieces, state: Mapping[str, NDArray[Any]]
) -> int:
    """Write an entry behind the first `end` bytes of a journal, and flush it; the number of bytes there are then.

    Parameters
    ----------
    end : 0 begins the journal.   follows : checksum of its file, and the number of records there.
    count : number of records.   records : their arrays, by name.   state : after them.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if end else os.O_CREAT | os.O_EXCL)
    handle = os.open(path, flags, 0o600)
    try:
        os.ftruncate(handle, end)  # what a full disk has cut off
        os.lseek(handle, end, os.SEEK_SET)
        writer = _Writer(handle)
        if not end:
            writer.write(MAGIC + follows[0].encode() + _SIZE.pack(follows[1]))
            writer.end()
        _entry(writer, count, records, {name: [np.asarray(array)] for name, array in state.items()})
        os.fsync(handle)
        return os.lseek(handle, 0, os.SEEK_CUR)
    finally:
        os.close(handle)


def _entry(writer: _Writer, count: int, records: Pieces, state: Pieces) -> None:
    told: dict[str, Any] = {"count": count}
    size = 0
    for which, arrays in (("records", records), ("state", state)):
        told[which] = {}
        for name, pieces in arrays.items():
            first, rows = pieces[0], [len(piece) for piece in pieces if piece.ndim]
            told[which][name] = [first.dtype.str, [sum(rows), *first.shape[1:]] if first.ndim else []]
            size += sum(piece.nbytes for piece in pieces)
    head = json.dumps(told).encode()
    writer.write(_SIZE.pack(len(head)) + _SIZE.pack(size) + head)
    for arrays in (records, state):
        for pieces in arrays.values():
            if pieces[0].nbytes < BLOCK:
                pieces = [np.concatenate(pieces)] if pieces[0].ndim else pieces
            for piece in pieces:
                writer.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    writer.end()


def follows(file: BinaryIO) -> tuple[str, int] | None:
    """Checksum of the file that an open journal goes on from, and the number of records there; None if it is none."""
    file.seek(0)
    head = file.read(HEAD)
    data = head[: HEAD - _SUM]
    if len(head) < HEAD or not head.startswith(MAGIC) or hashlib.sha256(data).digest() != head[-_SUM:]:
        return None
    return data[len(MAGIC) : len(MAGIC) + 64].decode(), _SIZE.unpack(data[-_SIZE.size :])[0]


def entries(file: BinaryIO) -> Iterator[Entry]:
    """The entries of an open journal that are whole, up to the first that is not."""
    place, total = HEAD, os.fstat(file.fileno()).st_size
    while place + 2 * _SIZE.size + _SUM <= total:
        file.seek(place)
        sizes = file.read(2 * _SIZE.size)
        length, size = _SIZE.unpack(sizes[: _SIZE.size])[0], _SIZE.unpack(sizes[_SIZE.size :])[0]
        end = place + len(sizes) + length + size
        if end + _SUM > total or digest(file, place, end) != file.read(_SUM):
            return
        file.seek(place + len(sizes))
        told = json.loads(file.read(length))
        at = place + len(sizes) + length
        found: dict[str, dict[str, Any]] = {"records": {}, "state": {}}
        for which, arrays in found.items():
            for name, (kind, shape) in told[which].items():
                arrays[name] = (at, np.dtype(kind), tuple(shape))
                at += int(np.prod(shape)) * np.dtype(kind).itemsize
        yield Entry(file, told["count"], found["records"], found["state"])
        place = end + _SUM
