"""Orthographic pictures of the sphere: image = (<x, right>, <x, up>) for points with <x, towards> > 0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RegularGridInterpolator

from particles import Array

__all__ = ["best_direction", "closed", "directions", "graticule", "pixels", "sample", "view"]

WIDE = 2.1  # times the median distance of neighbours: a grid after every second place was dropped is still whole
_OBLIQUE = np.array([0.75, -0.5, 0.43])  # where nothing better is known: all three axes in sight


def view(direction: npt.ArrayLike) -> Array:
    """What a viewer far away in a direction (3,) sees: a rotation (3, 3) with rows right, up and towards the viewer.

    North is upwards; from a pole longitude 90 is. The image of points (..., 3) is in the first two components of
    points @ view.T, the third is their depth, positive on the visible side.
    """
    towards = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    north = np.array([0.0, 0.0, 1.0]) if abs(towards[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(north, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def pixels(seen: Array, size: int) -> Array:
    """Unit vectors (size, size, 3) behind the centres of the pixels of a square image of a view, lowest row first.

    Pixels outside the disc take the nearest point of its rim, so that a circle clipped out of the image has no ragged
    edge.
    """
    centres = (2.0 * np.arange(size) + 1.0) / size - 1.0
    image = np.stack(np.meshgrid(centres, centres), axis=-1)
    image /= np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1.0)
    depth = np.sqrt(np.maximum(1.0 - (image**2).sum(axis=-1, keepdims=True), 0.0))
    return np.asarray(np.concatenate([image, depth], axis=-1) @ seen)


def sample(
    field: npt.ArrayLike, latitudes: npt.ArrayLike, longitudes: npt.ArrayLike, directions: Array
) -> Array:
    """Bilinear interpolation of a field on a latitude-longitude grid; creates no new extrema.

    Longitude is periodic. Between the outermost latitude and the pole the field goes to the mean over that
    latitude, which is the value at the pole to second order in the distance.

    Parameters
    ----------
    field : (n_lat, n_lon), NaN where it is not known.
    latitudes, longitudes : degrees, in any order; of a repeated one the first counts.
    directions : unit vectors (..., 3).

    Returns
    -------
    (...), NaN next to an unknown value, and where neighbours on the grid are more than `WIDE` times as far apart
    as half of them are: there the grid says nothing.
    """
    lat, lon = np.asarray(latitudes, dtype=np.float64), np.asarray(longitudes, dtype=np.float64)
    values = np.asarray(field, dtype=np.float64)
    if values.shape != (lat.size, lon.size):
        raise ValueError(
            f"field must have shape {(lat.size, lon.size)} (latitude, longitude), got {values.shape}"
        )
    lat, rows = np.unique(lat, return_index=True)
    lon, columns = unrolled(lon)
    values = values[np.ix_(rows, columns)]
    lon, values = np.append(lon, lon[0] + 360.0), np.concatenate([values, values[:, :1]], axis=1)
    between, around = np.diff(lat), np.diff(lon)
    if not wide(around).any():  # what is around a pole is known
        near = WIDE * np.median(between)
        if -90.0 < lat[0] <= -90.0 + near:
            lat, values = np.append(-90.0, lat), np.vstack([np.full(lon.size, values[0, :-1].mean()), values])
        if 90.0 > lat[-1] >= 90.0 - near:
            lat, values = np.append(lat, 90.0), np.vstack([values, np.full(lon.size, values[-1, :-1].mean())])
    at_lat = np.degrees(np.arctan2(directions[..., 2], np.hypot(directions[..., 0], directions[..., 1])))
    at_lon = (np.degrees(np.arctan2(directions[..., 1], directions[..., 0])) - lon[0]) % 360.0 + lon[0]
    interpolator = RegularGridInterpolator((lat, lon), values, bounds_error=False, fill_value=np.nan)
    found = np.asarray(interpolator((at_lat, at_lon)))
    for places, at in ((lat, at_lat), (lon, at_lon)):
        gap = wide(np.diff(places))
        if gap.any():
            found = np.where(gap[np.clip(np.searchsorted(places, at) - 1, 0, gap.size - 1)], np.nan, found)
    return found


def unrolled(longitudes: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Longitudes in [0, 360), rising, each once, and the index of each."""
    turned = np.round(np.asarray(longitudes, dtype=np.float64) % 360.0, 9) % 360.0
    lon, index = np.unique(turned, return_index=True)
    return lon, index


def wide(gaps: Array) -> npt.NDArray[np.bool_]:
    """Which distances between neighbours are too wide to interpolate."""
    return np.asarray(gaps > WIDE * np.median(gaps))


def closed(longitudes: Array, values: Array) -> tuple[Array, Array]:
    """Angles from 0 to 360 and values (n,) there as a closed curve, with NaN in gaps that are too wide."""
    lon, index = unrolled(longitudes)
    values = np.asarray(values, dtype=np.float64)[index]
    before = [lon[-1] - 360.0] if lon[0] > 0 else []
    lon, values = np.r_[before, lon, lon[0] + 360.0], np.r_[values[-1:] if before else [], values, values[0]]
    gap = np.flatnonzero(wide(np.diff(lon)))
    return np.insert(lon, gap + 1, 0.5 * (lon[gap] + lon[gap + 1])), np.insert(values, gap + 1, np.nan)


def directions(lat: npt.ArrayLike, lon: npt.ArrayLike) -> Array:
    """Unit vectors (..., 3) from degrees."""
    up, around = np.broadcast_arrays(np.radians(lat), np.radians(lon))
    return np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)


def best_direction(means: npt.ArrayLike) -> Array:
    """Direction (3,) from which to look: that of the sum of mean tokens (k, 3), an oblique one where it vanishes."""
    total = np.asarray(means, dtype=np.float64).reshape(-1, 3).sum(axis=0)
    length = np.linalg.norm(total)
    return np.asarray(total / length if length > 0.02 else _OBLIQUE / np.linalg.norm(_OBLIQUE))


def graticule() -> list[Array]:
    """Parallels and meridians of the sphere every 30 degrees, lines (k, 3)."""
    fine = np.linspace(-180.0, 180.0, 181)
    parallels = [directions(lat, fine) for lat in np.arange(-60.0, 90.0, 30.0)]
    return parallels + [directions(fine, lon) for lon in np.arange(0.0, 180.0, 30.0)]
