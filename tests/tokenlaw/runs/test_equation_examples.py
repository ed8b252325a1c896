"""The examples of equations run as their first lines say, and end where theory puts them."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy
import xarray as xr

from tests.tokenlaw.calls import call

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ["attention", "flow", "kuramoto", "nematic", "synchronisation"]


def run(name, tmp_path, **settings):
    path = EXAMPLES / f"equation_{name}.toml"
    command = re.search(r"^#     tokenlaw (\w+) +examples/equation_(\w+)\.toml", path.read_text(), re.MULTILINE)
    assert command[2] == name
    assert call(command[1], path, "--out", tmp_path / "f.nc", "-q", **settings) == 0
    return xr.load_dataset(tmp_path / "f.nc")


def test_every_example_is_here():
    assert sorted(path.stem for path in EXAMPLES.glob("equation_*.toml")) == [f"equation_{name}" for name in NAMES]


def test_kuramoto_tokens_stay_near_their_density(tmp_path):
    found = run("kuramoto", tmp_path)
    assert found.mean_overlap.values[-1] > 2 * found.mean_overlap.values[0]
    gap = np.linalg.norm(found.tokens_mean.values - found.mean_token.values, axis=1)
    assert gap.max() < 5 / 300**0.5


@pytest.mark.parametrize("strength", [4.0, 2.0])
def test_rods_have_the_order_of_the_integral_equation(strength, tmp_path):
    """c = (K/(4 nu)) (3 p - 1), p(c) = <x_3^2>; below the transition they end without order."""
    drift = f'[{{kind="zonal", kernel="maier_saupe", strength={strength}}}]'
    found = run("nematic", tmp_path, layers__drift=drift, layers__t_end=8.0, output__save_every=8.0)
    p = float(np.linalg.eigvalsh(found.second_moment.values[-1]).max())
    t, weights = np.polynomial.legendre.leggauss(60)

    def gap(c):
        density = weights * np.exp(c * t**2)
        return c - strength / 0.8 * (3 * (density @ t**2) / density.sum() - 1)

    if strength == 4.0:
        c = scipy.optimize.brentq(gap, 3.0, 20.0)
        density = weights * np.exp(c * t**2)
        assert abs(p - (density @ t**2) / density.sum()) < 1e-3
    else:
        assert p < 1 / 3 + 0.01


def test_unnormalised_attention_clusters_and_its_free_energy_falls(tmp_path):
    found = run("attention", tmp_path)
    assert (np.diff(found.mean_overlap.values) > 0).all()
    assert (np.diff(found.free_energy.values) < 0).all()


def test_a_flow_that_keeps_areas_keeps_the_density(tmp_path):
    found = run("flow", tmp_path)
    norms = (np.abs(found.coefficients.values) ** 2).sum(axis=(1, 2))  # of m >= 0, to see that something moves
    assert np.abs(np.diff(norms)).max() > 1e-3
    squares = (found.area * found.density**2).sum(("lat", "lon")).values
    assert np.abs(squares / squares[0] - 1).max() < 1e-3
    assert not found.unresolved.values.any()


def test_synchronised(tmp_path):
    found = run("synchronisation", tmp_path)
    assert found.mean_overlap.values[0] < 0.01
    assert found.mean_overlap.values[-1] > 0.9
