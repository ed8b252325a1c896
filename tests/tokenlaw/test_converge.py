"""tokenlaw converge: slopes of known order, levels on one path, floors and refusals."""

import json

import pytest

from tests.tokenlaw.commands import HOMOGENIZED, call
from tokenlaw.converge import converge

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
    ],
)
def test_refusals(words, line, capsys):
    assert call("converge", "c.toml", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
