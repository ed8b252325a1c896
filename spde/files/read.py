"""Densities from files: the last record of a density file, or a map."""

from pathlib import Path

import numpy as np
import xarray as xr

from particles import Array, Coefficients
from particles.files import arranged, last_record, naming, open_input, without_realization
from spde.density import SeriesLaw
from spde.domain.base import MAX_DEGREE, MIN_DEGREE
from spde.domain.choose import SPHERES
from spde.files.maps import read_map


def read_density(path: Path) -> SeriesLaw:
    """The law of the last record of a density file, or of a map `density`; ValueError names what is wrong.

    The modes tell where it lives: 0 <= sh_order <= sh_degree on S^2, sh_order = sh_degree on the circle.
    """
    with open_input(path) as file:
        dataset = without_realization(file)
        if "density" in dataset.variables and "coefficients" not in dataset.variables:
            return _checked(read_map(dataset, path), path)
        for name in ("coefficients", "sh_degree", "sh_order"):
            if name not in dataset.variables:
                raise ValueError(f"{path}: variable {name} is missing; a density file holds it")
        dataset = last_record(dataset, "coefficients", path)
        with naming(path):
            dataset = real_part_first(dataset)
        pair = _real(arranged(dataset, "coefficients", path, ("mode", "part")), "coefficients", path)
        degree, order = (
            _whole(arranged(dataset, name, path, ("mode",)), name, path) for name in ("sh_degree", "sh_order")
        )
    if not len(degree) == len(order) == len(pair):
        raise ValueError(f"{path}: sh_degree and sh_order must have the {len(pair)} entries of coefficients")
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
    coefficients = as_transforms_number(pair, degree, order)
    if np.abs(coefficients[np.sort(order) == 0].imag).max(initial=0.0) > 1e-9 * abs(coefficients[0].real):
        raise ValueError(f"{path}: coefficients of order 0 must have no imaginary part; the density is real")
    coefficients[np.sort(order) == 0] = coefficients[np.sort(order) == 0].real
    return _checked(SeriesLaw(coefficients, kinds[-1](max(MIN_DEGREE, lmax))), path)


def _checked(law: SeriesLaw, path: Path) -> SeriesLaw:
    with naming(path):
        law.check()
    return law


def as_transforms_number(pair: Array, degree: "np.ndarray", order: "np.ndarray") -> Coefficients:
    """Coefficients (..., modes) order by order, from those of a file, (..., modes, 2), numbered by degree first."""
    series: Coefficients = (pair[..., 0] + 1j * pair[..., 1])[..., np.lexsort((degree, order))]
    return series


def real_part_first(dataset: xr.Dataset) -> xr.Dataset:
    """Real and imaginary part of coefficients in this order, by the labels of `part` where there are any."""
    if "part" not in dataset["coefficients"].dims or dataset.sizes["part"] != 2:
        dims = ", ".join(f"{dim} = {dataset.sizes[dim]}" for dim in dataset["coefficients"].dims)
        raise ValueError(f"coefficients must have the dimensions (mode, part = 2), got ({dims})")
    if "part" not in dataset.variables:
        return dataset
    labels = [str(label) for label in dataset["part"].values] if dataset["part"].dims == ("part",) else ["other axes"]
    if sorted(labels) != ["imag", "real"]:
        raise ValueError(f'part must be "real", "imag", got {", ".join(labels)[:60]}')
    return dataset.isel(part=[labels.index("real"), labels.index("imag")])


def _real(values: "np.ndarray", name: str, path: Path) -> Array:
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} must hold real numbers, got {values.dtype}")
    return np.asarray(values, dtype=np.float64)


def _whole(values: "np.ndarray", name: str, path: Path) -> "np.ndarray":
    found = _real(values, name, path)
    if found.ndim != 1 or not (np.abs(found) < 1 << 31).all() or not np.array_equal(found, np.rint(found)):
        raise ValueError(f"{path}: {name} must hold a whole number for each mode")
    return found.astype(np.int64)


def _modes(numbers: "tuple[np.ndarray, np.ndarray]") -> list[tuple[int, int]]:
    degrees, orders = numbers
    return sorted(zip(degrees.tolist(), orders.tolist(), strict=True))
