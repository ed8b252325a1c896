"""Wasserstein distances: closed forms, a second solver, invariance, certificates, errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from validation.distances import (
    TransportError,
    chordal,
    geodesic,
    transport,
    w1_geodesic,
    w2_chordal,
    wasserstein,
)

COSTS = [pytest.param(chordal, id="chordal"), pytest.param(geodesic, id="geodesic")]


def sphere_points(rng, n, kappa=2.0, d=3):
    """Points that lean towards the last axis."""
    points = rng.normal(size=(n, d))
    points[:, -1] += kappa
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def arc(angles):
    return np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)


# --- distances between points


@pytest.mark.parametrize("angle", [1e-9, 1e-5, 0.3, 2.0, np.pi - 1e-9, np.pi])
def test_two_point_masses_are_their_distance(angle):
    x, y = arc(np.array([0.0])), arc(np.array([angle]))
    for p in (1, 2, 3.5):
        assert wasserstein(x, y, p=p, cost=geodesic) == pytest.approx(angle, rel=1e-10)
        assert wasserstein(x, y, p=p, cost=chordal) == pytest.approx(2 * np.sin(angle / 2), rel=1e-10)


def test_names_of_the_compare_file():
    rng = np.random.default_rng(0)
    x, y = sphere_points(rng, 30), sphere_points(rng, 20)
    assert w2_chordal(x, y) == wasserstein(x, y, p=2, cost=chordal)
    assert w1_geodesic(x, y) == wasserstein(x, y, p=1, cost=geodesic)


# --- closed forms


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n", [200, 600])
def test_short_arc_is_the_sorted_coupling(cost, n):
    rng = np.random.default_rng(n)
    s, t = rng.uniform(0, 0.5, n), rng.uniform(0.2, 0.9, n)
    steps = np.sort(t) - np.sort(s)
    for p in (1.5, 2):  # a convex function of the angle for both costs: the sorted coupling is optimal
        pairs = np.abs(steps) if cost is geodesic else 2 * np.sin(np.abs(steps) / 2)
        expected = np.mean(pairs**p) ** (1 / p)
        assert wasserstein(arc(s), arc(t), p=p, cost=cost) == pytest.approx(expected, rel=1e-9)


def test_translation_in_the_plane():
    rng = np.random.default_rng(4)
    x, shift = rng.normal(size=(400, 2)), np.array([0.3, -0.7])
    assert w2_chordal(x, x + shift) == pytest.approx(np.linalg.norm(shift), rel=1e-10)


@pytest.mark.parametrize("n", [200, 700])
@pytest.mark.parametrize("kappa", [0.0, 20.0])
def test_agrees_with_assignment(n, kappa):
    rng = np.random.default_rng(n)
    x, y = sphere_points(rng, n, kappa), sphere_points(rng, n, kappa)
    for p, cost in ((2, chordal), (1, geodesic)):
        costs = cost(x, y) ** p
        rows, columns = linear_sum_assignment(costs)
        result = transport(x, y, p=p, cost=cost)
        assert result.cost == pytest.approx(costs[rows, columns].mean(), rel=1e-10)
        assert -1e-14 < result.dual_gap < 1e-11 * costs.max()


def test_far_apart_sets_take_the_dense_way():
    rng = np.random.default_rng(8)
    x, y = sphere_points(rng, 400, 3.0), sphere_points(rng, 400, 3.0)[:, [2, 0, 1]]
    costs = chordal(x, y) ** 2
    rows, columns = linear_sum_assignment(costs)
    assert transport(x, y).cost == pytest.approx(costs[rows, columns].mean(), rel=1e-12)


# --- weights


@pytest.mark.parametrize("repeats", [2, 20])
def test_weights_equal_duplicated_points(repeats):
    rng = np.random.default_rng(3)
    x, y = sphere_points(rng, 60), sphere_points(rng, 50)
    counts = rng.integers(1, repeats + 1, 60)
    weighted = w2_chordal(x, y, counts, None)
    assert weighted == pytest.approx(w2_chordal(np.repeat(x, counts, axis=0), y), rel=1e-10)
    assert weighted == pytest.approx(w2_chordal(x, y, 7.3 * counts, np.full(50, 1e-4)), rel=1e-12)


def test_weights_over_twelve_orders():
    rng = np.random.default_rng(5)
    x, y = sphere_points(rng, 500), sphere_points(rng, 500)
    result = transport(x, y, 10 ** rng.uniform(-12, 0, 500), 10 ** rng.uniform(-12, 0, 500))
    assert abs(result.dual_gap) < 4e-11
    assert w2_chordal(x, y, np.full(500, 1e308)) == pytest.approx(w2_chordal(x, y), rel=1e-12)


# --- a metric, and invariance


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n", [100, 500])
def test_distance_to_itself_is_zero(cost, n):
    rng = np.random.default_rng(n)
    x, weights = sphere_points(rng, n), rng.uniform(0.1, 1, n)
    order = rng.permutation(n)
    for p in (1, 2):
        assert wasserstein(x, x, weights, weights, p=p, cost=cost) <= 1e-7
        assert wasserstein(x, x[order], weights, weights[order], p=p, cost=cost) <= 1e-7
    assert wasserstein(np.ones((5, 3)) / np.sqrt(3), np.ones((4, 3)) / np.sqrt(3), cost=cost) == 0.0


@pytest.mark.parametrize("cost", COSTS)
def test_rotation_and_symmetry(cost):
    rng = np.random.default_rng(6)
    x, y = sphere_points(rng, 300), sphere_points(rng, 280, 4.0)
    turn = Rotation.random(random_state=1).as_matrix()
    for p in (1, 2):
        value = wasserstein(x, y, p=p, cost=cost)
        assert wasserstein(x @ turn.T, y @ turn.T, p=p, cost=cost) == pytest.approx(value, rel=1e-10)
        assert wasserstein(y, x, p=p, cost=cost) == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("cost", COSTS)
def test_triangle_inequality_and_order(cost):
    rng = np.random.default_rng(7)
    x, y, z = (sphere_points(rng, 120, kappa) for kappa in (0.0, 2.0, 6.0))
    values = {}
    for p in (1, 2, 4):
        xz, xy, yz = (wasserstein(u, v, p=p, cost=cost) for u, v in ((x, z), (x, y), (y, z)))
        assert xz <= xy + yz + 1e-12
        values[p] = xy
    assert values[1] <= values[2] <= values[4]  # Jensen


@pytest.mark.parametrize("size", [1e-9, 1e-5])
def test_collapsed_clouds_keep_their_digits(size):
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    assert w2_chordal(size * x, size * y) == pytest.approx(size * w2_chordal(x, y), rel=1e-9)


# --- errors

UNIT = np.eye(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((UNIT[0], UNIT), r"x must be points of shape \(n, d\)"),
        ((UNIT, np.zeros((0, 3))), r"y must be points of shape"),
        ((UNIT, UNIT[:, :2]), "same dimension"),
        ((UNIT * np.nan, UNIT), "x must be finite"),
        ((UNIT, UNIT, np.ones(2)), r"x_weights must have shape \(3,\)"),
        ((UNIT, UNIT, None, [1.0, 0.0, 1.0]), "y_weights must be positive"),
        ((UNIT, UNIT, [1.0, np.nan, 1.0]), "x_weights must be positive and finite"),
        ((UNIT, UNIT, [1.0, np.inf, 1.0]), "x_weights must be positive and finite"),
        ((np.zeros((8193, 3)), UNIT), "8193 points, at most 8192"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        transport(*arguments)


@pytest.mark.parametrize("p", [0.5, np.nan, np.inf])
def test_bad_order(p):
    with pytest.raises(ValueError, match="p must be finite and >= 1"):
        wasserstein(UNIT, UNIT, p=p)


def test_geodesic_refuses_points_off_the_sphere():
    with pytest.raises(ValueError, match=r"the length of y\[1\] differs"):
        w1_geodesic(UNIT, UNIT * np.array([[1.0], [1.1], [1.0]]))


@pytest.mark.parametrize("n", [100, 300])
def test_stopping_early_is_an_error(n, recwarn):
    rng = np.random.default_rng(2)
    with pytest.raises(TransportError, match="max_iterations was 5"):
        transport(sphere_points(rng, n), sphere_points(rng, n), max_iterations=5)
    assert not recwarn.list
