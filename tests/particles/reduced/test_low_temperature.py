"""Low temperature: cosine lemmas, the limit law and the exponents, frozen uniform measures included."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betainc, betaln

from particles import Cloud, GaussianHeads, Softmax
from particles.harmonics import gauss_grid
from particles.reduced import (
    LowTemperatureLimit,
    collapse_exponent,
    frozen_uniform,
    kappa,
    low_temperature_exponent,
    mean_over_sample_correlation,
    one_factor_cosine,
    overlap_drift,
    overlap_variance,
    two_factor_cosine,
)
from particles.reduced.frozen import mean_of_von_mises_fisher

OVERLAPS = np.array([-1.0, -0.9, -0.2, 0.0, 0.5, 0.99, 0.999999, 1.0])


def sampled_cosines(d, inner, overlap, size, rng):
    """Cosines of Ax and Ay; A = W W'^T with `inner` columns, A Gaussian itself for inner None."""
    x = rng.standard_normal((2, size, d if inner is None else inner))
    x[1] = overlap * x[0] + math.sqrt(1 - overlap**2) * x[1]  # A x, or W'^T x
    if inner is not None:
        x = np.einsum("sdk,isk->isd", rng.standard_normal((size, d, inner)), x)
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    return np.einsum("sd,sd->s", *x)


@pytest.mark.parametrize("d", [2, 3, 5, 16, 61, 128, 1000])
def test_one_factor_closed_form_equals_the_quadrature_over_sample_correlations(d):
    by_quadrature = mean_over_sample_correlation(lambda r: r, OVERLAPS, d)
    assert np.abs(one_factor_cosine(OVERLAPS, d) - by_quadrature).max() < 1e-11
    assert np.abs(mean_over_sample_correlation(np.ones_like, OVERLAPS, d) - 1).max() < 1e-11


@pytest.mark.parametrize("overlap", [-0.8, 0.0, 0.3, 0.95])
def test_one_factor_equals_adaptive_quadrature_of_fishers_density(overlap):
    """Density of the uncentred correlation of k pairs, d = k, integrated in the correlation itself."""
    k = 6
    constant = (k - 1) * math.gamma(k) / (math.sqrt(2 * math.pi) * math.gamma(k + 0.5))

    def density(r):
        series = term = 1.0  # 2F1(1/2, 1/2; k + 1/2; (1 + overlap r)/2)
        for n in range(120):
            term *= (n + 0.5) ** 2 / ((k + 0.5 + n) * (n + 1)) * (1 + overlap * r) / 2
            series += term
        below = (1 - overlap**2) ** (k / 2) * (1 - r * r) ** ((k - 3) / 2)
        return constant * below * series / (1 - overlap * r) ** (k - 0.5)

    mass, mean = (quad(lambda r, p=p: r**p * density(r), -1, 1, epsabs=1e-12, limit=200)[0] for p in (0, 1))
    assert abs(mass - 1) < 1e-10
    assert abs(one_factor_cosine(overlap, k) - mean) < 1e-10
    assert abs(mean_over_sample_correlation(np.cos, overlap, k)
               - quad(lambda r: math.cos(r) * density(r), -1, 1, epsabs=1e-12, limit=200)[0]) < 1e-10  # fmt: skip


@pytest.mark.parametrize(("d", "one", "two"), [(8, 0.5130, 0.8979), (16, 0.5081, 0.9468), (32, 0.5045, 0.9729),
                                               (64, 0.5023, 0.9864), (128, 0.5012, 0.9932)])  # fmt: skip
def test_coefficients_of_an_independent_program(d, one, two):
    """d (F - R)/(R^3 - R) at R = 1/2; the second is near 1, not the 1/2 that is reported for two factors."""
    cubic = 0.5**3 - 0.5
    assert abs(d * (float(one_factor_cosine(0.5, d)) - 0.5) / cubic - one) < 6e-5
    assert abs(d * (float(two_factor_cosine(0.5, d, d)) - 0.5) / cubic - two) < 6e-5


@pytest.mark.parametrize(("d", "head_dim"), [(5, 2), (8, 8), (6, 3)])
def test_two_factors_equal_sampled_cosines(d, head_dim):
    n, overlap = 120_000, 0.6
    rng = np.random.default_rng(1)
    two, one = (sampled_cosines(d, inner, overlap, n, rng) for inner in (head_dim, None))
    for sample, want in ((two, two_factor_cosine(overlap, d, head_dim)), (one, one_factor_cosine(overlap, d))):
        error = sample.std() / math.sqrt(n)
        assert abs(sample.mean() - want) < 4 * error
    assert abs(two_factor_cosine(overlap, d, head_dim) - one_factor_cosine(overlap, d)) > 8 * error


def test_two_factors_where_closed_forms_exist():
    assert np.abs(two_factor_cosine(OVERLAPS, 7, 1) - 2 / np.pi * np.arcsin(OVERLAPS)).max() < 1e-15  # A of rank 1
    assert np.abs(two_factor_cosine([-1.0, 0.0, 1.0], 7, 3) - [-1, 0, 1]).max() < 1e-12
    # J = (d - 1)(k - 1)/((d - 2)(k - 2)) is the slope of F2 at R = 1; one factor: (d - 1)/(d - 2)
    gap = 1e-6
    slope = (1 - float(two_factor_cosine(1 - gap, 9, 8))) / gap
    assert abs(slope - 8 * 7 / (7 * 6)) < 1e-4
    assert abs((1 - float(one_factor_cosine(1 - gap, 9))) / gap - 8 / 7) < 1e-4
    # the expansion of mathematics (8)
    d, k, overlap = 4000, 1000, 0.4
    want = overlap + (overlap**3 - overlap) / 2 * (1 / d + 1 / k)
    assert abs(float(two_factor_cosine(overlap, d, k)) - want) < 3 / k**2


def test_a_dense_measure_at_large_beta_is_the_low_temperature_law():
    """s_ij of 100 000 Gauss nodes at beta |A| of a hundred: within 1/(beta |A|) of F2; d = 3, head_dim 2."""
    points, area = gauss_grid(80, 160)
    measure, overlap, n = Cloud(points, area / area.sum()), 0.5, 400
    heads = GaussianHeads(3, 1.0, 1.0, 2).sample(np.random.default_rng(0), n)
    pair = np.array([[1.0, 0, 0], [overlap, math.sqrt(1 - overlap**2), 0]])
    far = []
    for query, key in zip(heads.query, heads.key, strict=True):
        beta = 100 / np.linalg.norm(pair @ query.T @ key, axis=1).min()
        means = Softmax(beta).barycenter(pair, measure, query, key)
        direction = pair @ query.T @ key
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        far.append(np.abs(means - direction).max())
    assert max(far) < 0.02


def test_exponents():
    assert abs(low_temperature_exponent(16, 16) + 0.0048) < 5e-5
    assert abs(low_temperature_exponent(16, 4) - 0.368) < 5e-4
    assert abs(low_temperature_exponent(16, 15)) < 1e-15  # zero at head_dim = d - 1
    for d in (4, 7, 40):
        assert low_temperature_exponent(d, d) < 0 < low_temperature_exponent(d, max(1, d - 2))
        assert low_temperature_exponent(d, 2) == low_temperature_exponent(d, 1) == math.inf
    assert [low_temperature_exponent(3, k) for k in (1, 2, 3)] == [-2 / 3] * 3


@pytest.mark.parametrize(("d", "head_dim"), [(3, 1), (3, 3), (6, 6), (12, 4)])
def test_exponents_are_those_of_the_generator_near_one(d, head_dim):
    """L log(1 - R) from (7) with s_ii = 1, s_ij = F2(R); for d = 3 at head_dim 1 too, where J is infinite."""
    gap = 1e-5
    s_ij = two_factor_cosine(1 - gap, d, head_dim)
    drift, variance = (law(d, 1 - gap, s_ij, 1.0, 1.0) for law in (overlap_drift, overlap_variance))
    rate = -float(drift) / gap - float(variance) / (2 * gap**2)
    assert abs(rate - low_temperature_exponent(d, head_dim)) < 2e-3


def test_kappa_is_the_limit_of_drift_and_variance():
    """d times drift and variance of R from (7) tend to -kappa R (1 - R^2) and 2 (1 - R^2)^2: O(1/d), halved twice."""
    overlap = np.array([-0.5, 0.2, 0.8])
    for ratio in (1, 4):
        gaps = []
        for d in (500, 1000, 2000):
            s_ij = two_factor_cosine(overlap, d, d // ratio)
            drift = d * overlap_drift(d, overlap, s_ij, 1.0, 1.0)
            variance = d * overlap_variance(d, overlap, s_ij, 1.0, 1.0)
            gaps.append([np.abs(drift + kappa(d, d // ratio) * overlap * (1 - overlap**2)).max(),
                         np.abs(variance - 2 * (1 - overlap**2) ** 2).max()])  # fmt: skip
        gaps = np.array(gaps)
        assert np.all(gaps[-1] < 0.02)
        assert np.all(np.abs(gaps[:-1] / gaps[1:] - 2) < 0.1)
    drift = 4000 * overlap_drift(4000, overlap, one_factor_cosine(overlap, 4000), 1.0, 1.0)
    assert np.abs(drift + kappa(4000) * overlap * (1 - overlap**2)).max() < 0.005
    assert (kappa(64, 64), kappa(64, 16), kappa(64)) == (2.0, 3.5, 1.5)


def aligned_probability(kappa, overlap):
    """Of u -> 1 under the limit law, kappa < 2: a regularised incomplete beta function."""
    return betainc(1 - kappa / 2, 1 - kappa / 2, (1 + overlap) / 2)


def steady_density(kappa, u):
    """Of the limit law, kappa > 2: a beta law."""
    half = kappa / 2 - 1
    return (1 - u**2) ** (half - 1) / np.exp((2 * half - 1) * math.log(2) + betaln(half, half))


def test_limit_law():
    law = LowTemperatureLimit(1.3)
    u = np.array([-0.9, 0.1, 0.7])
    assert np.abs(law.drift(u) + 1.3 * u * (1 - u**2)).max() < 1e-14
    assert np.abs(law.diffusion(u) - math.sqrt(2) * (1 - u**2)).max() < 1e-14
    assert abs(law.exponent - (2 * 1.3 - 4)) < 1e-12
    for start in u:  # closed form against the tabulated scale function
        assert abs(aligned_probability(1.3, start) - law.hitting_probability(start)) < 1e-10
        assert abs(aligned_probability(1.3, start) + law.antipodal_probability(start) - 1) < 1e-10
    for value in (2.3, 4.0, 9.0):
        steady = LowTemperatureLimit(value)
        assert np.abs(steady.stationary_density(u) / steady_density(value, u) - 1).max() < 1e-10
        density = lambda r, p, kappa=value: r**p * steady_density(kappa, r)  # noqa: E731
        mass, square = (quad(density, -1, 1, args=(p,), limit=300)[0] for p in (0, 2))
        assert abs(mass - 1) < 1e-6
        assert abs(square - 1 / (value - 1)) < 1e-6  # 0 = E L u^2 = E[-2 kappa u^2 (1-u^2) + 2 (1-u^2)^2], Beta law


UNIFORM = [(1.0, 0.5, -0.1030), (1.0, 2.0, -0.3706), (1.0, 8.0, -0.5702),
           (3**-0.5, 0.5, -0.0171), (3**-0.5, 2.0, -0.1482), (3**-0.5, 8.0, -0.4252)]  # fmt: skip


@pytest.mark.parametrize(("sigma_a", "beta", "want"), UNIFORM)
def test_frozen_uniform_exponents_of_an_independent_program(sigma_a, beta, want):
    """Their last digit is Monte Carlo."""
    assert abs(frozen_uniform(3, beta, sigma_a, 3).exponent - want) < 1.5e-4


def test_frozen_uniform_equals_sampled_heads():
    """E |m_A(x)|^2 and E |D m_A(x) v|^2 from drawn A and a difference quotient of (coth z - 1/z) nrm(Ax)."""
    beta, sigma, n, step = 3.0, 0.8, 200_000, 1e-4
    heads = GaussianHeads(3, 1.0, sigma, 2).sample(np.random.default_rng(2), n)
    form = np.swapaxes(heads.key, 1, 2) @ heads.query

    def mean(x):
        moved = form @ x
        length = np.linalg.norm(moved, axis=1)
        z = beta * length
        return ((1 / np.tanh(z) - 1 / z) / length)[:, None] * moved

    x, v = np.eye(3)[0], np.eye(3)[1]
    ahead, behind = (mean(math.cos(step) * x + sign * math.sin(step) * v) for sign in (1, -1))
    law = frozen_uniform(3, beta, sigma, 2)
    slope = (ahead - behind) / (2 * step)
    for sample, want in ((np.sum(mean(x) ** 2, axis=1), law.s), (np.sum(slope**2, axis=1), law.gain)):
        error = sample.std() / math.sqrt(n)
        assert abs(sample.mean() - want) < 4 * error
        assert 0.05 * want > 8 * error
    assert law.exponent == collapse_exponent(3, law.s, law.gain)


def test_frozen_uniform_tends_to_the_low_temperature_exponent_and_to_zero():
    for d, k in ((16, 16), (16, 4), (5, 5)):
        assert abs(frozen_uniform(d, 1e10, 1.0, k).exponent - low_temperature_exponent(d, k)) < 1e-6
    # A -> 0: m_A(x) = beta Ax/d, so s = J = (beta sigma_a^2)^2 head_dim/d and the exponent is -2 s/d
    small = frozen_uniform(6, 1e-3, 1.0, 4)
    assert abs(small.s / (1e-6 * 4 / 6) - 1) < 1e-4
    assert abs(small.gain / small.s - 1) < 1e-4
    assert abs(small.exponent + 2 * small.s / 6) < 1e-9
    assert frozen_uniform(6, 0.0, 1.0, 4) == (0.0, 0.0, 0.0)


def test_mean_of_von_mises_fisher():
    """Against quadrature in the angle, across the change from recurrence to Bessel functions, and far out."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angle = 0.5 * np.pi * (1 + nodes)
    for d in (2, 3, 8, 300):
        for z in (1e-6, 0.4, 0.999 * d, 1.001 * d, 40.0 + d):
            mass = weights * np.exp(z * (np.cos(angle) - 1)) * np.sin(angle) ** (d - 2)
            m0, m1, m2 = (mass @ np.cos(angle) ** p for p in (0, 1, 2))
            value, over, slope = (float(x[0]) for x in mean_of_von_mises_fisher(np.array([z]), d))
            assert abs(value - m1 / m0) < 1e-11
            assert abs(over - value / z) < 1e-11
            assert abs(slope - (m2 / m0 - (m1 / m0) ** 2)) < 1e-10
    value, _, slope = mean_of_von_mises_fisher(np.array([0.999e8, 1.001e8]), 5)
    assert abs((value[1] - value[0]) / (0.002e8 * 2e-16) - 1) < 0.1  # L' = 2/z^2, on both sides of the change
    assert np.abs(slope - 2e-16).max() < 1e-15


def test_bad_values_are_refused():
    cases = [
        (lambda: one_factor_cosine(0.5, 1), "d must be at least 2, got 1"),
        (lambda: two_factor_cosine(0.5, 4, 5), "head_dim must be between 1 and d = 4, got 5"),
        (lambda: two_factor_cosine(1.01, 4, 4), "overlap must lie between -1 and 1, got 1.01"),
        (lambda: mean_over_sample_correlation(np.cos, 0.5, 0), "pairs must be at least 1, got 0"),
        (lambda: low_temperature_exponent(2, 2), "d must be at least 3, got 2"),
        (lambda: LowTemperatureLimit(math.nan), "kappa must be finite and >= 0, got nan"),
        (lambda: LowTemperatureLimit(2.0).stationary_density(0.1), "there is no stationary density"),
        (lambda: frozen_uniform(3, -1.0, 1.0, 3), "beta must be finite and >= 0, got -1"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
