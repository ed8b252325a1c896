"""What the files of the three commands hold: variables, dimensions and attributes that scripts of users rely on."""

import subprocess
import sys
import tomllib

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call, tokens_file
from tokenlaw.config.read import load, load_text
from tokenlaw.runs.build import build

RECORD = ("depth_time",)
DENSITY = {
    "density": ("depth_time", "lat", "lon"),
    "coefficients": ("depth_time", "mode", "part"),
    "sh_degree": ("mode",),
    "sh_order": ("mode",),
    "part": ("part",),
    "lat": ("lat",),
    "lon": ("lon",),
    "depth_time": RECORD,
    "mass": RECORD,
    "mean_token": ("depth_time", "component"),
    "mean_overlap": RECORD,
    "second_moment": ("depth_time", "component", "component2"),
    "moment_error": RECORD,
    "moment_defect": RECORD,
    "min_density": RECORD,
    "negative_mass": RECORD,
    "spectral_tail": RECORD,
    "local_error": RECORD,
    "field_degree": RECORD,
    "field_error": RECORD,
    "unresolved": RECORD,
    "area": ("lat", "lon"),
}
TOKENS = {
    "tokens": ("depth_time", "token", "component"),
    "weight": ("token",),
    "depth_time": RECORD,
    "mean_token": ("depth_time", "component"),
    "mean_overlap": RECORD,
    "second_moment": ("depth_time", "component", "component2"),
}
COMPARE = DENSITY | {
    "tokens": ("depth_time", "token", "component"),
    "weight": ("token",),
    "tokens_mean": ("depth_time", "component"),
    "tokens_mean_overlap": RECORD,
    "tokens_second_moment": ("depth_time", "component", "component2"),
    "node": ("depth_time", "node", "component"),
    "node_weight": ("node",),
    "coupled_rms": RECORD,
    "w2_chordal": RECORD,
    "w1_geodesic": RECORD,
    "w2_floor": RECORD,
    "w1_floor": RECORD,
}
DISTANCES = ("w2_chordal", "w1_geodesic", "w2_floor", "w1_floor")
WANTED = {"solve": DENSITY, "simulate": TOKENS, "compare": COMPARE, "solve_transformer": DENSITY}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file of each command; homogenized layers, and transformer layers where the name says so or for tokens."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "homogenized.toml").write_text(HOMOGENIZED)
    (folder / "transformer.toml").write_text(TRANSFORMER)
    for command, config in (
        ("solve", "homogenized"),
        ("compare", "homogenized"),
        ("simulate", "transformer"),
        ("solve", "transformer"),
    ):
        name = "solve_transformer" if (command, config) == ("solve", "transformer") else command
        assert call(command, folder / f"{config}.toml", "--out", folder / f"{name}.nc", "--quiet") == 0
    return folder


@pytest.fixture(params=WANTED)
def kind(request):
    return request.param


@pytest.fixture
def dataset(files, kind):
    with xr.open_dataset(files / f"{kind}.nc") as dataset:
        yield dataset


def test_variables_and_dimensions(dataset, kind):
    found = {name: variable.dims for name, variable in dataset.variables.items()}
    assert {name: found.get(name) for name in WANTED[kind]} == WANTED[kind]
    assert set(found) - set(WANTED[kind]) <= {"step", "diffusive_time", "entropy"}
    assert list(dataset["depth_time"].values) == pytest.approx(
        [0, 0.04, 0.08, 0.12] if kind in ("solve", "compare") else np.arange(7) / 10
    )


def test_conventions(files, dataset, kind):
    """CF-1.11: a dimensionless axis without standard name, coordinates without fill values, units everywhere."""
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert "time" not in dataset.variables
    axis = dataset["depth_time"].attrs
    assert axis["units"] == "1"
    assert "standard_name" not in axis
    assert "axis" not in axis
    with netCDF4.Dataset(files / f"{kind}.nc") as file:
        assert file.data_model == "NETCDF4"
        for name, variable in file.variables.items():
            if name in dataset.coords:
                assert "_FillValue" not in variable.ncattrs(), name
            assert variable.getncattr("long_name"), name
            if name != "part":
                assert variable.getncattr("units"), name
        assert file.dimensions["depth_time"].isunlimited()


def test_attributes_tell_the_run(files, dataset, kind):
    attrs = dataset.attrs
    text = TRANSFORMER if kind in ("simulate", "solve_transformer") else HOMOGENIZED
    assert load_text(attrs["configuration"]) == build(load_text(text)).configuration
    assert {"model", "heads", "layers", "initial", "solve", "simulate", "noise", "output"} == set(
        tomllib.loads(attrs["configuration"])
    )
    assert (int(attrs["seed"]), int(attrs["member"])) == (7, 0)
    for name in ("tokenlaw", "numpy", "shtns", "ducc0"):
        assert attrs[f"{name}_version"]
    assert attrs["numpy_version"] == np.__version__


def test_state_stands_in_its_group(files, dataset, kind):
    with netCDF4.Dataset(files / f"{kind}.nc") as file:
        state = file.groups["state"].variables
        assert int(state["step"][...]) == 6
        assert ("coefficients_real" in state) == (kind != "simulate")
        assert ("tokens" in state) == (kind in ("simulate", "compare"))
    assert not any("state" in name for name in dataset.variables)


@pytest.mark.parametrize("kind", ["solve", "compare", "solve_transformer"], indirect=True)
def test_density_is_the_sum_of_its_coefficients(dataset):
    """Modes numbered by degree first, orthonormal, Condon-Shortley, m >= 0; latitudes and longitudes of the grid."""
    from scipy.special import sph_harm_y

    degree, order = dataset["sh_degree"].values, dataset["sh_order"].values
    assert list(zip(degree, order, strict=True)) == [(n, m) for n in range(13) for m in range(n + 1)]
    assert list(dataset["part"].values) == ["real", "imag"]
    assert dataset["lat"].attrs["units"] == "degrees_north"
    assert dataset["lon"].attrs["units"] == "degrees_east"
    last = dataset.isel(depth_time=-1)
    c = last["coefficients"].sel(part="real").values + 1j * last["coefficients"].sel(part="imag").values
    theta, phi = np.radians(90 - dataset["lat"].values[:, None, None]), np.radians(dataset["lon"].values[:, None])
    terms = c * sph_harm_y(degree, order, theta, phi) * np.where(order > 0, 2, 1)
    np.testing.assert_allclose(terms.real.sum(axis=-1), last["density"].values, atol=1e-12)
    np.testing.assert_allclose(c[0].real * np.sqrt(4 * np.pi), last["mass"], rtol=1e-14)
    assert float(last["min_density"]) == last["density"].values.min()
    assert np.abs(dataset["mass"] - 1).max() < 1e-12
    top = degree > 12 - 2
    power = np.where(order > 0, 2, 1) * np.abs(c) ** 2
    np.testing.assert_allclose(float(last["spectral_tail"]), np.sqrt(power[top].sum() / power.sum()), rtol=1e-10)
    assert int(dataset["field_degree"][0]) == 0
    assert int(dataset["field_degree"][-1]) > 0
    assert set(np.unique(dataset["unresolved"].values)) <= {0, 1}


def test_moments(dataset, kind):
    np.testing.assert_allclose(dataset["mean_overlap"], (dataset["mean_token"] ** 2).sum("component"), rtol=1e-14)
    np.testing.assert_allclose(np.trace(dataset["second_moment"].values, axis1=1, axis2=2), 1, rtol=1e-12)
    if "tokens" in dataset:
        prefix, mean = ("tokens_", "tokens_mean") if kind == "compare" else ("", "mean_token")
        x, weight = dataset["tokens"].values, dataset["weight"].values
        assert weight.sum() == pytest.approx(1)
        np.testing.assert_allclose(dataset[mean], np.einsum("tni,n->ti", x, weight), atol=1e-15)
        np.testing.assert_allclose(dataset[f"{prefix}mean_overlap"], (dataset[mean] ** 2).sum("component"), rtol=1e-14)
        second = np.einsum("tni,tnj,n->tij", x, x, weight)
        np.testing.assert_allclose(dataset[f"{prefix}second_moment"], second, atol=1e-15)


@pytest.mark.parametrize("kind", ["compare"], indirect=True)
def test_compare_holds_nodes_and_distances(files, dataset):
    nodes, weight = dataset["node"].values, dataset["node_weight"].values
    assert nodes.shape[1:] == (12 * 24, 3)
    np.testing.assert_allclose(np.einsum("tni,n->ti", nodes, weight), dataset["mean_token"], atol=1e-14)
    assert float(dataset["coupled_rms"][0]) == 0
    assert float(dataset["coupled_rms"][-1]) > 0
    for name in DISTANCES:
        assert (dataset[name] > 0).all()
    with xr.open_dataset(files / "solve.nc") as alone:
        for name in DENSITY:
            np.testing.assert_array_equal(alone[name].values, dataset[name].values)  # tokens do not act on the density


@pytest.mark.parametrize("kind", ["simulate", "solve_transformer"], indirect=True)
def test_transformer_layers_have_a_diffusive_time(dataset):
    """eps = eta / H = 0.1 / 2."""
    np.testing.assert_allclose(dataset["diffusive_time"], 0.05 * dataset["depth_time"], rtol=1e-15)
    assert "diffusive_time" in dataset["mean_overlap"].coords


def test_distances_are_computed_at_the_depths_asked_for(files, tmp_path):
    out = tmp_path / "out.nc"
    call("compare", files / "homogenized.toml", "--out", out, "-q", output__save_every=0.02, output__distances=3)
    with xr.open_dataset(out) as dataset:
        computed = [np.flatnonzero(np.isfinite(dataset[n])) for n in DISTANCES]
        assert [list(found) for found in computed] == [[0, 3, 6]] * 4
        assert np.isfinite(dataset["coupled_rms"]).all()


def test_a_plain_xarray_opens_them(files):
    """In a process that knows nothing of tokenlaw."""
    text = "import sys, xarray as xr; [xr.open_dataset(name).load() for name in sys.argv[1:]]"
    names = [str(files / f"{kind}.nc") for kind in WANTED]
    done = subprocess.run([sys.executable, "-W", "error", "-c", text, *names], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_recorded_layers_repeat_the_run(files, tmp_path, monkeypatch):
    """simulate --record-layers, then layers.kind = "recorded" on the same tokens: the same tokens to 1e-12."""
    monkeypatch.chdir(tmp_path)
    start = tokens_file("start.nc", n=9)
    (tmp_path / "t.toml").write_text(TRANSFORMER)
    tokens = 'initial={kind="tokens",file="start.nc"}'
    assert call("simulate", "t.toml", "--out", "a.nc", "--record-layers", "layers.nc", "--set", tokens) == 0
    recorded = ["--set", 'layers={kind="recorded",file="layers.nc"}', "--set", tokens]
    (tmp_path / "r.toml").write_text(TRANSFORMER.replace('[heads]\nkind = "gaussian"\n', ""))
    assert call("simulate", "r.toml", "--out", "b.nc", *recorded, output__save_every=1) == 0
    with xr.open_dataset("a.nc") as a, xr.open_dataset("b.nc") as b, xr.open_dataset("layers.nc") as layers:
        np.testing.assert_allclose(a["tokens"][0], start, atol=1e-15)  # their number counts, not simulate.tokens
        np.testing.assert_allclose(a["tokens"].values, b["tokens"].values, rtol=0, atol=1e-12)
        assert list(b["depth_time"].values) == list(range(7))  # depth time counts layers
        assert "diffusive_time" not in b.variables
        assert layers["mixing"].dims == ("layer", "head", "row", "col")
        assert layers["query"].dims == layers["key"].dims == ("layer", "head", "head_row", "col")
        assert layers.attrs["beta"] == 2.0
        assert layers.attrs["Conventions"] == "CF-1.11"


def test_files_of_runs_are_inputs(files, tmp_path):
    """The last record of a token file and of a density file start new runs."""
    config = files / "homogenized.toml"
    tokens = f'initial={{kind="tokens",file="{files / "simulate.nc"}"}}'
    density = f'initial={{kind="density",file="{files / "solve.nc"}"}}'
    assert call("simulate", config, "--out", tmp_path / "t.nc", "--set", tokens) == 0
    assert call("solve", config, "--out", tmp_path / "d.nc", "--set", density) == 0
    assert call("compare", config, "--out", tmp_path / "c.nc", "--set", tokens) == 0
    with xr.open_dataset(tmp_path / "t.nc") as new, xr.open_dataset(files / "simulate.nc") as old:
        np.testing.assert_allclose(new["tokens"][0], old["tokens"][-1], atol=1e-15)
    with xr.open_dataset(tmp_path / "d.nc") as new, xr.open_dataset(files / "solve.nc") as old:
        np.testing.assert_allclose(new["coefficients"][0], old["coefficients"][-1], atol=1e-12)
    with xr.open_dataset(tmp_path / "c.nc") as new, xr.open_dataset(files / "simulate.nc") as old:
        np.testing.assert_allclose(new["node"][0], old["tokens"][-1], atol=1e-15)  # tokens carry the density


def test_info_tells_and_gives_the_configuration_back(files, kind, capsys):
    assert call("info", files / f"{kind}.nc") == 0
    text = capsys.readouterr().out
    assert "depth time: 0 to" in text
    assert "seed: 7" in text
    copied = text.split("configuration:\n")[1]
    again = load_text("\n".join(line.removeprefix("    ") for line in copied.splitlines()))
    layers = "transformer" if kind in ("simulate", "solve_transformer") else "homogenized"
    assert again == build(load(files / f"{layers}.toml")).configuration


def test_plot_draws_what_the_file_holds(files, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("plot", files / f"{kind}.nc", "--out", "new folder/picture.png") == 0
    assert (tmp_path / "new folder" / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
