"""Files that are not known to be sound, tried in a process of their own before this one reads them.

On files that are damaged, or made to do harm, the libraries of HDF5 and NetCDF may never come to an end, ask for any
amount of memory, or write where they should not.  So a child opens a file and reads what is in it under limits of time
and memory; its death becomes one line.  Sizes that no file of this size can hold are refused before they are read.

This is no fence around a file that takes over the process that reads it: the child has the rights of its user.
"""

import math
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np

from particles.files import checksum
from particles.files.outside import reachable, refuse_outside, shortages
from particles.machine import memory
from particles.machine.interrupts import NUMBERS
from particles.machine.locks import serially

BROKEN: Final = (OSError, ValueError, RuntimeError, AttributeError, LookupError, TypeError, ArithmeticError)
"""What readers raise, ours and the libraries, at files that are damaged or say of themselves what cannot be."""
EXPANSION: Final = 1100  # deflate makes at most 1032 bytes of one
COORDINATES: Final = 16  # the same of a coordinate, which differs from entry to entry and is read when a file is opened
ROOM: Final = 1 << 26  # bytes that a file of any size may declare: fill values
KNOWN: Final = 1 << 24  # bytes of a file with a right checksum up to which its numbers are tried too
PIECE: Final = 1 << 24  # bytes that are read at a time
MEMORY: Final = 1 << 28  # bytes that the child may take beside what it reads
SECONDS: Final = 5.0  # of the processor, to open a file
BYTES_A_SECOND, CHUNKS_A_SECOND = 1 << 25, 10_000  # slower than any machine reads them
PATIENCE: Final = 20  # time that passes, over that of the processor: the disk, and other work
_MOST: Final = 4096  # bytes of what the child says
NOT: Final = "not a readable NetCDF file"
GREEDY: Final = "takes more memory to read than a file of its size should"
_OTHERS: Final = {b"\x93NUMPY": "a NumPy array", b"PK\x03\x04": "a zip archive"}
"""First bytes of files that are given in place of NetCDF."""
_ENDLESS: Final = {"SIGXCPU", "SIGALRM", "SIGKILL"}


def damaged(error: BaseException) -> bool:
    """Whether this is what NetCDF says of a chunk that fails its Fletcher sum."""
    return isinstance(error, RuntimeError) and str(error).startswith("NetCDF: ")


@serially
def examine(path: Path) -> None:
    """Try a file: its checksum, where it ends with one, then reading it.

    A right checksum is taken for a sign that this program wrote the file: of large ones the numbers are not tried.

    Raises
    ------
    ValueError : the file is damaged, leads into others, or cannot be read within the limits; in one line.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "is not a file" if path.exists() else "no such file"
        raise ValueError(f"{path}: {what}")
    sealed = checksum.sealed(path)
    if sealed and not checksum.intact(path):
        raise ValueError(f"{path}: is damaged: its checksum is not that of its contents")
    attempt(path, sealed=sealed)


@serially
def attempt(path: Path, *, sealed: bool) -> None:
    """The same for a file whose checksum, if it has one, has been looked at."""
    reachable()
    whole = not sealed or path.stat().st_size <= KNOWN
    if said := _in_child(lambda: _told(path, whole)):
        raise ValueError(f"{path}: {said}")


def _told(path: Path, whole: bool) -> str:
    """What is wrong with a file, found by reading it in a process of its own; empty where nothing is."""
    size = path.stat().st_size
    try:
        _more_time(size / BYTES_A_SECOND)
        _more_memory(MEMORY + 8 * size)
        refuse_outside(path)
        with closing(netCDF4.Dataset(path)) as file:
            found = list(_variables(file))
            need = [_check_sizes(where, variable, size) for where, variable in found]
            if whole:
                chunks = sum(min(_chunks(variable), size // 8) for _, variable in found)
                _more_time(sum(declared for _, declared in need) / BYTES_A_SECOND + chunks / CHUNKS_A_SECOND)
                _more_memory(MEMORY + 8 * size + 4 * max((piece for piece, _ in need), default=0))
                short = shortages()
                for where, variable in found:
                    _read(where, variable, size)
                    if short:
                        raise MemoryError
    except MemoryError:
        return GREEDY
    except BROKEN as error:
        said = str(error)
        if said.startswith(f"{path}: "):
            return said.removeprefix(f"{path}: ")
        return said if isinstance(error, _Refused) else f"{NOT} ({type(error).__name__}){_instead(path)}"
    return ""


def _instead(path: Path) -> str:
    """What a file is in place of NetCDF, where its first bytes tell."""
    try:
        with open(path, "rb") as file:
            first = file.read(8)
    except OSError:
        return ""
    kinds = [kind for magic, kind in _OTHERS.items() if first.startswith(magic)]
    return f"; it is {kinds[0]}: write it as NetCDF, with named dimensions" if kinds else ""


class _Refused(ValueError):
    """What a file declares cannot be."""


def _variables(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name in group.ncattrs():
        group.getncattr(name)
    for name, variable in group.variables.items():
        for attribute in variable.ncattrs():
            variable.getncattr(attribute)
        variable.set_auto_maskandscale(False)
        yield above + name, variable
    for name, inner in group.groups.items():
        yield from _variables(inner, f"{above}{name}/")


def _check_sizes(where: str, variable: Any, size: int) -> tuple[int, int]:
    """Bytes of a variable that are read at a time, and of all of it; refuses what the file cannot hold."""
    most = ROOM + (EXPANSION if variable.dimensions != (where,) else COORDINATES) * size
    chunk = _bytes(variable, _chunk(variable))
    for declared, what in (
        (_bytes(variable, variable.shape), f"variable {where} of shape {variable.shape}"),
        (chunk, f"variable {where}, in pieces of shape {_chunk(variable)}"),
    ):
        if declared > most:
            there = memory.size(size)
            raise _Refused(f"{what}: {memory.size(declared)} are declared, more than a file of {there} can hold")
    rows = _bytes(variable, (_rows(variable), *variable.shape[1:])) if variable.ndim else 0
    return rows + chunk, _bytes(variable, variable.shape)


def _bytes(variable: Any, shape: tuple[int, ...]) -> int:
    kind = variable.dtype
    return math.prod(shape) * (kind.itemsize if isinstance(kind, np.dtype) and kind.itemsize else 16)


def _chunk(variable: Any) -> tuple[int, ...]:
    chunk = variable.chunking()
    return tuple(map(int, chunk)) if isinstance(chunk, list | tuple) and len(chunk) == variable.ndim else ()


def _chunks(variable: Any) -> int:
    count = 1
    for n, step in zip(variable.shape, _chunk(variable) or variable.shape, strict=True):
        count *= -(-int(n) // max(step, 1))
    return count


def _rows(variable: Any) -> int:
    """How much of the first axis is read at a time: whole chunks, as many as make a piece."""
    step = max((_chunk(variable) or (1,))[0], 1)
    row = max(_bytes(variable, variable.shape[1:]), 1)
    return min(max(PIECE // row // step, 1) * step, max(int(variable.shape[0]), 1))


def _read(where: str, variable: Any, size: int) -> None:
    """Read a variable; what the library refuses in words, it will refuse whoever asks for the variable."""
    texts, rows = 0, _rows(variable) if variable.ndim else 1
    try:
        for begin in range(0, variable.shape[0] if variable.ndim else 1, rows):
            values = variable[begin : begin + rows] if variable.ndim else variable[...]
            if np.asarray(values).dtype.kind == "O":
                texts += sum(len(one) for one in np.asarray(values).flat)
                if texts > ROOM + EXPANSION * size:
                    raise _Refused(f"variable {where}: more text than a file of {memory.size(size)} can hold")
    except _Refused:
        raise
    except BROKEN as error:
        if "alloc" in str(error):
            raise MemoryError from None


def _more_memory(more: float) -> None:
    """A limit to what this process may take beside what it has; none on systems that do not say what that is."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            there = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    _limit(resource.RLIMIT_AS, there + more)


def _more_time(more: float) -> None:
    """A limit to the time of this process, which ends it at once, whatever it is at."""
    seconds = math.ceil(SECONDS + more)
    _limit(resource.RLIMIT_CPU, seconds)
    signal.alarm(PATIENCE * seconds)


def _limit(kind: int, wanted: float) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (int(wanted) if hard == resource.RLIM_INFINITY else min(int(wanted), hard), hard))


def _in_child(work: Callable[[], str]) -> str:
    """What a function says that is called in a child of this process, or how the child ended."""
    ours, theirs = os.pipe()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)  # whatever comes now is for this process
    child, status, code = 0, None, 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork, where a library has threads
            child = os.fork()
        if not child:
            _be_child(work, theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        status = os.waitpid(child, 0)[1]
        code = os.waitstatus_to_exitcode(status)
        os.set_blocking(ours, False)
        said = os.read(ours, _MOST) if code == 0 else b""
    except BlockingIOError:  # it had nothing to say
        said = b""
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if child and status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(ours)
        os.close(theirs)
    return said.decode(errors="replace") or _ending(code)


def _be_child(work: Callable[[], str], pipe: int) -> None:
    """Do the work under limits, and end."""
    code = 70
    try:
        os.closerange(3, pipe)  # locks among them, which would outlive a parent that is killed
        os.closerange(pipe + 1, 1 << 20)
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)  # the parent ends its child
        if "faulthandler" in sys.modules:
            sys.modules["faulthandler"].disable()
        warnings.simplefilter("ignore")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(pipe, work().encode(errors="replace")[:_MOST])
        code = 0
    finally:
        os._exit(code)


def _ending(code: int) -> str:
    """How a child ended, for people; empty where it ended well."""
    if code >= 0:
        return "" if code == 0 else f"{NOT} (reading ended with code {code})"
    name = signal.Signals(-code).name
    if name in _ENDLESS:
        return f"{NOT} (reading it does not come to an end)"
    return f"{NOT} (reading it ends the library: {name})"
