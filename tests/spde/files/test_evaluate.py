"""Integrals of gridded fields, and the series of density files on other grids and at points."""

import numpy as np
import pytest
import xarray as xr

from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from spde import Circle, Density, Sphere, solve
from spde.files import at_points, integrate, on_grid

DIRECTION = {3: [0.6, 0.0, 0.8], 2: [0.6, 0.8]}
SPHERES = {3: (Sphere, (24, 50)), 2: (Circle, (1, 90))}


@pytest.fixture(scope="module", params=[3, 2])
def run(request):
    """A short run, and its dimension."""
    d = request.param
    sphere, carried = SPHERES[d]
    start = Density.from_law(VonMisesFisherMixture([1.0], [DIRECTION[d]], [3.0]), sphere(21), carried)
    law = Homogenized(GaussianHeads(d, 0.5, 0.5, d), Softmax(1.0), dt=0.05, nodes=3, noise=Noise(2))
    return solve(start, law, n_steps=4, save_every=2), d


def test_integrals_are_the_recorded_moments(run):
    data, d = run
    assert np.abs(integrate(data.density) - data.mass).max() < 1e-12
    angle = np.deg2rad(data.lon)
    first = np.cos(angle) * (np.cos(np.deg2rad(data.lat)) if d == 3 else 1.0)
    mean = integrate(data.density * first)
    assert mean.dims == ("depth_time",)
    assert np.abs(mean.values - data.mean_token.values[:, 0]).max() < 2e-8  # carried nodes against coefficients
    assert np.abs(mean.values).min() > 0.1


def test_own_grid_and_points_give_the_recorded_values(run):
    data, d = run
    lat = data.lat.values if d == 3 else None
    again = on_grid(data, lat, data.lon.values)
    assert again.dims == data.density.dims
    assert np.abs(again - data.density).max() < 1e-12
    assert np.array_equal(again.depth_time, data.depth_time)
    turned = on_grid(data, None if lat is None else lat[::-1], data.lon.values + 360.0)
    assert np.abs(turned.values - (again.values if lat is None else again.values[:, ::-1])).max() < 1e-12


def test_points_anywhere_equal_the_initial_law(run):
    data, d = run
    x = np.random.default_rng(0).standard_normal((40, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    law = VonMisesFisherMixture([1.0], [DIRECTION[d]], [3.0])
    values = at_points(data, x)
    assert values.dims == ("depth_time", "point")
    assert np.abs(values.values[0] - law.pdf(x)).max() < 1e-9
    angle = np.rad2deg(np.arctan2(x[:, 1], x[:, 0]))
    one = on_grid(data, np.rad2deg(np.arcsin(x[:1, 2])) if d == 3 else None, angle[:1])
    assert np.abs(one.values.ravel() - values.values[:, 0]).max() < 1e-12


def test_a_file_read_back_does_as_well(run, tmp_path):
    data, _ = run
    data.to_netcdf(tmp_path / "d.nc")
    with xr.open_dataset(tmp_path / "d.nc") as file:
        assert np.abs(integrate(file.density) - file.mass).max() < 1e-12
        axes = np.eye(data.sizes["component"])
        assert np.array_equal(at_points(file, axes), at_points(data, axes))


def test_what_is_no_grid_of_a_density_is_refused(run):
    data, d = run
    lat, wrong = (np.array([0.0]), None) if d == 3 else (None, np.array([0.0]))
    uneven, part = data.density.assign_coords(lon=data.lon.values**1.1), data.density.isel(lon=slice(3))
    for values, text in ((data.density.isel(lon=0), "dimension lon"), (uneven, "equispaced"), (part, "equispaced")):
        with pytest.raises(ValueError, match=text):
            integrate(values)
    if d == 3:
        with pytest.raises(ValueError, match="Gauss latitudes"):
            integrate(data.density.assign_coords(lat=np.linspace(90, -90, data.sizes["lat"])))
        with pytest.raises(ValueError, match="-90 to 90"):
            on_grid(data, np.array([91.0]), np.array([0.0]))
    for call, text in (
        (lambda: on_grid(data, wrong, np.array([0.0])), "lat must be given"),
        (lambda: on_grid(data, lat, np.zeros((2, 2))), "lon"),
        (lambda: at_points(data, np.ones((3, d))), "length 1"),
        (lambda: at_points(data, np.ones((3, d + 1))), "points"),
        (lambda: at_points(data.drop_vars("sh_order"), np.eye(d)), "sh_order is missing"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_missing_values_stay_missing(run):
    data, _ = run
    values = data.density.copy()
    values[1, 0] = np.nan
    assert np.isnan(integrate(values).values).tolist() == [False, True, False]
