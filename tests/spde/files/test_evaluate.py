"""Integrals of gridded fields, and the series of density files on other grids."""

import numpy as np
import pytest
import xarray as xr

from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from spde import Circle, Density, Sphere, solve
from spde.files.evaluate import integrate, on_grid

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


def test_places_anywhere_equal_the_initial_law(run):
    data, d = run
    rng = np.random.default_rng(0)
    up, angle = np.arcsin(rng.uniform(-1, 1, 7))[:, None] * (d == 3), rng.uniform(0, 2 * np.pi, 6)
    x = np.stack(np.broadcast_arrays(np.cos(up) * np.cos(angle), np.cos(up) * np.sin(angle), np.sin(up)), axis=-1)
    law = VonMisesFisherMixture([1.0], [DIRECTION[d]], [3.0])
    values = on_grid(data, np.rad2deg(up[:, 0]) if d == 3 else None, np.rad2deg(angle))
    assert values.dims == (("depth_time", "lat", "lon") if d == 3 else ("depth_time", "lon"))
    wanted = law.pdf(x[..., :d].reshape(-1, d)).reshape(x.shape[:2])
    assert np.abs(values.values[0] - (wanted if d == 3 else wanted[0])).max() < 1e-9


def test_a_file_read_back_does_as_well(run, tmp_path):
    data, d = run
    data.to_netcdf(tmp_path / "d.nc")
    with xr.open_dataset(tmp_path / "d.nc") as file:
        assert np.abs(integrate(file.density) - file.mass).max() < 1e-12
        lat = np.array([-90.0, 10.0]) if d == 3 else None
        assert np.array_equal(on_grid(file, lat, np.zeros(1)), on_grid(data, lat, np.zeros(1)))


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
        (lambda: on_grid(data.drop_vars("sh_order"), lat, np.zeros(1)), "sh_order is missing"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_missing_values_stay_missing(run):
    data, _ = run
    values = data.density.copy()
    values[1, 0] = np.nan
    assert np.isnan(integrate(values).values).tolist() == [False, True, False]
