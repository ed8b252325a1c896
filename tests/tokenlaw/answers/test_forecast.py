"""What stands behind `tokenlaw predict`: presets, both kinds of networks, chain against mean, plans, advice, bands."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from docs.measure_forecast import PUBLISHED, embeddings, preset_beside
from docs.measure_presets import beside, scores, small
from particles import ACTIVATIONS
from particles.networks import (
    MLP,
    Embedded,
    GivenTokens,
    Independent,
    LayerNorm,
    Normed,
    Simplex,
    embeddings_of,
    network_of,
)
from tests.particles.reduced import plain
from tokenlaw.answers.forecast import advice, bands, chain, cost, mean, plan
from tokenlaw.answers.forecast.presets import PRESETS
from tokenlaw.answers.forecast.request import endless, request_of
from tokenlaw.answers.predict import answer

SMALL = {"d_model": 64, "heads": 4, "layers": 5, "context": 24}


# --- presets

LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
         "intermediate_size": 11_008}  # fmt: skip
CONFIGURED = {
    "gpt2": {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12},
    "gpt2-xl": {"model_type": "gpt2", "n_embd": 1600, "n_head": 25, "n_layer": 48},
    "bert-base": {"model_type": "bert", "hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12,
                  "intermediate_size": 3072},
    "roberta-base": {"model_type": "roberta", "hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12,
                     "intermediate_size": 3072, "layer_norm_eps": 1e-5},
    "llama-7b": LLAMA,
    "llama3-8b": LLAMA | {"num_key_value_heads": 8, "intermediate_size": 14_336, "rope_theta": 500_000.0,
                          "rms_norm_eps": 1e-5},
    "mistral-7b": LLAMA | {"model_type": "mistral", "num_key_value_heads": 8, "intermediate_size": 14_336,
                           "rms_norm_eps": 1e-5},
    "qwen2-7b": {"model_type": "qwen2", "hidden_size": 3584, "num_attention_heads": 28, "num_hidden_layers": 28,
                 "num_key_value_heads": 4, "intermediate_size": 18_944, "rope_theta": 1_000_000.0},
    "gemma-2b": {"model_type": "gemma", "hidden_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 18,
                 "num_key_value_heads": 1, "intermediate_size": 16_384, "head_dim": 256},
}  # fmt: skip
"""The sizes of the models' config.json; all else by the defaults of the library."""


@pytest.mark.parametrize("name", CONFIGURED)
def test_presets_are_the_networks_of_the_library(name):
    request = request_of(name, {"context": 32})
    wanted = network_of(CONFIGURED[name], 32)
    if name.startswith(("gpt2", "gemma")):  # which take gelu by a hyperbolic tangent, within 5e-4
        assert wanted.mlp.activation.name == "gelu, by tanh"
        wanted = replace(wanted, mlp=replace(wanted.mlp, activation=ACTIVATIONS["gelu"]))
    if wanted.attention.kv_heads == wanted.attention.heads:
        wanted = replace(wanted, attention=replace(wanted.attention, kv_heads=None))
    assert request.network == wanted
    rng = [np.random.default_rng(k) for k in (0, 0)]
    one, other = (start.rows(request.network.d, 1, seed)
                  for start, seed in zip((request.start.law, embeddings_of(CONFIGURED[name], 32)), rng, strict=True))
    assert np.sqrt(np.mean(np.sum(one**2, axis=0) / request.network.d)) == pytest.approx(request.start.std, rel=0.02)
    assert np.sum(one**2) == pytest.approx(np.sum(other**2), rel=0.02)
    cosines = [plain.mean_overlap(rows) for rows in (one, other)]
    assert cosines[0] == pytest.approx(request.start.overlap, abs=0.03)
    assert cosines[1] == pytest.approx(request.start.overlap, abs=0.03)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_where_they_are_from_and_can_be_forecast(name):
    preset, request = PRESETS[name], request_of(name, {})
    assert "arXiv" in preset.source or "2019" in preset.source
    assert request.network.mlp.width == preset.options["mlp_width"]
    assert request.start.tokens == preset.options["context"]
    assert mean.possible(request)
    small = request_of(name, {"context": 8, "layers": 2, "d_model": 64, "heads": 4, "kv_heads": 2})
    assert small.network.mlp.width == pytest.approx(preset.options["mlp_width"] * 64 / preset.options["d_model"], abs=1)
    assert small.network.attention.head_dim == 16


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
        request = request_of(name, {"context": context})
        d = request.network.d
        exact = np.array([plain.mean_overlap(embeddings(name, d, context, rng)) for _ in range(6)])
        start = request.start
        assert start.overlap == pytest.approx(exact.mean(), abs=4 * 0.013 / np.sqrt(6) if start.overlap else 1e-3)
        assert start.drawn == (name != "transformer-base")
        drawn = np.array([plain.mean_overlap(start.law.rows(d, 1, rng)) for _ in range(6)])
        assert drawn.mean() == pytest.approx(exact.mean(), abs=0.02)
    given = request_of(name, {"overlap0": 0.25, "context": 16}).start
    assert (given.overlap, given.drawn) == (0.25, False)
    assert request_of("bert-base", {}).start.overlap == pytest.approx(1 / 3)
    assert request_of("transformer-base", {}).start.overlap == pytest.approx(0.14, abs=0.001)


def test_changes_go_on_top_of_a_preset():
    def network(**changes):
        return request_of("llama3-8b", {"context": 16, **changes}).network

    assert network(layers=3, kv_heads=4).attention.kv_heads == 4
    assert network(mlp="none").mlp is None
    assert network(mlp="relu").mlp.width == 4 * 4096
    assert network(mlp_width=100).mlp == MLP(ACTIVATIONS["silu"], 100, True)
    wide = network(mlp_width=math.inf)  # as heavy as its own width
    assert wide.mlp.width == math.inf
    assert wide.initialisation.down == pytest.approx(0.02 * (14_336 / wide.usual_width(True)) ** 0.5)
    assert network(norm="post").placement.after
    assert network(pre_norm=False).placement.after
    assert network(init="lecun").initialisation.deviation("query", 5, 100) == 0.1
    assert network(causal=False).attention.causal is False
    assert network(positions="none").attention.positions is None
    assert request_of("gpt2", {"embedding_std": 1.0}).start.std == 1.0
    assert request_of("gpt2", {"repeat": 0.5, "context": 16}).start.law.repeat == 0.5


# --- networks on the sphere are those of the old options


SETTINGS = (
    (plain.Model(64, 4, 16, 24, 5, 1.5, 0.3, "relu", 0.1), plain.drawn, None),
    (plain.Model(64, 4, 8, 24, 5, 3.0, 0.5, "tanh", 0.1, True), plain.simplex, 0.2),
)


@pytest.mark.parametrize("model, tokens, overlap", SETTINGS)
def test_networks_on_the_sphere_agree_with_plain_ones_and_with_the_mean(model, tokens, overlap):
    m, networks = model, 120
    request = request_of(None, {
        "d_model": m.d, "heads": m.heads, "head_dim": m.head_dim, "context": m.context, "layers": m.layers,
        "residual_scale": m.eta, "beta": m.beta, "mlp": m.mlp, "mlp_scale": m.mlp_scale, "pre_norm": m.pre_norm,
        "overlap0": overlap,
    })  # fmt: skip
    rngs = [np.random.default_rng([5, k]) for k in range(networks)]
    exact = np.array([m.overlaps(tokens(m.d, m.context, overlap or 0.0, rng), rng) for rng in rngs])
    found = request.network.chain(request.start.law, networks)
    assert np.abs(scores(exact, found["overlap"].values)).max() < 4
    wide = endless(request.network).chain(request.start.law, networks)
    assert np.abs(scores(exact, wide["overlap"].values)).max() < 4
    told = mean.averaged(request, 0)
    assert np.abs(told.overlap.mean - exact.mean(axis=0)).max() < 0.02
    assert np.abs(told.radius - found["radius"].values.mean(axis=0)).max() < 0.02 * told.radius[-1]


@pytest.mark.parametrize("changes", [
    {"init_std": 0.12, "mlp": "swiglu", "norm": "pre"},
    {"init": "xavier", "mlp": "gelu", "norm": "post", "depth_scaled": True, "layer_scale": 2.0},
    {"init": "lecun", "mlp": "relu", "norm": "pre", "embedding_std": 2.0, "score_scale": 0.5, "residual_scale": 0.7},
])  # fmt: skip
def test_the_mean_is_near_the_chain_where_it_leaves_nothing_out(changes):
    request = request_of(None, {**SMALL, "context": 48, "d_model": 96, "overlap0": 0.1, **changes})
    assert mean.missing(request) == ()
    found = request.network.chain(request.start.law, 100)["overlap"].values
    told = mean.averaged(request, 0)
    error = found.std(axis=0) / 10
    assert (np.abs(told.overlap.mean - found.mean(axis=0)) < 4 * error + 0.02).all()


def test_what_the_mean_leaves_out_is_listed():
    given = {**SMALL, "init_std": 0.1, "mlp": "gelu"}

    def missing(**changes):
        return mean.missing(request_of(None, {**given, **changes}))

    assert missing() == ()
    assert missing(causal=True) == ("causal mask",)
    assert missing(positions="rope") == ("positions (RoPE)",)
    assert missing(positions="alibi", kv_heads=2) == ("positions (ALiBi)", "shared keys and values")
    assert missing(mlp_width=100) == ("finite width of the MLP",)
    assert missing(parallel_blocks=True) == ("parallel blocks (here one behind the other)",)
    assert missing(norm="post", embedding_std=2.0) == ("length of the tokens before the first layer",)
    assert mean.missing(request_of("vit-base", {}))[-1] == "class token of length 0"
    assert mean.missing(request_of("mistral-7b", {"context": 8192}))[-1] == "window of 4,096 tokens"
    assert "window of 4,096 tokens" not in mean.missing(request_of("mistral-7b", {}))


# --- plans


def test_plans_take_the_most_exact_way_that_fits(monkeypatch):
    request = request_of(None, {**SMALL, "init_std": 0.1, "mlp": "gelu"})
    monkeypatch.setattr(cost, "seconds", lambda net, n, gradients, single: _price(net, gradients, single))
    found = {}
    for budget in (1000, 50, 9, 1.25, 0.2):
        monkeypatch.setattr(plan, "BUDGET", budget)
        monkeypatch.setattr(plan, "SOON", budget / 2)
        one = plan.plan(request, None, None, False)
        found[budget] = (one.method, one.networks, one.single, one.network.mlp.width == math.inf)
    assert found == {
        1000: ("chain", plan.MOST, False, False), 50: ("chain", 25, False, False), 9: ("chain", 16, True, False),
        1.25: ("chain", 12, True, True), 0.2: ("mean", plan.LEAST, True, False),
    }  # fmt: skip
    monkeypatch.setattr(plan, "BUDGET", 20)
    monkeypatch.setattr(plan, "SOON", 10)
    assert plan.plan(request, None, 8, False).single is False  # asked for: as exactly as eight networks allow
    assert plan.plan(request, None, 30, False).single is True
    assert plan.plan(request, None, 100, True).method == "chain"
    assert plan.plan(request, "chain", 1000, False).networks == 1000
    with pytest.raises(ValueError, match="knows --norm pre and post only"):
        plan.plan(replace(request, network=replace(request.network, placement=_peri())), "mean", None, False)


def _price(net, gradients, single):
    return 0.1 if net.mlp.width == math.inf else 4.0 if gradients else 0.5 if single else 1.0


def _peri():
    from particles.networks import PeriNorm

    return PeriNorm()


def test_costs_grow_with_what_is_done():
    request = request_of(None, {**SMALL, "init_std": 0.1, "mlp": "gelu"})
    base = cost.of_layer(request.network, 24).numbers
    for other in ({"context": 48}, {"mlp_width": 1000}, {"mlp": "geglu"}, {"heads": 8, "head_dim": 16}):
        changed = request_of(None, {**SMALL, "init_std": 0.1, "mlp": "gelu", **other})
        more = cost.of_layer(changed.network, changed.start.tokens).numbers
        assert all(a >= b for a, b in zip(more, base, strict=True)) or other == {"mlp": "geglu"}
        assert more != base
    assert cost.seconds(request.network, 24) > 0
    assert cost.memory(request.network, 48) > cost.memory(request.network, 24)


# --- bands and whole layers


@pytest.mark.parametrize("count", [2, 4, 16])
def test_a_band_holds_its_share_of_normal_values(count):
    rng = np.random.default_rng(0)
    values, new = rng.standard_normal((count, 40_000)), rng.standard_normal(40_000)
    low, high = bands.prediction(values)
    assert np.mean((low < new) & (new < high)) == pytest.approx(0.9, abs=0.006)


def test_exponents_are_those_of_one_whole_layer():
    request = request_of(None, {**SMALL, "init_std": 0.12, "norm": "post"})
    way = replace(plan.plan(request, "chain", 200, False), networks=200)
    got = chain.after(way, 24, 0.99, 1.0, 0, 200)
    data = request.network.chain(Simplex(24, 0.99), 200, layers=1)
    assert np.allclose(got, np.log(data["gap"][:, 1] / data["gap"][:, 0]))
    assert got.mean() == pytest.approx(mean.averaged(request, 0).exponent, abs=4 * got.std() / 200**0.5)
    assert isinstance(chain.equal(24, 24, 0.5, 1.0), Simplex)
    assert isinstance(chain.equal(16, 24, 0.5, 1.0), Embedded)


def test_tokens_that_part_come_to_rest():
    given = {**SMALL, "heads": 1, "head_dim": 8, "layers": 40, "mlp": "tanh", "mlp_gain": 3.0, "mlp_scale": 0.2}
    request = request_of(None, {**given, "residual_scale": 0.5, "overlap0": 0.1})
    found = chain.chained(request, plan.plan(request, "chain", 60, False), 0)
    told = mean.averaged(request, 0)
    assert found.exponent > 0
    assert (found.regime, told.regime) == ("arrested", "arrested")
    assert found.resting_overlap == pytest.approx(told.resting_overlap, abs=0.1)


# --- advice


def test_advice_is_forecast_by_the_method_that_answers(monkeypatch):
    monkeypatch.setattr(advice, "NETWORKS", 3)
    request = request_of(None, {**SMALL, "init_std": 0.12, "mlp": "gelu", "causal": True})
    way = plan.plan(request, "chain", 8, False)
    told = advice.by_chain(request, way, 0)
    assert len(told) == advice.MOST
    assert any("half the residual scale: overlap" in one for one in told)
    assert told == advice.by_chain(request, way, 0)
    assert len(advice.by_mean(request, 0)) == advice.MOST


def test_advice_of_a_long_chain_is_of_fewer_tokens(monkeypatch):
    request = request_of(None, {**SMALL, "context": 64, "init_std": 0.12})
    monkeypatch.setattr(advice, "SECONDS", 1e-9)
    told = advice.by_chain(request, plan.plan(request, "chain", 4, False), 0)
    assert told[0].startswith("24 tokens, nothing else: overlap")
    assert all(one.startswith("24 tokens and ") for one in told[1:])


def test_the_first_tokens_of_every_start():
    points = np.arange(24.0).reshape(8, 3)
    assert np.array_equal(advice.first(GivenTokens(points), 4).points, points[:4])
    assert advice.first(Normed(Independent(8), LayerNorm()), 4).tokens == 4
    assert advice.first(Embedded(8, fixed=points.T), 4).fixed.shape == (3, 4)
    assert advice.first(Simplex(8, 0.5), 4) == Simplex(4, 0.5)


def test_an_answer_comes_in_parts_of_which_the_first_is_at_once():
    given = {**SMALL, "init_std": 0.12, "networks": 4}
    parts = list(answer(None, given))
    assert parts[0][0].startswith("d = 64, 4 heads of dimension 16, 24 tokens, 5 layers, RMS norm before the blocks")
    assert parts[1][0].startswith("at once, one overlap for all pairs: ")
    (numbers,) = answer(None, given, as_numbers=True)
    assert json.loads(numbers[0])["method"] == "chain"


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("gpt2-medium", "gpt2-large", "gpt2-xl")])
def test_presets_agree_with_dense_networks(name):
    """Of small size, with as much in their matrices; at full width docs/measure_presets.py."""
    overlap, gradient = beside(name, small(name), 60, 60)
    assert np.abs(scores(*overlap)).max() < 4
    assert np.abs(scores(*gradient)).max() < 4


def test_an_exponent_that_is_not_known_is_not_told():
    from tokenlaw.answers.forecast.advice import Outcome

    course = np.array([0.0, 0.5])
    assert str(Outcome(course, 0.02, error=0.015)) == "overlap 0.5 after 1 layers"
    assert str(Outcome(course, -0.05, error=0.015)) == "overlap 0.5 after 1 layers, exponent -0.05 ± 0.01 per layer"
    assert str(Outcome(course, -0.05)) == "overlap 0.5 after 1 layers, exponent -0.05 per layer"
