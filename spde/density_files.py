"""Densities from files: the last record of a density file."""

from pathlib import Path

import numpy as np
import xarray as xr

from particles.harmonics import Coefficients, mode_numbers, n_modes


def read_density(path: Path) -> Coefficients:
    """Coefficients of the last record of a density file; ValueError names what is wrong."""
    try:
        dataset = xr.open_dataset(path, engine="netcdf4")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: not a readable NetCDF file ({type(error).__name__})") from None
    with dataset:
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
    wanted = set(zip(*(values.tolist() for values in mode_numbers(lmax)), strict=True)) if lmax <= 1023 else set()
    if len(degree) != n_modes(lmax) or set(zip(degree.tolist(), order.tolist(), strict=True)) != wanted:
        raise ValueError(f"{path}: sh_degree and sh_order must run over all modes 0 <= m <= l <= lmax, lmax <= 1023")
    if not np.isfinite(pair).all():
        raise ValueError(f"{path}: coefficients must be finite, got NaN or infinity")
    coefficients = np.empty(len(degree), dtype=np.complex128)
    by_order = np.lexsort((degree, order))  # order by order, as transforms number them
    coefficients[:] = pair[by_order, 0] + 1j * pair[by_order, 1]
    if not coefficients[0].real > 0:
        raise ValueError(f"{path}: the mass of the density must be positive")
    return coefficients
