"""Residual streams from the configuration: files, resuming, refusals, the example."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles.files import read_end
from tests.tokenlaw.calls import TRANSFORMER, assert_same, call
from tokenlaw.config.read import ConfigError, load_text
from tokenlaw.config.read import load as load_config
from tokenlaw.runs.build import build

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.toml").write_text(TRANSFORMER.replace("save_every = 0.04", "save_every = 0.5"))


@pytest.mark.parametrize("norm", ["pre", "rms"])
def test_17_and_23_layers_are_40(norm):
    settings = {"layers__norm": norm, "initial__radius": 1.5}
    assert call("simulate", "t.toml", "--out", "two.nc", "-q", layers__depth=17, **settings) == 0
    assert call("simulate", "t.toml", "--out", "two.nc", "-q", "--resume", layers__depth=40, **settings) == 0
    assert call("simulate", "t.toml", "--out", "one.nc", "-q", layers__depth=40, **settings) == 0
    assert_same("one.nc", "two.nc")
    with xr.open_dataset("one.nc") as run:
        assert run.radius.dims == ("depth_time", "token")
        assert run.radius.attrs["units"] == "1"
        assert np.abs(run.radius.values[0] - 1.5).max() < 1e-15
        x = run.tokens.values[-1] * run.radius.values[-1][:, None]
        assert np.abs(np.linalg.norm(run.tokens.values, axis=-1) - 1).max() < 1e-15
    assert np.abs(read_end(Path("one.nc"))[2]["tokens"] - x).max() < 1e-14


def test_the_key_chooses_the_stream():
    """One layer of pre against rms against post, from the file of the layers themselves."""
    assert call("simulate", "t.toml", "--out", "a.nc", "-q", "--record-layers", "l.nc", layers__depth=3) == 0
    with xr.open_dataset("l.nc") as layers, xr.open_dataset("a.nc") as start:
        x0 = start.tokens.values[0]
        c, q, k = (layers[name].values[0] for name in ("mixing", "query", "key"))
    for norm, gain in (("pre", 1.0), ("rms", 3**0.5)):
        settings = {"layers__norm": norm, "initial__radius": 2.0, "layers__depth": 1, "output__save_every": 0.1}
        assert call("simulate", "t.toml", "--out", f"{norm}.nc", "-q", **settings) == 0
        y, u = gain * x0, 0
        for m in range(2):
            weights = np.exp(2.0 * (y @ q[m].T) @ (y @ k[m].T).T)
            u = u + weights / weights.sum(axis=1, keepdims=True) @ y @ c[m].T
        with xr.open_dataset(f"{norm}.nc") as run:
            x = run.tokens.values[-1] * run.radius.values[-1][:, None]
        assert np.abs(x - (2.0 * x0 + u)).max() < 1e-13


def test_recorded_layers_run_in_a_stream():
    assert call("simulate", "t.toml", "--out", "a.nc", "-q", "--record-layers", "l.nc", layers__depth=3) == 0
    text = Path("t.toml").read_text()
    begin, end = text.index("[layers]"), text.index("[initial]")
    Path("r.toml").write_text(
        text[: text.index("[heads]")] + '[layers]\nkind = "recorded"\nfile = "l.nc"\nnorm = "rms"\n' + text[end:]
    )
    assert begin
    assert call("simulate", "r.toml", "--out", "r.nc", "-q") == 0
    assert call("simulate", "t.toml", "--out", "b.nc", "-q", layers__depth=3, layers__norm="rms") == 0
    with xr.open_dataset("r.nc") as one, xr.open_dataset("b.nc") as two:
        assert np.abs(one.radius.values[-1] - two.radius.values[-1]).max() < 1e-14


@pytest.mark.parametrize("command", ["solve", "compare"])
def test_densities_refuse_a_stream(command, capsys):
    assert call(command, "t.toml", "--out", "x.nc", layers__norm="pre") == 2
    assert capsys.readouterr().err == (
        'error: layers.norm = "pre": must be "post" for densities: directions alone do not say how they move on; '
        "tokenlaw simulate takes it\n"
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["initial.radius=2"],
            'initial.radius = 2.0: must be 1 unless the layers are a residual stream (PreNorm; norm "pre" or "rms")',
        ),
        (
            ["layers.norm=pre", "layers.private_noise=0.1"],
            'layers.norm = "pre": must be "post" with layers.private_noise, a noise on the sphere',
        ),
        (["initial.radius=0"], "initial.radius = 0: must be a finite number greater than 0"),
        (["layers.norm=layer"], 'layers.norm = "layer": must be one of post, pre, rms'),
        (
            ["layers.norm=pre", "layers.retraction=geodesic"],
            'layers.retraction = "geodesic": not used with layers.norm = "pre"; leave it out',
        ),
    ],
)
def test_keys_that_are_refused(overrides, message):
    with pytest.raises(ConfigError) as caught:
        build(load_text(TRANSFORMER, overrides))
    assert str(caught.value) == message


def test_defaults():
    c = load_text(TRANSFORMER)
    assert (c.layers.norm, c.initial.radius) == ("post", 1.0)


def test_the_example(capsys):
    """It runs, grows, is told and drawn."""
    assert load_config(EXAMPLES / "prenorm.toml").layers.norm == "rms"
    assert call("simulate", EXAMPLES / "prenorm.toml", "--out", "p.nc", "-q") == 0
    with xr.open_dataset("p.nc") as run:
        square = np.mean(run.radius.values**2, axis=1)
        assert run.sizes["depth_time"] == 13
        assert square[0] == pytest.approx(16)
        assert 20 < square[-1] < 16 + 48 * 16 / 4  # |B|^2 is at most d sigma_v^2 d / H = 4 in the mean
        assert run.mean_overlap.values[-1] > 5 * run.mean_overlap.values[0]
    assert call("info", "p.nc") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("radius"))
    assert line.split()[1:3] == ["4", f"{np.sqrt(square[-1]):.4g}"]
    assert line.endswith("length of the tokens in the residual stream, r.m.s.")
    assert call("plot", "p.nc", "--out", "p.png") == 0


def test_the_footnote_of_a_picture_tells_the_radius():
    from tokenlaw.pictures import paper as plots

    assert call("simulate", "t.toml", "--out", "p.nc", "-q", layers__norm="pre", initial__radius=2.0) == 0
    with xr.open_dataset("p.nc") as run:
        texts = [text.get_text() for text in plots.plot(run).texts]
    assert any("residual stream" in text and "from 2 to" in text for text in texts)
