"""Values of low rank: their law, the layers they make, and fields that average fewer columns for them."""

from dataclasses import replace

import dense
import numpy as np
import pytest
from scipy import stats

from particles import (
    L2,
    AttentionPush,
    Causal,
    Cloud,
    DirectField,
    GaussianHeads,
    Homogenized,
    Linear,
    LowRankHeads,
    Noise,
    PreNorm,
    RandomTransformer,
    RecordedLayers,
    Softmax,
    Tokens,
    Uniform,
    direct_field,
    record,
    simulate,
)
from particles.attention import softmax as attention
from particles.derivatives.adjoint import layer_vjp


def cloud(n, d, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.1
    return Cloud(Uniform(d).sample(rng, n), weights / weights.sum())


def pushes(d, head_dim, seed=1, mean=None):
    """A push with values of low rank and the same one in full."""
    law = LowRankHeads(d, 0.7, 0.9, head_dim) if mean is None else LowRankHeads(d, 0.7, 0.9, head_dim, mean)
    heads = law.sample(np.random.default_rng(seed), 3)
    full = AttentionPush(Softmax(2.0), heads.value, heads.query, heads.key)
    return AttentionPush(Softmax(2.0), heads.out, heads.query, heads.key, inner=heads.inner), full


def test_entries_have_the_stated_moments():
    d, k, sigma = 4, 2, 0.7
    value = LowRankHeads(d, sigma, 0.3, k).sample(np.random.default_rng(0), 40_000).value / sigma

    def z(samples, mean):
        samples = samples.reshape(len(value), -1).mean(axis=1)  # heads are independent, entries are not
        return (samples.mean() - mean) / (samples.std() / np.sqrt(len(samples)))

    assert np.linalg.matrix_rank(value[0]) == k
    assert abs(z(value, 0)) < 4
    assert abs(z(value**2, 1)) < 4
    assert abs(z(value**2, 2**0.5)) > 8  # power
    assert abs(z(value**4, 3 + 6 / k)) < 4
    assert abs(z(value**4, 3)) > 8  # they are not normal
    for one, other in ((value[:, 0, 0], value[:, 0, 1]), (value[:, 0, 0], value[:, 1, 0])):
        assert abs(z(one * other, 0)) < 4
    corners = value[:, 0, 0] * value[:, 0, 1] * value[:, 1, 0] * value[:, 1, 1]
    assert abs(z(corners, 1 / k)) < 4  # 0 for independent entries
    assert abs(z(corners, 0)) > 8


def test_queries_and_keys_are_those_of_gaussian_heads():
    low, full = (law(6, 0.7, 0.3, 2).sample(np.random.default_rng(3), 4) for law in (LowRankHeads, GaussianHeads))
    assert np.array_equal(low.query, full.query)
    assert np.array_equal(low.key, full.key)
    assert len(low) == 4


def test_means_are_added_exactly():
    mean_v, mean_a = np.arange(9.0).reshape(3, 3), np.diag([1.0, -2.0, 0.5])
    heads = LowRankHeads(3, 0.0, 0.0, 2, mean_v, mean_a).sample(np.random.default_rng(0), 2)
    assert np.array_equal(heads.value[1], mean_v)
    assert np.allclose(np.swapaxes(heads.key, 1, 2) @ heads.query, mean_a, atol=1e-15)


def test_a_layer_has_the_covariance_of_the_homogenized_equation():
    """E U(x) U(y)^T = eps dt sigma_v^2 s(x, y) I for a layer of H heads, whatever the rank."""
    d, sigma, n_heads, eta = 5, 0.6, 2, 0.3
    measure = cloud(20, d)
    law = RandomTransformer(LowRankHeads(d, sigma, 1.0, 2), Softmax(0.0), eta, n_heads, Noise(5))
    rng = np.random.default_rng(1)
    squares = []
    for step in range(4000):
        (push,) = law.layer(step)
        u = DirectField(push, measure)(measure.points[:1])[0]  # m = the mean token: s is its square
        direction = dense.nrm(rng.standard_normal(d))
        squares.append((u @ direction) ** 2)
    want = eta**2 / n_heads * sigma**2 * np.sum((measure.weights @ measure.points) ** 2)
    z = stats.ttest_1samp(squares, want).statistic
    assert abs(z) < 4
    assert abs(stats.ttest_1samp(squares, 2 * want).statistic) > 8


def test_homogenized_layers_are_those_of_gaussian_heads():
    """The equation sees the variance of V' alone."""
    laws = (Homogenized(law(4, 0.6, 0.5, 2), Softmax(2.0), 0.1, 3, Noise(2)) for law in (LowRankHeads, GaussianHeads))
    low, full = (law.layer(4)[0] for law in laws)
    assert low.inner is None
    for name in ("mixing", "query", "key"):
        assert np.array_equal(getattr(low, name), getattr(full, name))


@pytest.mark.parametrize("kernel", [Softmax(3.0), L2(0.7), Linear(), Causal(Softmax(2.0))], ids=repr)
@pytest.mark.parametrize(("d", "head_dim"), [(7, 2), (20, 19), (3, 3)])
def test_factored_fields_equal_full_ones(kernel, d, head_dim):
    measure = cloud(60, d)
    low, full = pushes(d, head_dim)
    found, want = (DirectField(replace(push, kernel=kernel), measure)(measure.points) for push in (low, full))
    assert np.abs(found - want).max() < 1e-13 * max(1, np.abs(want).max())
    if isinstance(kernel, Softmax):
        forms = np.swapaxes(full.key, 1, 2) @ full.query
        other = dense.velocity(measure.points, *measure, kernel.beta, full.mixing, forms)
        assert np.abs(found - other).max() < 1e-13 * np.abs(want).max()


def test_only_as_many_columns_as_the_rank_are_averaged(monkeypatch):
    widths, average = [], attention.weighted_average
    monkeypatch.setattr(attention, "weighted_average", lambda *a: widths.append(a[3].shape[1]) or average(*a))
    measure = cloud(30, 9)
    low, full = pushes(9, 2)
    with_mean, _ = pushes(9, 2, mean=np.eye(9))  # rank 9
    for push in (low, full, with_mean):
        DirectField(replace(push, kernel=Softmax(1.0)), measure)(measure.points)
    assert widths == 3 * [2] + 6 * [9]
    assert (low.rank, full.rank, with_mean.rank) == (2, 9, 11)


def test_what_reads_the_mixing_matrices_finds_them():
    d, n = 6, 25
    law = RandomTransformer(LowRankHeads(d, 1.0, 1.0, 2), Softmax(2.0), 0.4, 3, Noise(8))
    written = record(law, 4)
    assert isinstance(written, RecordedLayers)
    assert law.layer(2)[0].inner.shape == (3, 2, d)
    tokens = Tokens(Uniform(d).sample(np.random.default_rng(0), n))
    for one, other in ((law, written), (PreNorm(law, 2.0), PreNorm(written, 2.0))):
        runs = [simulate(tokens, which, n_steps=4).tokens.values for which in (one, other)]
        assert np.abs(runs[0][-1] - runs[1][-1]).max() < 1e-13
    gradient = np.random.default_rng(1).standard_normal((n, d))
    one, other = (layer_vjp(which.layer(1), Cloud(tokens.points, tokens.weights), gradient)
                  for which in (law, written))  # fmt: skip
    assert np.abs(one - other).max() < 1e-13
    one, other = (DirectField(which.layer(1)[0], tokens).jacobian(tokens.points)
                  for which in (law, written))  # fmt: skip
    assert np.abs(one - other).max() < 1e-13


@pytest.mark.parametrize(("d", "head_dim", "n", "beta"), [(3, 3, 200, 2.0), (24, 8, 300, 5.0), (96, 16, 700, 40.0)])
def test_single_precision_is_right_to_single_precision(d, head_dim, n, beta):
    measure = cloud(n, d)
    for push in pushes(d, head_dim):
        want = DirectField(replace(push, kernel=Softmax(beta)), measure)(measure.points)
        found = direct_field(np.float32)(replace(push, kernel=Softmax(beta)), measure, n)(measure.points)
        forms = np.swapaxes(push.key, 1, 2) @ push.query
        tolerance = 1e-6 * (1 + beta * np.linalg.norm(forms, 2, axis=(1, 2)).max())
        error = np.linalg.norm(found - want, axis=1).max() / np.linalg.norm(want, axis=1).max()
        assert found.dtype == np.float64
        assert 1e-9 < error < tolerance  # it is not double precision either


def test_tokens_stay_in_double_precision():
    d = 16
    law = RandomTransformer(LowRankHeads(d, 1.0, 1.0, 4), Softmax(2.0), 0.3, 4, Noise(1))
    tokens = Tokens(Uniform(d).sample(np.random.default_rng(0), 50))
    runs = [simulate(tokens, law, n_steps=5, field=direct_field(kind)).tokens.values[-1]
            for kind in (np.float64, np.float32)]  # fmt: skip
    assert np.abs(np.linalg.norm(runs[1], axis=1) - 1).max() < 1e-15
    assert 0 < np.abs(runs[0] - runs[1]).max() < 1e-5


def test_what_is_refused():
    measure = cloud(5, 4)
    push, _ = pushes(4, 2)
    with pytest.raises(ValueError, match=r"precision must be numpy.float64 or numpy.float32, got .*float16"):
        direct_field(np.float16)(replace(push, kernel=Softmax(1.0)), measure, 5)
    with pytest.raises(TypeError, match="single precision is for softmax attention, got L2"):
        direct_field(np.float32)(replace(push, kernel=L2(1.0)), measure, 5)
