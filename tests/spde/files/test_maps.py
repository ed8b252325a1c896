"""Densities given as maps: the right quadrature by the coordinates, whatever their order, and what is refused."""

import numpy as np
import pytest
import xarray as xr

from spde.files.read import read_density
from tests.tokenlaw.calls import HOMOGENIZED, call

N = 40
K = np.arange(N)
LATITUDES = {
    "Gauss": np.degrees(np.arcsin(np.polynomial.legendre.leggauss(N)[0])),
    "both poles": np.linspace(-90, 90, N),
    "cell centres": -90 + 180 * (K + 0.5) / N,
    "no pole": -90 + 180 * (K + 1) / (N + 1),
    "north pole": 90 - 180 * K / N,
    "south pole": -90 + 180 * K / N,
    "south pole, half a step": 90 - 180 * (2 * K + 1) / (2 * N - 1),
    "north pole, half a step": 90 - 180 * 2 * K / (2 * N - 1),
}
LONGITUDES = {
    "from 0": np.arange(72) * 5.0,
    "from -180": np.arange(72) * 5.0 - 180,
    "westward from 2.5": 2.5 - np.arange(72) * 5.0,
    "0 and 360": np.arange(73) * 5.0,
}
MEANS, KAPPAS, SHARES = np.array([[0, 0.6, 0.8], [1, 0, 0.0]]), (2.0, 3.0), (0.7, 0.3)


def mixture(x):
    """Two von Mises-Fisher densities on S^2."""
    return sum(
        share * kappa / (4 * np.pi * np.sinh(kappa)) * np.exp(kappa * (x @ mean))
        for share, kappa, mean in zip(SHARES, KAPPAS, MEANS, strict=True)
    )


def map_of(lat, lon):
    up, round_ = np.radians(lat)[:, None], np.radians(lon)[None, :]
    x = np.stack([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up) + 0 * round_], axis=-1)
    return xr.Dataset({"density": (("lat", "lon"), mixture(x))}, {"lat": lat, "lon": lon})


def law_of(dataset, folder):
    dataset.to_netcdf(folder / "map.nc")
    return read_density(folder / "map.nc")


def probes():
    x = np.random.default_rng(0).standard_normal((200, 3))
    return x / np.linalg.norm(x, axis=1)[:, None]


@pytest.mark.parametrize("lon", LONGITUDES)
@pytest.mark.parametrize("lat", LATITUDES)
def test_a_map_is_its_density(lat, lon, tmp_path):
    """Any latitudes with a quadrature of their own, in either order, and any origin and direction of longitude."""
    given = map_of(LATITUDES[lat], LONGITUDES[lon])
    law = law_of(given if lon == "from 0" else given.transpose("lon", "lat").isel(lat=slice(None, None, -1)), tmp_path)
    assert law.mass == pytest.approx(1, abs=1e-10)
    np.testing.assert_allclose(law.pdf(probes()), mixture(probes()), atol=1e-9)


def test_a_map_in_single_precision_with_rounded_coordinates(tmp_path):
    given = map_of(LATITUDES["Gauss"], LONGITUDES["from 0"]).astype("f4")
    law = law_of(given.assign_coords(lat=given.lat.round(3)), tmp_path)
    np.testing.assert_allclose(law.pdf(probes()), mixture(probes()), atol=1e-5)


def test_a_map_on_the_circle(tmp_path):
    angle = -170 + 10.0 * np.arange(36)
    density = np.exp(2 * np.cos(np.radians(angle - 30)))
    density /= density.mean() * 2 * np.pi
    law = law_of(xr.Dataset({"density": ("lon", density)}, {"lon": angle}), tmp_path)
    there = np.radians([17.0, 200.0])
    exact = np.exp(2 * np.cos(there - np.radians(30)))
    points = np.stack([np.cos(there), np.sin(there)], axis=1)
    assert law.sphere.d == 2
    np.testing.assert_allclose(law.pdf(points)[0] / law.pdf(points)[1], exact[0] / exact[1], rtol=1e-9)


WHOLE = map_of(LATITUDES["cell centres"], LONGITUDES["from 0"])
REFUSED = {
    "mass 2, must be 1": WHOLE * 2,
    "seem to be radians": WHOLE.assign_coords(lat=np.radians(WHOLE.lat), lon=np.radians(WHOLE.lon)),
    "lat of density must be Gauss latitudes, or equally spaced": map_of(LATITUDES["Gauss"], WHOLE.lon.values).isel(
        lat=slice(None, None, 2)
    ),
    "lon must be equally spaced around the whole circle": WHOLE.isel(lon=slice(0, 36)),
    "NaN or infinity at 1440 of 2880 places": WHOLE.where(WHOLE.lat > 0),
    "3 records and no coefficients: choose one": xr.concat([WHOLE] * 3, "depth_time"),
    "must have (lat, lon)": WHOLE.rename(lat="latitude"),
    "no coordinate lat": WHOLE.drop_vars("lat"),
    "must hold real numbers": WHOLE.assign(density=WHOLE.density.astype(str)),
    "is negative somewhere": WHOLE + 0.2 * np.sin(np.radians(WHOLE.lat)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words, tmp_path, capsys):
    """Each with its own cause, in one line."""
    REFUSED[words].to_netcdf(tmp_path / "map.nc")
    (tmp_path / "c.toml").write_text(from_map(tmp_path / "map.nc"))
    assert call("solve", tmp_path / "c.toml", "--out", tmp_path / "out.nc", "-q") == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.startswith(f"error: initial.file = {tmp_path / 'map.nc'}: ")
    assert said.count("\n") == 1


def from_map(path):
    begin = HOMOGENIZED.index("[initial]")
    end = HOMOGENIZED.index("[solve]")
    return f'{HOMOGENIZED[:begin]}[initial]\nkind = "density"\nfile = "{path}"\n{HOMOGENIZED[end:]}'


def test_a_run_from_the_map_of_a_run_begins_as_that_did(tmp_path):
    """The first record of a file, without its coefficients, as initial density: the same coefficients."""
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    assert call("solve", tmp_path / "c.toml", "--out", tmp_path / "run.nc", "-q") == 0
    with xr.open_dataset(tmp_path / "run.nc") as run:
        first = run["coefficients"].values[0]
        run[["density"]].isel(depth_time=[0]).to_netcdf(tmp_path / "map.nc")
    (tmp_path / "again.toml").write_text(from_map(tmp_path / "map.nc"))
    assert call("solve", tmp_path / "again.toml", "--out", tmp_path / "again.nc", "-q") == 0
    with xr.open_dataset(tmp_path / "again.nc") as again:
        np.testing.assert_allclose(again["coefficients"].values[0], first, atol=1e-12)
