"""Private noise from the configuration: resuming, replicas, refusals, the example."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, assert_same, call, tokens_file
from tokenlaw.config.read import ConfigError, load_text
from tokenlaw.runs.build import build

EXAMPLE = Path(__file__).parents[3] / "examples" / "private_noise.toml"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(HOMOGENIZED.replace("save_every = 0.04", "save_every = 0.1\ndistances = 100"))


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_17_and_23_steps_are_40(command):
    settings = {"layers__private_noise": 0.2}
    assert call(command, "c.toml", "--out", "two.nc", "-q", layers__t_end=0.34, **settings) == 0
    assert call(command, "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8, **settings) == 0
    assert call(command, "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8, **settings) == 0
    assert_same("one.nc", "two.nc")


def test_replicas_share_the_density(tmp_path):
    """Two samples of tokens, each with private noise of its own, on one density to the bit; twins stay close."""
    settings = {"layers__private_noise": 0.3, "simulate__tokens": 300, "layers__t_end": 0.4}
    for replica in (0, 1):
        assert call("compare", "c.toml", "--out", f"{replica}.nc", "-q", simulate__replica=replica, **settings) == 0
    with xr.open_dataset("0.nc") as one, xr.open_dataset("1.nc") as two:
        assert np.array_equal(one.coefficients.values, two.coefficients.values)
        assert np.abs(one.tokens.values[0] - two.tokens.values[0]).max() > 0.1
        for run in (one, two):
            assert run.coupled_rms.values[-1] < 0.1  # private steps alone are (4 nu t)^1/2 = 0.7 apart
            moved = np.linalg.norm(run.tokens.values[-1] - run.tokens.values[0], axis=1)
            assert np.sqrt(np.mean(moved**2)) > 0.5
            assert run.w2_chordal.values[-1] < 3 * run.w2_floor.values[-1]


def test_the_strength_reaches_the_equation():
    """No values: the mean falls by exp(-2 nu t)."""
    settings = {"layers__private_noise": 0.7, "heads__sigma_v": 0.0, "layers__t_end": 0.2}
    assert call("solve", "c.toml", "--out", "s.nc", "-q", **settings) == 0
    with xr.open_dataset("s.nc") as run:
        mean = run.mean_token.values
        assert np.abs(mean[-1] - np.exp(-2 * 0.7 * 0.2) * mean[0]).max() < 1e-9


def test_transformers_have_it_too():
    text = TRANSFORMER.replace("depth = 6", 'depth = 6\nretraction = "geodesic"')
    law = build(load_text(text, ["layers.private_noise=0.5", "simulate.replica=3"])).law
    push = law.layer(2)[-1]
    assert (push.strength, push.step, push.replica, push.noise.seed) == (0.05, 2, 3, 7)
    assert push.retraction is law.layer(2)[0].retraction


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["layers.private_noise=-1"], "layers.private_noise = -1: must be a finite number at least 0"),
        (
            ["layers.private_noise=1", "layers.norm=rms"],
            'layers.norm = "rms": must be "post" with layers.private_noise, a noise on the sphere',
        ),
    ],
)
def test_keys_that_are_refused(overrides, message):
    with pytest.raises(ConfigError) as caught:
        build(load_text(HOMOGENIZED, overrides))
    assert str(caught.value) == message
    assert load_text(HOMOGENIZED).layers.private_noise == 0.0


def test_densities_that_are_refused(tmp_path, capsys):
    settings = {"layers__private_noise": 0.1}
    assert call("solve", "c.toml", "--out", "x.nc", solve__remap_every=0, **settings) == 2
    assert capsys.readouterr().err == "error: solve.remap_every = 0: must be 1 with private noise\n"
    assert call("simulate", "c.toml", "--out", "x.nc", "-q", solve__remap_every=0, **settings) == 0
    tokens_file(tmp_path / "t.nc")
    tokens = "{kind='tokens', file='t.nc'}"
    assert call("solve", "c.toml", "--out", "x.nc", initial=tokens, **settings) == 2
    assert capsys.readouterr().err == (
        'error: initial.kind = "tokens": must have a density with layers.private_noise\n'
    )


def test_a_run_that_loses_positivity_does_as_it_is_told(capsys):
    """Exit 3, the first record on disk; or it goes on, and says how much is negative."""
    narrow = "[{mean=[0,0,1.0],kappa=30.0}]"
    settings = {"layers__private_noise": 0.01, "initial__components": narrow, "solve__carried_nodes": "[48,96]"}
    assert call("solve", "c.toml", "--out", "x.nc", solve__on_unresolved="'stop'", **settings) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped: the pointwise density is no longer resolved")
    with xr.open_dataset("x.nc") as run:
        assert list(run["step"].values) == [0]
    assert call("solve", "c.toml", "--out", "x.nc", **settings) == 0
    assert "not resolved" in capsys.readouterr().err
    with xr.open_dataset("x.nc") as run:
        assert run.negative_mass.values.max() > 1e-3


def test_the_example():
    """It runs, is drawn, stays resolved and spread; twins stay close."""
    assert call("compare", EXAMPLE, "--out", "p.nc", "-q") == 0
    with xr.open_dataset("p.nc") as run:
        assert not run.unresolved.values.any()
        assert run.moment_defect.values.max() < 1e-6
        assert run.coupled_rms.values[-1] < 0.1
        noisy = run.density.values[-1].max()
    assert call("solve", EXAMPLE, "--out", "c.nc", "-q", layers__private_noise=0.0) == 0
    with xr.open_dataset("c.nc") as run:
        assert run.density.values[-1].max() > noisy
    assert call("plot", "p.nc", "--out", "p.png") == 0
