"""tokenlaw converge: slopes of known order, levels on one path, floors and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from spde import DensityFlow
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call, tokens_file
from tokenlaw.answers.converge import converge
from tokenlaw.answers.converge_runs import on_one_path
from tokenlaw.answers.observables import OBSERVABLES
from tokenlaw.config.read import ConfigError, load
from tokenlaw.runs.build import build

BALLISTIC = """
[model]
d = 3
beta = 2.0
[heads]
kind = "fixed"
value = [[1.0, 0.3, 0.0], [0.0, 0.8, 0.2], [0.1, 0.0, 0.9]]
query = [[1.0, 0.0, 0.2], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]]
key = [[1.0, 0.2, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]]
[layers]
kind = "ballistic"
scheme = "euler"
dt = 0.1
t_end = 0.8
[initial]
kind = "von_mises_fisher"
components = [{mean = [0.0, 0.5, 1.0], kappa = 2.0}]
[solve]
lmax = 12
carried_nodes = [12, 24]
[simulate]
tokens = 6
[output]
save_every = 0.8
"""
NESTED = ("--observable", "nested_rms")
TAIL = ("--observable", "spectral_tail")


@pytest.fixture(autouse=True)
def _config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED.replace("t_end = 0.12", "t_end = 0.4"))


def test_the_strong_order_of_the_steps():
    """Fixed nodes: coarse paths are sums of the finest one, and the slope is 1/2."""
    steps, fixed = "layers.dt=0.2,0.1,0.05,0.025,0.003125", ["layers.nodes_fixed=true"]
    found = converge("c.toml", steps, "mean_token", members=24, overrides=fixed)
    assert found.coupled
    assert found.slope is not None
    assert abs(found.slope.value - 0.5) < 0.2
    assert found.slope.low < 0.5 < found.slope.high
    assert found.levels[-1].gap is None
    assert found.slope.left == pytest.approx(found.slope.prefactor * 0.003125**found.slope.value)
    # the same steps without one path: differences of means that are lost in the noise, and it says so
    apart = converge("c.toml", "layers.dt=0.2,0.1,0.05,0.025", "mean_token", members=8)
    assert not apart.coupled
    assert "do not share their noise" in apart.note


def test_tokens_approach_the_density(capsys):
    words = ["converge", "c.toml", "--observable", "coupled_rms", "--set", "layers.t_end=0.2", "--vary"]
    assert call(*words, "simulate.tokens=16,64,256", "--members", "12", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["coupled"] is True
    assert abs(found["slope"]["value"] + 0.5) < 0.2
    assert call(*words, "simulate.tokens=8,16,32", "--members", "3", "-q") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["simulate.tokens", "mean", "error", "value", "error", "floor"]


@pytest.mark.parametrize("members", [None, 1])
def test_layers_without_noise_share_their_path(members):
    """Order 1 of Euler steps from three values; gaps to the last of four read 1.40, of three nothing."""
    with open("b.toml", "w") as file:
        file.write(BALLISTIC)
    found = converge("b.toml", "layers.dt=0.1,0.05,0.025", "mean_token", members=members)
    assert found.coupled
    assert found.kind == "gap"
    assert found.members == (8 if members is None else 1)
    assert abs(found.slope.value - 1) < 0.1
    assert found.slope.low < 1 < found.slope.high
    assert "two gaps" in found.note
    # the error that is left, against steps a sixteenth as long
    exact = converge("b.toml", "layers.dt=0.1,0.025,0.0015625", "mean_token", members=members)
    assert found.slope.left == pytest.approx(exact.levels[1].gap, rel=0.2)
    assert found.slope.left_low < exact.levels[1].gap < found.slope.left_high
    alone = converge("b.toml", "layers.dt=0.1,0.05,0.025", "coefficients")  # members that are all alike
    assert alone.members == 1
    assert alone.levels[0].error is None
    assert alone.slope.low < 1 < alone.slope.high


def test_the_density_is_solved_once_for_all_numbers_of_tokens(monkeypatch):
    """Counted in steps; the values are those of runs apart."""
    steps, plain = [], DensityFlow.step
    monkeypatch.setattr(DensityFlow, "step", lambda self, state: (steps.append(state.step), plain(self, state))[1])
    short = ["layers.t_end=0.1", "layers.dt=0.02"]
    found = converge("c.toml", "simulate.tokens=8,16,32", "coupled_rms", members=2, overrides=short)
    assert len(steps) == 2 * 5
    for level, member in ((0, 0), (2, 1)):
        number = [8, 16, 32][level]
        words = ["compare", "c.toml", "--out", "f.nc", "-q"]
        keys = {"layers__t_end": 0.1, "layers__dt": 0.02, "simulate__tokens": number, "noise__member": member}
        assert call(*words, **keys) == 0
        with xr.open_dataset("f.nc") as run:
            assert found.samples[member, level] == pytest.approx(float(run["coupled_rms"][-1]), rel=1e-9)
    # private steps go by the places of the points: each number of tokens has a density of its own
    steps.clear()
    converge(
        "c.toml", "simulate.tokens=4,8,16", "coupled_rms", members=2, overrides=[*short, "layers.private_noise=0.1"]
    )
    assert len(steps) == 2 * 3 * 5


def test_nested_samples_in_any_dimension():
    """n tokens are the first of N; their distance has the variance 1/n - 1/N of the mean field."""
    with open("t.toml", "w") as file:
        file.write(TRANSFORMER.replace("d = 3", "d = 5").replace("[0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 0.0, 1.0]"))
    found = converge("t.toml", "simulate.tokens=8,16,32,256", "nested_rms", members=16)
    assert found.coupled
    assert found.slope.low < -0.5 < found.slope.high
    assert abs(found.slope.value + 0.5) < 0.15
    ratio = found.levels[0].gap / found.levels[2].gap
    assert ratio == pytest.approx(((1 / 8 - 1 / 16) / (1 / 32 - 1 / 256)) ** 0.5, rel=0.2)
    # the same beside the density, whose twins are the tokens of infinitely many
    short = ["layers.t_end=0.1", "simulate.field=direct", "solve.lmax=24"]
    nested, twins = (
        converge("c.toml", "simulate.tokens=16,32,64", name, members=16, overrides=short)
        for name in ("nested_rms", "coupled_rms")
    )
    for one, two, n in zip(nested.levels[:2], twins.levels[:2], (16, 32), strict=True):
        assert one.gap / (1 / n - 1 / (2 * n)) ** 0.5 == pytest.approx(two.gap * n**0.5, rel=0.35)
    vectors = converge("t.toml", "simulate.tokens=8,16,32,64", "mean_token", members=8)
    assert vectors.slope.low < -0.5 < vectors.slope.high


def test_what_has_a_limit_is_compared_with_the_next():
    """Distances go to zero in the number of tokens only."""
    found = converge("c.toml", "layers.dt=0.1,0.05,0.025", "coupled_rms", members=2, overrides=["layers.t_end=0.1"])
    assert found.kind == "shift"
    assert found.levels[0].gap == pytest.approx(abs(found.levels[0].mean - found.levels[1].mean))
    assert found.levels[-1].gap is None


def test_values_of_a_key_that_changes_nothing():
    found = converge("c.toml", "layers.noise_scale=1,2,4", "mean_token", members=2, overrides=["layers.t_end=0.0"])
    assert found.slope is None
    assert "nothing changes with layers.noise_scale" in found.note


def test_keys_on_one_path():
    rows = [[build(load("c.toml"))]]
    assert on_one_path(rows, "layers.refine", [1.0], "simulate") is rows  # splits the same increments
    assert on_one_path(rows, "layers.nodes", [1.0], "simulate") is None


def test_the_error_goes_by_the_tolerance():
    """Of a density with private noise, which nothing random moves: one member, values on one path."""
    Path("e.toml").write_text('''
        model = {d = 2}
        initial = {kind = "von_mises_fisher", components = [{mean = [1.0, 0.0], kappa = 0.5}]}
        solve = {lmax = 21, carried_nodes = [2, 44]}
        [layers]
        kind = "equation"
        dt = 0.5
        t_end = 1.0
        private_noise = 0.2
        drift = [{kind = "zonal", kernel = "dot", strength = 1.0}, {kind = "gradient", axis = [0.3, 0.1]}]
    ''')
    found = converge("e.toml", "layers.tolerance=1e-2,1e-3,1e-4,1e-5", "coefficients")
    assert (found.kind, found.coupled, found.members) == ("gap", True, 1)
    assert found.slope.value == pytest.approx(1.0, abs=0.15)
    with pytest.raises(ConfigError, match="must fall"):
        converge("e.toml", "layers.tolerance=1e-4,1e-3,1e-2", "coefficients")


def test_file_and_picture(capsys):
    words = ["converge", "c.toml", "--observable", "coupled_rms", "--vary", "simulate.tokens=4,8,16", "--members", "3"]
    words += ["--set", "layers.t_end=0.1", "-q"]
    assert call(*words, "--out", "f/a.nc") == 0
    printed = capsys.readouterr().out.splitlines()
    assert call(*words, "--out", "b.pdf", "--json") == 0
    slope = json.loads(capsys.readouterr().out)["slope"]
    for name in ("f/a.png", "b.pdf", "b.nc"):
        with open(name, "rb") as file:
            assert file.read(4) in (b"\x89PNG", b"%PDF", b"\x89HDF")
    with xr.open_dataset("f/a.nc") as found:
        assert float(found["slope"]) == slope["value"]
        assert float(found["slope_low"]) == slope["low"]
        assert found["key_value"].values.tolist() == [4, 8, 16]
        np.testing.assert_allclose(found["samples"].mean("member"), found["gap"])
        assert "t_end = 0.1" in found.attrs["configuration"]
        assert found.attrs["key"] == "simulate.tokens"
    assert call("info", "f/a.nc") == 0
    told = capsys.readouterr().out
    assert all(line in told for line in printed)
    assert call("plot", "f/a.nc", "--out", "c.png") == 0
    tokens_file("t.nc")
    assert call(*words, "--out", "t.nc", "--set", 'initial={kind = "tokens", file = "t.nc"}') == 2
    assert "--out t.nc: is an input of this run" in capsys.readouterr().err
    assert call("report", "b.nc", "--out", "b.html") == 2
    capsys.readouterr()
    assert call(*words, "--out", "a.txt") == 2
    assert "--out a.txt: must end in .nc, or in one of jpeg" in capsys.readouterr().err


def test_the_help_lists_the_observables(capsys):
    assert call("converge", "--help") == 0
    told = capsys.readouterr().out.splitlines()
    for name, observable in OBSERVABLES.items():
        assert f"  {name:<15}{observable.text}" in [line[2:] for line in told]


def test_the_floor_of_the_distances():
    found = converge("c.toml", "simulate.tokens=8,16,32", "w2_chordal", members=4)
    for level in found.levels:
        assert level.floor is not None
        assert 0.5 < level.floor / level.mean < 1.5


def test_the_series_converges_in_its_degree():
    found = converge("c.toml", "solve.lmax=12,16,20,31", "coefficients", members=3, overrides=["layers.t_end=0.1"])
    assert found.slope is not None
    assert found.slope.value < -3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--vary", "layers.dt=1,2", *TAIL], "--vary layers.dt=1,2: must be section.key=a,b,c"),
        (["--vary", "dt=1,2,3", *TAIL], "--vary dt=1,2,3: must be section.key=a,b,c"),
        (["--vary", "layers.dt=1,1,2", *TAIL], "--vary layers.dt=1,1,2: must be different numbers"),
        (["--vary", "noise.seed=1,2,3", *TAIL], "--vary noise.seed=1,2,3: nothing converges in noise.seed; --members"),
        (["--vary", "layers.dt=1,a,2", *TAIL], "--vary layers.dt=1,a,2: must be section.key=a,b,c"),
        (["--vary", "layers.dt=1,2,3", "--observable", "what"], "--observable what: must be one of mean_overlap"),
        (["--vary", "layers.node=1,2,3", *TAIL], "layers.node: unknown key; did you mean layers.nodes?"),
        (["--vary", "layers.dt=1,2,3", *TAIL, "--members", "1"], "--members 1: must be at least 2"),
        (["--vary", "layers.dt=1,2,3", *TAIL], "--vary layers.dt=1,2,3: the finest value comes last: layers.dt must"),
        (["--vary", "heads.sigma_v=1,3,2", *TAIL], "--vary heads.sigma_v=1,3,2: must rise or fall throughout"),
        (["--vary", "simulate.tokens=2,4,8", *TAIL], "--vary simulate.tokens=2,4,8: spectral_tail is the density's"),
        (["--vary", "layers.nodes=1,2,3", *NESTED], "--observable nested_rms: needs values that"),
        (
            ["--vary", "simulate.tokens=8,18,32", *NESTED, "--set", "simulate.sampling=quadrature"],
            "--vary simulate.tokens: needs tokens that are drawn independently; see simulate.sampling",
        ),
    ],
)
def test_refusals(words, line, capsys):
    assert call("converge", "c.toml", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
