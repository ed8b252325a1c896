"""Values of low rank, single precision and torch from the configuration."""

import sys

import numpy as np
import pytest
import xarray as xr

from particles import DirectField, LowRankHeads, TorchField
from tests.tokenlaw.calls import TRANSFORMER, call
from tokenlaw.config.read import load_text
from tokenlaw.runs.build import build

HIGH = TRANSFORMER.replace("d = 3", "d = 12").replace('kind = "gaussian"', 'kind = "low_rank"\nhead_dim = 4').replace(
    "[0.0, 0.0, 1.0]", f"[1.0{', 0.0' * 11}]"
)


def tokens(tmp_path, capsys, **settings):
    """Tokens at the end of a run."""
    (tmp_path / "c.toml").write_text(HIGH)
    code = call("simulate", tmp_path / "c.toml", "--out", tmp_path / "t.nc", "--quiet", **settings)
    assert (code, capsys.readouterr().err) == (0, "")
    with xr.open_dataset(tmp_path / "t.nc") as file:
        return file.tokens.values[-1]


def test_values_of_low_rank():
    experiment = build(load_text(HIGH))
    assert isinstance(experiment.law.heads, LowRankHeads)
    assert experiment.law.layer(0)[0].inner.shape == (2, 4, 12)


def test_single_precision(tmp_path, capsys):
    double = tokens(tmp_path, capsys)
    assert np.array_equal(double, tokens(tmp_path, capsys, simulate__precision="double"))
    single = tokens(tmp_path, capsys, simulate__precision="single")
    assert 0 < np.abs(single - double).max() < 1e-5


def test_single_precision_sums_over_all_pairs_on_the_sphere_too():
    low = build(load_text(TRANSFORMER, ["simulate.precision=single"])).token_field()
    assert (low.func, low.keywords) == (DirectField, {"precision": np.float32})


def test_torch(tmp_path, capsys):
    pytest.importorskip("torch", reason='torch is not installed: pip install "tokenlaw[torch]"')
    double = tokens(tmp_path, capsys)
    assert np.abs(tokens(tmp_path, capsys, simulate__field="torch") - double).max() < 1e-13
    single = tokens(tmp_path, capsys, simulate__field="torch", simulate__precision="single")
    assert 0 < np.abs(single - double).max() < 1e-5
    made = build(load_text(HIGH, ["simulate.field=torch", "simulate.precision=single"])).token_field()
    assert (made.func, made.keywords["precision"]) == (TorchField, np.float32)


def test_a_missing_torch_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "c.toml").write_text(HIGH)
    assert call("simulate", tmp_path / "c.toml", "--out", tmp_path / "t.nc", simulate__field="torch") == 2
    err = capsys.readouterr().err
    assert err.endswith('simulate.field = "torch": torch is not installed: pip install "tokenlaw[torch]"\n')
    assert not (tmp_path / "t.nc").exists()
