"""[layers.mlp]: one block behind every kind of layers, examples that run, refusals of one line."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles import Homogenized, RandomTransformer, WithMLP
from particles.layers.mlp.kernels import ACTIVATIONS
from particles.retraction import geodesic
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, call
from tokenlaw.config.read import ConfigError, load_text
from tokenlaw.runs.build import build

EXAMPLES = Path(__file__).parents[3] / "examples"
BLOCK = ["layers.mlp={activation='silu', width=12, sigma_r=0.3, sigma_w=0.1}"]


@pytest.mark.parametrize("name", ["mlp_chain", "mlp_spde"])
def test_examples_run(name, tmp_path):
    out = tmp_path / "out.nc"
    assert call("compare", EXAMPLES / f"{name}.toml", "--out", out, "--quiet") == 0
    with xr.open_dataset(out) as found:
        assert np.abs(found.mass.values - 1).max() < 1e-12
        assert found.moment_defect.values.max() < 1e-5
        assert found.unresolved.values.max() == 0
        assert 0 < found.coupled_rms.values[-1] < 0.1
        assert found.w2_chordal.values[-1] < 2 * found.w2_floor.values[-1]
        assert np.linalg.norm(found.mean_token.values[-1] - found.mean_token.values[0]) > 0.1


@pytest.mark.parametrize(("text", "kind"), [(HOMOGENIZED, Homogenized), (TRANSFORMER, RandomTransformer)])
def test_the_block_is_put_behind_the_layers(text, kind):
    law = build(load_text(text, [*BLOCK, "layers.retraction=geodesic", "noise.member=3"])).law
    assert isinstance(law, WithMLP)
    assert isinstance(law.law, kind)
    block = law.block
    assert (block.activation, block.width, block.sigma_r, block.sigma_w) == (ACTIVATIONS["silu"], 12, 0.3, 0.1)
    assert (law.noise.seed, law.noise.member, law.retraction) == (7, 3, geodesic)
    assert isinstance(build(load_text(text)).law, kind)


def test_a_run_with_a_block_does_not_go_on_without(tmp_path, capsys):
    config, out = tmp_path / "c.toml", tmp_path / "out.nc"
    config.write_text(HOMOGENIZED)
    assert call("solve", config, "--out", out, "--quiet", "--set", BLOCK[0]) == 0
    assert call("solve", config, "--out", out, "--quiet", "--resume") == 2
    assert "the configuration differs in layers.mlp" in capsys.readouterr().err


def test_tokens_in_other_dimensions(tmp_path):
    config, out = tmp_path / "c.toml", tmp_path / "out.nc"
    config.write_text(HOMOGENIZED.replace("d = 3", "d = 5").replace("[0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 0.0, 1.0]"))
    for width in (0, 20):
        assert call("simulate", config, "--out", out, "--quiet", layers__mlp__width=width) == 0
        with xr.open_dataset(out) as found:
            assert found.tokens.shape[1:] == (6, 5)


def test_what_does_not_fit_is_one_line(tmp_path, capsys):
    five = ["model.d=5", "initial={kind='uniform'}", "simulate.tokens=2049", "layers.mlp.width=0"]
    with pytest.raises(ConfigError) as caught:
        build(load_text(HOMOGENIZED, five)).tokens()
    assert str(caught.value) == (
        "layers.mlp.width = 0: must be at least 1 for 2049 points: the limit field is drawn jointly for d = 5, at no "
        "more than 2048"
    )
    assert len(build(load_text(HOMOGENIZED, [*five, "layers.mlp.width=9"])).tokens()[0]) == 2049
    with pytest.raises(ConfigError) as caught:
        build(load_text(HOMOGENIZED, ["layers.mlp={activation='tanh', sigma_r=50}"]))
    assert str(caught.value) == (
        "layers.mlp.sigma_r = 50.0: must be such that 1/d + sigma_r^2 is at most 900 for tanh"
    )
    config, out, layers = tmp_path / "c.toml", tmp_path / "out.nc", tmp_path / "layers.nc"
    config.write_text(HOMOGENIZED)
    assert call("simulate", config, "--out", out, "--set", BLOCK[0], "--record-layers", layers) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "only single attention pushes can be recorded" in told[-1]
    assert not layers.exists()
