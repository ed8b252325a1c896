"""Forecast of the overlap: one layer against its exact law, many layers against finite transformers."""

import numpy as np
import pytest

from particles import ACTIVATIONS, DualKernel, GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, simulate
from particles.initial import Simplex as SimplexTokens
from particles.reduced import Architecture, MLPKernel, Simplex, forecast, overlap_drift
from particles.reduced.forecast import AttentionTable, next_overlap, one_head

SMALL = Architecture(64, 4, 16, 32, 12, 1.0, 64**-0.5, 1.0, 0.25)


def one_layer(d, g, own, shared, count, rng):
    """Overlaps of two tokens after nrm(x + U), U with independent rows of the given covariance: (count,)."""
    e, first, second = np.eye(d)[:3]
    x, y = (np.sqrt(g) * e + np.sqrt(1 - g) * f for f in (first, second))
    common, one, other = rng.standard_normal((3, count, d))
    left, right = (
        point + np.sqrt(shared) * common + np.sqrt(own - shared) * alone for point, alone in ((x, one), (y, other))
    )
    return np.einsum("ij,ij->i", left, right) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


@pytest.mark.parametrize("d, g, own, shared", [(64, 0.3, 0.004, 0.001), (64, 0, 0.01, 0.006), (128, 0.9, 0.01, 0.009)])
def test_a_layer_has_the_mean_and_spread_of_gaussian_steps(d, g, own, shared):
    rng = np.random.default_rng(1)
    count = 20_000
    exact = one_layer(d, g, own, shared, count, rng)
    full = np.full(count, 1.0)
    noise = rng.standard_normal(count), rng.chisquare(d - 1, count)
    moved, _ = next_overlap(d, g * full, own * full, shared * full, *noise)
    error = np.hypot(exact.std(), moved.std()) / np.sqrt(count)
    assert abs(exact.mean() - moved.mean()) < 4 * error
    wrong, _ = next_overlap(d, g * full, own * full, 0.9 * shared * full, *noise)
    assert abs(exact.mean() - wrong.mean()) > 4 * error


def test_small_steps_have_the_exact_drift_at_finite_d():
    d, g, own, shared = 6, 0.4, 1.3, 0.7
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights /= weights.sum()
    step = 1e-6
    square = np.full(40, d - 1.0)  # the map is linear in Q^2 to first order in the step
    moved, _ = next_overlap(d, np.full(40, g), np.full(40, step * own), np.full(40, step * shared), nodes, square)
    drift = float(weights @ (moved - g)) / step
    assert drift == pytest.approx(d * float(overlap_drift(d, g, shared, own, own)), rel=1e-4)


def test_statistics_of_a_head_are_those_of_the_simplex():
    a, g = Architecture(64, 4, 8, 40, 1, 1.0, 0.1, 1.0, 0.7), 0.3
    rng = np.random.default_rng(2)
    for tokens in (5, 12):  # fewer and more than head_dim
        found = np.array([one_head(a, g, tokens, rng) for _ in range(3000)])
        exact = Simplex(a.d, a.context, a.beta, a.sigma_a, a.head_dim, g).statistics(samples=60_000)
        for column, want in zip(found.T, (exact.f, exact.h), strict=True):
            value, error = g + (1 - g) * want.value, (1 - g) * want.standard_error
            assert abs(column.mean() - value) < 4 * np.hypot(column.std() / np.sqrt(3000), error)
        assert found[:, 1].std() < 0.5 * found[:, 0].mean()


def test_the_table_interpolates_and_ends_at_one():
    table = AttentionTable.of(SMALL, samples=200)
    s_ii, s_ij, root = table.at(np.array([0.0, 0.31, 1.0]))
    assert (s_ii[:2] > s_ij[:2]).all()
    assert s_ii[2] == s_ij[2] == pytest.approx(1)
    assert np.abs(root[2]).max() < 1e-7
    near = AttentionTable.of(SMALL, samples=200, seed=5).at(np.array([0.31]))
    assert abs(near[0][0] - s_ii[1]) < 0.02


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_the_kernel_of_a_block_is_the_dual_of_its_activation(name):
    d = 4  # gain 1/2
    u = np.array([0.0, 0.3, 0.9, 1.0])
    exact = DualKernel(ACTIVATIONS[name], d, 0.0, 0.0)
    assert np.abs(MLPKernel(ACTIVATIONS[name], 0.5).value(u) - exact.value(u)).max() < 1e-5 * exact.value(1.0)


def finite(a, start, replicas, seed=100):
    """Mean overlap of pairs of tokens of finite transformers: (replicas, layers + 1)."""
    found = []
    heads = GaussianHeads(a.d, a.sigma_v, a.sigma_a, a.head_dim)
    for replica in range(replicas):
        law = RandomTransformer(heads, a.eta, a.heads, Noise(seed + replica))
        points = SimplexTokens(a.d, start).sample(np.random.default_rng(replica), a.context)
        run = simulate(Tokens(points), law, Softmax(a.beta), n_steps=a.layers)
        w = np.sum(run.tokens.values.mean(axis=1) ** 2, axis=-1)
        found.append((a.context * w - 1) / (a.context - 1))
    return np.array(found)


def test_forecasts_are_those_of_finite_transformers():
    exact = finite(SMALL, 0.1, 40)
    found = forecast(SMALL, 0.1, realizations=2000)
    for layer in (4, 8, 12):
        error = exact[:, layer].std() / np.sqrt(40)
        assert abs(exact[:, layer].mean() - found.mean[layer]) < 4 * error + 0.01
        assert 0.7 < found.overlap[:, layer].std() / exact[:, layer].std() < 1.4
    low, high = found.band
    inside = ((exact > low) & (exact < high))[:, 4:].mean()
    assert 0.75 < inside < 0.99
    weaker = forecast(Architecture(64, 4, 16, 32, 12, 0.8, 64**-0.5, 1.0, 0.25), 0.1, realizations=2000)
    assert abs(exact[:, 8].mean() - weaker.mean[8]) > 8 * exact[:, 8].std() / np.sqrt(40)


def test_wide_forecasts_are_those_of_finite_transformers():
    wide = Architecture(768, 12, 64, 64, 4, 8.0, 768**-0.5, 1.0, 0.125)
    exact = finite(wide, 0.1, 2)
    found = forecast(wide, 0.1, realizations=400)
    spread = found.overlap.std(axis=0)
    assert (np.abs(exact.mean(axis=0) - found.mean)[1:] < 4 * spread[1:] / np.sqrt(2)).all()
    assert found.mean[4] > 4 * found.mean[0] or found.mean[4] > 0.5


def test_collapse_exponent_and_rest():
    found = forecast(SMALL, 0.1, realizations=50)
    step = SMALL.attention_step * SMALL.d
    # near collapse attention averages: E log(1 - g) falls at (d - 1)/d a unit of diffusive time
    assert found.exponent(1 - 1e-9) == pytest.approx(-step * 63 / 64, rel=0.02)
    assert found.resting_overlap() is None
    assert found.collapse_layer is None
    deep = forecast(Architecture(64, 4, 16, 32, 100, 1.0, 64**-0.5, 1.0, 0.25), 0.1, realizations=50)
    assert deep.collapse_layer is not None
    assert deep.mean[deep.collapse_layer] > 0.99 >= deep.mean[deep.collapse_layer - 1]
    ended = forecast(deep.architecture, 0.1, realizations=50, until_collapse=True)
    assert ended.collapse_layer == deep.collapse_layer == len(ended.mean) - 1


def test_streams_slow_down_as_they_grow():
    sphere = Architecture(64, 4, 16, 32, 12, 2.0, 64**-0.5, 1.0, 0.25)
    stream = Architecture(64, 4, 16, 32, 12, 2.0, 64**-0.5, 1.0, 0.25, pre_norm=True)
    first, second = (forecast(a, 0.1, realizations=200) for a in (sphere, stream))
    assert first.mean[1] == pytest.approx(second.mean[1])
    assert second.mean[-1] < first.mean[-1]
    assert (np.diff(second.radius) > 0).all()
    assert (first.radius == 1).all()


@pytest.mark.parametrize("change, message", [
    ({"d": 2}, "d must be at least 3"), ({"context": 1}, "context must be at least 2"), ({"layers": 0}, "layers"),
    ({"heads": 0}, "heads"), ({"eta": -1.0}, "eta must be finite"), ({"sigma_v": float("nan")}, "sigma_v"),
    ({"radius": 0.0}, "radius must be positive"), ({"mlp_scale": float("inf")}, "mlp_scale"),
])  # fmt: skip
def test_impossible_architectures_are_refused(change, message):
    from dataclasses import replace

    with pytest.raises(ValueError, match=message):
        replace(SMALL, **({"head_dim": 2} | change if "d" in change else change))


def test_impossible_forecasts_are_refused():
    with pytest.raises(ValueError, match="start must lie"):
        forecast(SMALL, 1.5)
    with pytest.raises(ValueError, match="realizations must be"):
        forecast(SMALL, 0.5, realizations=1)
    with pytest.raises(ValueError, match="samples must be"):
        forecast(SMALL, 0.5, samples=1)
    with pytest.raises(ValueError, match="gain must lie"):
        MLPKernel(ACTIVATIONS["relu"], 0.0)
