"""Simplex of tokens and the mean overlap: drifts against actual tokens, quadrature, and an independent program."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from particles import Cloud, GaussianHeads, Softmax, Tokens
from particles.reduced import (
    Simplex,
    TwoTokens,
    logistic_overlap,
    mean_overlap_drift,
    mean_overlap_variance,
    overlap_drift,
)
from tests.particles.reduced.moments import assert_mean, one_step, pair

ORACLE = [(0.3, 3.0, 8**-0.25, 0.21745, 6e-5), (0.3, 3.0, 8**-0.5, 0.23319, 2e-5), (0.7, 10.0, 8**-0.25, 0.12593, 5e-5),
          (0.7, 10.0, 8**-0.5, 0.14511, 2e-5)]  # fmt: skip


@pytest.mark.parametrize(("overlap", "beta", "sigma_a", "want", "error"), ORACLE)
def test_drifts_of_an_independent_program(overlap, beta, sigma_a, want, error):
    """d = head_dim = 8, n = 4; where no error was stated two units of the last digit are taken."""
    found = Simplex(8, 4, beta, sigma_a, 8, overlap).statistics(samples=400_000, seed=1)
    drift = found.drift_finite_d
    assert abs(drift.value - want) < 4 * math.hypot(drift.standard_error, error)
    assert drift.standard_error < 3e-4
    assert abs(found.drift_infinite_d.value - want) > 20 * drift.standard_error  # the limit is another number


def simplex_points(d, n, overlap):
    gram = overlap + (1 - overlap) * np.eye(n)
    values, basis = np.linalg.eigh(gram)
    points = np.zeros((n, d))
    points[:, :n] = basis * np.sqrt(np.maximum(values, 0.0))
    return points


def mean_of_overlaps(points):
    n = len(points)
    return (np.sum(points.sum(axis=0) ** 2) - n) / (n * (n - 1))


@pytest.mark.parametrize(("overlap", "head_dim"), [(0.2, 8), (-0.2, 2)])
def test_drift_equals_one_step_of_actual_tokens(overlap, head_dim):
    d, n, beta, sigma_a = 8, 5, 2.0, 0.6
    found = Simplex(d, n, beta, sigma_a, head_dim, overlap).statistics(samples=300_000, seed=2)
    heads = GaussianHeads(d, d**-0.5, sigma_a, head_dim)
    drift, _ = one_step(simplex_points(d, n, overlap), heads, Softmax(beta), mean_of_overlaps, members=4000)
    assert_mean(drift, found.drift_finite_d.value, power=0.25)


def test_statistics_equal_drawn_matrices():
    """f, h and the standard errors against attention weights of full A = W W'^T."""
    d, n, beta, sigma_a, k, overlap, size = 6, 5, 3.0, 0.6, 1, 0.4, 60_000
    points = simplex_points(d, n, overlap)
    query, key = GaussianHeads(d, 1.0, sigma_a, k).sample_query_key(np.random.default_rng(3), size)
    logits = beta * np.einsum("hki,ti,hkj,uj->htu", query, points[:2], key, points, optimize=True)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    found = Simplex(d, n, beta, sigma_a, k, overlap).statistics(samples=size, seed=4)
    drift = overlap_drift(d, overlap, *(overlap + (1 - overlap) * x for x in (
        np.sum(weights[:, 0] * weights[:, 1], axis=1), *np.moveaxis(np.sum(weights**2, axis=2), 1, 0))))  # fmt: skip
    square, cross = 0.5 * np.sum(weights**2, axis=(1, 2)), np.sum(weights[:, 0] * weights[:, 1], axis=1)
    for sample, estimate in ((square, found.f), (cross, found.h), (drift, found.drift_finite_d)):
        error = sample.std() / math.sqrt(size)
        assert abs(sample.mean() - estimate.value) < 4 * math.hypot(error, estimate.standard_error)
        assert abs(estimate.standard_error / error - 1) < 0.05


def test_two_tokens_are_a_simplex_of_two():
    """Quadrature against Monte Carlo."""
    for d, k, overlap in ((3, 3, -0.5), (6, 1, 0.4)):
        found = Simplex(d, 2, 2.0, 0.9, k, overlap).statistics(samples=200_000)
        law = TwoTokens(d, 2.0, 0.9, k)
        s_11, s_12 = law.overlaps_of_barycentres(overlap)
        for estimate, s in ((found.f, s_11), (found.h, s_12)):
            assert abs(estimate.value - (float(s) - overlap) / (1 - overlap)) < 4 * estimate.standard_error
        drift = found.drift_finite_d
        assert abs(drift.value - float(law.drift(overlap))) < 4 * drift.standard_error


def test_where_nothing_is_random():
    still = Simplex(7, 4, 0.0, 1.0, 3, 0.3).statistics(samples=10)
    assert abs(still.f.value - 0.25) < 1e-15
    assert abs(still.h.value - 0.25) < 1e-15
    s = 0.3 + 0.7 * 0.25
    assert abs(still.drift_infinite_d.value - 0.7 * s) < 1e-15
    assert abs(still.drift_finite_d.value - ((5 + 0.09) * s - 6 * 0.3 * s) / 7) < 1e-15
    assert still.drift_finite_d.standard_error < 1e-16
    # finite and infinite d differ by -2 h/d at g0 = 0
    empty = Simplex(9, 4, 3.0, 1.0, 3, 0.0).statistics(samples=1000)
    assert abs(empty.drift_finite_d.value - empty.drift_infinite_d.value + 2 * empty.h.value / 9) < 1e-14
    assert Simplex(9, 4, 3.0, 1.0, 3, 1.0).statistics(samples=10).drift_finite_d.value == pytest.approx(0.0, abs=1e-15)


def test_large_beta_takes_one_token():
    found = Simplex(8, 6, 1e8, 1.0, 8, 0.5).statistics(samples=20_000)
    assert abs(found.f.value - 1) < 1e-4
    assert 0.3 < found.h.value < 0.7


def test_the_same_seed_gives_the_same_numbers_and_blocks_do_not_matter(monkeypatch):
    law = Simplex(8, 4, 3.0, 0.5, 8, 0.3)
    first = law.statistics(samples=5000, seed=3)
    assert law.statistics(samples=5000, seed=3) == first
    other = law.statistics(samples=5000, seed=4)
    assert other.f.value != first.f.value
    monkeypatch.setattr("particles.reduced.simplex.BLOCK", 8000)
    small = law.statistics(samples=5000, seed=3)
    assert abs(small.f.value - first.f.value) < 6 * first.f.standard_error
    monkeypatch.setattr("particles.reduced.simplex.BUDGET", 1 << 14)
    assert law.statistics().f.standard_error > 1.5 * first.f.standard_error  # 2048 samples


@pytest.mark.parametrize(("d", "n"), [(6, 5), (3, 40)])
def test_mean_overlap_moves_as_stated(d, n):
    """Random tokens with weights: exact drift and variance of w at beta = 0."""
    rng = np.random.default_rng(6)
    points = rng.standard_normal((n, d)) + np.eye(d)[0]
    tokens = Tokens(points / np.linalg.norm(points, axis=1)[:, None])
    square = lambda x: float(np.sum(x.mean(axis=0) ** 2))  # noqa: E731
    drift, variance = one_step(tokens.points, GaussianHeads(d, d**-0.5, 1.0, 1), Softmax(0.0), square, members=5000)
    assert_mean(drift, mean_overlap_drift(tokens))
    assert_mean(variance, mean_overlap_variance(tokens))


def test_mean_overlap_of_two_tokens_is_that_of_their_overlap():
    """w = (1 + R)/2, so drift and variance are half and a quarter of those of R."""
    for d, overlap in ((2, 0.3), (5, -0.6)):
        measure = Cloud(pair(d, overlap), np.full(2, 0.5))
        law = TwoTokens(d, 0.0, 1.0, 1)
        assert abs(mean_overlap_drift(measure) - 0.5 * float(law.drift(overlap))) < 1e-14
        assert abs(mean_overlap_variance(measure) - 0.25 * float(law.variance(overlap))) < 1e-14


def test_logistic_law_solves_its_equation_and_is_the_limit_of_the_exact_drift():
    times = np.array([0.0, 0.3, 2.0, 7.0])
    run = solve_ivp(lambda t, w: w * (1 - w), (0, 7), [0.2], t_eval=times, rtol=1e-11, atol=1e-12)
    assert np.abs(logistic_overlap(times, 0.2) - run.y[0]).max() < 1e-9
    assert np.array_equal(logistic_overlap([0.0, 1e4], 0.0), [0, 0])
    assert np.array_equal(logistic_overlap([0.0, 1e4], 1.0), [1, 1])
    for d in (100, 1000):  # uniform tokens in a cap: drift w (1 - w) + O(1/d), spread O(d^-1/2)
        measure = Cloud(simplex_points(d, 10, 0.5), np.full(10, 0.1))
        w = 0.5 + 0.5 / 10
        assert abs(mean_overlap_drift(measure) - w * (1 - w)) < 2 / d
        assert abs(mean_overlap_variance(measure)) < 4 / d


def test_bad_values_are_refused():
    cases = [
        (lambda: Simplex(1, 4, 1.0, 1.0, 1, 0.1), "d must be at least 2, got 1"),
        (lambda: Simplex(8, 1, 1.0, 1.0, 1, 0.1), "n must be at least 2, got 1"),
        (lambda: Simplex(8, 4, math.inf, 1.0, 1, 0.1), "beta must be finite and >= 0, got inf"),
        (lambda: Simplex(8, 4, 1.0, 1.0, 9, 0.1), "head_dim must be between 1 and d = 8, got 9"),
        (lambda: Simplex(8, 5, 1.0, 1.0, 1, -0.26), r"overlap must lie between -1/\(n - 1\) = -0.25 and 1, got -0.26"),
        (lambda: Simplex(8, 4, 1.0, 1.0, 1, math.nan), "overlap must lie between"),
        (lambda: Simplex(8, 4, 1.0, 1.0, 1, 0.1).statistics(samples=1), "samples must be at least 2, got 1"),
        (lambda: logistic_overlap(1.0, 1.5), "start must lie between 0 and 1, got 1.5"),
        (lambda: logistic_overlap(-1.0, 0.5), "time must be >= 0"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
