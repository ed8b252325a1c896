"""Recorded layers: the worked example that settles every orientation, and a dense computation in d = 24."""

import json

import dense
import numpy as np
import pytest
import xarray as xr

from particles import (
    GaussianHeads,
    Noise,
    RandomTransformer,
    RecordedLayers,
    Softmax,
    Tokens,
    Uniform,
    record,
    simulate,
)
from particles.files.layers import read_layers, write_layers


def test_tokens_of_the_worked_example(data):
    law = read_layers(data / "tokens_layers.nc")
    tokens = Tokens(xr.open_dataset(data / "tokens_tokens.nc").tokens.values)
    run = simulate(tokens, law, n_steps=len(law))
    assert np.abs(run.tokens.values[-1] - np.load(data / "tokens_final.npy")).max() < 1e-13


def test_dense_reference_reproduces_the_worked_example(data):
    """The reference itself: dense Gauss nodes through the recorded layers give the recorded moments."""
    example = json.loads((data / "example.json").read_text())
    layers = xr.open_dataset(data / "example_layers.nc")
    x, area = dense.gauss_nodes(36, 72)
    w = np.zeros(len(x))
    for share, mean, kappa in example["components"]:
        direction = np.array(mean) / np.linalg.norm(mean)
        w += share * kappa / (2 * np.pi * (1 - np.exp(-2 * kappa))) * np.exp(kappa * (x @ direction - 1)) * area
    for k in range(example["layers"]):
        x = dense.layer(x, w, example["beta"], layers.mixing.values[k], layers.query_key.values[k])
        assert np.abs(dense.moments(x, w) - example["moments"][k]).max() < 1e-12


@pytest.mark.parametrize("weighted", [False, True])
def test_tokens_equal_a_dense_computation(weighted):
    """d = 24, head_dim 12, three heads, ten layers of order one: 1e-10 as promised."""
    rng = np.random.default_rng(5)
    d, n, beta = 24, 60, 3.0
    mixing = 0.3 * rng.standard_normal((10, 3, d, d)) / np.sqrt(d)
    query, key = rng.standard_normal((2, 10, 3, 12, d)) / np.sqrt(12)
    weights = rng.random(n) + 0.01 if weighted else np.ones(n)
    tokens = Tokens(Uniform(d).sample(rng, n), weights)
    x = tokens.points
    for k in range(10):
        x = dense.layer(x, tokens.weights, beta, mixing[k], np.swapaxes(key[k], 1, 2) @ query[k])
    run = simulate(tokens, RecordedLayers(mixing, query, key, Softmax(beta)), n_steps=10, save_every=10)
    assert np.abs(run.tokens.values[-1] - x).max() < 1e-10
    assert np.abs(run.second_moment.values[-1] - (x * tokens.weights[:, None]).T @ x).max() < 1e-12


def test_files_round_trip(tmp_path):
    law = RandomTransformer(GaussianHeads(5, 0.4, 0.4, 2), Softmax(2.0), eta=0.1, n_heads=3, noise=Noise(1))
    recorded = record(law, 4)
    write_layers(recorded, tmp_path / "layers.nc")
    again = read_layers(tmp_path / "layers.nc")
    assert again.beta == 2.0
    for step in range(4):
        (a,), (b,) = law.layer(step), again.layer(step)
        assert np.array_equal(a.mixing, b.mixing)
        assert np.array_equal(a.query, b.query)
        assert np.array_equal(a.key, b.key)


def test_layers_past_the_end_are_refused():
    law = record(RandomTransformer(GaussianHeads(3, 0.4, 0.4, 2), Softmax(1.0), 0.1, 1, Noise(1)), 2)
    for step in (2, 3, -1):
        with pytest.raises(ValueError, match=f"2 layers are recorded, layer {step}"):
            law.layer(step)


def test_bad_layer_files_are_refused_in_one_sentence(tmp_path):
    good = {"mixing": (("layer", "head", "row", "col"), np.zeros((2, 1, 3, 3)))}
    form = {"query_key": (("layer", "head", "row", "col"), np.zeros((2, 1, 3, 3)))}
    cases = {
        "missing": (xr.Dataset(good, attrs={"beta": 1.0}), "query_key"),
        "beta": (xr.Dataset({**good, **form}), "beta"),
        "shape": (xr.Dataset({"mixing": (("a", "b", "c", "e"), np.zeros((2, 1, 3, 4))), **form},
                             attrs={"beta": 1.0}), "mixing"),
        "nan": (xr.Dataset({**good, "query_key": (("layer", "head", "row", "col"), np.full((2, 1, 3, 3), np.nan))},
                           attrs={"beta": 1.0}), "finite"),
    }  # fmt: skip
    for name, (dataset, word) in cases.items():
        path = tmp_path / f"{name}.nc"
        dataset.to_netcdf(path)
        with pytest.raises(ValueError, match=word) as caught:
            read_layers(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
