"""Spectral gaps against finite volumes, closed forms and bounds; the two-point law of quadratic forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy

from particles import ACTIVATIONS, DualKernel
from particles.reduced import (
    IsotropicNoise,
    QuadraticForm,
    SpectralGap,
    angle_exponent,
    decay_rate,
    mean_exponent,
    overlap_energy_rate,
    spectral_gap,
)
from particles.reduced.isotropic import relative_fall


def printed(form, r):
    """Drift and half the variance of R as they are written, 1 - R = 2 e^{-r^2}; and dR/dr, d2R/dr2."""
    far, above = 2 * np.exp(-(r**2)), -2 * np.expm1(-(r**2))
    overlap, square = above - 1, form.gamma**2
    drift = far * (square * (form.d - 2 - overlap) - 2 * overlap * above)
    return drift, far**2 * above * (2 * above + square), 2 * r * far, (2 - 4 * r**2) * far


def by_volumes(form, cells, top=60.0):
    """Lowest eigenvalue of -L in finite volumes of r, with fluxes of Scharfetter and Gummel, absorbing far out."""
    edges = np.linspace(0, math.sqrt(top), cells + 1)

    def rates(r):
        drift, half, slope, bend = printed(form, r)
        spread = half / slope**2
        return spread, (drift - spread * bend) / slope

    step, bernoulli = edges[1], lambda x: x / np.expm1(x)
    spread, drift = rates(edges[1:])
    inner = np.log(rates(0.5 * (edges[1:] + edges[:-1]))[0])
    rise = drift * step / spread - np.append(np.diff(inner), 0.0)
    up, down = (spread / step**2 * bernoulli(sign * rise) for sign in (-1, 1))
    diagonal = up + np.append(0.0, down[:-1])
    lowest = scipy.linalg.eigh_tridiagonal(
        diagonal, -np.sqrt(up * down)[:-1], select="i", select_range=(0, 0), eigvals_only=True
    )
    return float(lowest[0])


@pytest.mark.parametrize(("d", "gamma"), [(2, 0.3), (3, 0.1), (10, 0.1), (50, 0.1)])
def test_the_gap_is_that_of_finite_volumes(d, gamma):
    form = QuadraticForm(d, gamma)
    coarse, fine = (by_volumes(form, cells) for cells in (4000, 8000))
    assert spectral_gap(form).gap == pytest.approx((4 * fine - coarse) / 3, rel=1e-4)
    assert abs(fine / coarse - 1) < 1e-3


@pytest.mark.parametrize(("d", "gamma"), [(2, 0.5), (3, 0.1), (4, 0.8), (20, 0.2), (10**6, 1e-4)])
def test_the_gap_lies_between_the_rate_of_a_moment_and_the_edge(d, gamma):
    form = QuadraticForm(d, gamma)
    found = spectral_gap(form)
    strength = gamma**2 * (d - 1)
    assert found.edge == pytest.approx((strength + 4) ** 2 / (8 * (4 + gamma**2)), rel=1e-9)
    assert form.moment_rate < found.gap < found.edge


@pytest.mark.parametrize("d", [2, 5, 100, 10**6])
def test_beyond_gamma_squared_of_four_over_d_minus_one_the_gap_is_the_edge(d):
    """At equality the rate of the moment is sharp."""
    form = QuadraticForm(d, 2 / math.sqrt(d - 1))
    assert spectral_gap(form).gap == pytest.approx(form.moment_rate, rel=1e-9)
    found = spectral_gap(QuadraticForm(d, 3 / math.sqrt(d - 1)))
    assert found.gap == found.edge


@pytest.mark.parametrize("d", [2, 3, 10, 200])
def test_the_gap_is_linear_in_small_gamma(d):
    ratios = [spectral_gap(form).gap / form.small_gap - 1 for form in (QuadraticForm(d, g) for g in (1e-4, 1e-5))]
    assert abs(ratios[1]) < 1e-3
    assert 5 < ratios[0] / ratios[1] < 10.5


def test_no_rate_where_opposite_or_near_tokens_are_not_left():
    assert spectral_gap(QuadraticForm(5, 0.0)) == SpectralGap(0.0, pytest.approx(0.5))
    odd, growing = (DualKernel(ACTIVATIONS[name], d, 0.0, 0.0) for name, d in (("erf", 4), ("linear", 7)))
    assert spectral_gap(IsotropicNoise(odd)).gap == decay_rate(odd) == decay_rate(growing) == 0


def test_one_step_of_actual_tokens_has_the_drift_and_variance():
    d, gamma, overlap, step, size = 4, 0.7, -0.6, 1e-5, 40_000
    rng = np.random.default_rng(1)
    pair = np.zeros((d, 2))
    pair[:2] = [[1.0, overlap], [0.0, math.sqrt(1 - overlap**2)]]
    b, w = rng.standard_normal((size, d, d)), rng.standard_normal((size, d, 1))
    noise = (b + np.swapaxes(b, 1, 2)) / math.sqrt(2) @ pair + gamma * w
    change = np.zeros((2, size))
    for k, sign in enumerate((1, -1)):
        after = pair + sign * math.sqrt(step) * noise
        x, y = (after / np.linalg.norm(after, axis=1, keepdims=True)).transpose(2, 0, 1)
        change[k] = np.sum(x * y, axis=1) - overlap
    law = QuadraticForm(d, gamma)
    for sample, want in ((change.mean(axis=0), law.drift(overlap)), ((change**2).mean(axis=0), law.variance(overlap))):
        error = sample.std() / math.sqrt(size) / step
        assert abs(sample.mean() / step - want) < 4 * error + 1e-4
        assert 0.3 * want > 8 * error  # a wrong factor would have been seen


def test_decay_rates_in_the_four_cases():
    """lambda_bar where |lambda_1| >= 2 c; lambda_1^2/(2 c) below; less where opposite pairs last; 0 where they stay."""
    relu, sigmoid = DualKernel(ACTIVATIONS["relu"], 5, 0.0, 0.0), DualKernel(ACTIVATIONS["sigmoid"], 64, 0.0, 0.0)
    assert decay_rate(relu) == pytest.approx(0.1**2 / (2 * 0.2), rel=1e-9)
    assert mean_exponent(relu) > 0
    assert decay_rate(sigmoid) == -mean_exponent(sigmoid)
    near = DualKernel(ACTIVATIONS["sigmoid"], 5, 0.0, 0.0)  # |lambda_1| = 1.87 c
    assert decay_rate(near) == spectral_gap(IsotropicNoise(near)).gap > -mean_exponent(near) + 1e-3
    for name, d, sigma in (("erf", 4, 0.1), ("erf", 5, 0.1)):
        kernel = DualKernel(ACTIVATIONS[name], d, sigma, sigma)
        curvature = float(kernel.value(1.0) + kernel.derivative(1.0))
        assert 0.5 * angle_exponent(kernel) ** 2 / (2 * curvature) < decay_rate(kernel)
        assert decay_rate(kernel) < 0.95 * angle_exponent(kernel) ** 2 / (2 * curvature)


def lifetime(odd, bias):
    """Speed next to -1 times scale between the ends, odd kernel plus a small bias.  docs/theory.md."""
    d, c = odd.d, float(odd.value(1.0) + odd.derivative(1.0))
    power = 0.5 * mean_exponent(odd) / c
    y = np.linspace(-19, 19, 7601)
    drift, variance = IsotropicNoise(odd).rates(y)
    slope = 2 * drift / variance
    exponent = np.concatenate([[0.0], np.cumsum(0.0025 * (slope[1:] + slope[:-1]))])
    near = 2 / (1 + math.exp(-2 * y[0]))  # 1 + R; dR/dy is twice that
    front = 2 * near ** (1 - power) * c ** ((d - 1) / 2 - power)  # exp(exponent[0]) is 1
    speed = 0.5 * front * (2 * bias) ** (power - 1) * c ** (-(d - 1) / 2)
    return speed * scipy.special.beta((d - 1) / 2, 1 - power) * np.trapezoid(np.exp(-exponent), y)


@pytest.mark.parametrize("d", [3, 4, 8])
def test_the_lifetime_of_opposite_pairs_grows_like_a_power_of_the_bias(d):
    """bias^{-|lambda_1|/(k0 + k0')}, with its factor."""
    odd, biases = DualKernel(ACTIVATIONS["erf"], d, 0.0, 0.0), (1e-8, 1e-10)
    found = [spectral_gap(IsotropicNoise(replace(odd, sigma_w=bias**0.5))).gap for bias in biases]
    for gap, bias in zip(found, biases, strict=True):
        assert gap * lifetime(odd, bias) == pytest.approx(1, abs=0.01)
    power = -angle_exponent(odd) / float(odd.value(1.0) + odd.derivative(1.0))
    assert math.log(found[0] / found[1]) / math.log(100) == pytest.approx(power, abs=2e-3)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize(("name", "d"), [("relu", 5), ("tanh", 64), ("sigmoid", 5)])
def test_the_energy_of_an_overlap_falls_at_least_at_its_rate(name, d, beta):
    """L e by the written drift and variance of R on a grid."""
    kernel = DualKernel(ACTIVATIONS[name], d, 0.1, 0.1)
    r = np.linspace(-1, 1 - 1e-6, 4001)
    k, top = kernel.value(r), float(kernel.value(1.0))
    drift, half = k * (d - 2 + r**2) - top * (d - 1) * r, (1 - r**2) * (top - r * k)
    e = 1 - r if beta == 0 else np.expm1(beta * (1 - r)) / beta
    rates = (drift + beta * half) / e
    inner = r[200:-200]
    fall = relative_fall(IsotropicNoise(kernel), beta, np.arctanh(inner))
    assert np.abs(fall - rates[200:-200]).max() < 1e-9 * np.abs(rates).max()
    found = overlap_energy_rate(kernel, beta)
    assert found == pytest.approx(rates.min(), rel=2e-3, abs=1e-5)
    assert found <= -mean_exponent(kernel) + 1e-12
