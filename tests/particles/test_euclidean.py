"""Tokens in R^d: translation, weighted tokens, Gaussian laws of any rank."""

import numpy as np
import pytest

from particles.initial import Gaussian, symmetric_root
from particles.measure import EuclideanTokens
from particles.retraction import translate

COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])


def test_translation_is_a_sum():
    x, u = np.array([[1.0, 2.0]]), np.array([[0.5, -4.0]])
    assert (translate(x, u) == [[1.5, -2.0]]).all()


def test_weighted_moments():
    tokens = EuclideanTokens([[0.0, 0.0], [4.0, 2.0]], [3.0, 1.0])
    assert (len(tokens), tokens.d) == (2, 2)
    assert np.allclose(tokens.mean, [1.0, 0.5])
    assert np.allclose(tokens.second_moment, [[4.0, 2.0], [2.0, 1.0]])
    assert np.allclose(tokens.covariance, [[3.0, 1.5], [1.5, 0.75]])


def test_roots_of_any_rank():
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    for values in ([3.0, 2.0, 1.0, 0.5], [3.0, 1e-9, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]):
        covariance = (turn * values) @ turn.T
        root = symmetric_root((covariance + covariance.T) / 2)
        assert np.abs(root - root.T).max() < 1e-14
        assert np.abs(root @ root - covariance).max() < 1e-14


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_samples_have_mean_and_covariance(rank):
    values, vectors = np.linalg.eigh(COVARIANCE)
    values[: 3 - rank] = 0.0
    law = Gaussian([1.0, -2.0, 0.5], (vectors * values) @ vectors.T)
    n = 40_000
    sample = law.sample(np.random.default_rng(1), n)
    spread = np.sqrt(np.diag(law.covariance))
    assert (np.abs(sample.mean(axis=0) - law.mean) < 4 * spread / np.sqrt(n) + 1e-12).all()
    error = np.sqrt((np.outer(spread, spread) ** 2 + law.covariance**2) / n)  # of an entry of the covariance
    gap = sample - law.mean
    assert (np.abs(gap.T @ gap / n - law.covariance) < 4 * error + 1e-12).all()
    assert np.linalg.matrix_rank(gap[:100], tol=1e-6) == rank


def test_the_same_numbers_are_drawn_whatever_the_rank():
    """A sample uses d numbers a token, so the generator stands where it would for any other law."""
    states = []
    for covariance in (np.eye(2), np.diag([1.0, 0.0])):
        rng = np.random.default_rng(2)
        Gaussian(np.zeros(2), covariance).sample(rng, 5)
        states.append(rng.standard_normal())
    assert states[0] == states[1]


def test_refusals():
    cases = [
        (lambda: EuclideanTokens(np.zeros((0, 3))), "n >= 1 and d >= 1"),
        (lambda: EuclideanTokens([[np.inf, 0.0]]), "tokens must be finite"),
        (lambda: EuclideanTokens([[1.0, 0.0]], [0.0]), "weights must be positive, got 0 for token 0"),
        (lambda: EuclideanTokens([[1.0, 0.0]], [1.0, 1.0]), r"weights must have shape \(1\)"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]), "covariance must be symmetric"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "have no eigenvalue below 0, and has -1"),
        (lambda: Gaussian([0.0], np.eye(2)), r"covariance must have shape \(1, 1\)"),
        (lambda: Gaussian([np.nan], np.eye(1)), "mean must be finite"),
        (lambda: Gaussian(np.zeros(0), np.zeros((0, 0))), "at least one entry"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
