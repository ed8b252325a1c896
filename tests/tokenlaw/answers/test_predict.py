"""`tokenlaw predict`: numbers of the forecast, presets, maps, pictures and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from docs.measure_forecast import PUBLISHED, embeddings, preset_beside
from particles.reduced import forecast
from tests.particles.reduced import plain
from tests.tokenlaw.calls import call
from tokenlaw.answers.predict import PRESETS, REALIZATIONS, architecture, beginning, collapse_map, omissions
from tokenlaw.commands.app import run

SIZES = ["--d-model", "64", "--heads", "4", "--layers", "12", "--context", "16"]


def test_json_is_the_forecast(capsys):
    assert run(["predict", *SIZES, "--residual-scale", "2", "--overlap0", "0.2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    base = architecture({"d_model": 64, "heads": 4, "layers": 12, "context": 16, "residual_scale": 2.0})
    wanted = forecast(base, 0.2, realizations=REALIZATIONS)
    assert found["overlap"]["mean"] == wanted.mean.tolist()
    assert found["overlap"]["low"][12] < found["overlap"]["mean"][12] < found["overlap"]["high"][12]
    assert found["collapse_layer"] == wanted.collapse_layer
    assert found["exponent"] == wanted.exponent() < 0
    assert found["regime"] in ("collapse", "collapsing")
    assert len(found["advice"]) == 4


def test_text_says_where_tokens_collapse(capsys):
    assert run(["predict", *SIZES, "--residual-scale", "8", "--overlap0", "0.5"]) == 0
    text = capsys.readouterr().out
    assert "collapse: tokens are indistinguishable" in text
    assert "exponent of log(1 - overlap)" in text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_architectures(name):
    preset = PRESETS[name]
    found = architecture(preset.settings())
    assert (found.d, found.heads, found.layers, found.context) == (
        preset.d_model, preset.heads, preset.layers, preset.context,
    )  # fmt: skip
    assert found.head_dim * found.heads == found.d
    assert found.mlp is not None


def test_scales_of_a_preset_are_those_of_its_matrices():
    # one layer of BERT written out: tokens of length sqrt(d), matrices with entries of deviation 0.02
    d, heads, n = 768, 12, 6
    head_dim = d // heads
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((n, d))
    tokens *= np.sqrt(d) / np.linalg.norm(tokens, axis=1, keepdims=True)
    added = np.zeros((n, d))
    for _ in range(heads):
        value, query, key = 0.02 * rng.standard_normal((3, head_dim, d))
        scores = (tokens @ query.T) @ (tokens @ key.T).T / np.sqrt(head_dim)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        added += (weights @ tokens) @ value.T @ (0.02 * rng.standard_normal((d, head_dim))).T
    settings = PRESETS["bert-base"].settings()
    found = architecture(settings)
    weights_square = np.mean(np.sum(weights**2, axis=1))
    variance = found.attention_step * d * weights_square  # of U at s_ii = f, orthogonal tokens
    assert np.mean(np.sum(added**2, axis=1)) / d == pytest.approx(variance, rel=0.15)
    assert settings["beta"] * settings["sigma_a"] ** 2 * np.sqrt(head_dim) == pytest.approx(scores.std(), rel=0.4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_networks_of_their_published_initialisation(name):
    # full width and, but for GPT-2, depth; more networks and all layers in docs/measure_forecast.py
    context, networks = (128, 4) if name == "transformer-base" else (24, 10)
    exact, found = preset_beside(name, context, networks, **({"layers": 6} if name == "gpt2" else {}))
    error = np.hypot(exact.std(axis=0, ddof=1), found.overlap.std(axis=0)) / np.sqrt(networks)
    allowed = 0.04 if name == "transformer-base" else 0.01  # embeddings of another length in the first layer
    assert (np.abs(exact.mean(axis=0) - found.mean) < 4 * error + allowed).all()
    assert np.abs(exact[:, -1].mean() - found.mean[-1]) < 4 * error[-1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_start_from_their_own_embeddings(name):
    rng = np.random.default_rng(0)
    for context in (16, 200):
        preset = replace(PRESETS[name], context=context)
        exact = np.array([plain.mean_overlap(embeddings(name, preset, rng)) for _ in range(6)])
        start, drawn = beginning(preset, {})
        assert start == pytest.approx(exact.mean(), abs=4 * 0.013 / np.sqrt(6) if start else 1e-3)
        assert drawn == (name != "transformer-base")
    assert beginning(PRESETS[name], {"overlap0": 0.25}) == (0.25, False)
    assert beginning(None, {}) == (0.0, True)
    assert PRESETS["bert-base"].start() == 1 / 3
    assert PRESETS["transformer-base"].start() == pytest.approx(0.14, abs=0.001)


def test_sizes_of_a_preset_change_its_initialisation(capsys):
    deep, base = replace(PRESETS["gpt2"], layers=24).settings(), PRESETS["gpt2"].settings()
    for name in ("sigma_v", "mlp_scale"):  # (2 layers)^-1/2
        assert deep[name] == pytest.approx(base[name] * np.sqrt(0.5))
    assert run(["predict", "--preset", "gpt2", "--layers", "24", "--context", "16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["overlap"]["mean"]
    wanted = forecast(architecture({**deep, "context": 16}), 0.0, drawn=True, realizations=REALIZATIONS)
    assert found == wanted.mean.tolist()
    narrow = replace(PRESETS["gpt2"], head_dim=16).settings()
    assert narrow["beta"] == 0.25
    assert narrow["sigma_v"] == pytest.approx(base["sigma_v"] / 2)


def test_what_is_left_out_is_said(capsys):
    gated = "gates of a gated MLP (SwiGLU is not silu)"
    assert omissions(PRESETS["gpt2"], {"mlp": "gelu"}) == ["causal mask"]
    assert omissions(PRESETS["bert-base"], {"mlp": "gelu"}) == omissions(None, {"mlp": "gelu"}) == []
    assert len(omissions(PRESETS["vit-base"], {})) == 2
    assert omissions(PRESETS["vit-base"], {"overlap0": 0.3}) == []
    assert "order of the positions" in omissions(PRESETS["transformer-base"], {})[0]
    small = ("--preset", "gpt2", "--layers", "1", "--context", "8", "--mlp", "silu")
    assert call("predict", *small) == 0
    assert f"not in this forecast: causal mask, {gated}\n" in capsys.readouterr().out
    assert call("predict", *FEW, "--mlp", "silu", "--json") == 0
    assert json.loads(capsys.readouterr().out)["not_included"] == [gated]


def test_the_start_is_the_given_one(capsys):
    found = []
    for words in (FEW, (*FEW, "--overlap0", "0"), ("--preset", "bert-base", "--overlap0", "0.1", "--layers", "1")):
        assert call("predict", *words, "--context", "8", "--json") == 0
        found.append({name: row[0] for name, row in json.loads(capsys.readouterr().out)["overlap"].items()})
    assert found[0]["low"] < 0 < found[0]["high"]  # random tokens
    assert found[1] == {"mean": 0, "low": 0, "high": 0}
    assert found[2] == {"mean": pytest.approx(0.1), "low": pytest.approx(0.1), "high": pytest.approx(0.1)}


def test_changes_go_on_top_of_a_preset(capsys):
    assert run(["predict", "--preset", "transformer-base", "--layers", "2", "--mlp", "none", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["overlap"]["mean"]) == 3
    with_mlp = forecast(architecture(PRESETS["transformer-base"].settings()), 0.14, realizations=50)
    assert with_mlp.mean[2] > 1.1 * found["overlap"]["mean"][2]


def test_pictures_and_maps(tmp_path, capsys):
    picture = tmp_path / "p.png"
    assert run(["predict", *SIZES, "--out", str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    base = architecture({"d_model": 64, "heads": 1, "layers": 1, "context": 16, "residual_scale": 2.0})
    found = collapse_map("head-dim,beta", base, 0.5, 0, deepest=40)
    depth = found["collapse_depth"]
    assert depth.dims == ("beta", "head_dim")
    cold, hot = depth.isel(beta=-1, head_dim=2), depth.isel(beta=0, head_dim=2)
    assert np.isnan(cold) or cold >= hot
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png"]


def test_a_map_is_written_whole(tmp_path, monkeypatch):
    small = xr.Dataset({"collapse_depth": (("d_model", "context"), np.array([[3.0, np.nan]]))},
                       {"d_model": ("d_model", [64.0], {"long_name": "d"}),
                        "context": ("context", [8, 16], {"long_name": "n"})}, {"deepest": 40})  # fmt: skip
    monkeypatch.setattr("tokenlaw.answers.predict.collapse_map", lambda *_, **__: small)
    for name in ("m.nc", "m.png"):
        assert run(["predict", *SIZES, "--map", "context,d-model", "--out", str(tmp_path / name)]) == 0
    with xr.open_dataset(tmp_path / "m.nc") as found:
        assert np.array_equal(found["collapse_depth"], small["collapse_depth"], equal_nan=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.nc", "m.png"]


@pytest.mark.parametrize("arguments, message", [
    (["--heads", "3"], "predict needs --d-model, --layers, --context"),
    (["--preset", "gpt5"], "--preset: must be one of gpt2"),
    (["--preset", "gpt2", "--mlp", "swish"], "--mlp: must be none or one of relu"),
    (["--preset", "gpt2", "--sigma-v", "-1"], "--sigma-v: must be from"),
    ([*SIZES, "--mlp-gain", "2"], "--mlp-gain: needs --mlp, one of relu"),
    ([*SIZES, "--mlp-scale", "2"], "--mlp-scale: needs --mlp, one of relu"),
    ([*SIZES, "--map", "context,d-model", "--out", "m.png", "--json"], "--json: not with --map"),
    (["--preset", "gpt2", "--overlap0", "2"], "--overlap0: must be from 0 to 1"),
    (["--preset", "gpt2", "--head-dim", "1000"], "head_dim must be between 1 and d"),
    (["--preset", "gpt2", "--d-model", "700"], "must be a multiple of the 12 heads"),
    (["--preset", "gpt2", "--out", "x.pdf"], "--out: must end with .png"),
    (["--preset", "gpt2", "--map", "a,b"], "--map: must be head-dim,beta or context,d-model"),
    (["--preset", "gpt2", "--map", "context,d-model"], "--map needs --out"),
    (["--d-model", "10", "--heads", "3", "--layers", "2", "--context", "4"], "--head-dim: must be given"),
    (["--preset", "gpt2", "--mlp-gain", "0"], "--mlp-gain: must be from"),
])  # fmt: skip
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert run(["predict", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


FEW = ("--d-model", "64", "--heads", "4", "--layers", "3", "--context", "32")


@pytest.mark.parametrize(
    "words, text",
    [
        (("--residual-scale", "1e300"), "--residual-scale: must be from 0 to 1e+06, got 1e+300"),
        (("--sigma-v", "nan"), "--sigma-v: must be from 0 to 1e+06, got nan"),
        (("--mlp", "gelu", "--mlp-gain", "0"), "--mlp-gain: must be from 1e-06 to 30, got 0"),
        (("--overlap0", "1.5"), "--overlap0: must be from 0 to 1, got 1.5"),
        (("--layers", "1000000000"), "--layers: must be from 1 to 10000, got 1e+09"),
        (("--context", "1" + "0" * 400), "--context: must be from 2 to 1e+09, got 1e+300"),
    ],
)
def test_what_no_architecture_has_is_refused_by_its_option(words, text, capsys):
    assert call("predict", *FEW, *words) == 2
    assert capsys.readouterr().err == f"error: {text}\n"


def test_scales_of_zero_move_nothing(capsys):
    assert call("predict", *FEW, "--residual-scale", "0") == 0
    told = capsys.readouterr().out
    assert "constant: no layer moves a token" in told
    assert "+0 per layer (tokens that are close stay as close as they are)" in told
    assert "-0 per" not in told


def test_a_map_is_plotted_from_its_file(tmp_path, capsys):
    names = {"x": "context", "y": "d_model"}
    field = xr.Dataset(
        {"collapse_depth": (("d_model", "context"), np.array([[3.0, np.nan], [20.0, 5.0]]))},
        {name: (name, np.array([8, 16]), {"long_name": name, "units": "1"}) for name in names.values()},
        {"deepest": 64},
    )
    field.to_netcdf(tmp_path / "map.nc")
    assert call("plot", tmp_path / "map.nc", "--out", tmp_path / "new" / "map.png") == 0
    assert (tmp_path / "new" / "map.png").stat().st_size > 5000
    assert call("plot", tmp_path / "map.nc", "--out", tmp_path / "map.pgf") == 2
    assert "pictures end in one of jpeg, jpg, pdf, png, svg, svgz, tif, tiff, webp" in capsys.readouterr().err
