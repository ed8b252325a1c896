"""NetCDF files as inputs: opened, and their numbers read; whatever is wrong becomes one line.

Attributes are text or numbers and are never run; nothing in a file is unpickled.  Numbers stay numbers: units such as
"days since 2000" make no dates of them.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from particles.memory import NUMBER, refuse_beyond
from particles.parallel import FILES

COPIES: Final = 3  # of a variable in memory: as read, in double precision, normalised
_BROKEN: Final = (OSError, ValueError, RuntimeError, AttributeError, LookupError, TypeError, ArithmeticError)
"""What the libraries raise at files that are damaged, or that say of themselves what cannot be."""


@contextmanager
def open_input(path: Path) -> Iterator[xr.Dataset]:
    """Open a NetCDF file; ValueError in one line where it cannot be, or its coordinates do not fit into memory."""
    with FILES, _opened(path) as dataset:
        yield dataset


def _opened(path: Path) -> xr.Dataset:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with netCDF4.Dataset(path) as file:
            coordinates = {name: v.shape for name, v in file.variables.items() if v.dimensions == (name,)}
        for name, shape in coordinates.items():  # these are read when the file is opened
            _refuse_too_large(path, f"coordinate {name}", shape)
        with np.errstate(all="ignore"), warnings.catch_warnings():  # of scale factors, and of units that make no sense
            warnings.simplefilter("ignore")
            return xr.open_dataset(
                path, engine="netcdf4", decode_times=False, decode_timedelta=False, decode_coords=False
            )
    except _BROKEN as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None


def numbers(dataset: xr.Dataset, name: str, path: Path) -> NDArray[Any]:
    """Values of a variable; ValueError where it is missing, does not fit into memory or cannot be read."""
    if name not in dataset.variables:
        has = ", ".join(sorted(str(name) for name in dataset.data_vars)) or "no variables"
        raise ValueError(f"{path}: variable {name} is missing; has {has}")
    _refuse_too_large(path, f"variable {name}", dataset[name].shape)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(dataset[name].values)
    except _BROKEN as error:
        raise ValueError(f"{path}: variable {name} cannot be read ({type(error).__name__})") from None


def _refuse_too_large(path: Path, what: str, shape: tuple[int, ...]) -> None:
    refuse_beyond(f"{path}: {what} of shape {shape}", COPIES * NUMBER * math.prod(shape))
