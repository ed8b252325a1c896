"""Layers of a trained encoder: against its attention block written out, and what of the file is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from particles import (
    Noise,
    RecordedLayers,
    Softmax,
    Tokens,
    Uniform,
    read_checkpoint,
    read_embedded,
    simulate,
)
from particles.files.checkpoint import MATRICES
from particles.files.encoders import LAYOUTS

L, M, K, D = 3, 2, 4, 10  # layers, heads, head_dim, d: W_q is (8, 10)


def tensors(layout="BERT", uniform_gain=False, prefix=""):
    """Weights of an encoder with random entries; gains all 0.7 in layer 0, 0.8 in layer 1, ... or spread about 0.7."""
    rng, names = np.random.default_rng(3), LAYOUTS[layout]
    found = {}
    for k in range(L):
        for name in ("query", "key", "value"):
            found[names.of(name, k)] = rng.standard_normal((M * K, D)) / 3
        found[names.of("output", k)] = rng.standard_normal((D, M * K)) / 3
        found[norm_before(names, k)] = np.full(D, 0.7 + 0.1 * k) if uniform_gain else rng.uniform(0.3, 1.1, D)
    found["embeddings.word_embeddings.weight"] = rng.standard_normal((20, D))
    found["embeddings.position_embeddings.weight"] = rng.standard_normal((6, D))
    return {prefix + name: values for name, values in found.items()}


def norm_before(names, layer):
    return f"{names.first_norm if layer == 0 else names.of('norm', layer - 1)}.weight"


def save(folder, found, heads=M):
    path = folder / "model.safetensors"
    safetensors.numpy.save_file(found, path)
    if heads is not None:
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": heads}))
    return path


def attention_block(x, found, names, layer):
    """sum over heads of W_o softmax(q . k / head_dim^1/2) v for rows x, as the papers on encoders write it."""
    query, key, value, output = (found[names.of(one, layer)] for one in MATRICES)
    added = np.zeros_like(x)
    for head in range(M):
        rows = slice(head * K, (head + 1) * K)
        for i in range(len(x)):
            scores = np.array([query[rows] @ x[i] @ (key[rows] @ other) for other in x]) / np.sqrt(K)
            share = np.exp(scores - scores.max())
            share /= share.sum()
            added[i] += output[:, rows] @ sum(s * (value[rows] @ other) for s, other in zip(share, x, strict=True))
    return added


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layer_is_the_block_of_an_encoder(tmp_path, layout):
    """With one gain for all components nothing is left out but biases, means and MLP blocks."""
    found = tensors(layout, uniform_gain=True)
    law = read_checkpoint(save(tmp_path, found)).layers()
    names = LAYOUTS[layout]
    u = Uniform(D).sample(np.random.default_rng(0), 7)
    run = simulate(Tokens(u), law, n_steps=L)
    for layer in range(L):
        gain = 0.7 + 0.1 * layer
        x = gain * np.sqrt(D) * u
        y = x + attention_block(x, found, names, layer)
        u = y / np.linalg.norm(y, axis=1, keepdims=True)
    assert np.abs(run.tokens.values[-1] - u).max() < 1e-12


def test_gains_of_components_stand_in_scores_and_values(tmp_path):
    found = tensors(prefix="bert.")
    law = read_checkpoint(save(tmp_path, found)).layers()
    plain = {name.removeprefix("bert."): values for name, values in found.items()}
    names, u = LAYOUTS["BERT"], Uniform(D).sample(np.random.default_rng(1), 5)
    for layer in range(L):
        gain = plain[norm_before(names, layer)]
        added = attention_block(np.sqrt(D) * gain * u, plain, names, layer)
        y = u + added / np.sqrt(D * np.mean(gain**2))
        moved = simulate(Tokens(u), one(law, layer), n_steps=1).tokens.values[-1]
        assert np.abs(moved - y / np.linalg.norm(y, axis=1, keepdims=True)).max() < 1e-13


def one(law, layer):
    only = slice(layer, layer + 1)
    return RecordedLayers(law.out[only], law.query[only], law.key[only], Softmax(1.0), inner=law.inner[only])


def test_full_and_factored_values_are_the_same_layers(tmp_path):
    law = read_checkpoint(save(tmp_path, tensors()), n_heads=M).layers()
    full = RecordedLayers(law.mixing, law.query, law.key, Softmax(1.0))
    tokens = Tokens(Uniform(D).sample(np.random.default_rng(2), 6))
    a, b = (simulate(tokens, one, n_steps=L).tokens.values for one in (law, full))
    assert np.abs(a - b).max() < 1e-14


def test_embedded_tokens_are_normalised_sums(tmp_path):
    found = tensors() | {"embeddings.token_type_embeddings.weight": np.full((2, D), [[1.0], [5.0]]) * np.arange(D)}
    ids = np.array([4, 4, 19])
    points = read_embedded(save(tmp_path, found), ids).points
    for place, number in enumerate(ids):
        x = found["embeddings.word_embeddings.weight"][number] + found["embeddings.position_embeddings.weight"][place]
        x = x + np.arange(D)
        x = x - x.mean()
        assert np.abs(points[place] - x / np.linalg.norm(x)).max() < 1e-15
    for wrong in ([], [20], [-1], [0] * 7, [[1]], [0.5]):
        with pytest.raises(ValueError, match="ids must be"):
            read_embedded(tmp_path / "model.safetensors", wrong)


def test_spread_tells_gaussian_entries_from_others():
    rng, shape = np.random.default_rng(5), (2, 4, 32, 128)
    from particles.files.checkpoint import Checkpoint

    laplace = rng.laplace(size=shape) * 0.2
    spiked = 0.1 * rng.standard_normal(shape)
    spiked += 5 * np.multiply.outer(rng.standard_normal((2, 4, 32)) / np.sqrt(128), rng.standard_normal(128)) / 11
    gaussian = 0.05 * rng.standard_normal(shape)
    output = 0.3 * rng.standard_normal((2, 4, 128, 32))
    model = Checkpoint(laplace, spiked, gaussian, output, np.ones((2, 128)))
    spread = model.spread()
    error = spread.attrs["kurtosis_error"]
    spread = spread.transpose("matrix", "layer")
    kurtosis, top = spread.excess_kurtosis.values, spread.top_singular_value.values
    assert np.abs(kurtosis[2:]).max() < 4 * error
    assert np.abs(kurtosis[0] - 3).max() < 0.6  # of the Laplace law
    assert (kurtosis[0] > 40 * error).all()
    assert (np.abs(top[2:] - 1) < 0.05).all()
    assert (top[1] > 1.5).all()
    sigma = spread.sigma.sel(matrix=["value", "output"]).values / np.sqrt(128)
    assert np.abs(sigma / [[0.05], [0.3]] - 1).max() < 4 / np.sqrt(2 * 128 * 128)
    twin = model.gaussian(Noise(1)).spread()
    assert np.abs(twin.sigma / spread.sigma - 1).max() < 4 / np.sqrt(2 * 128 * 128)
    assert np.abs(twin.excess_kurtosis).max() < 4 * error
    draws = [model.gaussian(Noise(seed)) for seed in (1, 2)]
    drawn = [getattr(one, name).ravel() for one in draws for name in ("query", "key", "value")]
    assert np.abs(np.corrcoef(drawn) - np.eye(6)).max() < 4 / np.sqrt(drawn[0].size)


def test_files_that_are_no_encoders_are_refused_in_one_sentence(tmp_path):
    good, names = tensors(), LAYOUTS["BERT"]
    second = names.of("key", 1)
    broken = {
        "not an encoder that is known": {"weight": np.ones((2, 2))},
        "holds several encoders": {f"{one}.{name}": values for one in "ab" for name, values in good.items()},
        "is missing": {name: values for name, values in good.items() if name != second},
        "must be finite": good | {second: np.full((M * K, D), np.nan)},
        "real numbers over 2 axes": good | {second: np.ones(3)},
        r"must have shape \(8, 10\) as in layer 0, got \(8, 11\)": good | {second: np.ones((M * K, D + 1))},
        "gain must not vanish": good | {norm_before(names, 0): np.zeros(D)},
    }
    for text, found in broken.items():
        path = save(tmp_path, found)
        with pytest.raises(ValueError, match=text) as caught:
            read_checkpoint(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    path = save(tmp_path, good)
    for heads in (0, 3, -2):
        with pytest.raises(ValueError, match="n_heads must divide the 8 rows"):
            read_checkpoint(path, heads)
    for text, told in (
        ("{}", "give n_heads"),
        ('{"num_attention_heads": true}', "config.json: num_attention_heads must be a whole number, got 'True'"),
        ("not json", "config.json: must be a JSON object"),
        ("[" * 100_000, "config.json: must be a JSON object"),
        ("[]", "config.json: must be a JSON object"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=told):
            read_checkpoint(path)
    words = good | {"embeddings.word_embeddings.weight": np.full((20, D), np.inf)}
    with pytest.raises(ValueError, match="finite"):
        read_embedded(save(tmp_path, words), [1])
    path.write_bytes(b"\x80\x04not a pickle either")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        read_checkpoint(path, 2)
    with pytest.raises(ValueError, match="no such file"):
        read_checkpoint(tmp_path / "other.safetensors", 2)


MODEL = os.environ.get("TOKENLAW_ENCODER", "")


@pytest.mark.skipif(not MODEL, reason="TOKENLAW_ENCODER does not name the safetensors file of an encoder")
def test_a_real_encoder_against_its_own_attention_block():
    """One head after the other in plain numpy, from the tensors as they stand in the file."""
    from safetensors import safe_open

    path = Path(MODEL)
    law, u = read_checkpoint(path).layers(), read_embedded(path, np.arange(1000, 1024)).points
    run = simulate(Tokens(u), law, n_steps=1).tokens.values[-1]
    heads, k = law.query.shape[1:3]
    names = LAYOUTS["BERT"]
    with safe_open(path, framework="np") as file:
        key = {name: next(one for one in file.keys() if one.endswith(names.of(name, 0)))
               for name in ("query", "key", "value", "output")}  # fmt: skip
        gain = file.get_tensor(next(one for one in file.keys() if one.endswith(norm_before(names, 0)))).astype(float)
        query, keys, value, output = (file.get_tensor(key[name]).astype(float) for name in key)
    x = np.sqrt(law.d) * gain * u
    added = np.zeros_like(x)
    for head in range(heads):
        rows = slice(head * k, (head + 1) * k)
        scores = (x @ query[rows].T) @ (x @ keys[rows].T).T / np.sqrt(k)
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        added += (share / share.sum(axis=1, keepdims=True)) @ (x @ value[rows].T) @ output[:, rows].T
    y = u + added / np.sqrt(law.d * np.mean(gain**2))
    assert np.abs(run - y / np.linalg.norm(y, axis=1, keepdims=True)).max() < 1e-12
