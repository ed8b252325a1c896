"""SpectralField against direct sums: spread, collapsed and adversarial measures."""

from dataclasses import replace

import dense
import numpy as np
import pytest

from particles import AttentionPush, Cloud, DirectField, GaussianHeads, Linear, Softmax, Tokens, VonMisesFisherMixture
from particles.harmonics import gauss_grid
from spde import SpectralField, Sphere
from spde.field.deposits import SourceChoice

TOL = 1e-6
TARGETS = dense.nrm(np.random.default_rng(0).standard_normal((1500, 3)))


def mixture(*components, carried=(24, 48)):
    points, area = gauss_grid(*carried)
    shares, means, kappas = zip(*components, strict=True)
    weights = area * VonMisesFisherMixture(shares, means, kappas).pdf(points)
    return Cloud(points, weights / weights.sum())


MEASURES = {
    "spread": mixture((2.0, (0, 0, 1), 2.0), (1.0, (1, 0, 0), 3.0)),
    "collapsed": mixture((1.0, (0.3, -0.2, 1), 310.0), carried=(96, 192)),  # maximum 49
    "two antipodal clusters": mixture((0.5, (0, 0.6, 0.8), 60.0), (0.5, (0, -0.6, -0.8), 60.0), carried=(48, 96)),
    "uneven antipodal clusters": mixture((1.0, (0, 0, 1), 60.0), (1e-6, (0, 0.1, -1), 60.0), carried=(48, 96)),
}


def push_of(form, mixing=None):
    mixing = np.eye(3) if mixing is None else mixing
    return AttentionPush(Softmax(1.0), mixing[None], form[None], np.eye(3)[None])


def random_form(rng, size):
    form = rng.standard_normal((3, 3)) @ rng.standard_normal((3, 3))
    return size * form / np.linalg.norm(form, 2)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0, 5.0, 10.0, 20.0])
def test_equals_direct_sums(name, strength):
    """One head of beta |A| = strength, V = I, so the error of the field is that of the barycentre."""
    rng, measure = np.random.default_rng(int(10 * strength)), MEASURES[name]
    forms = [random_form(rng, strength), random_form(rng, strength), strength * np.eye(3), -strength * np.eye(3)]
    for form in forms:
        field = SpectralField(push_of(form), measure, 20_000)
        error = np.abs(field(TARGETS) - DirectField(push_of(form), measure)(TARGETS)).max()
        assert error < TOL, (error, field.degree)


def test_the_degrees_are_those_heads_need():
    """Spectral, not direct, up to beta |A| = 10 on spread measures, and small where little is needed."""
    rng = np.random.default_rng(1)
    for strength, least, most in [(1.0, 7, 15), (3.0, 13, 25), (10.0, 35, 75)]:
        field = SpectralField(push_of(random_form(rng, strength)), MEASURES["spread"], 20_000)
        assert least <= field.degree <= most


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_the_tolerance_is_kept_and_not_wasted(tol):
    rng = np.random.default_rng(2)
    for _ in range(6):
        push = push_of(random_form(rng, 4.0))
        field = SpectralField(push, MEASURES["spread"], 20_000, tol=tol)
        error = np.abs(field(TARGETS) - DirectField(push, MEASURES["spread"])(TARGETS)).max()
        assert 1e-5 * tol < error < tol


def one_cluster(spread=1e-3, n=300):
    rng = np.random.default_rng(3)
    points = dense.nrm(np.array([0, 0, 1.0]) + spread * rng.standard_normal((n, 3)))
    return Tokens(points)


def weights_over_twelve_orders():
    rng = np.random.default_rng(4)
    points = dense.nrm(rng.standard_normal((400, 3)))
    return Tokens(points, 10.0 ** rng.uniform(-12, 0, 400))


ADVERSARIES = {
    "A = -I": (MEASURES["spread"], -np.eye(3)),
    "antipodal point masses": (Tokens([[0, 0, 1.0], [0, 0, -1.0]]), np.eye(3)),
    "point masses of weights 1 and 1e-12": (Tokens([[0, 0, 1.0], [0, 0, -1.0]], [1.0, 1e-12]), np.eye(3)),
    "one cluster, also at its antipode": (one_cluster(), np.eye(3)),
    "one token": (Tokens([[0.6, 0, 0.8]]), np.eye(3)),
    "weights over twelve orders": (weights_over_twelve_orders(), np.eye(3)),
    "rank one": (MEASURES["two antipodal clusters"], np.outer([0, 0.6, 0.8], [0, 0.6, 0.8])),
    "nilpotent": (MEASURES["two antipodal clusters"], np.outer([0, 0.6, 0.8], [1.0, 0, 0])),
}


@pytest.mark.parametrize("name", ADVERSARIES)
@pytest.mark.parametrize("beta", [1.0, 5.0, 14.0, 20.0, 100.0, 1e4])
@pytest.mark.parametrize("n_targets", [100, 20_000])
def test_never_a_wrong_number(name, beta, n_targets):
    measure, form = ADVERSARIES[name]
    push = push_of(form)
    field = SpectralField(replace(push, kernel=Softmax(beta)), measure, n_targets)
    points = np.concatenate([TARGETS, measure.points[:200], -measure.points[:200]])
    error = np.abs(field(points) - DirectField(replace(push, kernel=Softmax(beta)), measure)(points)).max()
    assert error < TOL


def test_collapsed_measures_keep_their_positive_points():
    choice = SourceChoice(MEASURES["collapsed"], 1e-7)
    assert choice.degree_for(2.0) > 0
    assert choice.degree_for(20.0) == 0


def test_a_large_cloud_costs_no_more_than_a_small_one_and_is_right():
    rng = np.random.default_rng(6)
    cloud = Tokens(VonMisesFisherMixture([1.0], [[0, 1.0, 1.0]], [1.0]).sample(rng, 40_000))
    heads = GaussianHeads(3, 0.5, 3**-0.5, 3).sample(rng, 3)
    push = AttentionPush(Softmax(2.0), heads.value, heads.query, heads.key)
    field = SpectralField(push, cloud, len(cloud))
    assert (field.degrees > 0).all()
    some = cloud.points[:300]
    assert np.abs(field(some) - DirectField(push, cloud)(some)).max() < TOL


def test_the_grid_gets_the_same_field():
    rng, sphere = np.random.default_rng(7), Sphere(31)
    heads = GaussianHeads(3, 0.5, 3**-0.5, 3).sample(rng, 4)
    for beta in (2.0, 12.0, 60.0):  # all spectral, degrees beyond the grid's, some direct
        push = AttentionPush(Softmax(beta), heads.value, heads.query, heads.key)
        field = SpectralField(push, MEASURES["spread"], 6000)
        assert np.abs(field.on_grid(sphere) - field(sphere.points)).max() < 1e-10


def test_wrong_use_is_refused():
    measure = MEASURES["spread"]
    with pytest.raises(TypeError, match="softmax"):
        SpectralField(replace(push_of(np.eye(3)), kernel=Linear()), measure, 10)
    with pytest.raises(ValueError, match="tol must lie"):
        SpectralField(push_of(np.eye(3)), measure, 10, tol=float("nan"))
    push = AttentionPush(Softmax(1.0), np.eye(4)[None], np.eye(4)[None], np.eye(4)[None])
    with pytest.raises(ValueError, match="d = 3"):
        SpectralField(push, Tokens(np.eye(4)), 10)


@pytest.mark.parametrize("degree", [9, 63, 64, 81])
def test_series_of_grid_values_on_both_sides_of_the_tables(degree):
    """Products with tables up to degree 63, transforms beyond: values on the grid go back to their coefficients."""
    from particles.harmonics import gauss_grid, mode_numbers, synthesis_at
    from spde.domain.tables import by_mode
    from spde.field.heads import _analysis

    rng, (degrees, orders) = np.random.default_rng(degree), mode_numbers(degree)
    a = (rng.standard_normal((3, len(degrees))) + 1j * rng.standard_normal((3, len(degrees)))) / (1 + degrees)
    a[:, orders == 0] = a[:, orders == 0].real
    points, _ = gauss_grid(degree + 1, 2 * degree + 2)
    values = np.stack([synthesis_at(one, points) for one in a]).reshape(3, degree + 1, 2 * degree + 2)
    assert np.abs(by_mode(_analysis(values)) - a).max() < 1e-12
