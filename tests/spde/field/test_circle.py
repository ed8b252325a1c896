"""CircleField against direct sums: spread, collapsed and adversarial measures."""

from dataclasses import replace

import dense
import numpy as np
import pytest

from particles import AttentionPush, Cloud, DirectField, GaussianHeads, Linear, Softmax, Tokens, VonMisesFisherMixture
from spde import Circle, CircleField, SpectralField, default_field, spectral_field
from spde.domain.circle import equispaced

TOL = 1e-6
TARGETS = dense.nrm(np.random.default_rng(0).standard_normal((1500, 2)))


def mixture(*components, n=400):
    shares, means, kappas = zip(*components, strict=True)
    weights = VonMisesFisherMixture(shares, means, kappas).pdf(equispaced(n))
    weights /= weights.sum()
    kept = weights > 0  # as carried nodes are
    return Cloud(equispaced(n)[kept], weights[kept])


def push_of(form):
    return AttentionPush(Softmax(1.0), np.eye(2)[None], form[None], np.eye(2)[None])


def random_form(rng, size):
    form = rng.standard_normal((2, 2)) @ rng.standard_normal((2, 2))
    return size * form / np.linalg.norm(form, 2)


def tokens(seed, n, spread=None):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, 2)) if spread is None else [0, 1.0] + spread * rng.standard_normal((n, 2))
    return dense.nrm(points)


MEASURES = {
    "spread": mixture((2.0, (0, 1), 2.0), (1.0, (1, 0), 3.0)),
    "collapsed": mixture((1.0, (0.3, 1), 2000.0), n=2000),
    "two antipodal clusters": mixture((0.5, (0.6, 0.8), 60.0), (0.5, (-0.6, -0.8), 60.0)),
    "uneven antipodal clusters": mixture((1.0, (0, 1), 60.0), (1e-6, (0.1, -1), 60.0)),
    "antipodal point masses": Tokens([[0, 1.0], [0, -1.0]]),
    "point masses of weights 1 and 1e-12": Tokens([[0, 1.0], [0, -1.0]], [1.0, 1e-12]),
    "one cluster": Tokens(tokens(3, 300, 1e-3)),
    "one token": Tokens([[0.6, 0.8]]),
    "weights over twelve orders": Tokens(tokens(4, 400), 10.0 ** np.random.default_rng(4).uniform(-12, 0, 400)),
}
FORMS = {
    "I": np.eye(2),
    "-I": -np.eye(2),
    "rotation": np.array([[0.0, -1.0], [1.0, 0.0]]),
    "rank one": np.outer([0.6, 0.8], [0.6, 0.8]),
    "nilpotent": np.outer([0.6, 0.8], [-0.8, 0.6]),
    "random": random_form(np.random.default_rng(5), 1.0),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("form", FORMS)
def test_never_a_wrong_number(name, form):
    """V = I, so the error of the field is that of the barycentre; at targets, at the points and at their antipodes."""
    measure, push = MEASURES[name], push_of(FORMS[form])
    points = np.concatenate([TARGETS[:300], measure.points[:100], -measure.points[:100]])
    for beta in (0.0, 0.5, 2.0, 5.0, 14.0, 20.0, 100.0, 1e4):
        want = DirectField(replace(push, kernel=Softmax(beta)), measure)(points)
        for n_targets in (100, 20_000):
            field = CircleField(replace(push, kernel=Softmax(beta)), measure, n_targets)
            error = np.abs(field(points) - want).max()
            assert error < TOL, (beta, n_targets, error, field.degree)


def test_the_degrees_are_those_heads_need():
    """Spectral, not direct, and small where little is needed; strengths beyond 300 are summed directly."""
    rng = np.random.default_rng(1)
    for strength, least, most in [(0.0, 1, 2), (1.0, 7, 17), (3.0, 13, 32), (10.0, 30, 100)]:
        field = CircleField(push_of(random_form(rng, strength)), MEASURES["spread"], 20_000)
        assert least <= field.degree <= most, (strength, field.degree)
    assert CircleField(replace(push_of(np.eye(2)), kernel=Softmax(400.0)), MEASURES["spread"], 20_000).degree == 0
    assert CircleField(push_of(np.eye(2)), MEASURES["spread"], 10).degree == 0


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_the_tolerance_is_kept_and_not_wasted(tol):
    rng = np.random.default_rng(2)
    for _ in range(6):
        push = push_of(random_form(rng, 4.0))
        field = CircleField(push, MEASURES["spread"], 20_000, tol=tol)
        error = np.abs(field(TARGETS) - DirectField(push, MEASURES["spread"])(TARGETS)).max()
        assert 1e-3 * tol < error < tol
        assert 0 < field.tail < tol


def test_heads_are_mixed_and_the_grid_gets_the_same_field():
    rng, circle = np.random.default_rng(7), Circle(31)
    heads = GaussianHeads(2, 0.7, 2**-0.5, 2).sample(rng, 5)
    for beta in (2.0, 12.0, 150.0):  # all spectral, degrees beyond the grid's, some direct
        push = AttentionPush(Softmax(beta), heads.value, heads.query, heads.key)
        field = CircleField(push, MEASURES["spread"], 1000)
        want = DirectField(push, MEASURES["spread"])(circle.points)
        assert np.abs(field(circle.points) - want).max() < 5 * TOL
        assert np.abs(field.on_grid(circle) - field(circle.points)).max() < 1e-11
    assert (field.degrees == 0).any()
    assert (field.degrees > 0).any()


def test_factories_choose_by_dimension_and_kernel():
    measure = Tokens(tokens(0, 50))
    assert isinstance(default_field(push_of(np.eye(2)), measure, 100), CircleField)
    assert isinstance(spectral_field(1e-3)(push_of(np.eye(2)), measure, 100), CircleField)
    linear = replace(push_of(np.eye(2)), kernel=Linear())
    assert isinstance(default_field(linear, measure, 100), DirectField)
    for d, kind in ((3, SpectralField), (4, DirectField)):
        push = AttentionPush(Softmax(1.0), *(np.eye(d)[None] for _ in range(3)))
        assert isinstance(default_field(push, Tokens(np.eye(d)), 100), kind)


def test_bad_arguments_are_refused():
    measure, push = Tokens(tokens(0, 5)), push_of(np.eye(2))
    with pytest.raises(TypeError, match="needs softmax or L2 attention, got Linear"):
        CircleField(replace(push, kernel=Linear()), measure, 10)
    with pytest.raises(ValueError, match="tol must lie in"):
        CircleField(push, measure, 10, tol=float("nan"))
    with pytest.raises(ValueError, match=r"CircleField lives on S\^1 \(d = 2\), got d = 3"):
        CircleField(AttentionPush(Softmax(1.0), *(np.eye(3)[None] for _ in range(3))), Tokens(np.eye(3)), 10)
    broken = CircleField(push_of(np.full((2, 2), np.nan)), measure, 20_000)
    assert np.isnan(broken(TARGETS[:3])).all()  # carried on to where the run is stopped


def test_slopes_are_those_of_the_direct_sums():
    """DU along the circle, at the tolerance times the degree; a head summed directly among series takes part."""
    rng = np.random.default_rng(5)
    measure = mixture((1.0, [1.0, 0.3], 2.0), (0.5, [-0.4, 0.9], 5.0))
    push = AttentionPush(Softmax(1.0), *rng.standard_normal((3, 4, 2, 2)))
    x = dense.nrm(rng.standard_normal((50, 2)))
    along = np.stack([-x[:, 1], x[:, 0]], axis=1)
    want = np.einsum("nij,nj->ni", DirectField(push, measure).jacobian(x), along)
    for tol in (1e-6, 1e-9):
        field = CircleField(push, measure, 20_000, tol)
        assert field.degree > 0
        found = np.einsum("nij,nj->ni", field.jacobian(x), along)
        assert np.abs(found - want).max() < 10 * tol * field.degree
    assert np.abs(want).max() > 0.1
