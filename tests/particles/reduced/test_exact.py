"""Exact flows: conformal in any dimension, angular Gaussians, equiangular tokens."""

import math

import numpy as np
import pytest

from particles import Cloud, Conformal, Linear, Softmax, Uniform, flow, normalize
from particles.harmonics import gauss_grid
from particles.reduced import (
    angular_gaussian,
    angular_gaussian_second_moment,
    conformal_mean,
    conformal_step,
    equiangular_overlap,
    equiangular_rate,
    linear_step,
)


def test_conformal_mean_is_the_mean():
    points, area = gauss_grid(60, 120)
    for size in (0.02, 0.0999, 0.1001, 0.5):
        a = size * np.array([0.6, 0.0, 0.8])
        assert np.abs(area * Conformal(a).pdf(points) @ points - conformal_mean(a)).max() < 1e-12
    assert np.array_equal(conformal_mean(np.zeros(3)), np.zeros(3))


@pytest.mark.parametrize("d", [3, 5])
def test_conformal_step_is_the_image_under_the_flow(d):
    """rho_b(Phi(x)) det D Phi(x) = rho_a(x), det = (cosh|h| + <x, e> sinh|h|)^(1 - d), at random points."""
    rng = np.random.default_rng(0)
    x, a, h = Uniform(d).sample(rng, 50), 0.3 * rng.standard_normal(d) / math.sqrt(d), 0.5 * rng.standard_normal(d)
    size = np.linalg.norm(h)
    stretch = (np.cosh(size) + x @ h / size * np.sinh(size)) ** (1 - d)
    image = Conformal(conformal_step(a, h)).pdf(flow(x, np.broadcast_to(h, x.shape)))
    assert np.abs(image * stretch / Conformal(a).pdf(x) - 1).max() < 1e-12
    assert np.array_equal(conformal_step(a, np.zeros(d)), a)
    length = np.linalg.norm(a)  # a (+) b, the other order, is wrong
    wrong = Conformal(conformal_step(np.tanh(size / 2) * h / size, 2 * np.arctanh(length) * a / length))
    assert np.abs(wrong.pdf(flow(x, np.broadcast_to(h, x.shape))) * stretch / Conformal(a).pdf(x) - 1).max() > 0.01


def test_linear_step_is_the_image_under_a_linear_layer():
    """|det D T| = det(I + C)/|(I + C) x|^d for T(x) = nrm(x + C x), in d = 4."""
    rng = np.random.default_rng(1)
    x, c, g = Uniform(4).sample(rng, 50), 0.3 * rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    q = g @ g.T
    moved = normalize(x, x @ c.T)
    stretch = np.linalg.det(np.eye(4) + c) / np.linalg.norm(x + x @ c.T, axis=1) ** 4
    image = angular_gaussian(moved, linear_step(q, c)) * np.abs(stretch)
    assert np.abs(image / angular_gaussian(x, q) - 1).max() < 1e-11
    assert np.abs(angular_gaussian(x, np.eye(4)) - 1 / (2 * np.pi**2)).max() < 1e-15  # |S^3| = 2 pi^2


def test_second_moment_of_the_angular_gaussian_is_that_of_the_density():
    points, area = gauss_grid(120, 240)
    rng = np.random.default_rng(2)
    g = np.eye(3) + 0.5 * rng.standard_normal((3, 3))
    for q in (g @ g.T, 5 * np.eye(3), np.diag([1.0, 1.0, 4.0])):
        weights = area * angular_gaussian(points, q)
        assert abs(weights.sum() - 1) < 1e-10
        assert np.abs((points * weights[:, None]).T @ points - angular_gaussian_second_moment(q)).max() < 1e-10
    assert abs(np.trace(angular_gaussian_second_moment(g @ g.T)) - 1) < 1e-13


def test_linear_attention_moves_samples_of_an_angular_gaussian_as_stated():
    """E2 whole: C = beta M Sigma A from the law itself, against 200 000 samples pushed through one layer; z < 4."""
    rng, n = np.random.default_rng(3), 200_000
    g, mixing, form = np.eye(3) + 0.4 * rng.standard_normal((3, 3)), *(0.5 * rng.standard_normal((2, 3, 3)))
    x = rng.standard_normal((n, 3)) @ g.T
    x /= np.linalg.norm(x, axis=1)[:, None]
    velocity = Linear(2.0).barycenter(x, Cloud(x, np.full(n, 1 / n)), form, np.eye(3)) @ mixing.T
    moved = normalize(x, velocity)
    q = linear_step(g @ g.T, 2.0 * mixing @ angular_gaussian_second_moment(g @ g.T) @ form)
    products = np.einsum("ni,nj->nij", moved, moved)
    z = (products.mean(axis=0) - angular_gaussian_second_moment(q)) / (products.std(axis=0) / math.sqrt(n))
    assert np.abs(z).max() < 4
    still = (products.mean(axis=0) - angular_gaussian_second_moment(g @ g.T)) / (products.std(axis=0) / math.sqrt(n))
    assert np.abs(still).max() > 20


@pytest.mark.parametrize(("n", "beta", "start"), [(4, 2.0, 0.1), (6, 0.7, -0.15)])
def test_equiangular_tokens_move_as_stated(n, beta, start):
    """n tokens in R^n under x' = P_x m(x), A = V = I, by Runge-Kutta steps of order 4."""
    gram = start + (1 - start) * np.eye(n)
    values, basis = np.linalg.eigh(gram)
    x, dt, weights = basis * np.sqrt(values), 0.02, np.full(n, 1 / n)

    def velocity(x):
        mean = Softmax(beta).barycenter(x, Cloud(x, weights), np.eye(n), np.eye(n))
        return mean - np.sum(mean * x, axis=1, keepdims=True) * x

    rate = 2 * (velocity(x) @ x.T)[0, 1]  # both tokens move
    assert abs(rate - equiangular_rate(start, n, beta)) < 1e-13
    times = np.array([0.0, 0.5, 1.0, 2.0])
    found = []
    for step in range(101):
        if step * dt in times:
            found.append(x[0] @ x[1])
            assert np.abs(x @ x.T - found[-1])[~np.eye(n, dtype=bool)].max() < 1e-12
        k1 = velocity(x)
        k2 = velocity(x + dt / 2 * k1)
        k3 = velocity(x + dt / 2 * k2)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(x + dt * k3))
        x /= np.linalg.norm(x, axis=1)[:, None]
    assert np.abs(equiangular_overlap(times, start, n, beta) - found).max() < 1e-7


def test_equiangular_tokens_at_beta_zero_in_closed_form():
    """rho' = (2/n)(1 - rho)((n - 1) rho + 1): ((n - 1) rho + 1)/(1 - rho) grows like e^{2 t}."""
    n, start, times = 5, 0.2, np.array([[0.3, 4.0], [1.0, 0.0]])
    ratio = ((n - 1) * start + 1) / (1 - start) * np.exp(2 * times)
    assert np.abs(equiangular_overlap(times, start, n, 0.0) - (ratio - 1) / (ratio + n - 1)).max() < 1e-10
    assert equiangular_overlap(0.0, start, n, 3.0) == start
    assert equiangular_overlap(30.0, 1.0, n, 3.0) == 1.0
    assert abs(equiangular_overlap(3.0, -0.25, n, 3.0) + 0.25) < 1e-12  # the simplex of mean 0 stays


def test_bad_values_are_refused():
    cases = [
        (lambda: conformal_mean(np.ones(3)), "a must be a vector of 3 entries shorter than 1"),
        (lambda: conformal_mean(np.zeros(4)), "a must be a vector of 3 entries shorter than 1"),
        (lambda: angular_gaussian_second_moment(np.eye(4)), r"q must have shape \(3, 3\), got \(4, 4\)"),
        (lambda: angular_gaussian_second_moment(-np.eye(3)), "q must be positive definite, got the eigenvalue -1"),
        (lambda: equiangular_overlap(1.0, 0.1, 1, 1.0), "n must be at least 2, got 1"),
        (lambda: equiangular_overlap(1.0, 0.1, 3, math.nan), "beta must be finite and >= 0, got nan"),
        (lambda: equiangular_overlap(1.0, -0.6, 3, 1.0), r"start must lie between -1/\(n - 1\) = -0.5 and 1, got -0.6"),
        (lambda: equiangular_overlap(-1.0, 0.1, 3, 1.0), "time must be finite and >= 0"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
