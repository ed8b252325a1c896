"""Densities given as maps, rho(lat, lon) or rho(lon): coefficients by the quadrature that the coordinates stand for.

a_lm = int rho conj(Y_lm) dS, exact for a density whose degree the grid resolves: on Gauss latitudes by their weights,
on equiangular ones by resampling the meridians (ducc0); on the circle by the FFT.
"""

import math
from pathlib import Path

import numpy as np
import xarray as xr

from particles import Array, Coefficients, mode_numbers
from particles.files import numbers
from spde.density import SeriesLaw
from spde.domain.base import MAX_DEGREE, MIN_DEGREE
from spde.domain.circle import Circle
from spde.domain.sphere import Sphere
from spde.domain.transforms import analysis_of_map

MASS_WITHIN = 1e-3  # a map whose mass is farther from 1 is not normalised, or its grid does not resolve it
ON_GRID = 2e-3  # of the distance of neighbours: rounding of coordinates, in single precision or to three decimals
HOW = (
    "it must be one map over the whole sphere, lat of Gauss or equiangular latitudes and lon equally spaced in degrees "
    "(xarray's interp(lat=..., lon=...) gives it), or coefficients with sh_degree and sh_order as in a density file"
)


def read_map(dataset: xr.Dataset, path: Path) -> SeriesLaw:
    """The law of density(lat, lon) or density(lon), in degrees, of mass 1; ValueError names what is wrong."""
    found = dataset["density"].squeeze(drop=True)
    sizes = {str(dim): size for dim, size in found.sizes.items()}
    if "depth_time" in sizes:
        raise ValueError(
            f"{path}: density has {sizes['depth_time']} records and no coefficients: choose one, "
            "as with xarray's isel(depth_time=-1)"
        )
    if set(sizes) not in ({"lat", "lon"}, {"lon"}):
        raise ValueError(f"{path}: density has dimensions {tuple(sizes)}, must have (lat, lon); {HOW}")
    axes = {axis: _axis(dataset, axis, path) for axis in sizes}
    if "lat" in axes and np.abs(axes["lat"]).max() <= math.pi / 2 and np.abs(axes["lon"]).max() <= 2 * math.pi:
        raise ValueError(f"{path}: lat and lon seem to be radians, must be degrees")
    values = numbers(found.to_dataset(name="density").transpose("lat", "lon", missing_dims="ignore"), "density", path)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: density must hold real numbers, got {values.dtype}")
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        count = np.count_nonzero(~np.isfinite(values))
        raise ValueError(f"{path}: density must be finite, got NaN or infinity at {count} of {values.size} places")
    law = _on_sphere(values, axes, path) if "lat" in axes else _on_circle(values, axes["lon"], path)
    if not abs(law.mass - 1) <= MASS_WITHIN:
        unit = "unit area of the sphere" if "lat" in axes else "radian"
        raise ValueError(
            f"{path}: density has mass {law.mass:.6g}, must be 1 within {MASS_WITHIN:g} (per {unit}; uniform is "
            f"{1 / law.sphere.volume:.4g}): divide it by its mass, or give it on a finer grid"
        )
    return law


def _axis(dataset: xr.Dataset, axis: str, path: Path) -> Array:
    if axis not in dataset.variables:
        raise ValueError(f"{path}: density has no coordinate {axis}; {HOW}")
    values = numbers(dataset, axis, path)
    if dataset[axis].dims != (axis,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(f"{path}: {axis} must be one finite number for each place, in degrees")
    return np.asarray(values, dtype=np.float64)


def _on_sphere(values: Array, axes: dict[str, Array], path: Path) -> SeriesLaw:
    """Rows turned to run from north to south and columns to the east, then analysis up to what the grid resolves."""
    rows = np.argsort(-axes["lat"], kind="stable")
    values, first = _round(values[rows], axes["lon"], path)
    geometry = _geometry(axes["lat"][rows], path)
    mirrored = geometry == "DH south"
    values, geometry = (values[::-1], "DH") if mirrored else (values, geometry)
    lmax = min(_largest_degree(geometry, len(rows)), (values.shape[1] - 1) // 2, MAX_DEGREE)
    if lmax < 1:
        raise ValueError(f"{path}: density on {values.shape[0]} x {values.shape[1]} places resolves no degree; {HOW}")
    series = analysis_of_map(values, lmax, geometry, math.radians(first))
    if mirrored:  # north and south exchanged: Y_lm takes the sign (-1)^(l + m)
        degrees, orders = mode_numbers(lmax)
        series = series * (1 - 2 * ((degrees + orders) % 2))
    sphere = Sphere(max(MIN_DEGREE, lmax))
    return SeriesLaw(sphere.resized(series) if lmax < MIN_DEGREE else series, sphere)


def _on_circle(values: Array, lon: Array, path: Path) -> SeriesLaw:
    """a_k = int rho e^{-ik theta} d theta / sqrt(2 pi)."""
    values, first = _round(values, lon, path)
    n = len(values)
    degree = min((n - 1) // 2, MAX_DEGREE)
    turn = np.exp(-1j * np.arange(degree + 1) * math.radians(first))
    series: Coefficients = np.fft.rfft(values)[: degree + 1] * turn * (math.sqrt(2 * math.pi) / n)
    circle = Circle(max(MIN_DEGREE, degree))
    return SeriesLaw(circle.resized(series) if degree < MIN_DEGREE else series, circle)


def _round(values: Array, lon: Array, path: Path) -> tuple[Array, float]:
    """Values (..., n) in the order of longitudes that are equally spaced around the circle, and the first of them."""
    turned = lon % 360.0
    order = np.argsort(turned, kind="stable")
    turned, values = turned[order], values[..., order]
    if len(turned) > 1 and np.ptp(lon) > 359.99:  # 0 and 360 are one meridian, which may stand there twice
        kept = np.diff(turned, append=turned[0] + 360.0) >= ON_GRID * 360.0 / (len(turned) - 1)
        turned, values = turned[kept], values[..., kept]
    step = 360.0 / max(len(turned), 1)
    if len(turned) < 3 or np.abs(turned - turned[0] - step * np.arange(len(turned))).max() > ON_GRID * step:
        raise ValueError(f"{path}: lon must be equally spaced around the whole circle, in degrees; {HOW}")
    return values, float(turned[0])


def _geometry(lat: Array, path: Path) -> str:
    """The kind of latitudes, north to south, as ducc0 names it; "DH south" has the south pole only."""
    n = len(lat)
    if n > 1 and np.abs(lat).max() <= 90 + ON_GRID * 180 / n:
        theta, k = 90.0 - lat, np.arange(n)
        colatitudes = {
            "GL": 90.0 - np.degrees(np.arcsin(np.polynomial.legendre.leggauss(n)[0][::-1])),
            "CC": 180.0 * k / (n - 1),
            "F1": 180.0 * (k + 0.5) / n,
            "F2": 180.0 * (k + 1) / (n + 1),
            "DH": 180.0 * k / n,
            "DH south": 180.0 * (k + 1) / n,
            "MW": 180.0 * (2 * k + 1) / (2 * n - 1),
            "MWflip": 180.0 * 2 * k / (2 * n - 1),
        }
        off = {name: float(np.abs(theta - where).max()) for name, where in colatitudes.items()}
        nearest = min(off, key=lambda name: off[name])
        if off[nearest] <= ON_GRID * 180 / n:
            return nearest
    raise ValueError(
        f"{path}: lat of density must be Gauss latitudes, or equally spaced ones that begin and end at a pole or half "
        f"a step or a step before it, in degrees; got {n} from {lat.min():g} to {lat.max():g}; {HOW}"
    )


def _largest_degree(geometry: str, n: int) -> int:
    """Largest degree to which ducc0 analyses n rings exactly."""
    return {"CC": n - 2, "DH": (n - 2) // 2, "F2": (n - 1) // 2}.get(geometry, n - 1)
