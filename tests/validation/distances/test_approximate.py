"""Distances beyond exact transport: closed forms, bounds by the exact one, and laws of random measures."""

import numpy as np
import pytest

from particles import Cloud, Uniform, VonMisesFisherMixture
from spde import Density, Sphere
from validation.distances import (
    TransportError,
    coefficients_of,
    nested,
    sampling_floor,
    sinkhorn_divergence,
    sliced_w2,
    sobolev,
    sobolev_floor,
    transport,
    w1_geodesic,
    w2_chordal,
)


def cloud(points, weights=None):
    points = np.asarray(points, dtype=float)
    return Cloud(points, np.full(len(points), 1 / len(points)) if weights is None else np.asarray(weights))


def test_sliced_distance_of_a_translation():
    """SW_2 = |v|/sqrt(d) for a translation by v: E <u, v>^2 = |v|^2/d."""
    x, v = np.random.default_rng(0).standard_normal((500, 4)), np.array([0.3, 0.0, -0.4, 0.0])
    found = sliced_w2(cloud(x), cloud(x + v), n_projections=2000)
    assert abs(found.value - 0.25) < 4 * found.error
    assert found.error < 0.01


def test_sliced_distance_is_below_the_exact_one_and_takes_weights():
    rng = np.random.default_rng(1)
    x, y = Uniform(3).sample(rng, 300), VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [3.0]).sample(rng, 200)
    found = sliced_w2(cloud(x), cloud(y))
    assert 0.2 < found.value < w2_chordal(x, y)
    doubled = sliced_w2(cloud(np.concatenate([x, x[:50]])), cloud(y))
    weights = np.ones(300)
    weights[:50] = 2
    assert sliced_w2(cloud(x, weights / 350), cloud(y)).value == pytest.approx(doubled.value, abs=1e-12)
    assert sliced_w2(cloud(x), cloud(x)).value == pytest.approx(0, abs=1e-15)


def test_sobolev_norm_of_two_point_masses():
    """sum_l (2l+1)/(4 pi) (1+l(l+1))^-s 2 (1 - P_l(cos angle)): the addition theorem."""
    angle, degree = 0.7, 60
    x, y = [[0, 0, 1.0]], [[np.sin(angle), 0, np.cos(angle)]]
    l_ = np.arange(degree + 1)
    legendre = np.polynomial.legendre.legval(np.cos(angle), np.eye(degree + 1))
    for s in (1.5, 2.0):
        want = np.sqrt(np.sum((2 * l_ + 1) / (4 * np.pi) * (1 + l_ * (l_ + 1.0)) ** -s * 2 * (1 - legendre)))
        found = sobolev(coefficients_of(cloud(x), degree), coefficients_of(cloud(y), degree), s=s)
        assert found == pytest.approx(want, rel=1e-11)
        longer = sobolev(coefficients_of(cloud(x), 400), coefficients_of(cloud(y), 400), s=s)
        tail = np.sqrt((1 + degree * (degree + 1.0)) ** (1 - s) / (np.pi * (s - 1)))  # the bound that sobolev gives
        assert 0 < np.sqrt(longer**2 - found**2) < tail


def test_sobolev_norm_of_tokens_falls_like_one_over_root_n():
    """E |mu^n - mu|^2 = (1/n) sum_l (1+l(l+1))^-s ((2l+1)/(4 pi) - |mu_l|^2): exact, for the uniform law."""
    degree, l_ = 20, np.arange(1, 21)
    density = Density.from_law(Uniform(3), Sphere(degree))
    want = np.sum((2 * l_ + 1) / (4 * np.pi) * (1 + l_ * (l_ + 1.0)) ** -2.0)
    for n in (100, 1600):
        clouds = [cloud(Uniform(3).sample(np.random.default_rng(k), n)) for k in range(60)]
        squares = [sobolev(coefficients_of(one, degree), density.coefficients) ** 2 for one in clouds]
        assert abs(n * np.mean(squares) - want) < 4 * n * np.std(squares) / np.sqrt(60)
        assert abs(n * np.mean(squares) - 2 * want) > 8 * n * np.std(squares) / np.sqrt(60)


def test_sinkhorn_divergence_tends_to_the_exact_cost_and_vanishes_for_equal_measures():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) + np.array([1.0, 0, 0])
    exact = transport(x, y).cost
    gaps = [abs(sinkhorn_divergence(cloud(x), cloud(y), r) - exact) for r in (2.0, 0.5)]
    assert gaps[1] < 0.1 * exact
    assert gaps[1] < gaps[0]
    assert abs(sinkhorn_divergence(cloud(x), cloud(x), 0.5)) < 1e-7
    with pytest.raises(TransportError, match=r"regularisation 0\.01: Sinkhorn did not converge"):
        sinkhorn_divergence(cloud(x), cloud(y), 0.01, max_iterations=50)


def test_nested_distance_sees_common_noise():
    """Point masses at random places: the nested distance is W_2 between the laws of the places."""
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((40, 1)), rng.standard_normal((40, 1)) + 2
    sets = [[np.array([[v]]) for v in side[:, 0]] for side in (first, second)]
    want = np.sqrt(np.mean((np.sort(first[:, 0]) - np.sort(second[:, 0])) ** 2))
    assert nested(*sets).value == pytest.approx(want, rel=1e-12)
    assert nested(sets[0], sets[0][::-1]).value == 0
    # the mean measures agree, the laws of the measures do not
    frozen = [rng.standard_normal((60, 1)) for _ in range(20)]
    moving = [np.full((60, 1), v) for v in rng.standard_normal(20)]
    found = nested(frozen, moving)
    assert found.value > 0.7
    assert found.p_value < 0.01
    assert found.value > 1.5 * found.floor


def test_nested_distance_of_equal_laws_is_at_its_floor():
    """Measures of 20 points around random centres: the value is far from 0, value^2 - floor^2 is not."""
    found = []
    for k in range(40):
        rng = np.random.default_rng(k)
        sets = [[c + 0.7 * rng.standard_normal((20, 1)) for c in rng.standard_normal(10)] for _ in (0, 1)]
        found.append(nested(*sets, relabellings=30))
    assert min(one.value for one in found) > 0.2
    excess = np.array([one.excess for one in found])
    assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(found))
    assert excess.std() / np.sqrt(len(found)) < 0.1 * np.mean([one.value**2 for one in found])  # power
    assert 0.2 < np.mean([one.p_value for one in found]) < 0.8


def test_every_distance_of_samples_has_its_floor():
    def sample(rng, n):
        return Uniform(3).sample(rng, n)

    for distance in (w1_geodesic, lambda x, y: sliced_w2(cloud(x), cloud(y)).value):
        floor = sampling_floor(sample, 60, distance=distance)
        again = [distance(*(sample(np.random.default_rng(100 + 2 * k + j), 60) for j in (0, 1))) for k in range(8)]
        assert floor.value > 8 * floor.error
        assert abs(floor.value - np.mean(again)) < 4 * np.hypot(floor.error, np.std(again) / np.sqrt(8))


def test_the_floor_of_the_sobolev_norm_is_exact():
    law = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [2.0])
    density, n = Density.from_law(law, Sphere(16)).coefficients, 50
    clouds = [coefficients_of(cloud(law.sample(np.random.default_rng(k), n)), 16) for k in range(200)]
    squares = np.array([sobolev(one, density) ** 2 for one in clouds])
    want = sobolev_floor(density, n) ** 2
    assert abs(squares.mean() - want) < 4 * squares.std() / np.sqrt(200)
    assert abs(squares.mean() - sobolev_floor(0 * density, n) ** 2) > 4 * squares.std() / np.sqrt(200)


def test_sampling_floor_falls_with_the_number_of_points():
    sample = lambda rng, n: Uniform(3).sample(rng, n)  # noqa: E731
    small, large = (sampling_floor(sample, n, replicas=6) for n in (50, 800))
    assert 0.2 < large.value / small.value < 0.45
    assert large.error < 0.1 * large.value


def test_wrong_input_is_refused():
    x = cloud(np.eye(3))
    for call, text in (
        (lambda: sliced_w2(x, cloud(np.eye(2))), "same dimension, got 3 and 2"),
        (lambda: sliced_w2(x, x, n_projections=1), "n_projections must be an integer >= 2"),
        (lambda: coefficients_of(cloud(np.eye(2)), 5), r"d = 3\), got d = 2"),
        (lambda: sinkhorn_divergence(x, x, 0.0), "regularisation must be positive"),
        (lambda: nested([np.eye(3)], []), "equally many replicas"),
        (lambda: nested([np.eye(3)], [np.eye(3)], relabellings=0), "relabellings must be an integer >= 1"),
        (lambda: sobolev_floor(np.zeros(3, dtype=complex), 0), "n must be an integer >= 1"),
        (lambda: sampling_floor(lambda rng, n: np.eye(3), 3, replicas=1), "replicas must be an integer >= 2"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
