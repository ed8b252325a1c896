"""Forecast of the overlap: one layer against its exact law, many layers against finite transformers."""

from dataclasses import replace

import numpy as np
import pytest

from docs.measure_forecast import exponent, same, setting
from particles import ACTIVATIONS, DualKernel, GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, simulate
from particles.initial import Simplex as SimplexTokens
from particles.reduced import Architecture, MLPKernel, Simplex, forecast, overlap_drift
from particles.reduced.architecture import AttentionTable, RandomHead
from particles.reduced.forecasting import LayerNoise, next_gap, stratified
from tests.particles.reduced import plain

SMALL = Architecture(64, 4, 16, 32, 12, 1.0, 64**-0.5, 1.0, 0.25)


def one_head(a, overlap, tokens, rng):
    return RandomHead.draw(a.d, a.head_dim, a.context, tokens, rng).at(a.beta * a.sigma_a**2, overlap)


def one_layer(d, g, own, shared, count, rng, tokens=2):
    """Mean overlaps of tokens of mutual overlap g after nrm(x + U), independent rows of given covariance: (count,)."""
    found = np.empty(count)
    x = np.sqrt(g) * np.eye(d)[:, :1] + np.sqrt(1 - g) * np.eye(d)[:, 1 : tokens + 1]
    for k in range(count):
        common, alone = rng.standard_normal((d, 1)), rng.standard_normal((d, tokens))
        found[k] = plain.mean_overlap(x + np.sqrt(shared) * common + np.sqrt(own - shared) * alone)
    return found


@pytest.mark.parametrize(
    "d, n, g, own, shared",
    [(64, 2, 0.3, 0.004, 0.001), (64, 2, 0, 0.01, 0.006), (128, 2, 0.9, 0.01, 0.009), (64, 8, 0, 0.002, 0.0005),
     (64, 48, 0, 0.002, 0.0005), (96, 24, 0.3, 0.02, 0.01), (64, 32, 0.99, 0.01, 0.0099)],
)  # fmt: skip
def test_a_layer_has_the_mean_and_spread_of_gaussian_steps(d, n, g, own, shared):
    rng = np.random.default_rng(1)
    count, full = 4000, np.ones(100_000)
    exact = one_layer(d, g, own, shared, count, rng, n)
    noise = LayerNoise.draw(d, len(full), rng)
    after = 1 - next_gap(d, n, (1 - g) * full, own * full, shared * full, noise)[0]
    error = exact.std() / np.sqrt(count)
    assert abs(exact.mean() - after.mean()) < 4 * error
    assert after.std() == pytest.approx(exact.std(), rel=0.06)
    exact, after = np.log(1 - exact), np.log(1 - after)
    assert abs(exact.mean() - after.mean()) < 4 * exact.std() / np.sqrt(count)
    wrong = 1 - next_gap(d, n, (1 - g) * full, own * full, (1.3 * shared - 0.3 * own) * full, noise)[0]
    assert abs(np.log(1 - wrong).mean() - exact.mean()) > 4 * exact.std() / np.sqrt(count)


@pytest.mark.parametrize("heads, head_dim", [(1, 8), (4, 16)])
def test_deployed_values_pass_through_few_coordinates(heads, head_dim):
    """V = W_o W_v: the length of W_v x varies from network to network; bands without it are too narrow."""
    d, n, eta, rng = 64, 8, 2.0, np.random.default_rng(5)
    a = Architecture(d, heads, head_dim, n, 1, eta, d**-0.5, 1.0, 0.0, factored=True)  # beta = 0: means of all tokens
    x, exact = plain.simplex(d, n, 0.3, rng), []
    for _ in range(3000):
        inner = rng.standard_normal((heads * head_dim, d)) @ x.mean(axis=1)
        moved = rng.standard_normal((d, heads * head_dim)) @ inner / np.sqrt(d * head_dim)
        exact.append(plain.mean_overlap(x + eta / heads * moved[:, None]))
    exact = np.log(1 - np.array(exact))
    both = (forecast(one, 0.3, realizations=3000, samples=3) for one in (a, replace(a, factored=False)))
    found, full = (np.log(1 - one.overlap[:, 1]) for one in both)
    assert abs(exact.mean() - found.mean()) < 4 * exact.std() / np.sqrt(3000)
    assert found.std() == pytest.approx(exact.std(), rel=0.06)
    assert full.std() < 0.9 * exact.std()


def test_small_steps_have_the_exact_drift_at_finite_d():
    d, g, own, shared, step = 6, 0.4, 1.3, 0.7, 1e-6
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights /= weights.sum()
    full, noise = np.ones(40), LayerNoise(nodes, np.full(40, d - 1.0), np.zeros(40))  # linear in Q^2 to first order
    gap, _ = next_gap(d, np.inf, (1 - g) * full, step * own * full, step * shared * full, noise)
    drift = float(weights @ (1 - g - gap)) / step
    assert drift == pytest.approx(d * float(overlap_drift(d, g, shared, own, own)), rel=1e-4)


def test_stratified_numbers_are_uniform():
    found = stratified(np.random.default_rng(0), 2, 50)
    assert (np.sort(np.floor(50 * found), axis=1) == np.arange(50)).all()
    assert abs(np.corrcoef(found)[0, 1]) < 0.4


@pytest.mark.parametrize("d, n, shared", [(64, 8, 0.0), (64, 8, 0.5), (96, 24, 1 / 3)])
def test_drawn_tokens_vary_as_random_tokens_do(d, n, shared):
    rng = np.random.default_rng(3)
    exact = np.array([plain.mean_overlap(plain.drawn(d, n, shared, rng)) for _ in range(2000)])
    a = Architecture(d, 1, 2, n, 1, 1.0, 0.1, 1.0, 0.1)
    found = forecast(a, shared, drawn=True, realizations=4000, samples=3).overlap[:, 0]
    assert abs(exact.mean() - found.mean()) < 4 * exact.std() / np.sqrt(2000)
    assert found.std() == pytest.approx(exact.std(), rel=0.07)
    assert forecast(a, shared, realizations=2, samples=3).overlap[:, 0] == pytest.approx(shared)


def test_statistics_of_a_head_are_those_of_the_simplex():
    a, g = Architecture(4000, 4, 8, 40, 1, 1.0, 0.1, 1.0, 0.7), 0.3  # so wide that tokens are orthogonal
    rng = np.random.default_rng(2)
    for tokens in (5, 12):  # fewer and more than head_dim
        found = np.array([one_head(a, g, tokens, rng) for _ in range(3000)])
        exact = Simplex(a.d, a.context, a.beta, a.sigma_a, a.head_dim, g).statistics(samples=60_000)
        for column, want in zip(found.T, (exact.f, exact.h), strict=True):
            error = np.hypot(column.std() / np.sqrt(3000), want.standard_error)
            assert abs(column.mean() - want.value) < 4 * error + 0.002 * want.value
        assert found[:, 1].std() < 0.5 * found[:, 0].mean()


def test_statistics_of_a_head_see_how_random_tokens_overlap():
    d, n, head_dim, beta = 64, 16, 16, 0.35
    rng, found = np.random.default_rng(4), []
    for _ in range(1500):
        x = plain.drawn(d, n, 0.0, rng)
        query, key = rng.standard_normal((2, head_dim, d)) @ x
        mean = x @ plain.attend(beta * query.T @ key).T
        g, own = plain.mean_overlap(x), np.sum(mean**2) / n
        both = (np.sum(mean.sum(axis=1) ** 2) - n * own) / (n * (n - 1))
        found.append([(own - g) / (1 - g), (both - g) / (1 - g)])
    found = np.array(found)
    a = Architecture(d, 1, head_dim, n, 1, 1.0, 0.1, 1.0, beta)
    told = np.array([one_head(a, 0.0, n, rng) for _ in range(1500)])
    error = np.hypot(found.std(axis=0), told.std(axis=0)) / np.sqrt(1500)
    assert (np.abs(found.mean(axis=0) - told.mean(axis=0)) < 4 * error + [0.004, 0.001]).all()
    assert told.std(axis=0) == pytest.approx(found.std(axis=0), rel=0.15)


def test_the_table_interpolates_and_ends_at_one():
    table = AttentionTable.of(SMALL, samples=200)
    gap, normal = np.array([1.0, 0.69, 0.0]), np.zeros((2, 3))
    s_ii, s_ij = table.draw(gap, 4, normal)
    assert (s_ii[:2] > s_ij[:2]).all()
    assert s_ii[2] == s_ij[2] == 1
    near = AttentionTable.of(SMALL, samples=200, seed=5).draw(gap, 4, normal)
    assert abs(near[0][1] - s_ii[1]) < 0.02
    several = np.random.default_rng(0).standard_normal((2, 4000))
    one, four = (np.std(table.draw(np.full(4000, 0.69), heads, several)[0]) for heads in (1, 4))
    assert four == pytest.approx(one / 2, rel=0.05)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_the_kernel_of_a_block_is_the_dual_of_its_activation(name):
    d = 4  # gain 1/2
    u = np.array([-1.0, -0.2, 0.0, 0.3, 0.9, 1.0])
    exact = DualKernel(ACTIVATIONS[name], d, 0.0, 0.0)
    assert np.abs(MLPKernel(ACTIVATIONS[name], 0.5).value(u) - exact.value(u)).max() < 1e-5 * exact.value(1.0)


def finite(a, start, replicas, seed=100):
    """Mean overlap of pairs of tokens of finite transformers: (replicas, layers + 1)."""
    found = []
    heads = GaussianHeads(a.d, a.sigma_v, a.sigma_a, a.head_dim)
    for replica in range(replicas):
        law = RandomTransformer(heads, Softmax(a.beta), a.eta, a.heads, Noise(seed + replica))
        points = SimplexTokens(a.d, start).sample(np.random.default_rng(replica), a.context)
        run = simulate(Tokens(points), law, n_steps=a.layers)
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


# networks in numpy alone, none of them in docs/forecast.md, whose script runs ten settings of 300
BANDS = (
    (plain.Model(64, 4, 16, 24, 6, 1.0, 0.25), plain.drawn, 0.0),
    (plain.Model(96, 4, 24, 16, 5, 1.5, 0.2), plain.simplex, 0.0),
    (plain.Model(64, 4, 16, 24, 4, 1.0, 0.25, "relu", 0.1), plain.drawn, 0.2),
)


@pytest.mark.parametrize("model, tokens, overlap", BANDS)
def test_bands_hold_nine_of_ten_networks(model, tokens, overlap):
    exact, found, inside = setting(model, tokens, overlap, 200)
    assert 0.83 < inside.min() < inside.max() < 0.97  # 3 standard errors of 200 networks
    assert (np.abs(exact.mean(axis=0) - found.mean) < 4 * exact.std(axis=0) / np.sqrt(200) + 0.01).all()


@pytest.mark.parametrize(
    "model, networks",
    [(plain.Model(512, 8, 64, 12, 1, 2.0, 0.125), 60), (plain.Model(768, 12, 64, 12, 1, 12.0, 0.125), 30),
     (plain.Model(64, 4, 16, 24, 1, 1.0, 0.25, "relu", 0.2), 400), (plain.Model(64, 4, 16, 8, 1, 3.0, 1.0), 400)],
)  # fmt: skip
def test_exponents_are_those_of_one_layer(model, networks):
    value, error = exponent(model, 1.0, networks)
    found = forecast(same(model), 0.5, realizations=2).exponent()
    assert abs(value - found) < 3 * error + 0.002
    a = same(model)  # the limit of small steps is another number
    small = np.array([a.attention_step * a.d])
    if a.mlp is None:
        assert abs(value + small[0]) > 8 * error


def test_exponents_need_no_digits_of_the_overlap():
    strong = forecast(Architecture(64, 1, 16, 32, 2, 1e6, 1.0, 1.0, 0.25), 0.1, realizations=20)
    assert -np.inf < strong.exponent() < -10
    still = forecast(Architecture(64, 1, 16, 32, 2, 0.0, 1.0, 1.0, 0.25), 0.1, realizations=20)
    assert still.exponent() == 0
    assert (still.drift(np.array([0.2, 0.9])) == 0).all()
    weak = forecast(Architecture(64, 4, 16, 32, 2, 0.05, 64**-0.5, 1.0, 0.25), 0.1, realizations=20)
    step = weak.architecture.attention_step * 64
    # near collapse attention averages: E log(1 - g) falls at (d - 1)/d a unit of diffusive time
    assert weak.exponent(1 - 1e-9) == pytest.approx(-step * 63 / 64, rel=0.03)


def test_collapse_and_rest():
    found = forecast(SMALL, 0.1, realizations=50)
    assert found.resting_overlap() is None
    assert found.collapse_layer is None
    deep = forecast(Architecture(64, 4, 16, 32, 100, 1.0, 64**-0.5, 1.0, 0.25), 0.1, realizations=50)
    assert deep.collapse_layer is not None
    assert deep.mean[deep.collapse_layer] > 0.99 >= deep.mean[deep.collapse_layer - 1]
    ended = forecast(deep.architecture, 0.1, realizations=50, until_collapse=True)
    assert ended.collapse_layer == deep.collapse_layer == len(ended.mean) - 1


def test_tokens_rest_where_one_layer_leaves_them():
    a = Architecture(64, 1, 8, 32, 60, 0.5, 64**-0.5, 1.0, 0.25, MLPKernel(ACTIVATIONS["tanh"], 3.0), 0.2)
    found = forecast(a, 0.1, realizations=200)
    rest, step = found.resting_overlap(), 0.02
    assert found.mean[-1] == pytest.approx(rest, abs=0.06)
    below, above = found.drift(np.array([rest - step, rest + step]))
    assert below > 0 > above


@pytest.mark.parametrize("overlap", [0.2, 0.9])
def test_the_drift_is_the_mean_change_in_one_layer(overlap):
    model, change = plain.Model(64, 4, 16, 24, 1, 3.0, 0.25), []
    for network in range(400):
        rng = np.random.default_rng([6, network])
        change.append(np.diff(model.overlaps(plain.simplex(64, 24, overlap, rng), rng))[0])
    error = np.std(change) / 20
    found = forecast(same(model), 0.1, realizations=2)
    assert abs(np.mean(change) - found.drift(np.array([overlap]))[0]) < 4 * error
    s_ii, s_ij = found.table.draw(np.array([1 - overlap]), 4, np.zeros((2, 1)))
    first_order = found.architecture.attention_step * 64 * overlap_drift(64, overlap, s_ij, s_ii, s_ii)
    assert abs(np.mean(change) - first_order[0]) > 8 * error


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


@pytest.mark.parametrize("beta", [0.125, 0.5, 2.0])
def test_few_tokens_in_few_dimensions_have_numbers(beta):
    """Overlaps reach -1/(n - 1) there, where a barycentre has the length 0 at least."""
    with np.errstate(all="raise"):
        found = forecast(Architecture(8, 2, 4, 6, 12, 1.0, 8**-0.5, 1.0, beta), 0.0, drawn=True)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.band).all()
