"""Isotropic noise of a wide MLP block: overlap law, exponents and stationary density."""

import math

import numpy as np
import pytest

from particles import ACTIVATIONS, Activation, DualKernel, normalize
from particles.reduced import IsotropicNoise, angle_exponent, mean_exponent
from tests.particles.reduced.moments import assert_mean, pair

CUBIC = Activation("cubic", lambda z: z**3, lambda z: 3 * z**2, lambda c, v: 9 * v**2 * c + 6 * c**3,
                   lambda c, v: 9 * v**2 + 18 * c**2)  # fmt: skip
KERNELS = [DualKernel(ACTIVATIONS[name], d, sigma, 0.1 * sigma) for name, d, sigma in (
    ("relu", 5, 0.1), ("relu", 5, 0.0), ("tanh", 8, 0.0), ("gelu", 30, 0.0), ("linear", 3, 0.0))]  # fmt: skip
OVERLAPS = np.array([-1 + 1e-7, -0.95, -0.3, 0.0, 0.4, 0.89, 0.9999, 1 - 1e-7])


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.activation.name}-{kernel.sigma_r}")
def test_drift_and_variance_are_those_of_the_overlap(kernel):
    law, d, k, k1 = IsotropicNoise(kernel), kernel.d, kernel.value(OVERLAPS), kernel.value(1.0)
    drift = k * (d - 2 + OVERLAPS**2) - k1 * (d - 1) * OVERLAPS
    variance = 2 * (1 - OVERLAPS**2) * (k1 - OVERLAPS * k)
    assert np.abs(law.drift(OVERLAPS) - drift).max() < 1e-14
    assert np.abs(law.variance(OVERLAPS) - variance).max() < 1e-15
    assert abs(law.exponent - 2 * angle_exponent(kernel)) < 1e-8 * float(k1)  # relu: the slope has a root at R = 1


def test_exponents_are_those_of_the_generator_near_one():
    """lambda_1 of log sqrt(1 - R), lambda_bar of 1 - R itself, for a kernel with three different terms."""
    for kernel in (DualKernel(ACTIVATIONS["silu"], 7, 0.4, 0.2), DualKernel(CUBIC, 8, 0.0, 0.0)):
        law, gap = IsotropicNoise(kernel), 1e-6
        drift, variance = float(law.drift(1 - gap)), float(law.variance(1 - gap))
        size = float(kernel.value(1.0))
        assert abs(0.5 * (-drift / gap - variance / (2 * gap**2)) - angle_exponent(kernel)) < 1e-4 * size
        assert abs(-drift / gap - mean_exponent(kernel)) < 1e-4 * size


ORACLE = [("relu", 5, 0.1, -0.13, 0.17), ("sigmoid", 64, 0.0, -7.875968, -15.24806),
          ("tanh", 64, 0.1, -0.6294626, -1.160349), ("silu", 128, 0.1, -0.7972893, -1.561580)]  # fmt: skip


@pytest.mark.parametrize(("name", "d", "sigma", "one", "bar"), ORACLE)
def test_exponents_of_an_independent_program(name, d, sigma, one, bar):
    kernel = DualKernel(ACTIVATIONS[name], d, sigma, sigma)
    assert abs(angle_exponent(kernel) / one - 1) < 5e-7
    assert abs(mean_exponent(kernel) / bar - 1) < 5e-7


@pytest.mark.parametrize(("name", "overlap"), [("relu", 0.5), ("silu", -0.3)])
def test_one_step_of_actual_blocks_has_these_moments(name, overlap):
    """nrm(y + sqrt(dt) g(y)) with drawn blocks of width 2, both signs of the outer layer."""
    d, width, n, dt, kernel = 4, 2, 200_000, 1e-5, DualKernel(ACTIVATIONS[name], 4, 0.6, 0.3)
    rng, y = np.random.default_rng(0), pair(4, overlap)
    inner = d**-0.5 * np.einsum("nwd,id->niw", rng.standard_normal((n, width, d)), y)
    inner += 0.6 * rng.standard_normal((n, 1, width))
    hidden = width**-0.5 * kernel.activation.function(inner)
    g = np.einsum("ndw,niw->nid", rng.standard_normal((n, d, width)), hidden) + 0.3 * rng.standard_normal((n, 1, d))
    changes = []
    for sign in (1, -1):
        moved = normalize(np.broadcast_to(y, g.shape), sign * math.sqrt(dt) * g)
        changes.append(np.einsum("nd,nd->n", moved[:, 0], moved[:, 1]) - overlap)
    law = IsotropicNoise(kernel)
    assert_mean((changes[0] + changes[1]) / (2 * dt), float(law.drift(overlap)))
    assert_mean(((changes[0] - changes[1]) / 2) ** 2 / dt, float(law.variance(overlap)))


class Mixed:
    """k(u) = u^2 + 0.1 u^3: neither odd nor even, with a positive exponent in d = 8."""

    d = 8

    def value(self, u):
        u = np.asarray(u)
        return u**2 + 0.1 * u**3

    def derivative(self, u):
        u = np.asarray(u)
        return 2 * u + 0.3 * u**2


@pytest.mark.parametrize("kernel", [DualKernel(CUBIC, 8, 0.0, 0.0), DualKernel(CUBIC, 12, 0.1, 0.0), Mixed()])
def test_stationary_density_is_stationary(kernel):
    """Mass 1, and E L R^p = 0 with L from the formulas in R, by Gauss-Legendre in artanh R."""
    assert angle_exponent(kernel) > 0
    law, k1, d = IsotropicNoise(kernel), float(kernel.value(1.0)), kernel.d
    nodes, weights = np.polynomial.legendre.leggauss(400)
    y = 18 * nodes
    r = np.tanh(y)
    mass = 18 * weights / np.cosh(y) ** 2 * law.stationary_density(r)
    assert abs(mass.sum() - 1) < 1e-5  # the density falls off slowly at the ends
    drift = kernel.value(r) * (d - 2 + r**2) - k1 * (d - 1) * r
    variance = 2 * (1 - r**2) * (k1 - r * kernel.value(r))
    for p in (1, 2, 3, 4):
        change = p * r ** (p - 1) * drift + 0.5 * p * (p - 1) * r ** max(p - 2, 0) * variance
        assert abs(mass @ change) < 1e-6 * (mass @ np.abs(change))


def test_stationary_density_has_no_flux():
    """(variance p)' = 2 drift p, by a difference quotient of order 4."""
    law, r, h = IsotropicNoise(DualKernel(CUBIC, 8, 0.0, 0.0)), np.array([-0.6, 0.1, 0.8]), 1e-3
    flux = lambda at: law.variance(at) * law.stationary_density(at)  # noqa: E731
    slope = (8 * (flux(r + h) - flux(r - h)) - flux(r + 2 * h) + flux(r - 2 * h)) / (12 * h)
    assert np.abs(slope - 2 * law.drift(r) * law.stationary_density(r)).max() < 1e-8 * np.abs(slope).max()


def test_odd_kernels_gather_at_both_ends_and_others_at_one():
    odd = IsotropicNoise(DualKernel(ACTIVATIONS["tanh"], 6, 0.0, 0.0))
    assert abs(odd.exponent - odd.antipodal_exponent) < 1e-12
    assert abs(odd.hitting_probability(0.0) - 0.5) < 1e-10
    assert abs(odd.hitting_probability(0.3) - odd.antipodal_probability(-0.3)) < 1e-10
    assert 0.5 < odd.hitting_probability(0.3) < 1
    for name, bias in (("relu", 0.0), ("tanh", 0.1)):
        law = IsotropicNoise(DualKernel(ACTIVATIONS[name], 6, bias, 0.0))
        assert law.antipodal_exponent == math.inf
        assert law.hitting_probability(-0.99) == 1.0


def test_a_kernel_odd_to_rounding_is_odd():
    class Rounded(Mixed):
        def value(self, u):
            return np.asarray(u) * (1 + 1e-15 * (np.asarray(u) > 0))

        def derivative(self, u):
            return np.ones_like(u)

    law = IsotropicNoise(Rounded())
    assert abs(law.antipodal_exponent + 2) < 1e-9  # that of k(u) = u, twice lambda_1 = -1
    assert abs(law.hitting_probability(0.0) - 0.5) < 1e-9


def test_linear_noise_keeps_the_mean_angle():
    """k(u) = u/d: E arccos R is constant, so P(R -> 1) = 1 - arccos(R)/pi; E log sin of the angle falls at k(1)."""
    law = IsotropicNoise(DualKernel(ACTIVATIONS["linear"], 5, 0.0, 0.0))
    r = np.array([-0.8, 0.1, 0.6])
    first, second = -1 / np.sqrt(1 - r**2), -r / (1 - r**2) ** 1.5
    assert np.abs(first * law.drift(r) + 0.5 * second * law.variance(r)).max() < 1e-15
    for start in r:
        assert abs(law.hitting_probability(start) - (1 - math.acos(start) / math.pi)) < 1e-10
    slope, curvature = -r / (1 - r**2), -(1 + r**2) / (1 - r**2) ** 2
    assert np.abs(slope * law.drift(r) + 0.5 * curvature * law.variance(r) + 0.2).max() < 1e-14


def test_relu_without_bias_collapses_although_the_mean_exponent_is_positive():
    kernel = DualKernel(ACTIVATIONS["relu"], 5, 0.0, 0.0)
    assert abs(angle_exponent(kernel) + 0.1) < 1e-14  # (d-3)/2 1/(2d) - (d-1)/2 1/(2d)
    assert abs(mean_exponent(kernel) - 0.2) < 1e-14
    assert IsotropicNoise(kernel).hitting_probability(0.0) == 1.0


def test_bad_kernels_and_missing_densities_are_refused():
    class Zero(Mixed):
        def value(self, u):
            return 0.0 * np.asarray(u)

    with pytest.raises(ValueError, match=r"k\(1\) must be positive, got 0"):
        IsotropicNoise(Zero())
    flat = Mixed()
    flat.d = 1
    with pytest.raises(ValueError, match="d must be at least 2, got 1"):
        IsotropicNoise(flat)
    collapsing = IsotropicNoise(DualKernel(ACTIVATIONS["relu"], 5, 0.1, 0.1))
    with pytest.raises(ValueError, match="no stationary density: the overlap is not driven away from 1"):
        collapsing.stationary_density(0.2)
    with pytest.raises(ValueError, match="no stationary density: the overlap is not driven away from -1"):
        IsotropicNoise(DualKernel(ACTIVATIONS["tanh"], 5, 0.0, 0.0)).stationary_density(0.2)
    with pytest.raises(ValueError, match="no end attracts"):
        IsotropicNoise(Mixed()).hitting_probability(0.2)
