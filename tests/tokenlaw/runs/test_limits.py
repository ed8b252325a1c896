"""Deterministic limits, smooth heads and low temperature on the command line: the examples, and what files say."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles import Ballistic, Modified, RandomTransformer, SmoothTransformer, zero_temperature_flow
from tests.tokenlaw.calls import assert_same, call
from tokenlaw.config import read as config
from tokenlaw.runs.build import build

EXAMPLES = Path(__file__).parents[3] / "examples"
CHAIN = '{kind="transformer", eta=0.05, heads=32, depth=20}'


def run(name, out, command="compare", **settings):
    assert call(command, EXAMPLES / f"{name}.toml", "--out", out, "-q", simulate__tokens=200, **settings) == 0
    return xr.open_dataset(out)


@pytest.mark.parametrize(
    ("name", "law"),
    [("ballistic", Ballistic), ("modified", Modified), ("smooth", SmoothTransformer), ("low_temperature", Ballistic)],
)
def test_examples_run(name, law, tmp_path):
    c = config.load(EXAMPLES / f"{name}.toml")
    assert type(build(c).law) is law
    with run(name, tmp_path / "f.nc") as found:
        assert not found.unresolved.values.any()
        assert found.moment_defect.values.max() < 1e-6
        assert found.coupled_rms.values[-1] < 0.2  # 200 tokens near the density they sample
        assert np.abs(found.mean_token.values[-1] - found.mean_token.values[0]).max() > 0.02
        assert ("diffusive_time" in found.coords) == (name == "modified")
        if name == "modified":
            assert np.allclose(found.diffusive_time, 0.0015625 * found.depth_time, rtol=1e-12)
        if name == "low_temperature":  # tokens at beta = 20 against the flow at beta = infinity
            start, value = found.tokens.values[0], np.array(c.heads.value[0])
            want = zero_temperature_flow(start, value, float(found.depth_time[-1]))
            moved = np.sqrt(np.mean(np.sum((want - start) ** 2, axis=1)))
            gap = np.sqrt(np.mean(np.sum((want - found.tokens.values[-1]) ** 2, axis=1)))
            assert gap < 0.4 * moved, (gap, moved)


def test_the_corrected_limit_is_nearer_to_the_transformer(tmp_path):
    """Same tokens, nodes as good as the mean: A is not random, V nearly not, so that one realization will do."""
    sharp = {"heads__sigma_a": 0.0, "heads__sigma_v": 0.02, "heads__mean_a": "[[2,0,0],[0,1,0],[0,0,-1]]"}
    plain = '{kind="ballistic", dt=0.25, t_end=1.0}'
    modified, ballistic, chain = (
        run("modified", tmp_path / f"{k}.nc", "simulate", **sharp, **layers).tokens.values[-1]
        for k, layers in enumerate(({}, {"layers": plain}, {"layers": CHAIN}))
    )
    assert np.abs(modified - chain).max() < 0.3 * np.abs(ballistic - chain).max()


def test_smooth_heads_choose_smooth_layers_and_their_limit():
    path = EXAMPLES / "smooth.toml"
    chain = build(config.load(path, ["heads.modes=3"])).law
    assert (chain.heads.modes, chain.n_heads, chain.eta) == (3, 8, 0.05)
    assert type(chain) is SmoothTransformer
    assert type(build(config.load(path, ["heads={kind='gaussian'}"])).law) is RandomTransformer
    limit = build(config.load(path, ['layers={kind="ballistic", dt=0.1, t_end=1.0, nodes=5}'])).law
    assert type(limit) is Ballistic
    assert np.array_equal(limit.mean.mixing[0], 0.1 / 5 * chain.heads.mean_v)


@pytest.mark.parametrize("name", ["ballistic", "modified"])
def test_runs_of_the_limits_go_on_to_the_bit(name, tmp_path):
    small = {"solve__lmax": 12, "solve__carried_nodes": "[12,24]", "layers__dt": 0.05, "output__save_every": 0.05,
             "layers__nodes": 2, "output__distances": 100}  # fmt: skip
    run(name, tmp_path / "one.nc", layers__t_end=0.2, **small).close()
    run(name, tmp_path / "two.nc", layers__t_end=0.1, **small).close()
    path = EXAMPLES / f"{name}.toml"
    settings = {**small, "layers__t_end": 0.2, "simulate__tokens": 200}
    assert call("compare", path, "--out", tmp_path / "two.nc", "-q", "--resume", **settings) == 0
    assert_same(tmp_path / "one.nc", tmp_path / "two.nc")


def test_euler_steps_can_be_recorded_and_others_say_no(tmp_path, capsys):
    words = ["simulate", EXAMPLES / "ballistic.toml", "--out", tmp_path / "f.nc", "-q", "--record-layers"]
    assert call(*words, tmp_path / "l.nc", simulate__tokens=5, layers__scheme="euler") == 0
    assert (tmp_path / "l.nc").is_file()
    capsys.readouterr()
    assert call(*words, tmp_path / "m.nc", simulate__tokens=5) == 2
    said = capsys.readouterr().err
    assert "layer 0 is (BallisticPush); only single attention pushes can be recorded" in said
    assert len(said.splitlines()) == 1


def test_a_limit_without_a_mean_is_refused(tmp_path, capsys):
    path = tmp_path / "c.toml"
    lines = (EXAMPLES / "ballistic.toml").read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("mean_v")))
    assert call("solve", path, "--out", tmp_path / "f.nc", "-q") == 2
    assert "heads.mean_v: missing" in capsys.readouterr().err
