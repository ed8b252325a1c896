"""HDF5 files that reach into other files, and those packed by filters that NetCDF does not write.

Links, data and virtual datasets may have their bytes elsewhere.  Filters of HDF5 that are hardly used are hardly tried.

The NetCDF library follows all of them and says nothing of it, so that a file from outside could bring in whatever its
reader may read, and its numbers could change behind a checksum.  The HDF5 library that netCDF4 has loaded is asked
itself, before NetCDF opens the file; it tells what a file holds without following where that leads.
"""

import ctypes
import os
import warnings
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from particles.machine.interrupts import undisturbed
from particles.machine.locks import serially

# Numbers of HDF5's interface.
BY_NAME, NATIVE_ORDER, READ_ONLY, DEFAULT = 0, 2, 0, 0
HARD, SOFT = 0, 1  # links inside the file; all others lead out of it
DATASET, VIRTUAL = 5, 3
IDENTIFIER: Final = ctypes.c_int64
LINK: Final = ctypes.POINTER(ctypes.c_int)
FAILURE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.POINTER(IDENTIFIER), ctypes.c_void_p)
FAILED: Final = ctypes.CFUNCTYPE(ctypes.c_int, IDENTIFIER, ctypes.c_void_p)
MOST_FILTERS: Final = 32  # that HDF5 allows
FILTERS: Final = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 307: "bzip2", 32001: "blosc", 32015: "zstd"}
"""Filters that NetCDF writes, by their numbers in HDF5."""
VISIT: Final = ctypes.CFUNCTYPE(ctypes.c_int, IDENTIFIER, ctypes.c_char_p, LINK, ctypes.c_void_p)


@serially
def refuse_outside(path: Path) -> None:
    """ValueError where anything in an HDF5 file lies in another one, or is packed by a filter that NetCDF lacks.

    Files of other formats hold all they have.
    """
    library = _library()
    if library is None:
        return
    file = library.H5Fopen(os.fsencode(path), READ_ONLY, DEFAULT)
    if file < 0:  # of another format, or damaged; whoever opens it will say so
        return
    found: list[str] = []
    with undisturbed():  # what is raised inside a function that C calls is lost, and the rest of the file unseen
        ended = library.visit(file, BY_NAME, NATIVE_ORDER, _visitor(library, file, found), None)
        library.H5Fclose(file)
    if ended < 0:
        raise ValueError(f"{path}: not a readable NetCDF file (its links cannot be listed)")
    if found:
        rule = "" if " is packed " in found[0] else "; a file must hold all its numbers itself"
        raise ValueError(f"{path}: {found[0]}{rule}")


def _visitor(library: Any, file: int, found: list[str]) -> Any:
    """What is called with each link of a file; writes down the first that leads out of it, and stops."""

    def visit(group: int, name: bytes, info: Any, _: Any) -> int:
        kind = info[0]  # the first field of a link's description
        reason = _data_outside(library, file, name) if kind == HARD else "is a link to another file"
        if kind != SOFT and reason:
            found.append(f"{name.decode(errors='replace')} {reason}")
        return len(found)  # other than 0: enough

    return VISIT(visit)


def _data_outside(library: Any, file: int, name: bytes) -> str:
    """Where the data of an object stand, if it is a dataset and they are not in the file."""
    item = library.H5Oopen(file, name, DEFAULT)
    if item < 0:
        return "cannot be opened"
    try:
        if library.H5Iget_type(item) != DATASET:
            return ""
        made = library.H5Dget_create_plist(item)
        if made < 0:
            return "cannot be opened"
        try:
            if library.H5Pget_layout(made) == VIRTUAL:
                return "is put together from other files"
            if library.H5Pget_external_count(made) > 0:
                return "has its data in another file"
            return _packed(library, made)
        finally:
            library.H5Pclose(made)
    finally:
        library.H5Oclose(item)


def _packed(library: Any, made: int) -> str:
    """What is wrong with the filters of a dataset, if anything."""
    flags, count, setting = ctypes.c_uint(), ctypes.c_size_t(0), ctypes.c_uint()
    names = []
    for number in range(min(library.H5Pget_nfilters(made), MOST_FILTERS)):
        count.value = 0
        found = library.H5Pget_filter2(
            made, number, ctypes.byref(flags), ctypes.byref(count), None, 0, None, ctypes.byref(setting)
        )
        if found not in FILTERS:
            return f"is packed by filter {found} of HDF5, which NetCDF does not write"
        names.append(FILTERS[found])
    return "" if len(set(names)) == len(names) else "is packed twice by the same filter"


def reachable() -> bool:
    """Whether the library can be asked; a warning, once, where it cannot."""
    return _library() is not None


def shortages() -> list[str]:
    """A list that grows whenever HDF5 fails for want of memory, which NetCDF tells like any other failure.

    For a process that reads one file: it goes on growing until the process ends.
    """
    found: list[str] = []
    library = _library()
    if library is None:
        return found
    resources = IDENTIFIER.in_dll(library, "H5E_RESOURCE_g").value

    def look(_: int, error: Any, __: Any) -> int:
        if error[1] == resources:  # the class of a failure stands second in its description
            found.append("memory")
        return 0

    def failed(stack: int, _: Any) -> int:
        return int(library.H5Ewalk2(stack, 0, inner, None))

    inner, outer = FAILURE(look), FAILED(failed)
    _kept.extend((inner, outer))
    library.H5Eset_auto2(DEFAULT, outer, None)
    return found


_kept: list[Any] = []
"""Functions that C calls; without a name here they would be freed."""


@lru_cache(maxsize=1)
def _library() -> Any:
    """The HDF5 library inside netCDF4, its functions typed; None, with a warning, where it cannot be reached."""
    try:
        # Functions of the libraries that a library is linked to are found in it as well.
        library: Any = ctypes.CDLL(import_module("netCDF4._netCDF4").__file__)
        names = [name for name in ("H5Lvisit2", "H5Lvisit1", "H5Lvisit") if hasattr(library, name)]
        library.visit = getattr(library, names[0])
        types: dict[str, tuple[Any, list[Any]]] = {
            "H5Fopen": (IDENTIFIER, [ctypes.c_char_p, ctypes.c_uint, IDENTIFIER]),
            "H5Fclose": (ctypes.c_int, [IDENTIFIER]),
            "H5Oopen": (IDENTIFIER, [IDENTIFIER, ctypes.c_char_p, IDENTIFIER]),
            "H5Oclose": (ctypes.c_int, [IDENTIFIER]),
            "H5Iget_type": (ctypes.c_int, [IDENTIFIER]),
            "H5Dget_create_plist": (IDENTIFIER, [IDENTIFIER]),
            "H5Pget_layout": (ctypes.c_int, [IDENTIFIER]),
            "H5Pget_external_count": (ctypes.c_int, [IDENTIFIER]),
            "H5Pget_nfilters": (ctypes.c_int, [IDENTIFIER]),
            "H5Pget_filter2": (ctypes.c_int, [IDENTIFIER, ctypes.c_uint, *[ctypes.c_void_p] * 2, ctypes.c_void_p,
                                              ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]),
            "H5Pclose": (ctypes.c_int, [IDENTIFIER]),
            "H5Ewalk2": (ctypes.c_int, [IDENTIFIER, ctypes.c_int, FAILURE, ctypes.c_void_p]),
            "H5Eset_auto2": (ctypes.c_int, [IDENTIFIER, FAILED, ctypes.c_void_p]),
            "visit": (ctypes.c_int, [IDENTIFIER, ctypes.c_int, ctypes.c_int, VISIT, ctypes.c_void_p]),
        }
        for name, (result, arguments) in types.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        library.H5Eset_auto2(DEFAULT, FAILED(), None)  # what HDF5 would print of files that are none of its own
    except (OSError, AttributeError, IndexError):
        warnings.warn(
            "the HDF5 library cannot be asked whether input files lead into others; take only files that you trust",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return library
