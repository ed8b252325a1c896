"""Deposits on Lebedev nodes: the bound of what they leave out, their moments, and when they are taken."""

import math

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.special import spherical_in

from particles import Cloud, VonMisesFisherMixture
from particles.harmonics import adjoint_at, degree_of, gauss_grid, mode_numbers, power
from spde.field.deposits import DEPOSIT_DEGREES, LAST, ROUNDING, RULES, SourceChoice, _bessel, _lebedev
from spde.field.sums import _covering_radius, partition_margin

LAW = VonMisesFisherMixture([1.0], [[0.6, 0.0, 0.8]], [2.0])


def cloud(n, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.1
    return Cloud(LAW.sample(rng, n), weights / weights.sum())


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("strength", [0.0, 0.1, 3.0, 12.0, 27.0])
def test_bessel_functions_are_bounded_and_not_by_far(strength):
    degrees = np.arange(LAST + 1)
    with np.errstate(under="ignore"):
        exact = spherical_in(degrees, strength)
    found = _bessel(strength)
    assert (found >= exact * (1 - 1e-12)).all()
    near = (exact > 1e-290) & (2 * degrees + 1 > strength)  # below, the bound is loose and a deposit not taken
    assert (found[near] <= 12 * exact[near]).all()


@pytest.mark.parametrize("degree", DEPOSIT_DEGREES[:14])
def test_rules_have_positive_weights_and_are_exact(degree):
    upper, area = _lebedev(degree)
    nodes = np.concatenate([upper, -upper])
    moments = adjoint_at(np.concatenate([area, area]), nodes, RULES[DEPOSIT_DEGREES.index(degree)])
    assert (area > 0).all()
    assert np.abs(moments[1:]).max() < 1e-11
    assert abs(2 * area.sum() - 4 * math.pi) < 1e-12


def test_moments_are_as_exact_as_the_bound_takes_them():
    """q of the error against sums in extended precision."""
    measures = cloud(1500), cloud(30_000), Cloud(unit([[0, 0.6, 0.8]] + 1e-2 * cloud(9000).points), cloud(9000).weights)
    for measure in measures:
        found = adjoint_at(measure.weights, measure.points, 23)
        error = found - exact_moments(measure, degree_of(found))
        q = np.sqrt(4 * np.pi * power(error) / (2 * np.arange(degree_of(found) + 1) + 1))
        assert q.max() < ROUNDING / 3


def exact_moments(measure, degree):
    """Moments int conj Y_lm dmu by recurrences of the Legendre functions in extended precision."""
    x, y, z = measure.points.T.astype(np.longdouble)
    weights = measure.weights.astype(np.longdouble)
    place = {pair: i for i, pair in enumerate(zip(*mode_numbers(degree), strict=True))}
    found = np.zeros(len(place), dtype=np.clongdouble)
    diagonal = np.full_like(x, 1 / np.sqrt(4 * np.arccos(np.longdouble(-1))))
    turn = np.ones_like(x).astype(np.clongdouble)  # (sin theta e^{-i phi})^m
    for m in range(degree + 1):
        if m:
            diagonal = -diagonal * np.sqrt(np.longdouble(2 * m + 1) / (2 * m))
            turn = turn * (x - 1j * y)
        before, now = np.zeros_like(x), diagonal
        for k in range(m, degree + 1):
            found[place[k, m]] = np.sum(weights * turn * now)
            up = np.sqrt(np.longdouble((2 * k + 1) * (2 * k + 3)) / ((k + 1) ** 2 - m * m))
            down = np.sqrt(np.longdouble(k * k - m * m) / (4 * k * k - 1)) if k else np.longdouble(0)
            before, now = now, up * (z * now - down * before)
    return found.astype(complex)


@pytest.mark.parametrize("degree", [5, 17, 35])
def test_a_deposit_has_the_moments_of_the_measure(degree):
    measure = cloud(3000)
    choice = SourceChoice(measure, 1e-6)
    (points, weights, mirrored), variation = choice._deposit(degree)
    nodes, signed = np.concatenate([points, -points]), np.concatenate([weights, mirrored])
    moments = adjoint_at(signed, nodes, degree) - adjoint_at(measure.weights, measure.points, degree)
    assert np.abs(moments).max() < 1e-13
    assert abs(variation - np.abs(signed).sum()) < 1e-14
    assert abs(signed.sum() - 1) < 1e-13
    assert abs(choice.count(degree) / len(points) - 1) < 0.1
    degrees, _, most = choice._left_out(65)
    assert 1 - 1e-14 < variation <= most[degrees.index(degree)]


def test_heads_from_weak_to_strong():
    """A deposit is taken first, then one of more nodes, in the end the measure itself."""
    measure = cloud(4000)
    choice = SourceChoice(measure, 1e-6)
    degrees = [choice.degree_for(strength) for strength in (0.0, 0.5, 2.0, 5.0, 8.0)]
    assert degrees == sorted(set(degrees))
    assert choice.degree_for(12.0) == choice.degree_for(400.0) == 0
    assert choice.sources(0) is choice.full
    assert choice.count(0) == 4000


def adversaries(rng, n):
    """Measures that deposits might get wrong: noise, clusters, antipodes, weights over orders, one harmonic."""
    noise, axis = unit(rng.standard_normal((n, 3))), np.array([0, 0.6, 0.8])
    side = rng.choice([-1.0, 1.0], n, p=[0.3, 0.7])[:, None]
    rare = np.where(np.arange(n) % 300 == 7, -1.0, 1.0)[:, None]
    order = int(rng.integers(2, 30))
    wave = 1 + np.cos(order * np.arctan2(noise[:, 1], noise[:, 0])) * (1 - noise[:, 2] ** 2) ** (order / 2)
    equal = np.ones(n)
    return [
        (noise, equal),
        (unit(axis + 10 ** rng.uniform(-3, 0) * noise), equal),
        (unit(side * axis + 10 ** rng.uniform(-4, -0.5) * noise), equal),
        (unit(rare * axis + 0.05 * noise), equal),
        (noise, 10.0 ** rng.uniform(-12, 0, n)),
        (noise, wave),
    ]


def form_of(rng, strength):
    """beta A of any shape, |beta A| = strength."""
    form = rng.standard_normal((3, 3)) @ np.diag([1.0, *rng.random(2)]) @ rng.standard_normal((3, 3))
    return strength * form / np.linalg.norm(form, 2)


def directions(rng, form, points, mean):
    """Unit vectors: anywhere, opposite to the mean token, at the tokens, where scores vary most."""
    axes = np.linalg.svd(form)[2]
    return unit(np.concatenate([rng.standard_normal((60, 3)), -mean[None], points[:20], -points[:20], axes, -axes]))


@pytest.mark.parametrize("bound", ["of Jensen", "on a grid"])
def test_no_measure_and_no_strength_leaves_the_bound(bound):
    rng, shares, strongest = np.random.default_rng(2), [], 0.0
    for n in (60, 600, 4000) * 3:
        for points, weights in adversaries(rng, n):
            measure, tolerance = Cloud(points, weights / weights.sum()), 10 ** rng.uniform(-10, -2)
            choice = SourceChoice(measure, tolerance)
            for strength in 10 ** rng.uniform(-1, 1.5, 5):
                form, margin = strength * np.eye(3), None  # all r of length b
                if bound == "on a grid":
                    form = form_of(rng, strength)
                    margin = partition_margin(form, strength, 11, choice.pairs(0))
                degree = choice.degree_for(strength, margin)
                if degree:
                    nodes, *signed = choice.sources(degree)
                    r = directions(rng, form, points, measure.weights @ points) @ form.T
                    wanted = barycentre(r, points, measure.weights)
                    found = barycentre(r, np.concatenate([nodes, -nodes]), np.concatenate(signed))
                    shares.append(np.linalg.norm(found - wanted, axis=1).max() / tolerance)
                    strongest = max(strongest, strength)
    assert len(shares) > 120
    assert 0.1 < max(shares) < 1  # the bound is sharp enough to be worth something
    assert strongest > (6 if bound == "of Jensen" else 12)


def test_the_margin_of_z_is_a_lower_bound_and_comes_close_on_finer_grids():
    rng, gaps = np.random.default_rng(3), []
    for points, weights in adversaries(rng, 500):
        measure = Cloud(points, weights / weights.sum())
        pairs = SourceChoice(measure, 1e-6).pairs(0)
        for strength in (0.0, 0.5, 5.0, 20.0, 60.0):
            form = form_of(rng, strength)
            r = directions(rng, form, points, measure.weights @ points) @ form.T
            least = (np.log(np.exp(r @ points.T) @ measure.weights) - np.linalg.norm(r, axis=1)).min()
            found = [partition_margin(form, strength, degree, pairs) for degree in (7, 31, 95)]
            assert max(found) <= least + 1e-9
            gaps.append((least - np.array(found)) / max(strength, 1e-3))
    assert (np.max(gaps, axis=0) < [0.6, 0.2, 0.06]).all()


@pytest.mark.parametrize("degree", [3, 7])
def test_the_margin_holds_between_corners(degree):
    """Corners of an octahedron: log Z is linear near each of them, and |r| is not."""
    rng, form = np.random.default_rng(5), 60 * np.eye(3)
    for _ in range(20):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        measure = Cloud(np.concatenate([turn, -turn]), np.full(6, 1 / 6))
        r = 60 * unit(np.sign(rng.standard_normal((100, 3))) @ turn + 0.1 * rng.standard_normal((100, 3)))
        least = (np.log(np.exp(r @ measure.points.T) @ measure.weights) - 60).min()
        assert partition_margin(form, 60.0, degree, SourceChoice(measure, 1e-6).pairs(0)) <= least


def test_a_deposit_under_the_margin_has_the_degree_of_the_strength_at_least():
    choice = SourceChoice(cloud(4000), 1e-2)
    assert choice.degree_for(12.0, 0.0) >= 12
    assert choice.degree_for(39.0, 0.0) in (0, 41)
    assert choice.degree_for(41.0, 0.0) == 0


@pytest.mark.parametrize("order", [8, 11, 14])
def test_aliases_of_the_last_degrees_are_counted(order):
    """A density with one harmonic, of the degree of a deposit: what the nodes hear beyond it is all that is wrong."""
    points, area = gauss_grid(60, 120)
    measure = Cloud(points, area / (4 * np.pi) * (1 + legendre.legval(points[:, 2], np.eye(order + 1)[order])))
    choice, x = SourceChoice(measure, 1e-9), unit(np.random.default_rng(6).standard_normal((200, 3)))
    for strength in (1.0, 2.0, 4.0):
        degree = choice.degree_for(strength)
        nodes, *signed = choice.sources(degree)
        wanted = barycentre(strength * x, points, measure.weights)
        found = barycentre(strength * x, np.concatenate([nodes, -nodes]), np.concatenate(signed))
        assert np.linalg.norm(found - wanted, axis=1).max() < 1e-9


def test_a_covering_radius_covers():
    rng = np.random.default_rng(4)
    x = unit(np.concatenate([rng.standard_normal((3000, 3)), [[0, 0, 1.0], [1e-3, 0, 1.0]]]))
    for degree in (7, 15):
        points, _ = gauss_grid(degree + 1, 2 * degree + 2)
        farthest = np.arccos((x @ points.T).max(axis=1)).max()
        assert farthest <= _covering_radius(degree) < 1.1 * farthest


def barycentre(r, points, weights):
    scores = r @ points.T
    shares = weights * np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares @ points / shares.sum(axis=1, keepdims=True)


def test_few_points_have_no_deposit():
    assert SourceChoice(cloud(15), 1e-6).degree_for(0.1) == 0
    assert SourceChoice(cloud(40), 1e-6).degree_for(0.5) == 0
    assert SourceChoice(cloud(400), 1e-6).degree_for(0.5) > 0
    assert SourceChoice(cloud(20_000), 1e-6)._degrees == list(DEPOSIT_DEGREES)
