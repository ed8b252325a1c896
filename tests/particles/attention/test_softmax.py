"""Softmax and linear attention against a dense computation, and against overflow."""

import tracemalloc

import dense
import numpy as np
import pytest

from particles import AttentionPush, Cloud, DirectField, GaussianHeads, Linear, Softmax, Tokens, Uniform


def cloud(rng, n, d):
    weights = rng.random(n) + 0.1
    return Cloud(dense.nrm(rng.standard_normal((n, d))), weights / weights.sum())


@pytest.mark.parametrize(("d", "head_dim", "n", "beta"), [(3, 3, 50, 2.0), (24, 12, 300, 4.0), (2, 1, 2000, 30.0)])
def test_barycenters_equal_dense_ones(d, head_dim, n, beta):
    rng = np.random.default_rng(0)
    measure, points = cloud(rng, n, d), dense.nrm(rng.standard_normal((70, d)))
    query, key = rng.standard_normal((2, 3, head_dim, d))
    for one_query, one_key in zip(query, key, strict=True):
        got = Softmax(beta).barycenter(points, measure, one_query, one_key)
        assert np.abs(got - dense.barycenters(points, *measure, beta, one_key.T @ one_query)).max() < 1e-12


@pytest.mark.parametrize("beta", [0.0, 1e-3, 299.0, 301.0, 1e6])
def test_any_temperature_is_finite_and_in_the_unit_ball(beta):
    rng = np.random.default_rng(1)
    measure, eye = cloud(rng, 3000, 3), np.eye(3)
    found = Softmax(beta).barycenter(measure.points, measure, eye, eye)
    assert np.linalg.norm(found, axis=1).max() <= 1 + 1e-12
    want = dense.barycenters(measure.points, *measure, beta, eye)
    assert np.abs(found - want).max() < 1e-9


def test_weights_over_many_orders_do_not_vanish_at_low_temperature():
    points = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    measure = Cloud(points, np.array([1e-200, 1.0]))
    found = Softmax(400.0).barycenter(points, measure, np.eye(3), np.eye(3))
    # log odds at x = e_1: log(1e-200) + 800 > 300, so the light point wins there
    assert np.allclose(found, points, atol=1e-12)


def test_linear_attention_is_the_second_moment_times_the_form():
    rng = np.random.default_rng(3)
    measure = cloud(rng, 30, 4)
    query, key = rng.standard_normal((2, 2, 4))
    points = dense.nrm(rng.standard_normal((5, 4)))
    sigma = (measure.points * measure.weights[:, None]).T @ measure.points
    want = points @ (sigma @ key.T @ query).T
    assert np.abs(Linear().barycenter(points, measure, query, key) - want).max() < 1e-14
    scores = (points @ query.T) @ (measure.points @ key.T).T
    assert np.abs((scores * measure.weights) @ measure.points - want).max() < 1e-14


def test_memory_stays_bounded():
    """4,096 tokens, 8 heads, d = 64 in under 1 GB (a dense score matrix of all heads alone is 1.07 GB)."""
    rng = np.random.default_rng(4)
    tokens = Tokens(Uniform(64).sample(rng, 4096))
    heads = GaussianHeads(64, 0.125, 0.125, 64).sample(rng, 8)
    field = DirectField(AttentionPush(Softmax(1.0), heads.value, heads.query, heads.key), tokens)
    tracemalloc.start()
    field(tokens.points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8


@pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf])
def test_bad_temperatures_are_refused(beta):
    with pytest.raises(ValueError, match="beta must be finite and >= 0"):
        Softmax(beta)
