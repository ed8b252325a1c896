"""A safetensors file of an encoder: as recorded layers of a configuration, described, and in the example."""

from pathlib import Path

import numpy as np
import xarray as xr

from particles import Tokens, read_checkpoint, simulate
from tests.particles.files.test_checkpoint import D, L, save, tensors
from tests.scripts import script
from tests.tokenlaw.calls import call

SCRIPT = Path(__file__).parents[3] / "examples" / "real_weights.py"
TEXT = """
[model]
d = {d}
beta = {beta}
[layers]
kind = "recorded"
file = "{path}"
[initial]
kind = "uniform"
[simulate]
tokens = 9
"""


def test_an_encoder_in_a_configuration(tmp_path, capsys):
    path = save(tmp_path, tensors())
    (tmp_path / "c.toml").write_text(TEXT.format(d=D, beta=1.0, path=path))
    assert call("simulate", tmp_path / "c.toml", "--out", tmp_path / "t.nc", "--quiet") == 0
    law = read_checkpoint(path).layers()
    with xr.open_dataset(tmp_path / "t.nc") as file:
        start, end = file.tokens.values[0], file.tokens.values[-1]
        assert file.depth_time.values[-1] == L
    run = simulate(Tokens(start), law, n_steps=L)
    assert np.abs(run.tokens.values[-1] - end).max() < 1e-14
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_is_told_in_one_line(tmp_path, capsys):
    path = save(tmp_path, tensors())
    for text, words in (
        (TEXT.format(d=D, beta=2.0, path=path), "must equal the layers file's beta = 1"),
        (TEXT.format(d=D + 1, beta=1.0, path=path), f"the layers have d = {D}"),
        (TEXT.format(d=D, beta=1.0, path=tmp_path / "no.safetensors"), "there is no file"),
    ):
        (tmp_path / "c.toml").write_text(text)
        code = call("simulate", tmp_path / "c.toml", "--out", tmp_path / "t.nc", "--quiet")
        error = capsys.readouterr().err
        assert (code, error.count("\n")) == (2, 1)
        assert words in error
    assert not (tmp_path / "t.nc").exists()


def test_info_tells_the_spread(tmp_path, capsys):
    path = save(tmp_path, tensors())
    assert call("info", path) == 0
    told = capsys.readouterr().out
    assert "3 layers, 2 heads of dimension 4, d = 10" in told
    assert told.count("query") == L
    path.write_bytes(b"")
    assert call("info", path) == 2
    assert "not a readable safetensors file" in capsys.readouterr().err


def test_the_example(tmp_path):
    example = script(SCRIPT)
    path, law = save(tmp_path, tensors()), read_checkpoint(tmp_path / "model.safetensors").layers()
    example.read_embedded = lambda path, ids: Tokens(np.eye(D)[:6])  # twenty words are fewer than the example names
    found = example.compare(path, n=6, twins=3)
    real, twins = found["words as they are embedded"]
    assert real.shape == (L + 1,)
    assert twins.shape == (3, L + 1)
    assert abs(real[0]) < 1e-15
    assert np.array_equal(real[0], twins[0, 0])
    final = simulate(Tokens(np.eye(D)[:6]), law, n_steps=L).tokens.values[-1]
    gram = final @ final.T
    assert abs(real[-1] - gram[~np.eye(6, dtype=bool)].mean()) < 1e-14
    example.draw(found, tmp_path / "o.png")
    assert (tmp_path / "o.png").stat().st_size > 10_000
