"""What a network is: rules, digits through layers, blocks of scores, precision, gradients of single parts."""

import math

import numpy as np
import pytest

from particles import ACTIVATIONS, ArgumentError
from particles.networks import (
    MLP,
    ALiBi,
    Embedded,
    GivenGram,
    GivenTokens,
    Independent,
    LayerNorm,
    Network,
    Normal,
    PerMatrix,
    PostNorm,
    RoPE,
    SelfAttention,
    Simplex,
)
from particles.networks.heads import AttentionHeads
from particles.networks.vectors import gaps

SCALES = PerMatrix(0.2, 0.2, 0.15, 0.15, 0.15, 0.15, 0.1)
GELU, ENDLESS = MLP(ACTIVATIONS["gelu"], 40), MLP(ACTIVATIONS["relu"], math.inf)


@pytest.mark.parametrize("width", [40, math.inf])
@pytest.mark.parametrize("norm", [LayerNorm(), None])
def test_digits_are_kept_through_layers(width, norm):
    """Tokens that nearly meet: 1 - cosine after five layers is C delta^2, and C has six digits down to 1e-12."""
    rng = np.random.default_rng(0)
    common, apart = rng.standard_normal(64), rng.standard_normal((10, 64))
    mlp = MLP(ACTIVATIONS["gelu"], width)
    more = {} if norm is None else {"norm": norm}
    net = Network(64, 5, SelfAttention(2, 16, causal=True), mlp, initialisation=SCALES, **more)
    found = {}
    for delta in (1e-6, 2e-6, 3e-2):
        gap = net.chain(GivenTokens(common + delta * apart), 1, seed=1).gap[0, -1]
        found[delta] = float(gap) / delta**2
    assert 1e-13 < found[1e-6] * 1e-12 < 1e-10
    assert found[1e-6] == pytest.approx(found[2e-6], rel=2e-6)
    assert found[1e-6] == pytest.approx(found[3e-2], rel=0.3)  # by products in place of reflections


def test_blocks_of_scores_are_the_whole():
    """n > 256 with a mask takes keys in blocks; the same heads by one plain softmax."""
    rng, n = np.random.default_rng(2), 600
    heads = AttentionHeads(SelfAttention(4, 8, kv_heads=2, causal=True, positions=ALiBi(), score_scale=1.3), 32, SCALES)
    z = rng.standard_normal((32, n))
    seen = heads.forward(z, np.random.default_rng(3), taped=True)
    place, spreads = np.arange(n), []
    for head, slope in enumerate((2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8)):
        queries, keys, values = (w[head if k == 0 else head // 2] @ z for k, w in enumerate(seen.projections))
        scores = 1.3 / math.sqrt(8) * queries.T @ keys - slope * np.abs(place[:, None] - place)
        weights = np.exp(np.where(place <= place[:, None], scores, -np.inf))
        weights /= weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(seen.out[8 * head : 8 * head + 8], values @ weights.T, atol=1e-12)
        spreads += [row[: i + 1].var() for i, row in enumerate(scores) if i > 0]  # the first token reads one key
    assert seen.deviation == pytest.approx(math.sqrt(np.mean(spreads)), rel=1e-12)


@pytest.mark.parametrize("attention", [
    SelfAttention(4, 8, kv_heads=2, causal=True, positions=RoPE(share=0.5), qk_norm=True),
    SelfAttention(3, 8, positions=ALiBi(), score_scale=2.0), SelfAttention(2, 8, kv_heads=1, whole_values=True),
])  # fmt: skip
def test_gradients_of_heads_by_differences(attention):
    """<out(z), P> along a line, matrices held: against `backward`."""
    rng, n = np.random.default_rng(4), 300
    heads = AttentionHeads(attention, 16, SCALES)
    z, line = rng.standard_normal((16, n)), rng.standard_normal((16, n))
    out = heads.forward(z, np.random.default_rng(5), taped=True)
    given = rng.standard_normal(out.out.shape)
    along, _ = heads.backward(out, given, np.zeros((1, n)))

    def loss(step):
        return float(np.vdot(heads.forward(z + step * line, np.random.default_rng(5)).out, given))

    assert (loss(1e-5) - loss(-1e-5)) / 2e-5 == pytest.approx(float(np.vdot(along, line)), rel=1e-6)


def test_single_precision_is_the_same_law():
    net = Network(96, 3, SelfAttention(4, 24, causal=True), GELU, initialisation=SCALES)
    found = [net.chain(Independent(16), 200, seed=6, dtype=kind).overlap[:, -1] for kind in (np.float64, np.float32)]
    error = math.sqrt(sum(float(one.var()) for one in found) / 200)
    assert abs(float(found[0].mean() - found[1].mean())) < 4 * error
    with pytest.raises(ArgumentError, match=r"dtype must be numpy.float64 or numpy.float32"):
        net.chain(Independent(16), 1, dtype=np.float16)


def test_starts_have_their_gram_matrices():
    rng = np.random.default_rng(7)
    equal = Simplex(6, 0.3, 2.0).rows(9, 1, rng)
    np.testing.assert_allclose(equal.T @ equal, 9 * 4 * (0.7 * np.eye(6) + 0.3), atol=1e-12)
    points = rng.standard_normal((6, 9))
    for rows in (GivenTokens(points).rows(9, 1, rng), GivenGram(points @ points.T).rows(9, 1, rng)):
        np.testing.assert_allclose(rows.T @ rows, points @ points.T, atol=1e-12)
    np.testing.assert_allclose(GivenTokens(points).rows(9, 1, rng)[0], points.sum(axis=1) / 3, atol=1e-14)
    fixed = Embedded(6, words=0.0, fixed=points.T).rows(9, 1, rng)
    np.testing.assert_allclose(fixed.T @ fixed, points @ points.T, atol=1e-12)
    words = Embedded(12, words=1.0, repeat=0.7).rows(64, 0, rng)
    assert np.linalg.matrix_rank(words) == 4
    assert len(gaps(words)[gaps(words) < 1e-12]) >= 12 + 8


def test_shares_of_embeddings():
    """Mean product of two tokens: shared^2 d; of a token with itself the sum of all three."""
    start, d = Embedded(5, words=1.0, positions=0.5, shared=0.7), 50
    grams = np.array([(x := start.rows(d, k % 2, np.random.default_rng(k))).T @ x for k in range(2000)])
    assert grams[:, 0, 1].mean() / d == pytest.approx(0.49, abs=4 * grams[:, 0, 1].std() / d / math.sqrt(2000))
    assert grams[:, 2, 2].mean() / d == pytest.approx(1.74, abs=4 * grams[:, 2, 2].std() / d / math.sqrt(2000))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: SelfAttention(4, 8, kv_heads=3), "kv_heads must divide the 4 heads, got 3"),
    (lambda: SelfAttention(4, 7, positions=RoPE()), r"head_dim must make share \* head_dim even for RoPE"),
    (lambda: SelfAttention(0, 7), "heads must be an integer >= 1, got 0"),
    (lambda: SelfAttention(2, 8, score_scale=math.nan), "score_scale must be finite, got nan"),
    (lambda: MLP(ACTIVATIONS["relu"], 0), "width must be an integer >= 1, got 0"),
    (lambda: Network(8, 2, SelfAttention(1, 8), parallel=True), "parallel must be False where there is no MLP"),
    (lambda: Network(1, 2, SelfAttention(1, 8)), "d must be an integer >= 2, got 1"),
    (lambda: Simplex(4, 1.5), r"overlap must lie in \[0, 1\], got 1.5"),
    (lambda: Simplex(9, 0.5).rows(8, 0, np.random.default_rng(0)), "n must be at most d = 8"),
    (lambda: Embedded(4, repeat=1.0), r"repeat must lie in \[0, 1\)"),
    (lambda: GivenGram(-np.eye(3)).rows(8, 0, np.random.default_rng(0)), "gram must be the Gram matrix of vectors"),
    (lambda: Network(8, 1, SelfAttention(1, 8), ENDLESS).chain(Independent(3), 1, gradients=True), "width must"),
])  # fmt: skip
def test_what_is_no_network_is_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_nothing_moves_where_scales_are_0():
    net = Network(32, 3, SelfAttention(2, 8), GELU, residual_scale=0.0)
    found = net.chain(Independent(6), 2, gradients=True)
    np.testing.assert_allclose(found.overlap, found.overlap[:, :1] * np.ones(4), rtol=1e-12)
    np.testing.assert_allclose(found.gradient, 1, rtol=1e-12)
    post = Network(32, 3, SelfAttention(2, 8), GELU, placement=PostNorm(), residual_scale=0.0)
    np.testing.assert_allclose(post.chain(Independent(6), 2).radius[:, 1:], 1, rtol=1e-12)


def test_a_seed_gives_the_same_networks_however_many():
    net = Network(32, 2, SelfAttention(2, 8), GELU)
    few, many = (net.chain(Independent(6), count, seed=9, gradients=True) for count in (2, 5))
    np.testing.assert_array_equal(few.overlap, many.overlap[:2])
    np.testing.assert_array_equal(few.gradient, many.gradient[:2])


def test_networks_by_number_are_those_of_a_longer_run_and_layers_are_told():
    network = Network(48, 3, SelfAttention(4, 12, causal=True), initialisation=Normal(0.1))
    whole, told = network.chain(Independent(10), 4, gradients=True), []
    part = network.chain(Independent(10), 2, gradients=True, first=2, progress=told.append)
    assert part.equals(whole.isel(network=slice(2, 4)))
    assert told == list(range(1, 13))  # two networks of three layers, there and back
    assert np.allclose(network.chain(Independent(10), 4, layers=1).gap, whole.gap[:, :2], rtol=1e-10)
    for name, value in (("first", -1), ("layers", 0)):
        with pytest.raises(ArgumentError, match=name):
            network.chain(Independent(10), 1, **{name: value})
