"""`tokenlaw predict`: what it prints and writes, which method answers, and what is refused."""

import json

import numpy as np
import pytest
import xarray as xr

from particles.reduced import Architecture, forecast
from tests.tokenlaw.calls import call
from tokenlaw.answers.forecast import maps, plan
from tokenlaw.answers.forecast.mean import REALIZATIONS
from tokenlaw.commands.app import run
from tokenlaw.commands.predict import OPTIONS

SIZES = ["--d-model", "64", "--heads", "4", "--layers", "12", "--context", "16"]
FEW = ("--d-model", "64", "--heads", "4", "--layers", "3", "--context", "32")
DEPLOYED = (*FEW, "--init-std", "0.1", "--networks", "4", "--method", "chain")
KEYS = {
    "method", "overlap", "quantiles", "by_position", "radius", "attention", "gradient", "stable_rank", "collapse_layer",
    "regime", "exponent", "resting_overlap", "advice", "not_included",
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_advice(request, monkeypatch):
    """Advice takes longer than the forecast; the tests that look at it have it."""
    if "advice" not in request.node.name:
        monkeypatch.setattr("tokenlaw.answers.forecast.advice.by_chain", lambda request, plan, seed: [])
        monkeypatch.setattr("tokenlaw.answers.forecast.advice.by_mean", lambda request, seed: [])


def answered(capsys, *words):
    """The JSON of a call."""
    assert call("predict", *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_mean_is_the_forecast_of_one_overlap_with_advice(capsys):
    found = answered(capsys, *SIZES, "--residual-scale", "2", "--overlap0", "0.2", "--method", "mean")
    wanted = forecast(Architecture(64, 4, 16, 16, 12, 2.0, 1 / 8, 1.0, 0.25), 0.2, realizations=REALIZATIONS)
    assert set(found) == KEYS
    assert np.allclose(found["overlap"]["mean"], wanted.mean, atol=1e-9)
    assert found["overlap"]["low"][12] < found["overlap"]["mean"][12] < found["overlap"]["high"][12]
    assert (found["method"], found["collapse_layer"]) == ("mean", wanted.collapse_layer)
    assert wanted.exponent() < 0
    assert found["exponent"] == pytest.approx(wanted.exponent())
    assert found["regime"] in ("collapse", "collapsing")
    assert found["attention"] is found["quantiles"] is found["gradient"] is found["by_position"] is None
    assert len(found["advice"]) == 5


def test_the_chain_has_a_value_for_every_layer(capsys):
    found = answered(capsys, *DEPLOYED, "--causal", "--gradients", "--mlp", "swiglu", "--positions", "rope")
    assert set(found) == KEYS
    assert set(found["overlap"]) == set(found["gradient"]) == {"mean", "low", "high"}
    curves = [*found["overlap"].values(), *found["gradient"].values(), *found["quantiles"].values(),
              *found["attention"].values(), found["radius"], found["stable_rank"], found["by_position"]]  # fmt: skip
    assert {len(one) for one in curves} == {4}
    assert set(found["attention"]) == {"score_std", "entropy", "effective_keys"}
    assert all(values[0] is None for values in found["attention"].values())
    assert list(found["quantiles"]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
    assert len(found["by_position"][0]) == 32
    assert found["by_position"][0][0] is None
    assert found["gradient"]["mean"][-1] == 1
    assert found["not_included"] == []
    bound = np.array([found["overlap"][name][1:] for name in ("low", "mean", "high")])
    assert (np.diff(bound, axis=0) > 0).all()


def test_without_a_mask_there_is_no_position(capsys):
    found = answered(capsys, *DEPLOYED)
    assert found["by_position"] is None
    assert found["gradient"] is None


def test_the_same_seed_gives_the_same_answer_on_any_number_of_threads(capsys, monkeypatch):
    one = answered(capsys, *DEPLOYED)
    monkeypatch.setenv("TOKENLAW_THREADS", "3")
    assert answered(capsys, *DEPLOYED) == one
    assert answered(capsys, *DEPLOYED, "--seed", "1") != one


def test_text_says_where_tokens_collapse_and_by_which_method(capsys):
    assert run(["predict", *SIZES, "--residual-scale", "8", "--overlap0", "0.5", "--layers", "4"]) == 0
    text = capsys.readouterr().out
    assert "collapse: tokens are indistinguishable" in text
    assert "exponent of log(1 - overlap)" in text
    assert "method chain: 200 networks" in text
    assert "one overlap for all pairs (--method mean) ends at 1.0000" in text
    assert "sqrt(2 log n) = 2.35" in text
    assert run(["predict", *SIZES, "--residual-scale", "8", "--overlap0", "0.5", "--method", "mean"]) == 0
    assert "method mean: one overlap for all pairs of tokens\n" in capsys.readouterr().out


def test_text_of_a_mask_and_a_gradient(capsys):
    assert call("predict", *DEPLOYED, "--causal", "--gradients") == 0
    text = capsys.readouterr().out
    assert "by position: token 5 has overlap" in text
    assert "gradient: mean square" in text
    assert "it leaves out: causal mask\n" in text
    assert "of the 16.5 keys that it may read on average (1/sum of squared weights)" in text
    assert call("predict", *FEW, "--networks", "4") == 0
    assert "of the 32 keys (1/sum of squared weights)" in capsys.readouterr().out


# --- which method


def test_a_chain_that_takes_too_long_leaves_the_answer_to_the_mean(capsys, monkeypatch):
    for name in ("BUDGET", "SOON"):
        monkeypatch.setattr(plan, name, 1e-6)
    words = (*FEW, "--init-std", "0.1", "--causal", "--qk-norm")
    found = answered(capsys, *words)
    assert found["method"] == "mean"
    assert found["not_included"] == ["causal mask", "QK-norm, but for the scale of the scores"]
    assert call("predict", *words) == 0
    assert "the chain of 4 networks takes about" in capsys.readouterr().out
    assert answered(capsys, *words, "--norm", "peri")["method"] == "chain"  # which the mean cannot stand for
    assert answered(capsys, *words, "--gradients")["method"] == "chain"
    assert answered(capsys, *words, "--method", "chain")["method"] == "chain"


def test_a_long_chain_says_how_long_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr("tokenlaw.answers.predict.LONG", 0.0)
    assert call("predict", *DEPLOYED, "--json") == 0
    assert capsys.readouterr().err.startswith("the chain of 4 networks takes about ")
    assert call("predict", *DEPLOYED, "--json", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_what_a_coarser_way_leaves_out_is_said(capsys, monkeypatch):
    for name in ("BUDGET", "SOON"):
        monkeypatch.setattr(plan, name, 1e-6)
    words = (*FEW, "--init-std", "0.1", "--mlp", "swiglu", "--method", "chain")
    assert call("predict", *words) == 0
    text = capsys.readouterr().out
    assert "blocks compute in single precision" in text
    assert "the MLP is taken as infinitely wide" in text
    assert call("predict", *words, "--mlp-width", "90") == 0  # whose width was asked for
    assert "infinitely wide" not in capsys.readouterr().out


# --- the start


def test_the_start_is_the_given_one(capsys):
    found = []
    preset = ("--preset", "bert-base", "--overlap0", "0.1")
    for words in (FEW, (*FEW, "--overlap0", "0"), preset):
        for method in (("--method", "mean"), ("--networks", "8")):
            one = answered(capsys, *words, "--context", "8", "--layers", "1", *method)["overlap"]
            found.append([one[name][0] for name in ("mean", "low", "high")])
    assert found[0][1] < 0 < found[0][2]  # random tokens
    assert found[1][1] < 0 < found[1][2]
    assert np.allclose(found[2:4], 0, atol=1e-12)
    assert np.allclose(found[4:], 0.1, atol=1e-12)


def test_directions_with_a_radius_are_the_stream(tmp_path, capsys):
    """Files of residual streams and of real networks hold directions, and lengths beside them."""
    points = 3 * np.random.default_rng(1).standard_normal((8, 64)) + 1
    radius = np.linalg.norm(points, axis=1)
    axes = ("token", "component")
    xr.Dataset({"tokens": (axes, points)}).to_netcdf(tmp_path / "stream.nc")
    apart = xr.Dataset({"tokens": (axes, points / radius[:, None]), "radius": ("token", radius)})
    apart.to_netcdf(tmp_path / "apart.nc")
    words = ("--heads", "4", "--layers", "2", "--init-std", "0.1", "--networks", "4")
    found = [answered(capsys, "--tokens", tmp_path / name, *words) for name in ("stream.nc", "apart.nc")]
    assert found[0]["radius"][0] == pytest.approx(np.sqrt(np.mean(points**2)))
    assert found[1]["overlap"]["mean"] == pytest.approx(found[0]["overlap"]["mean"], abs=1e-9)
    assert found[1]["radius"] == pytest.approx(found[0]["radius"], abs=1e-9)


def test_a_map_by_the_mean_says_what_it_leaves_out(tmp_path, capsys):
    words = (*FEW, "--causal", "--map", "beta=0.1,0.2;residual-scale=1,2")
    assert call("predict", *words, "--out", tmp_path / "m.nc", "--method", "mean") == 0
    assert "not in this forecast: causal mask" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "m.nc") as found:
        assert found.attrs["not_included"] == "causal mask"


def test_advice_tells_an_exponent_with_its_error_or_not_at_all(capsys):
    told = answered(capsys, *DEPLOYED)["advice"]
    assert told
    assert all("exponent" not in one or " ± " in one for one in told)


def test_tokens_of_a_file_are_the_start(tmp_path, capsys):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((2, 8, 64)) + 0.5
    xr.Dataset(
        {"tokens": (("depth_time", "token", "component"), points)}, {"depth_time": [0.0, 1.0]}
    ).to_netcdf(tmp_path / "t.nc")
    units = points[1] / np.linalg.norm(points[1], axis=1, keepdims=True)
    cosine = ((units.sum(axis=0) ** 2).sum() - 8) / 56
    words = ("--tokens", tmp_path / "t.nc", "--heads", "4", "--layers", "2")
    chain = answered(capsys, *words, "--init-std", "0.1", "--networks", "4")
    mean = answered(capsys, *words, "--init-std", "0.1", "--method", "mean")
    assert chain["overlap"]["mean"][0] == pytest.approx(cosine)
    assert chain["radius"][0] == pytest.approx(np.sqrt(np.mean(points[1] ** 2)))
    assert mean["overlap"]["mean"][0] == pytest.approx(cosine)
    assert mean["not_included"] == ["the tokens given but for their mean overlap"]
    sphere = answered(capsys, *words, "--networks", "4")
    assert sphere["overlap"]["mean"][0] == pytest.approx(cosine)
    for option, value in (("--context", "8"), ("--overlap0", "0"), ("--d-model", "64"), ("--repeat", "0.5")):
        assert call("predict", *words, option, value) == 2
        assert capsys.readouterr().err == f"error: {option}: not with --tokens\n"
    assert call("predict", "--tokens", tmp_path / "none.nc", "--heads", "4", "--layers", "2") == 2
    assert call("predict", *words, "--out", tmp_path / "t.nc") == 2


def test_a_token_of_length_0_is_told(tmp_path, capsys):
    points = np.random.default_rng(2).standard_normal((5, 16))
    points[3] = 0
    xr.Dataset({"tokens": (("token", "component"), points)}).to_netcdf(tmp_path / "t.nc")
    words = ("--tokens", tmp_path / "t.nc", "--heads", "2", "--layers", "1", "--init-std", "0.1")
    assert call("predict", *words, "--networks", "2") == 0
    assert "1 of the 5 tokens given is 0: without a direction" in capsys.readouterr().out
    units = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    cosine = ((units.sum(axis=0) ** 2).sum() - 4) / 20
    assert answered(capsys, *words, "--networks", "2")["overlap"]["mean"][0] == pytest.approx(cosine)


def test_a_long_map_says_how_long(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(maps, "DEEPEST", 4)
    monkeypatch.setattr(maps, "LONG", 0.0)
    words = (*FEW, "--method", "mean", "--map", "context=8,16;layers=1,2", "--out", tmp_path / "m.nc")
    assert call("predict", *words) == 0
    assert "the map of 4 points takes about " in capsys.readouterr().err


def test_more_tokens_than_dimensions_share_a_part(capsys):
    words = ("--d-model", "16", "--heads", "2", "--layers", "1", "--context", "24", "--overlap0", "0.5")
    assert call("predict", *words, "--networks", "4") == 0
    assert "24 of one overlap do not exist in 16 dimensions" in capsys.readouterr().out


def test_repeated_words_start_alike(capsys):
    words = (*FEW, "--init-std", "0.05", "--repeat", "0.75")
    mean = answered(capsys, *words, "--method", "mean")
    chain = answered(capsys, *words, "--networks", "50")
    assert mean["not_included"] == ["which tokens are alike"]
    assert chain["overlap"]["mean"][0] == pytest.approx(mean["overlap"]["mean"][0], abs=0.02)
    assert chain["quantiles"]["0.95"][0] > 0.9


def test_scales_of_zero_move_nothing(capsys):
    for words in ((*FEW, "--method", "mean"), (*FEW, "--networks", "4"), DEPLOYED):
        assert call("predict", *words, "--residual-scale", "0") == 0
        told = capsys.readouterr().out
        assert "constant: no layer moves a token" in told
        assert "+0 per layer (tokens that are close stay as close as they are)" in told
        assert "-0 per" not in told
    found = answered(capsys, *DEPLOYED, "--residual-scale", "0", "--gradients", "--overlap0", "0.3", "--norm", "pre")
    assert np.allclose(found["overlap"]["mean"], 0.3, atol=1e-12)
    assert np.allclose(found["gradient"]["mean"], 1)
    assert np.allclose(found["radius"], 1)
    assert found["regime"] == "constant"


# --- pictures and maps


def test_pictures_of_both_methods(tmp_path):
    for number, words in enumerate(((*DEPLOYED,), (*DEPLOYED, "--causal"), (*DEPLOYED, "--gradients"), FEW)):
        picture = tmp_path / f"{number}.png"
        more = ("--method", "mean") if words is FEW else ()
        assert call("predict", *words, *more, "--out", picture) == 0
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert picture.stat().st_size > 10_000
    assert len(list(tmp_path.iterdir())) == 4


def test_maps_of_the_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "DEEPEST", 40)
    words = (*FEW, "--heads", "1", "--layers", "1", "--residual-scale", "2", "--overlap0", "0.5")
    assert call("predict", *words, "--map", "head-dim,beta", "--out", tmp_path / "m.nc") == 0
    with xr.open_dataset(tmp_path / "m.nc") as found:
        depth = found["collapse_depth"]
        assert depth.dims == ("beta", "head_dim")
        assert found["beta"].values.tolist() == [0.25, 0.5, 1, 2, 4, 8, 16, 32]
        cold, hot = depth.isel(beta=-1, head_dim=2), depth.isel(beta=0, head_dim=2)
        assert np.isnan(cold) or cold >= hot
        assert found.attrs["method"] == "mean"
    assert [path.name for path in tmp_path.iterdir()] == ["m.nc"]


def test_maps_of_the_chain_over_any_two_options_with_their_values(tmp_path):
    out = tmp_path / "m.nc"
    words = (*FEW, "--init-std", "0.1", "--mlp", "gelu", "--method", "chain", "--networks", "2", "--gradients")
    assert call("predict", *words, "--map", "residual-scale=0,1;context=8,16,24", "--out", out) == 0
    with xr.open_dataset(out) as found:
        assert found["overlap"].dims == ("context", "residual_scale")
        assert set(found.data_vars) == {"collapse_depth", "overlap", "exponent", "gradient"}
        assert np.allclose(found["gradient"].sel(residual_scale=0), 1)
        assert np.abs(found["exponent"].sel(residual_scale=0)).max() < 1e-12
        assert (found["overlap"].sel(residual_scale=1) > found["overlap"].sel(residual_scale=0) + 0.05).all()
        assert found.attrs["method"] == "chain"
    assert call("plot", out, "--out", tmp_path / "m.png") == 0


@pytest.mark.parametrize("one", maps.NUMERIC)
def test_every_numeric_option_has_values_of_its_own(one):
    given = {"d_model": 64, "heads": 4, "context": 16, "layers": 2, "mlp": "relu"}
    given |= {"init_std": 0.1} if one == "init_std" else {}
    other = "layer_scale" if one != "layer_scale" else "residual_scale"
    x, y = maps.axes_of(f"{one},{other}", None, given)
    assert len(x.values) > 2
    assert len(list(maps.points(None, given, x, y))) == len(x.values) * len(y.values)


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


# --- refusals


@pytest.mark.parametrize("arguments, message", [
    (["--heads", "3"], "predict needs --d-model, --layers, --context"),
    (["--preset", "gpt5"], "--preset: must be one of gpt2"),
    (["--preset", "gpt2", "--mlp", "swish"], "--mlp: must be none or one of relu"),
    (["--preset", "gpt2", "--sigma-v", "-1"], "--sigma-v: must be from"),
    (["--preset", "gpt2", "--sigma-v", "1"], "--sigma-v: not with --preset, which states all matrices"),
    ([*SIZES, "--init-std", "0.02", "--beta", "1"], "--beta: not with --init-std, which states all matrices"),
    ([*SIZES, "--init-std", "0.02", "--init", "xavier"], "--init-std: not with --init"),
    ([*SIZES, "--init", "he"], "--init: must be xavier or lecun, got he"),
    ([*SIZES, "--norm", "pre", "--pre-norm"], "--norm: not with --pre-norm"),
    ([*SIZES, "--norm", "middle"], "--norm: must be pre, post, peri or none, got middle"),
    ([*SIZES, "--norm-kind", "batch"], "--norm-kind: must be rms or layer, got batch"),
    ([*SIZES, "--positions", "sines"], "--positions: must be none, rope or alibi, got sines"),
    ([*SIZES, "--method", "exact"], "--method: must be chain or mean, got exact"),
    ([*SIZES, "--kv-heads", "3"], "--kv-heads: must divide the 4 heads, got 3"),
    ([*SIZES, "--head-dim", "5", "--positions", "rope"], "--head-dim: must make share * head_dim even for RoPE"),
    ([*SIZES, "--mlp-gain", "2"], "--mlp-gain: needs --mlp, one of relu"),
    ([*SIZES, "--mlp-scale", "2"], "--mlp-scale: needs --mlp, one of relu"),
    ([*SIZES, "--mlp-width", "2"], "--mlp-width: needs --mlp, one of relu"),
    ([*SIZES, "--parallel-blocks"], "--parallel-blocks: needs --mlp, one of relu"),
    ([*SIZES, "--mlp", "relu", "--mlp-width", "2.5"], "must be a whole number of at least 1, or inf"),
    ([*SIZES, "--mlp", "relu", "--mlp-width", "inf", "--norm", "none"], "--mlp-width: must be finite where no norm"),
    ([*SIZES, "--mlp", "relu", "--mlp-width", "inf", "--gradients"], "--gradients: not with --mlp-width inf"),
    ([*SIZES, "--gradients", "--method", "mean"], "--gradients: not with --method mean"),
    ([*SIZES, "--networks", "9", "--method", "mean"], "--networks: not with --method mean"),
    ([*SIZES, "--norm", "peri", "--method", "mean"], "--method mean: knows --norm pre and post only"),
    ([*SIZES, "--repeat", "1"], "--repeat: must be from 0 to 0.999999, got 1"),
    ([*SIZES, "--map", "context,d-model", "--out", "m.png", "--json"], "--json: not with --map"),
    (["--preset", "gpt2", "--overlap0", "2"], "--overlap0: must be from 0 to 1"),
    (["--preset", "gpt2", "--head-dim", "1000", "--method", "mean"], "--head-dim: must be at most d-model = 768 for"),
    (["--preset", "gpt2", "--d-model", "700"], "--head-dim: must be given where d-model = 700 is no multiple of heads"),
    (["--preset", "gpt2", "--out", "x.pdf"], "--out: must end with .png"),
    (["--preset", "gpt2", "--map", "a,b", "--out", "m.png"], "--map: must be two of mlp-width, d-model"),
    (["--preset", "gpt2", "--map", "heads=1,2", "--out", "m.png"], "--map: must be two of"),
    (["--preset", "gpt2", "--map", "heads=1,2;layers=a", "--out", "m.png"], "layers must be whole numbers, got a"),
    (["--preset", "gpt2", "--map", "heads=1,2;layers=0,1", "--out", "m.png"], "--layers: must be from 1 to 10000"),
    (["--preset", "gpt2", "--map", "context,d-model"], "--map needs --out"),
    (["--preset", "gpt2", "--map", "heads=;layers=1", "--out", "m.png"], "heads must be whole numbers, got none"),
    (["--preset", "gpt2", "--map", "heads=2.5;layers=1", "--out", "m.png"], "heads must be whole numbers, got 2.5"),
    (["--preset", "gpt2", "--map", "heads=4,4;layers=1", "--out", "m.png"], "values of heads must differ, got 4,4"),
    (["--preset", "gpt2", "--map", "repeat=0.1,0.10;layers=1", "--out", "m.png"], "values of repeat must differ"),
    ([*SIZES, "--norm", "post", "--post-norm"], "--norm: not with --post-norm"),
    ([*SIZES, "--norm-eps", "-1"], "--norm-eps: must be from 0 to 1e+06, got -1"),
    (["--tokens", ".", "--heads", "4", "--layers", "2"], ".: is a folder, not a file"),
    (["--preset", "gpt2", "--context", "1000000000"], "--context: 1,000,000,000 tokens need at least"),
    (["--preset", "transformer-base", "--context", "1000000000"], "--context: 1,000,000,000 tokens need at least"),
    (["--d-model", "10", "--heads", "3", "--layers", "2", "--context", "4"], "--head-dim: must be given"),
])  # fmt: skip
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert run(["predict", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(
    "words, text",
    [
        (("--residual-scale", "1e300"), "--residual-scale: must be from 0 to 1e+06, got 1e+300"),
        (("--sigma-v", "nan"), "--sigma-v: must be from 0 to 1e+06, got nan"),
        (("--mlp", "gelu", "--mlp-gain", "0"), "--mlp-gain: must be from 1e-06 to 30, got 0"),
        (("--overlap0", "1.5"), "--overlap0: must be from 0 to 1, got 1.5"),
        (("--layers", "1000000000"), "--layers: must be from 1 to 10000, got 1e+09"),
        (("--context", "1" + "0" * 400), "--context: must be from 2 to 1e+09, got 1e+300"),
        (("--init-std", "inf"), "--init-std: must be from 0 to 1e+06, got inf"),
    ],
)
def test_what_no_architecture_has_is_refused_by_its_option(words, text, capsys):
    assert call("predict", *FEW, *words) == 2
    assert capsys.readouterr().err == f"error: {text}\n"


def test_the_help_has_groups_with_every_option(capsys):
    assert run(["predict", "--help"]) == 0
    text = capsys.readouterr().out
    for group, options in OPTIONS.items():
        assert f"\n{group}:\n" in text
        for name in options:
            assert f"--{name.strip('_').replace('_', '-')}" in text


def test_a_context_that_no_memory_holds_is_refused_or_answered_by_the_mean(capsys):
    words = ("--d-model", "64", "--heads", "4", "--layers", "3", "--context", "300000", "--init-std", "0.1")
    assert call("predict", *words, "--method", "chain") == 2
    assert "--context: 300,000 tokens need about" in capsys.readouterr().err
