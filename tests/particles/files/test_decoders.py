"""Decoders as published: their attention streams against blocks written out, and what of the files is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy

from particles import CausalCheckpoint, EuclideanTokens, Noise, PreNorm, read_checkpoint, read_embedded, simulate
from particles.files.inputs import noted
from tests.tokenlaw.calls import call

L, H, G, K, D, WORDS, ROWS = 3, 4, 2, 4, 12, 30, 20
GPT2 = {"model_type": "gpt2", "n_embd": D, "n_layer": L, "n_head": H}
LLAMA = {
    "model_type": "llama", "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": H, "intermediate_size": 8,
    "num_key_value_heads": G, "head_dim": K, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
}  # fmt: skip
QWEN2, MISTRAL = LLAMA | {"model_type": "qwen2"}, LLAMA | {"model_type": "mistral", "sliding_window": 5}
IDS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def matrix(rng, *shape):
    return (rng.standard_normal(shape) / 2).astype(np.float32)


def gpt2(prefix="transformer."):
    rng = np.random.default_rng(0)
    found = {"wte.weight": matrix(rng, WORDS, D), "wpe.weight": matrix(rng, ROWS, D), "ln_f.weight": np.ones(D, "f4")}
    for k in range(L):
        h = f"h.{k}."
        found |= {
            f"{h}attn.c_attn.weight": matrix(rng, D, 3 * D), f"{h}attn.c_attn.bias": np.zeros(3 * D, "f4"),
            f"{h}attn.c_proj.weight": matrix(rng, D, D), f"{h}attn.c_proj.bias": np.zeros(D, "f4"),
            f"{h}attn.bias": np.ones((1, 1, ROWS, ROWS), bool),
            f"{h}ln_1.weight": rng.uniform(0.5, 1.5, D).astype("f4"),
            f"{h}ln_1.bias": np.zeros(D, "f4"), f"{h}ln_2.weight": np.ones(D, "f4"), f"{h}ln_2.bias": np.zeros(D, "f4"),
            f"{h}mlp.c_fc.weight": matrix(rng, D, 8), f"{h}mlp.c_proj.weight": matrix(rng, 8, D),
        }  # fmt: skip
    return {prefix + name: values for name, values in found.items()}


def llama(prefix="model.", biases=False):
    rng = np.random.default_rng(1)
    found = {"embed_tokens.weight": matrix(rng, WORDS, D), "norm.weight": np.ones(D, "f4")}
    for k in range(L):
        h = f"layers.{k}."
        rows = {"q": H * K, "k": G * K, "v": G * K}
        found |= {f"{h}self_attn.{name}_proj.weight": matrix(rng, count, D) for name, count in rows.items()}
        if biases:
            found |= {f"{h}self_attn.{name}_proj.bias": np.zeros(count, "f4") for name, count in rows.items()}
        found |= {
            f"{h}self_attn.o_proj.weight": matrix(rng, D, H * K), f"{h}mlp.gate_proj.weight": matrix(rng, 8, D),
            f"{h}mlp.up_proj.weight": matrix(rng, 8, D), f"{h}mlp.down_proj.weight": matrix(rng, D, 8),
            f"{h}input_layernorm.weight": rng.uniform(0.5, 1.5, D).astype("f4"),
            f"{h}post_attention_layernorm.weight": np.ones(D, "f4"),
        }  # fmt: skip
    return {prefix + name: values for name, values in found.items()} | {"lm_head.weight": matrix(rng, WORDS, D)}


def save(folder, found, config):
    safetensors.numpy.save_file(found, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


MODELS = {
    "gpt2": (gpt2, GPT2), "llama": (llama, LLAMA), "qwen2": (lambda: llama(biases=True), QWEN2),
    "mistral": (lambda: llama(""), MISTRAL),
}  # fmt: skip


def written_out(kind, found, config, ids):
    """Tokens (L + 1, n, d) before and behind attention blocks alone, place by place."""
    found = {name.removeprefix("transformer.").removeprefix("model."): x.astype(float) for name, x in found.items()}
    is_gpt2, window = kind == "gpt2", config.get("sliding_window", 10**6)
    x = found["wte.weight"][ids] + found["wpe.weight"][: len(ids)] if is_gpt2 else found["embed_tokens.weight"][ids]
    states = [x]
    for k in range(L):
        h = f"h.{k}." if is_gpt2 else f"layers.{k}."
        if is_gpt2:
            c = x - x.mean(axis=1, keepdims=True)
            z = c / np.sqrt(np.mean(c**2, axis=1, keepdims=True)) * found[f"{h}ln_1.weight"]
            q, keys, v = np.split(z @ found[f"{h}attn.c_attn.weight"], 3, axis=1)
            out, width, shared = found[f"{h}attn.c_proj.weight"].T, D // H, 1
        else:
            z = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True)) * found[f"{h}input_layernorm.weight"]
            q, keys, v = (z @ found[f"{h}self_attn.{name}_proj.weight"].T for name in "qkv")
            out, width, shared = found[f"{h}self_attn.o_proj.weight"], K, H // G
        added = np.zeros_like(x)
        for head in range(H):
            own, group = slice(head * width, (head + 1) * width), head // shared
            of = slice(group * width, (group + 1) * width)
            for i in range(len(x)):
                scores = []
                for j in range(max(0, i - window + 1), i + 1):
                    a, b = q[i, own], keys[j, of]
                    if not is_gpt2:
                        a, b = turned(a, i), turned(b, j)
                    scores.append(a @ b / np.sqrt(width))
                share = np.exp(scores) / np.exp(scores).sum()
                mixed = sum(s * v[j, of] for s, j in zip(share, range(max(0, i - window + 1), i + 1), strict=True))
                added[i] += out[:, own] @ mixed
        x = x + added
        states.append(x)
    return np.array(states)


def turned(vector, place):
    half = len(vector) // 2
    angle = place * 100.0 ** (-2 * np.arange(half) / len(vector))
    numbers = (vector[:half] + 1j * vector[half:]) * np.exp(1j * angle)
    return np.concatenate([numbers.real, numbers.imag])


@pytest.mark.parametrize("kind", MODELS)
def test_the_stream_is_that_of_the_blocks_written_out(kind, tmp_path):
    """Of GPT-2 without the mean of its tokens, which its attention never sees."""
    make, config = MODELS[kind]
    found = make()
    folder = save(tmp_path, found, config)
    model, tokens = read_checkpoint(folder), read_embedded(folder, IDS)
    assert isinstance(model, CausalCheckpoint)
    assert isinstance(tokens, EuclideanTokens)
    law = model.layers()
    assert isinstance(law, PreNorm)
    run = simulate(tokens, law, n_steps=L)
    seen = run.tokens.values * run.radius.values[:, :, None]
    expected = written_out(kind, found, config, IDS)
    if kind == "gpt2":
        expected = expected - expected.mean(axis=2, keepdims=True)
    assert np.abs(seen - expected).max() < 1e-12 * np.abs(expected).max()


def test_a_random_twin_and_the_spread_of_its_entries(tmp_path):
    model = read_checkpoint(save(tmp_path, llama(), LLAMA))
    twin = model.gaussian(Noise(0))
    assert twin.key.shape == (L, G, K, D)
    assert twin.positions == model.positions
    spread = model.spread()
    keys = llama()["model.layers.1.self_attn.k_proj.weight"]
    assert spread.sigma.sel(layer=1, matrix="key").item() == pytest.approx(keys.std() * np.sqrt(D), rel=1e-6)
    assert call("info", tmp_path) == 0


def test_every_file_that_is_read_is_noted(tmp_path):
    save(tmp_path, gpt2(), GPT2)
    with noted() as files:
        read_checkpoint(tmp_path)
    assert sorted(path.name for path in files) == ["config.json", "model.safetensors"]


def without(found, name):
    return {key: value for key, value in found.items() if key != name}


REFUSED = {
    "a layer is missing": (lambda: {k: v for k, v in gpt2().items() if ".h.1." not in k}, GPT2,
                           "config.json counts 3 layers, layer 1 is missing"),
    "a layer too many": (gpt2, GPT2 | {"n_layer": 2}, "config.json counts 2 layers, layer 2 is there too"),
    "a matrix is missing": (lambda: without(gpt2(), "transformer.h.2.attn.c_proj.weight"), GPT2,
                            "tensor transformer.h.2.attn.c_proj.weight is missing"),
    "another size": (gpt2, GPT2 | {"n_embd": 24}, r"tensor .*c_attn.weight must have shape \(24, 72\), got \(12, 36\)"),
    "other heads": (llama, LLAMA | {"num_key_value_heads": 4}, r"k_proj.weight must have shape \(16, 12\)"),
    "norms of queries": (lambda: llama() | {"model.layers.0.self_attn.q_norm.weight": np.ones(K, "f4")}, LLAMA,
                         "another model: it has a tensor that would not be read .*q_norm"),
    "another model": (llama, GPT2, "must hold one decoder; needs h.0.attn.c_attn.weight behind any prefix, once"),
    "two of them": (lambda: gpt2() | gpt2("other."), GPT2, "must hold one decoder"),
    "scaled positions": (llama, LLAMA | {"rope_parameters": {"rope_type": "yarn"}}, "json: rope_parameters must be"),
    "scores by layer": (gpt2, GPT2 | {"scale_attn_by_inverse_layer_idx": True}, "_by_inverse_layer_idx must be absent"),
    "quantised": (llama, LLAMA | {"quantization_config": {"bits": 4}}, "quantised matrices are not read"),
    "windows in some layers": (llama, QWEN2 | {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 1},
                               "layers with and without a window"),
    "a mixture": (llama, LLAMA | {"num_local_experts": 4}, "num_local_experts must be absent"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_whole_is_refused(what, tmp_path):
    make, config, text = REFUSED[what]
    with pytest.raises(ValueError, match=text):
        read_checkpoint(save(tmp_path, make(), config))


def test_heads_and_words_that_do_not_fit(tmp_path):
    folder = save(tmp_path, gpt2(), GPT2)
    with pytest.raises(ValueError, match=r"n_heads = 3, config\.json has 4"):
        read_checkpoint(folder, n_heads=3)
    with pytest.raises(ValueError, match="ids must be from 0 to 29, got 3 to 30"):
        read_embedded(folder, [3, 30])
    with pytest.raises(ValueError, match="ids must be 1 to 20 whole numbers in a row"):
        read_embedded(folder, np.arange(21))


# --- by a configuration

CONFIGURATION = f"""
[model]
d = {D}
beta = 1.0
causal = true
[layers]
kind = "recorded"
file = "FOLDER"
norm = "rms"
[initial]
kind = "uniform"
[simulate]
tokens = 6
"""


def test_simulate_runs_the_attention_of_a_decoder(tmp_path):
    import xarray as xr

    folder = tmp_path / "m"
    folder.mkdir()
    save(folder, llama(), LLAMA)
    (tmp_path / "c.toml").write_text(CONFIGURATION.replace("FOLDER", str(folder)))
    assert call("simulate", tmp_path / "c.toml", "--out", tmp_path / "f.nc", "-q") == 0
    with xr.open_dataset(tmp_path / "f.nc") as run:
        start = EuclideanTokens(run.tokens.values[0])
        again = simulate(start, read_checkpoint(folder).layers(), n_steps=L)
        assert np.abs(run.tokens.values - again.tokens.values).max() < 1e-13
        assert "model.safetensors" in run.attrs["layers_files_sha256"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('norm = "rms"', 'norm = "post"', 'layers.norm = "post": must be "rms" for the decoder in'),
        ("causal = true", "causal = false", "model.causal = false: must be true for the decoder in"),
        ("causal = true", 'causal = true\nattention = "l2"', 'model.attention = "l2": must be "softmax" for the'),
        ("beta = 1.0", "beta = 2.0", "model.beta = 2: must equal"),
    ],
)
def test_a_configuration_must_say_what_a_decoder_is(old, new, text, tmp_path, capsys):
    save(tmp_path, llama(), LLAMA)
    (tmp_path / "c.toml").write_text(CONFIGURATION.replace("FOLDER", str(tmp_path)).replace(old, new))
    assert call("simulate", tmp_path / "c.toml", "--out", tmp_path / "f.nc", "-q") == 2
    assert text in capsys.readouterr().err
