"""Input files of runs: attributes in single precision, axes by name, and what a run keeps on record of what it read."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import xarray as xr

from particles.files.inputs import noted
from particles.files.layers import read_tokens
from tests.particles.files.test_checkpoint import D, save, tensors
from tests.particles.files.test_encoders import in_parts
from tests.tokenlaw.calls import call
from tokenlaw.ensemble import member as members

RNG = np.random.default_rng(4)
POINTS = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
TOKENS = xr.Dataset({"tokens": (("token", "component"), POINTS)})
AXES = ("layer", "head", "row", "col")
LAYERS = xr.Dataset({name: (AXES, 0.3 * RNG.standard_normal((3, 3, 3, 3))) for name in ("mixing", "query_key")})
HEADS = xr.Dataset({"value": (AXES[1:], 0.3 * RNG.standard_normal((3, 3, 3)))}
                   | {name: (("head", "head_row", "col"), RNG.standard_normal((3, 3, 3))) for name in ("query", "key")})
RECORDED = """
[model]
d = {d}
beta = {beta}
[layers]
kind = "recorded"
file = "{layers}"
[initial]
kind = "tokens"
file = "x.nc"
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TOKENS.to_netcdf("x.nc")


def configured(layers="layers.nc", d=3, beta=1.5):
    Path("c.toml").write_text(RECORDED.format(layers=layers, d=d, beta=beta))


def final(out="o.nc"):
    assert call("simulate", "c.toml", "--out", out, "-q") == 0
    with xr.open_dataset(out) as file:
        return file.tokens.values[-1]


@pytest.mark.parametrize("beta", [0.1, 1.5, 1 / 3])
@pytest.mark.parametrize("model", [lambda beta: beta, lambda beta: float(np.float32(beta))])
def test_a_beta_in_single_precision_is_the_same_number(beta, model, capsys):
    LAYERS.assign_attrs(beta=np.float32(beta)).to_netcdf("layers.nc")
    configured(beta=repr(model(beta)))
    final()
    configured(beta=repr(beta * (1 + 1e-6)))
    assert call("simulate", "c.toml", "--out", "p.nc", "-q") == 2
    assert "must equal the layers file's beta" in capsys.readouterr().err


def test_a_run_does_not_depend_on_the_order_of_dimensions():
    layers = LAYERS.assign_attrs(beta=1.5)
    layers.to_netcdf("layers.nc")
    configured()
    straight = final()
    layers.transpose("col", "head", "row", "layer").to_netcdf("layers.nc")
    TOKENS.transpose().to_netcdf("x.nc")
    assert np.array_equal(straight, final("p.nc"))


def test_info_sums_up_over_the_axes_that_are_not_depth(capsys):
    """Root mean square over the tokens, whichever axis they are."""
    radius = xr.DataArray([[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]], dims=("depth_time", "token"), name="radius")
    run = radius.to_dataset().assign_coords(depth_time=[0.0, 1.0])
    told = []
    for dataset in (run, run.transpose()):
        dataset.to_netcdf("r.nc")
        assert call("info", "r.nc") == 0
        told.append(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("radius")))
    assert told[0] == told[1]
    assert told[0].split()[1:] == ["4.082", "8.165", "8.165", "r.m.s."]


def encoder():
    """The folder of an encoder, with tokens for it."""
    Path("m").mkdir()
    path = save(Path("m"), tensors(prefix="bert."))
    points = np.eye(D)[:5]
    xr.Dataset({"tokens": (("token", "component"), points)}).to_netcdf("x.nc")
    return path


def attributes(out):
    with xr.open_dataset(out) as file:
        return {name: value for name, value in file.attrs.items() if name.endswith("_sha256")}


def digest(*names):
    return [hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in names]


@pytest.mark.parametrize("given", ["m/model.safetensors", "m"])
def test_every_file_that_was_read_is_on_record(given):
    encoder()
    configured(given, D, 1.0)
    final()
    config, weights, tokens = digest("m/config.json", "m/model.safetensors", "x.nc")
    found = attributes("o.nc")
    assert sorted(found.pop("layers_files_sha256").splitlines()) == sorted(
        [f"{config}  config.json", f"{weights}  model.safetensors"]
    )
    assert found == {"initial_file_sha256": tokens} | ({"layers_file_sha256": weights} if given != "m" else {})


def test_files_of_one_input_have_the_attributes_they_had():
    LAYERS.assign_attrs(beta=1.5).to_netcdf("layers.nc")
    configured()
    final()
    layers, tokens = digest("layers.nc", "x.nc")
    assert attributes("o.nc") == {"layers_file_sha256": layers, "initial_file_sha256": tokens}


CHANGES = {
    "config.json of layers.file": lambda: Path("m/config.json").write_text(json.dumps({"num_attention_heads": 4})),
    "model.safetensors of layers.file": lambda: save(Path("m"), tensors(prefix="bert.") | {"x": np.ones(1)}, None),
    "initial.file": lambda: xr.Dataset({"tokens": (("token", "component"), np.eye(D)[1:6])}).to_netcdf("x.nc"),
}


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("given", ["m/model.safetensors", "m"])
def test_changed_inputs_are_refused_by_name(given, changed, capsys):
    """The same configuration and the same weights: what stands beside them counts as well."""
    encoder()
    configured(given, D, 1.0)
    final()
    before, run = Path("o.nc").read_bytes(), ("simulate", "c.toml", "--out", "o.nc", "-q", "--resume")
    assert call(*run) == 0
    capsys.readouterr()
    CHANGES[changed]()
    assert call(*run) == 2
    assert capsys.readouterr().err == (
        f"error: --resume o.nc: the contents of {changed} have changed since the run began\n"
    )
    assert Path("o.nc").read_bytes() == before


def test_a_file_that_comes_or_goes_is_a_change(capsys):
    """Parts of a model, each of them on record."""
    folder = encoder().parent
    whole = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    index = in_parts(folder, whole, 3)
    configured(index, D, 1.0)
    final()
    names = [line.partition("  ")[2] for line in attributes("o.nc")["layers_files_sha256"].splitlines()]
    parts = [f"model-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]
    assert sorted(names) == ["config.json", *parts, "model.safetensors.index.json"]
    in_parts(folder, whole, 2)
    capsys.readouterr()
    assert call("simulate", "c.toml", "--out", "o.nc", "-q", "--resume") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "model-00001-of-00002.safetensors, model-00001-of-00003.safetensors, " in told
    assert "model.safetensors.index.json of layers.file have changed since the run began" in told


def test_heads_from_a_file_are_on_record_as_well(capsys):
    HEADS.to_netcdf("h.nc")
    text = 'kind = "transformer"\neta = 0.2\nheads = 3\ndepth = {depth}\n[heads]\nkind = "fixed"\nfile = "h.nc"'
    for depth in (3, 4):
        Path("c.toml").write_text(
            RECORDED.format(layers="", d=3, beta=1.5).replace('kind = "recorded"\nfile = ""', text.format(depth=depth))
        )
        assert call("simulate", "c.toml", "--out", "o.nc", "-q", "--resume") == 0
    heads, tokens = digest("h.nc", "x.nc")
    assert attributes("o.nc") == {"heads_file_sha256": heads, "initial_file_sha256": tokens}
    HEADS.transpose().to_netcdf("h.nc")  # the same numbers in another file
    capsys.readouterr()
    assert call("simulate", "c.toml", "--out", "o.nc", "-q", "--resume") == 2
    assert "the contents of heads.file have changed" in capsys.readouterr().err


def test_members_of_an_ensemble_have_the_same_inputs():
    """A worker that comes to a member late refuses files that have changed since it was planned."""
    LAYERS.assign_attrs(beta=1.5).to_netcdf("layers.nc")
    configured()
    (first, second), _ = members.plan(Path("c.toml"), "simulate", 2)
    tasks = [members.Task("simulate", m.configuration, m.file, m.number, 1, m.inputs) for m in (first, second)]
    assert members.run_member(tasks[0]).error == ""
    TOKENS.isel(token=[1, 0, 2]).to_netcdf("x.nc")
    assert members.run_member(tasks[1]).error == (
        "the contents of initial.file have changed since the ensemble began"
    )
    assert not Path(second.file).exists()


def test_what_is_read_is_not_written_over(capsys):
    encoder()
    configured("m", D, 1.0)
    for name in ("m/config.json", "m/model.safetensors", "x.nc", "c.toml"):
        before = Path(name).read_bytes()
        assert call("simulate", "c.toml", "--out", name, "-q") == 2
        assert "is an input of this run and would be overwritten" in capsys.readouterr().err
        assert Path(name).read_bytes() == before


def test_info_takes_the_folder_of_a_model(capsys):
    encoder()
    assert call("info", "m") == 0
    assert "m: attention of a trained model, 3 layers, 2 heads of dimension 4, d = 10" in capsys.readouterr().out


def test_inputs_are_noted_where_somebody_asks():
    """Nested: whoever asks hears of what is read inside."""
    with noted() as outer:
        with noted() as inner:
            read_tokens(Path("x.nc"))
        assert inner == {Path("x.nc"): digest("x.nc")[0]}
    read_tokens(Path("x.nc"))
    assert outer == inner
