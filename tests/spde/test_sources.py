"""Deposits on Lebedev nodes: the bound of what they leave out, their moments, and when they are taken."""

import numpy as np
import pytest
from scipy.special import spherical_in

from particles import Cloud, VonMisesFisherMixture
from particles.harmonics import adjoint_at
from spde.sources import DEPOSIT_DEGREES, SourceChoice, _log_tail

LAW = VonMisesFisherMixture([1.0], [[0.6, 0.0, 0.8]], [2.0])


def cloud(n, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.1
    return Cloud(LAW.sample(rng, n), weights / weights.sum())


@pytest.mark.parametrize("degree", [5, 11, 23, 65])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.85])
def test_the_tail_is_bounded_and_not_by_far(degree, share):
    strength = share * (2 * degree + 1)
    degrees = np.arange(degree, degree + 400)
    with np.errstate(under="ignore"):
        tail = np.sum((2 * degrees + 1) * spherical_in(degrees, strength))
    excess = _log_tail(degree, strength) - np.log(tail)
    assert excess > -1e-12 * max(1.0, abs(np.log(tail)))
    assert excess < (2.5 if share <= 0.5 else 12)  # a factor; far out the bound is loose, and a deposit not taken


def test_tails_that_are_nothing_or_unknown():
    assert _log_tail(5, 0.0) == -np.inf
    assert _log_tail(5, 0.95 * 11) == np.inf


@pytest.mark.parametrize("degree", [5, 17, 35])
def test_a_deposit_has_the_moments_of_the_measure(degree):
    measure = cloud(3000)
    (points, weights, mirrored), variation = SourceChoice(measure, 1e-6)._deposit(degree)
    nodes, signed = np.concatenate([points, -points]), np.concatenate([weights, mirrored])
    moments = adjoint_at(signed, nodes, degree) - adjoint_at(measure.weights, measure.points, degree)
    assert np.abs(moments).max() < 1e-13
    assert variation == np.abs(signed).sum()
    assert abs(signed.sum() - 1) < 1e-13


def test_barycentres_of_deposits_are_within_the_tolerance():
    """Heads from weak to strong: a deposit is taken first, then one of more nodes, in the end the measure itself."""
    measure, x = cloud(4000), LAW.sample(np.random.default_rng(1), 40)
    choice, sizes = SourceChoice(measure, 1e-6), []
    for strength in (0.5, 2.0, 5.0, 12.0, 400.0):
        sources = choice.for_strength(strength)
        sizes.append(len(sources.points))
        if sources.mirrored is None:
            continue
        nodes = np.concatenate([sources.points, -sources.points])
        signed = np.concatenate([sources.weights, sources.mirrored])
        wanted = barycentre(x, strength, measure.points, measure.weights)
        found = barycentre(x, strength, nodes, signed)
        assert np.linalg.norm(found - wanted, axis=1).max() < 1e-6
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]
    assert sizes[-1] == len(measure.points)


def barycentre(x, strength, points, weights):
    shares = weights * np.exp(strength * (x @ points.T - 1))
    return shares @ points / shares.sum(axis=1, keepdims=True)


def test_few_points_have_no_deposit():
    few = SourceChoice(cloud(40), 1e-6)
    assert few.for_strength(0.5).mirrored is None
    assert SourceChoice(cloud(400), 1e-6).for_strength(0.5).mirrored is not None
    assert SourceChoice(cloud(20_000), 1e-6)._degrees == list(DEPOSIT_DEGREES)
