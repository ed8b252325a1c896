"""Fields of density files as xarray data: integrals over the sphere, and the series on any grid or at any points.

A density file holds values on its own grid and the coefficients of the series; these functions take the dataset as
`xarray.open_dataset` gives it, of S^2 or of the circle, with any dimensions beside those of the sphere.
"""

import numpy as np
import xarray as xr

from particles import Array, as_array
from spde.domain.base import MIN_DEGREE, Domain
from spde.domain.circle import Circle
from spde.domain.sphere import Sphere
from spde.files.read import as_transforms_number, real_part_first

COEFFICIENTS = ("coefficients", "sh_degree", "sh_order")


def integrate(values: xr.DataArray) -> xr.DataArray:
    """Integral over the sphere of values on the grid of a density file, exact for polynomials the grid resolves.

    Parameters
    ----------
    values : over lat and lon, Gauss latitudes and equispaced longitudes in degrees; or over lon alone, on the circle.

    Returns
    -------
    DataArray without lat and lon; 4 pi (or 2 pi) for ones.

    Raises
    ------
    ValueError
        The grid is not that of a density file.

    Examples
    --------
    >>> import xarray as xr
    >>> from spde import Sphere
    >>> from spde.files.evaluate import integrate
    >>> grid = Sphere(7)
    >>> coordinates = {"lat": grid.latitude, "lon": grid.longitude}
    >>> height = xr.DataArray(grid.points.reshape(*grid.shape, 3)[..., 2], coordinates, ("lat", "lon"))
    >>> f"{float(integrate(height**2)):.12f}"  # 4 pi / 3
    '4.188790204786'
    """
    if "lon" not in values.dims:
        raise ValueError(f"values must have the dimension lon, and lat on the sphere, got {tuple(values.dims)}")
    lon = values["lon"].values
    if not np.allclose(np.diff(lon, append=lon[0] + 360.0), 360.0 / len(lon), rtol=0, atol=1e-9):
        raise ValueError(f"lon must be equispaced around the circle, in degrees, got {len(lon)} values")
    summed = values.sum("lon", skipna=False) * (2 * np.pi / len(lon))
    if "lat" not in values.dims:
        return summed
    z, weights = np.polynomial.legendre.leggauss(values.sizes["lat"])
    height = np.sin(np.deg2rad(values["lat"].values))
    if not (np.allclose(height, z, rtol=0, atol=1e-12) or np.allclose(height, -z, rtol=0, atol=1e-12)):
        raise ValueError(f"lat must be the {len(z)} Gauss latitudes, as in a density file")
    return (summed * xr.DataArray(weights, dims="lat")).sum("lat", skipna=False)


def at_points(dataset: xr.Dataset, points: Array) -> xr.DataArray:
    """The density at points of the sphere, from the coefficients of a density file.

    Parameters
    ----------
    dataset : a density file.   points : (N, d) of length 1, d = 3 on S^2 and 2 on the circle.

    Returns
    -------
    DataArray over the dimensions of the coefficients, say depth_time, and `point`.
    """
    sphere, series = _series(dataset)
    points = as_array(points, "points", (None, sphere.d))
    if not np.allclose(np.linalg.norm(points, axis=1), 1.0, rtol=0, atol=1e-9):
        raise ValueError("points must have length 1")
    return _evaluated(sphere, series, points, (len(points),), {}, ("point",))


def on_grid(dataset: xr.Dataset, lat: Array | None, lon: Array) -> xr.DataArray:
    """The density on any grid of latitudes and longitudes, from the coefficients of a density file.

    Parameters
    ----------
    dataset : a density file.
    lat : (n,) degrees from -90 to 90, in any order; None on the circle.   lon : (m,) degrees.

    Returns
    -------
    DataArray over the dimensions of the coefficients, lat and lon.
    """
    sphere, series = _series(dataset)
    if (lat is None) != (sphere.d == 2):
        raise ValueError("lat must be given on the sphere and None on the circle")
    angle = np.deg2rad(as_array(lon, "lon", (None,)))
    if lat is None:
        points = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return _evaluated(sphere, series, points, (len(angle),), {"lon": np.asarray(lon)}, ("lon",))
    up = np.deg2rad(as_array(lat, "lat", (None,)))
    if up.size and not np.abs(up).max() <= np.pi / 2:
        raise ValueError(f"lat must be from -90 to 90 degrees, got {np.rad2deg(np.abs(up).max()):g}")
    z, ring = np.sin(up)[:, None], np.cos(up)[:, None]
    grid = np.stack(np.broadcast_arrays(ring * np.cos(angle), ring * np.sin(angle), z), axis=-1)
    coordinates = {"lat": np.asarray(lat), "lon": np.asarray(lon)}
    return _evaluated(sphere, series, grid.reshape(-1, 3), grid.shape[:2], coordinates, ("lat", "lon"))


def _series(dataset: xr.Dataset) -> tuple[Domain, xr.DataArray]:
    """Where the series lives, and its complex coefficients over `mode`, as transforms number them."""
    for name in COEFFICIENTS:
        if name not in dataset.variables:
            raise ValueError(f"variable {name} is missing; a density file holds it")
    degree, order = (np.asarray(dataset[name].values, dtype=np.int64) for name in COEFFICIENTS[1:])
    lmax = max(MIN_DEGREE, int(degree.max()))
    sphere: Domain = Circle(lmax) if np.array_equal(degree, order) else Sphere(lmax)
    pair = real_part_first(dataset)["coefficients"].transpose(..., "mode", "part")
    values = as_transforms_number(pair.values, degree, order)
    kept = {name: one for name, one in pair.coords.items() if not {"mode", "part"} & set(one.dims)}
    return sphere, xr.DataArray(values, kept, pair.dims[:-1])


def _evaluated(
    sphere: Domain,
    series: xr.DataArray,
    points: Array,
    shape: tuple[int, ...],
    coordinates: dict[str, Array],
    dims: tuple[str, ...],
) -> xr.DataArray:
    leading = series.shape[:-1]
    rows = series.values.reshape(-1, series.shape[-1])
    values = np.stack([sphere.synthesis_at(np.ascontiguousarray(one), points) for one in rows]) if len(rows) else rows
    return xr.DataArray(
        values.real.reshape(*leading, *shape),
        {**series.coords, **coordinates},
        (*series.dims[:-1], *dims),
        "density",
        {"long_name": "density of the token law", "units": "1"},
    )
