"""Fields by torch against direct sums; skipped where torch is missing, but for what is said then."""

import sys
from dataclasses import replace

import dense
import numpy as np
import pytest

from particles import (
    L2,
    AttentionPush,
    Cloud,
    DirectField,
    LowRankHeads,
    Noise,
    RandomTransformer,
    Softmax,
    Tokens,
    TorchField,
    Uniform,
    simulate,
    torch_field,
)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason='torch is not installed: pip install "tokenlaw[torch]"')


def cloud(n, d, equal=False):
    rng = np.random.default_rng(n + d)
    weights = np.ones(n) if equal else rng.random(n) + 0.1
    return Cloud(Uniform(d).sample(rng, n), weights / weights.sum())


def push_of(d, head_dim, factored=True):
    heads = LowRankHeads(d, 0.7, 0.9, head_dim).sample(np.random.default_rng(1), 3)
    if factored:
        return AttentionPush(Softmax(3.0), heads.out, heads.query, heads.key, inner=heads.inner)
    return AttentionPush(Softmax(3.0), heads.value, heads.query, heads.key)


@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(("d", "head_dim", "n"), [(3, 3, 50), (20, 8, 300), (24, 5, 130), (2, 1, 7)])
def test_fields_equal_direct_ones(torch, d, head_dim, n, equal, factored):
    measure, push = cloud(n, d, equal), push_of(d, head_dim, factored)
    points = Uniform(d).sample(np.random.default_rng(5), 40)
    want = DirectField(push, measure)(points)
    double = torch_field("cpu", np.float64)(push, measure, 40)(points)
    single = torch_field("cpu")(push, measure, 40)(points)
    assert double.dtype == single.dtype == np.float64
    assert np.abs(double - want).max() < 1e-13 * max(1, np.abs(want).max())
    assert 1e-10 < np.abs(single - want).max() < 1e-5 * max(1, np.abs(want).max())


@pytest.mark.parametrize("beta", [0.0, 400.0, 1e5])
def test_any_temperature_and_queries_some_at_a_time(torch, monkeypatch, beta):
    monkeypatch.setattr("particles.attention.torch_sdpa.SCORES", 3 * 80 * 16)
    measure, push = cloud(80, 6), push_of(6, 4)
    found = TorchField(replace(push, kernel=Softmax(beta)), measure, precision=np.float64)(measure.points)
    forms = np.swapaxes(push.key, 1, 2) @ push.query
    want = dense.velocity(measure.points, *measure, beta, push.mixing, forms)
    assert np.abs(found - want).max() < 1e-13 * (10 + beta)


def test_tokens_move_as_they_do_without_it(torch):
    law = RandomTransformer(LowRankHeads(16, 1.0, 1.0, 4), Softmax(2.0), 0.3, 4, Noise(1))
    tokens = Tokens(Uniform(16).sample(np.random.default_rng(0), 50))
    runs = [simulate(tokens, law, n_steps=4, field=field).tokens.values[-1]
            for field in (DirectField, torch_field("cpu", np.float64), torch_field("cpu"))]  # fmt: skip
    assert np.abs(runs[0] - runs[1]).max() < 1e-13
    assert 0 < np.abs(runs[0] - runs[2]).max() < 1e-5


def test_without_a_device_a_gpu_is_taken_where_there_is_one(torch):
    made = torch_field()
    assert made.keywords["device"] == ("cuda" if torch.cuda.is_available() else "cpu")


def test_unknown_devices_are_refused(torch):
    with pytest.raises(ValueError, match="device must be one that torch has, got 'abacus'"):
        torch_field("abacus")


def test_other_kernels_and_precisions_are_refused():
    with pytest.raises(TypeError, match="torch knows softmax attention, got L2"):
        TorchField(replace(push_of(4, 2), kernel=L2(1.0)), cloud(5, 4))
    with pytest.raises(ValueError, match=r"precision must be numpy.float64 or numpy.float32, got <class 'int'>"):
        torch_field("cpu", int)


def test_a_missing_torch_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'torch is not installed: pip install "tokenlaw\[torch\]"'):
        torch_field()
