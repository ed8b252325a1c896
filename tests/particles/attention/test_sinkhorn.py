"""Sinkhorn attention: bistochastic kernels, closed forms, Gaussians, and what does not converge."""

import numpy as np
import pytest

from particles import Cloud
from particles.arrays import ConvergenceError
from particles.attention import sinkhorn as module
from particles.attention.sinkhorn import Sinkhorn

EYE = np.eye(2)


def cloud(rng, n, d, orders=0.0):
    weights = (rng.random(n) + 0.1) * 10.0 ** rng.uniform(-orders, 0, n)
    return Cloud(rng.standard_normal((n, d)), weights / weights.sum())


def marginals(kernel, measure, query, key):
    """Row and column integrals of k = u v e^{beta <Ax, y>}, u from the barycentres' own normalisation, all in logs."""
    scores = kernel.beta * (measure.points @ query.T) @ (measure.points @ key.T).T
    log_w = np.log(measure.weights)
    log_k = scores + kernel.potential(measure, query, key)
    log_k -= np.logaddexp.reduce(log_k + log_w, axis=1)[:, None]
    return np.exp(np.logaddexp.reduce(log_k + log_w[:, None], axis=0)), np.exp(log_k)


@pytest.mark.parametrize(("beta", "orders"), [(0.0, 0), (0.5, 0), (2.0, 0), (20.0, 0), (2.0, 200), (8.0, 200)])
def test_kernels_are_bistochastic_and_their_averages_are_returned(beta, orders):
    rng = np.random.default_rng(0)
    measure, kernel = cloud(rng, 150, 3, orders), Sinkhorn(beta)
    query, key = rng.standard_normal((2, 2, 3)) * 0.6
    columns, matrix = marginals(kernel, measure, query, key)
    assert np.abs(columns - 1).max() < 2e-10
    found = kernel.barycenter(measure.points, measure, query, key)
    assert np.abs(found - beta * (matrix * measure.weights) @ measure.points).max() < 1e-11 * max(beta, 1)


def test_two_tokens_in_closed_form():
    """Equal weights: k = 2 [[p, 1-p], [1-p, p]], log p/(1-p) = (s_11 + s_22 - s_12 - s_21)/2; factor beta = 1/eps_s."""
    y, beta = np.array([[1.0, 0.5], [-0.25, 2.0]]), 0.6
    query, key = np.array([[0.3, -1.0]]), np.array([[0.8, 0.4]])
    s = beta * (y @ query.T) @ (y @ key.T).T
    p = 1 / (1 + np.exp(-(s[0, 0] + s[1, 1] - s[0, 1] - s[1, 0]) / 2))
    found = Sinkhorn(beta).barycenter(y, Cloud(y, np.array([0.5, 0.5])), query, key)
    assert np.abs(found - beta * np.array([p * y[0] + (1 - p) * y[1], (1 - p) * y[0] + p * y[1]])).max() < 1e-10


def test_one_token_and_infinite_temperature():
    one = Cloud(np.array([[3.0, -1.0]]), np.ones(1))
    assert np.abs(Sinkhorn(0.5).barycenter(one.points, one, EYE, EYE) - 0.5 * one.points).max() < 1e-14
    measure = cloud(np.random.default_rng(2), 10, 2)
    assert not Sinkhorn(0.0).barycenter(measure.points, measure, EYE, EYE).any()


def test_other_points_see_what_a_token_of_no_weight_would_see():
    rng = np.random.default_rng(4)
    measure, kernel, extra = cloud(rng, 30, 2), Sinkhorn(1.0), np.array([[0.7, -1.1]])
    query, key = rng.standard_normal((2, 2, 2))
    more = Cloud(np.concatenate([measure.points, extra]), np.append(measure.weights, 1e-13))
    want = kernel.barycenter(more.points, more, query, key)[-1]
    assert np.abs(kernel.barycenter(extra, measure, query, key)[0] - want).max() < 1e-8


def test_kernels_that_are_not_stored_give_the_same(monkeypatch):
    rng = np.random.default_rng(5)
    measure = cloud(rng, 120, 3)
    query, key = rng.standard_normal((2, 3, 3))
    stored = Sinkhorn(2.0).barycenter(measure.points, measure, query, key)
    monkeypatch.setattr(module, "STORED", 0)
    monkeypatch.setattr(module, "ROWS", 1000)
    assert np.abs(Sinkhorn(2.0).barycenter(measure.points, measure, query, key) - stored).max() < 1e-9


@pytest.mark.parametrize("beta", [30.0, 1e3, 1e5])
def test_low_temperature_is_right_or_refused(beta):
    """Never a wrong number and no overflow: log v ranges far beyond what exp holds, and is absorbed."""
    rng = np.random.default_rng(6)
    measure, kernel = cloud(rng, 12, 2), Sinkhorn(beta)
    try:
        columns, _ = marginals(kernel, measure, EYE, EYE)
    except ConvergenceError:
        assert beta > 30
    else:
        assert np.abs(columns - 1).max() < 1e-10 + 1e-14 * beta  # the scores are rounded, too
    two = Cloud(EYE, np.array([0.5, 0.5]))
    assert np.abs(kernel.barycenter(EYE, two, EYE, EYE) - beta * EYE).max() < beta * 1e-10


def test_too_few_iterations_are_an_error():
    measure = cloud(np.random.default_rng(7), 50, 2)
    text = "Sinkhorn attention at beta = 3 has marginals off by .* after 4 iterations, 1e-10 is allowed"
    with pytest.raises(ConvergenceError, match=text):
        Sinkhorn(3.0, iterations=4).potential(measure, EYE, EYE)
    with pytest.raises(ConvergenceError, match="scores that are not finite"):
        Sinkhorn(1.0).potential(measure, EYE * np.nan, EYE)


def test_bad_parameters_are_refused():
    for tolerance in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="tolerance must lie in"):
            Sinkhorn(1.0, tolerance=tolerance)
    for iterations in (0, True, np.nan):
        with pytest.raises(ValueError, match="iterations must be an integer >= 1"):
            Sinkhorn(1.0, iterations=iterations)
