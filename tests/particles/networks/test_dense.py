"""The judge judged: dense networks against finite differences, known numbers and themselves."""

from dataclasses import replace

import numpy as np
import pytest

from tests.particles.networks.agreement import assert_agree
from tests.particles.networks.cases import CASES, random_case
from tests.particles.networks.dense import Dense, alibi_slopes, measured, normed, rotated
from tests.particles.networks.starts import Embedded, GivenGram, Simplex

STEP = 1e-5


def error_of_gradient(network, start, seed=0):
    """Of a layer's gradient along a random direction, against a central difference, relative to its length."""
    rng = np.random.default_rng(seed)
    x = start(rng, 2, network.d)
    weights = network.weights(rng, 2)
    direction, given = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    scale = np.sqrt((x * x).mean())
    up, down = (network.layer(x + sign * STEP * scale * direction, weights)[0] for sign in (1, -1))
    gradient = network.layer(x, weights)[2](given)
    expected = (given * (up - down)).sum(axis=(1, 2)) / (2 * STEP * scale)
    found = (gradient * direction).sum(axis=(1, 2))
    return np.max(abs(found - expected) / np.sqrt((gradient**2).sum(axis=(1, 2))))


@pytest.mark.parametrize("name", [name for name in CASES if name != "close"])
def test_the_gradient_is_that_of_finite_differences(name):
    network, start = CASES[name]
    assert error_of_gradient(network, start) < (1e-4 if network.act == "relu" else 1e-6)  # a corner may be passed


@pytest.mark.parametrize("seed", range(20))
def test_the_gradient_of_random_networks_is_that_of_finite_differences(seed):
    network, start = random_case(seed)
    assert error_of_gradient(network, start) < (1e-4 if network.act == "relu" else 1e-6)


def test_a_forgotten_derivative_of_the_norm_is_no_gradient():
    network, start = CASES["post"]
    assert error_of_gradient(replace(network, error="norm backward"), start) > 1e-2


@pytest.mark.parametrize("name", ["attention", "words again", "layer, narrow"])
def test_two_seeds_have_one_law(name):
    network, start = CASES[name]
    assert_agree(network.run(start, 100, 1), network.run(start, 100, 2))


def test_known_numbers():
    assert alibi_slopes(8) == [2.0**-k for k in range(1, 9)]  # Press et al. 2022, section 3
    np.testing.assert_allclose(alibi_slopes(6), [2.0**-k for k in (2, 4, 6, 8, 1, 3)])
    x = np.array([[3.0], [4.0]])
    np.testing.assert_allclose(normed(x)[0], np.sqrt(2) * x / 5)
    np.testing.assert_allclose(normed(x, centred=True)[0], [[-1.0], [1.0]])
    turn = rotated(np.tile(np.eye(4)[:, :1], (1, 3)), 10.0, 0.5)
    np.testing.assert_allclose(turn[:2], [np.cos(range(3)), np.sin(range(3))], atol=1e-15)
    assert not turn[2:].any()


def test_rotary_scores_see_the_distance_alone():
    rng = np.random.default_rng(0)
    q, k = (np.tile(rng.standard_normal((8, 1)), (1, 6)) for _ in range(2))
    scores = rotated(q, 30.0, 1.0).T @ rotated(k, 30.0, 1.0)
    np.testing.assert_allclose(scores[1:, 1:], scores[:-1, :-1])
    np.testing.assert_allclose(rotated(rotated(q, 30.0, 1.0), 30.0, 1.0, sign=-1), q)


def test_starts_have_their_gram_matrices():
    rng = np.random.default_rng(0)
    x = Simplex(5, 0.3, std=0.5)(rng, 2, 12)
    np.testing.assert_allclose(np.swapaxes(x, 1, 2) @ x, np.tile(3 * (0.7 * np.eye(5) + 0.3), (2, 1, 1)), atol=1e-12)
    gram = np.cov(rng.standard_normal((4, 9)))
    x = GivenGram(gram)(rng, 2, 12)
    np.testing.assert_allclose(np.swapaxes(x, 1, 2) @ x, np.tile(gram, (2, 1, 1)), atol=1e-12)
    gap = measured(Simplex(4, 1 - 1e-9)(rng, 3, 12))["log_gap"]
    np.testing.assert_allclose(gap, np.log(1e-9), rtol=1e-6)


def test_repeated_words_are_drawn_from_the_first_ones():
    x = Embedded(10, words=1.0, repeat=0.55)(np.random.default_rng(0), 200, 6)
    alike = (x[:, :, :, None] == x[:, :, None, :]).all(axis=1)
    first = alike[:, :, :5]
    assert np.array_equal(first[:, :5], np.tile(np.eye(5, dtype=bool), (200, 1, 1)))
    assert np.all(first[:, 5:].sum(axis=2) == 1)
    assert np.all(abs(first[:, 5:].mean(axis=(0, 1)) - 0.2) < 4 * np.sqrt(0.16 / 1000))


def test_an_initialisation_is_that_of_the_shapes():
    network = Dense(d=6, layers=2, heads=4, head_dim=3, kv_heads=2, act="relu", width=10, depth_scaled=True)
    assert network.deviation("key") == np.sqrt(1 / 6)
    assert network.deviation("down") == pytest.approx(np.sqrt(1 / 10 / 4))
    assert replace(network, init="xavier").deviation("key") == np.sqrt(2 / (6 + 6))
    assert replace(network, init="xavier").deviation("output") == pytest.approx(np.sqrt(2 / (6 + 12) / 4))
