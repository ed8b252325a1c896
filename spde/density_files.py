"""Densities from files: the last record of a density file."""

from pathlib import Path

import numpy as np
import xarray as xr

from particles.output import without_realization
from spde.density import SeriesLaw
from spde.domain import SPHERES
from spde.sphere import MAX_DEGREE, MIN_DEGREE


def read_density(path: Path) -> SeriesLaw:
    """The law of the last record of a density file; ValueError names what is wrong.

    The modes tell where it lives: 0 <= sh_order <= sh_degree on S^2, sh_order = sh_degree on the circle.
    """
    try:
        file = xr.open_dataset(path, engine="netcdf4")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None
    with file:
        dataset = without_realization(file)
        for name in ("coefficients", "sh_degree", "sh_order"):
            if name not in dataset.variables:
                raise ValueError(f"{path}: variable {name} is missing; a density file holds it")
        variable = dataset["coefficients"]
        if "depth_time" in variable.dims:
            variable = variable.isel(depth_time=-1)
        if set(variable.dims) != {"mode", "part"} or variable.sizes["part"] != 2:
            raise ValueError(f"{path}: coefficients must have dimensions (mode, part), got {variable.dims}")
        pair = np.asarray(variable.transpose("mode", "part").values, dtype=np.float64)
        degree = np.asarray(dataset["sh_degree"].values, dtype=np.int64)
        order = np.asarray(dataset["sh_order"].values, dtype=np.int64)
    lmax = int(degree.max(initial=0))
    modes = sorted(zip(degree.tolist(), order.tolist(), strict=True))
    kinds = [kind for kind in SPHERES.values() if lmax <= MAX_DEGREE and modes == _modes(kind.mode_numbers(lmax))]
    if not kinds:
        raise ValueError(
            f"{path}: sh_degree and sh_order must run over all modes 0 <= m <= l <= lmax (of S^2) or m = l (of S^1), "
            f"lmax <= {MAX_DEGREE}"
        )
    if not np.isfinite(pair).all():
        raise ValueError(f"{path}: coefficients must be finite, got NaN or infinity")
    coefficients = np.empty(len(degree), dtype=np.complex128)
    by_order = np.lexsort((degree, order))  # order by order, as transforms number them
    coefficients[:] = pair[by_order, 0] + 1j * pair[by_order, 1]
    if not coefficients[0].real > 0:
        raise ValueError(f"{path}: the mass of the density must be positive")
    return SeriesLaw(coefficients, kinds[-1](max(MIN_DEGREE, lmax)))


def _modes(numbers: "tuple[np.ndarray, np.ndarray]") -> list[tuple[int, int]]:
    degrees, orders = numbers
    return sorted(zip(degrees.tolist(), orders.tolist(), strict=True))
