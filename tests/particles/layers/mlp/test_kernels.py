"""Kernels of wide MLP blocks against quadrature, a finite block, and the numbers of an independent program."""

import math
import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import eval_legendre

from particles import ACTIVATIONS, Activation, DualKernel

SMOOTH = ("erf", "tanh", "sigmoid", "silu", "gelu", "linear")
SIZES = [(2, 0.0), (5, 0.3), (64, 0.1), (3, 1.0)]
OVERLAPS = (-1.0, -0.7, 0.0, 0.6, 1.0)


def gauss(function):
    """Integral against the standard normal density by adaptive quadrature, kink at 0 allowed."""
    integrand = lambda x: function(x) * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    return quad(integrand, -13, 0, epsabs=1e-13, limit=200)[0] + quad(integrand, 0, 13, epsabs=1e-13, limit=200)[0]


def hermite(function, d, sigma_r, u, n=200):
    """E[f(Z1) f(Z2)] by Gauss-Hermite."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / w.sum()
    scale = math.sqrt(1 / d + sigma_r**2)
    r = (u / d + sigma_r**2) / scale**2
    second = scale * (r * x[:, None] + math.sqrt(max(0.0, 1 - r * r)) * x)
    return float((w * function(scale * x)) @ function(second) @ w)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_at_equal_and_opposite_tokens_the_kernel_is_a_moment_of_one_gaussian(name, size):
    d, sigma_r = size
    kernel, act = DualKernel(ACTIVATIONS[name], d, sigma_r, 0.3), ACTIVATIONS[name]
    scale = math.sqrt(1 / d + sigma_r**2)
    squared = gauss(lambda x: act.function(np.float64(scale * x)) ** 2) + 0.09
    slope = gauss(lambda x: act.derivative(np.float64(scale * x)) ** 2) / d
    assert abs(kernel.value(1.0) - squared) < 1e-11
    assert abs(kernel.derivative(1.0) - slope) < 1e-11
    if sigma_r == 0:  # then Z2 = -Z1 at u = -1
        mirrored = gauss(lambda x: act.function(np.float64(scale * x)) * act.function(np.float64(-scale * x))) + 0.09
        slope = gauss(lambda x: act.derivative(np.float64(scale * x)) * act.derivative(np.float64(-scale * x))) / d
        assert abs(kernel.value(-1.0) - mirrored) < 1e-11
        assert abs(kernel.derivative(-1.0) - slope) < 1e-11


@pytest.mark.parametrize("size", [(5, 0.1), (64, 0.1)])
@pytest.mark.parametrize("name", SMOOTH)
def test_equals_gauss_hermite(name, size):
    """For variances at which 200 Gauss-Hermite points are enough; the test above takes any."""
    kernel, act = DualKernel(ACTIVATIONS[name], *size, 0.0), ACTIVATIONS[name]
    want = [hermite(act.function, *size, u) for u in OVERLAPS]
    slope = [hermite(act.derivative, *size, u) / size[0] for u in OVERLAPS]
    assert np.abs(kernel.value(OVERLAPS) - want).max() < 1e-10
    assert np.abs(kernel.derivative(OVERLAPS) - slope).max() < 1e-10


def test_relu_equals_the_integral_over_the_angle():
    """Polar coordinates: E max(X, 0) max(X cos t + Y sin t, 0) = int over the wedge of cos p cos(p - t) dp / pi."""
    kernel = DualKernel(ACTIVATIONS["relu"], 4, 0.2, 0.1)
    v = 0.25 + 0.04
    for u in (-0.9, 0.0, 0.3, 0.99):
        t = math.acos((u / 4 + 0.04) / v)
        want = v * quad(lambda p, t=t: math.cos(p) * math.cos(p - t), t - math.pi / 2, math.pi / 2)[0] / math.pi + 0.01
        assert abs(kernel.value(u) - want) < 1e-12
        assert abs(kernel.derivative(u) - (math.pi - t) / (2 * math.pi) / 4) < 1e-12


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_the_slope_of_the_value(name):
    kernel = DualKernel(ACTIVATIONS[name], 3, 0.2, 0.1)
    u, h = np.array([-0.8, 0.1, 0.7]), 1e-3
    difference = (8 * (kernel.value(u + h) - kernel.value(u - h)) - kernel.value(u + 2 * h) + kernel.value(u - 2 * h))
    assert np.abs(difference / (12 * h) - kernel.derivative(u)).max() < 1e-9


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_covariance_of_a_block_of_finite_width_is_the_kernel(name):
    """g(y) = width^-1/2 Wo act(d^-1/2 Wi y + b_i) + b_o of 60 000 drawn blocks of width 2: z < 4, sqrt 2 beyond 8."""
    d, width, n, sigma_r, sigma_w, u = 3, 2, 60_000, 0.4, 0.5, 0.6
    rng = np.random.default_rng(0)
    y = np.array([[1.0, 0, 0], [u, math.sqrt(1 - u * u), 0]])
    inner = d**-0.5 * rng.standard_normal((n, width, d)) @ y.T + sigma_r * rng.standard_normal((n, width, 1))
    outer = rng.standard_normal((n, d, width))
    g = width**-0.5 * outer @ ACTIVATIONS[name].function(inner) + sigma_w * rng.standard_normal((n, d, 1))
    kernel = DualKernel(ACTIVATIONS[name], d, sigma_r, sigma_w)
    for product, want in ((g[:, 0, 0] * g[:, 0, 1], kernel.value(u)), (g[:, 0, 0] ** 2, kernel.value(1.0))):
        error = product.std() / math.sqrt(n)
        assert abs(product.mean() - want) < 4 * error
        assert abs(product.mean() - math.sqrt(2) * want) > 8 * error
    cross = g[:, 0, 0] * g[:, 1, 1]
    assert abs(cross.mean()) < 4 * cross.std() / math.sqrt(n)


ORACLE = [
    ("relu", 5, 0.1, 0.115, 0.1),
    ("sigmoid", 64, 0.0, 0.2509690, 9.690356e-4),
    ("tanh", 64, 0.1, 0.03439906, 0.01488878),
    ("silu", 128, 0.1, 0.01451175, 0.001987308),
]


@pytest.mark.parametrize(("name", "d", "sigma", "value", "slope"), ORACLE)
def test_numbers_of_an_independent_program(name, d, sigma, value, slope):
    kernel = DualKernel(ACTIVATIONS[name], d, sigma, sigma)
    assert abs(kernel.value(1.0) / value - 1) < 5e-7
    assert abs(kernel.derivative(1.0) / slope - 1) < 5e-7


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_legendre_series_is_positive_and_sums_to_the_kernel(name):
    kernel = DualKernel(ACTIVATIONS[name], 3, 0.3, 0.2)
    series = kernel.legendre(40)
    assert series.coefficients.shape == (41,)
    assert series.coefficients.min() > -1e-13 * kernel.value(1.0)
    u = np.linspace(-1, 1, 9)
    total = np.polynomial.legendre.legval(u, series.coefficients)
    assert np.abs(total - kernel.value(u)).max() < (3e-6 if name == "relu" else 1e-12)
    assert abs(series.tail - (kernel.value(1.0) - series.coefficients.sum())) < 1e-15


@pytest.mark.parametrize("sigma_r", [0.0, 1e-3, 0.3])
def test_relu_decays_algebraically_and_its_coefficients_are_those_of_adaptive_quadrature(sigma_r):
    kernel = DualKernel(ACTIVATIONS["relu"], 3, sigma_r, 0.0)
    series = kernel.legendre(64)
    for degree in (0, 1, 2, 5, 16):
        integrand = lambda t, n=degree: kernel.value(math.cos(t)) * eval_legendre(n, math.cos(t)) * math.sin(t)  # noqa: E731
        want = (degree + 0.5) * quad(integrand, 0, math.pi, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        assert abs(series.coefficients[degree] - want) < 1e-11
    longer = kernel.legendre(256)
    assert np.abs(longer.coefficients[:65] - series.coefficients).max() < 1e-13
    assert 0 < longer.tail < series.tail
    assert 2.5 < np.log(series.tail / longer.tail) / np.log(4) < 3.5  # a_l like l^-4


def test_kernel_of_a_linear_block_without_biases_is_the_overlap_over_d():
    series = DualKernel(ACTIVATIONS["linear"], 3, 0.0, 0.0).legendre(6)
    assert np.abs(series.coefficients - np.array([0, 1 / 3, 0, 0, 0, 0, 0])).max() < 1e-15


def test_ones_own_activation_goes_by_quadrature_and_kernels_survive_pickling():
    cubic = Activation("cubic", lambda z: z**3, lambda z: 3 * z**2)
    kernel = DualKernel(cubic, 4, 0.0, 0.0)
    u = np.array([[-1.0, 0.3], [0.5, 1.0]])
    assert np.abs(kernel.value(u) - (9 * u + 6 * u**3) / 64).max() < 1e-14  # E z1^3 z2^3 = 9 v^2 c + 6 c^3
    stored = pickle.loads(pickle.dumps(DualKernel(ACTIVATIONS["tanh"], 4, 0.1, 0.0)))
    assert stored == DualKernel(ACTIVATIONS["tanh"], 4, 0.1, 0.0)


def test_bad_kernels_are_refused():
    tanh = ACTIVATIONS["tanh"]
    kernel = DualKernel(tanh, 3, 0.1, 0.1)
    cases = [
        (lambda: DualKernel(tanh, 1, 0.1, 0.1), "d must be at least 2, got 1"),
        (lambda: DualKernel(tanh, 3, math.nan, 0.1), "sigma_r must be between 0 and 1e\\+100, got nan"),
        (lambda: DualKernel(tanh, 3, 0.1, -1.0), "sigma_w must be between 0 and 1e\\+100, got -1"),
        (lambda: DualKernel(tanh, 3, 31.0, 0.1), r"such that 1/d \+ sigma_r\^2 is at most 900 for tanh, got 31"),
        (lambda: kernel.value(1.001), "u must lie between -1 and 1, got 1.001"),
        (lambda: kernel.derivative([0.0, math.nan]), "u must lie between -1 and 1, got nan"),
        (lambda: kernel.legendre(-1), "lmax must be an integer >= 0, got -1"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(TypeError, match="activation must be an Activation"):
        DualKernel("tanh", 3, 0.1, 0.1)
    DualKernel(ACTIVATIONS["relu"], 3, 31.0, 0.1)  # closed forms take any scale
