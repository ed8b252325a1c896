"""Two tokens: closed forms at beta = 0, brute quadrature, one step of actual tokens, an ODE for the scale function."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad, solve_ivp

from particles import GaussianHeads, Softmax
from particles.reduced import OverlapDiffusion, TwoTokens, collapse_exponent, overlap_drift, overlap_variance
from particles.reduced.chi import chi_rule
from particles.reduced.scale import Scale
from tests.particles.reduced.moments import assert_mean, first_overlap, one_step, pair

OVERLAPS = np.array([-0.999, -0.6, 0.0, 0.3, 0.95, 0.9999])


def test_at_beta_zero_drift_and_diffusion_are_the_closed_forms():
    for d in (2, 3, 16, 768):
        law = TwoTokens(d, 0.0, 1.0, 2)
        assert np.abs(law.drift(OVERLAPS) - (1 - OVERLAPS**2) * (d - 2 - OVERLAPS) / (2 * d)).max() < 1e-14
        assert np.abs(law.diffusion(OVERLAPS) - (1 - OVERLAPS**2) / math.sqrt(d)).max() < 1e-14
        assert abs(law.exponent + (d - 1) / d) < 1e-14


def test_at_beta_zero_two_dimensional_tokens_meet_with_the_probability_of_the_angle():
    law = TwoTokens(2, 0.0, 1.0, 2)
    for overlap in (-0.9, 0.0, 0.37):
        angle = math.acos(overlap) / math.pi
        assert abs(law.hitting_probability(overlap) - (1 - angle)) < 1e-12
        assert abs(law.antipodal_probability(overlap) - angle) < 1e-12
    assert TwoTokens(3, 0.0, 1.0, 2).hitting_probability(-0.9) == 1.0
    assert TwoTokens(3, 0.0, 1.0, 2).antipodal_probability(-0.9) == 0.0


def brute(law, overlap, step=0.03):
    """s_11 and s_12 by the trapezoidal rule over the Gaussian pair and Gauss-Legendre over chi_k."""
    x = np.arange(-9, 9 + step / 2, step)
    wx = step * stats.norm.pdf(x)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    top = math.sqrt(law.head_dim) + 8
    square = cross = 0.0
    for node, weight in zip(0.5 * top * (nodes + 1), 0.5 * top * weights, strict=True):
        half = 0.5 * law.beta * law.sigma_a**2 * math.sqrt(2 * (1 - overlap)) * node
        first = np.tanh(half * x)
        second = np.tanh(half * (overlap * x[:, None] + math.sqrt(1 - overlap**2) * x))
        mass = weight * stats.chi.pdf(node, law.head_dim)
        square += mass * (wx @ first**2)
        cross += mass * ((wx * first) @ second @ wx)
    return (1 + overlap) / 2 + (1 - overlap) / 2 * square, (1 + overlap) / 2 + (1 - overlap) / 2 * cross


@pytest.mark.parametrize("law", [TwoTokens(3, 1.0, 1.0, 3), TwoTokens(4, 1.5, 0.9, 1), TwoTokens(8, 5.0, 0.4, 8)])
def test_equals_brute_quadrature(law):
    for overlap in (-0.9, 0.2, 0.9):
        s_11, s_12 = brute(law, overlap)
        found = law.overlaps_of_barycentres(overlap)
        assert abs(found[0] - s_11) < 1e-10
        assert abs(found[1] - s_12) < 1e-10
        assert abs(law.drift(overlap) - overlap_drift(law.d, overlap, s_12, s_11, s_11)) < 1e-10
        assert abs(law.variance(overlap) - overlap_variance(law.d, overlap, s_12, s_11, s_11)) < 1e-10


@pytest.mark.parametrize("beta", [1e3, 1e6])
def test_large_beta_is_a_hard_maximum(beta):
    """T_i -> sign: E T_1 T_2 -> (2/pi) arcsin R with a difference of order 1/(beta sqrt(1 - R))."""
    for overlap in (-0.7, 0.1, 0.6):
        s_11, s_12 = TwoTokens(6, beta, 1.0, 4).overlaps_of_barycentres(overlap)
        assert 0 < 1 - s_11 < 3 / beta
        assert abs(s_12 - (1 + overlap + (1 - overlap) * 2 / math.pi * math.asin(overlap)) / 2) < 3 / beta


@pytest.mark.parametrize(("d", "head_dim", "beta", "overlap"), [(3, 2, 2.0, -0.4), (6, 6, 4.0, 0.3)])
def test_one_step_of_actual_tokens_has_these_moments(d, head_dim, beta, overlap):
    heads = GaussianHeads(d, d**-0.5, 0.8, head_dim)
    law = TwoTokens(d, beta, 0.8, head_dim)
    drift, variance = one_step(pair(d, overlap), heads, Softmax(beta), first_overlap, members=6000)
    assert_mean(drift, float(law.drift(overlap)))
    assert_mean(variance, float(law.variance(overlap)))


def test_overlap_of_any_two_tokens_moves_by_the_general_law():
    """mathematics (7) with s_ij of five tokens averaged over the same heads that move them."""
    d, beta, members = 8, 1.5, 5000
    points = np.random.default_rng(3).standard_normal((5, d)) + 4 * np.eye(d)[0]
    points /= np.linalg.norm(points, axis=1)[:, None]
    heads = GaussianHeads(d, d**-0.5, 0.7, 3)
    drift, variance = one_step(points, heads, Softmax(beta), first_overlap, members=members)
    query, key = heads.sample_query_key(np.random.default_rng(4), 40_000)
    logits = beta * np.einsum("hki,ti,hkj,uj->htu", query, points[:2], key, points, optimize=True)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    means = (weights / weights.sum(axis=2, keepdims=True)) @ points
    s = np.einsum("hti,hui->htu", means, means)
    law = [overlap_drift(d, first_overlap(points), s[:, 0, 1], s[:, 0, 0], s[:, 1, 1])]
    law.append(overlap_variance(d, first_overlap(points), s[:, 0, 1], s[:, 0, 0], s[:, 1, 1]))
    for found, want in zip((drift, variance), law, strict=True):
        error = math.hypot(found.std() / math.sqrt(members), want.std() / math.sqrt(len(want)))
        assert abs(found.mean() - want.mean()) < 4 * error
        assert 0.3 * abs(want.mean()) > 8 * error


@pytest.mark.parametrize(("d", "beta"), [(3, 0.0), (3, 6.0), (8, 2.0)])
def test_exponents_are_those_of_the_generator_at_the_ends(d, beta):
    """L log(1 - R) = -drift/(1 - R) - variance/(2 (1 - R)^2), and the same at -1."""
    law, gap = TwoTokens(d, beta, 1.0, 3), 1e-5
    drift, variance = float(law.drift(1 - gap)), float(law.variance(1 - gap))
    assert abs(-drift / gap - variance / (2 * gap**2) - law.exponent) < 1e-3
    assert abs(law.exponent + (d - 1) / d) < 1e-12  # for every beta: two tokens that meet attend to one point
    drift, variance = float(law.drift(gap - 1)), float(law.variance(gap - 1))
    assert abs(drift / gap - variance / (2 * gap**2) - law.antipodal_exponent) < 1e-3


@pytest.mark.parametrize("law", [TwoTokens(3, 5.0, 1.0, 3), TwoTokens(6, 1.0, 0.7, 2)])
def test_hitting_probabilities_solve_the_boundary_value_problem(law):
    """P' = s', s'' = -2 drift/variance s', integrated in R by a Runge-Kutta method of order 8."""
    low, high, start = (-0.8, 0.9, 0.2) if law.d == 3 else (-0.8, -0.3, -0.7)
    slope = lambda r, s: [s[1], -2 * float(law.drift(r)) / float(law.variance(r)) * s[1]]  # noqa: E731
    run = solve_ivp(slope, (low, high), [0.0, 1.0], method="DOP853", t_eval=[start, high], rtol=1e-9, atol=1e-11)
    want = run.y[0, 0] / run.y[0, 1]
    assert 0.1 < want < 0.95
    assert abs(law.hitting_probability(start, low, high) - want) < 1e-8
    assert law.hitting_probability(low, low, high) == 0.0
    assert law.hitting_probability(high, low, high) == 1.0


def test_opposite_tokens_may_attract_in_three_dimensions():
    """The exponent at -1 is negative for d = 3 and large beta; both ends then share the probability."""
    law = TwoTokens(3, 5.0, 1.0, 3)
    assert law.antipodal_exponent < 0
    scale = law.scale()
    met, apart = (scale.hitting_probability(0.0, -np.inf, np.inf, upper) for upper in (True, False))
    assert abs(met + apart - 1) < 1e-12
    up, down = math.atanh(0.5), math.atanh(-0.6)  # the strong Markov property at the first of two levels
    first = scale.hitting_probability(0.0, down, up)
    later = [scale.hitting_probability(at, -np.inf, np.inf) for at in (up, down)]
    assert abs(met - first * later[0] - (1 - first) * later[1]) < 1e-11
    assert 0.05 < apart < 0.3


class _Drifted:
    """dy = c dt + dB."""

    def __init__(self, c):
        self.c = c

    def rates(self, y):
        return np.full_like(y, self.c), np.ones_like(y)


@pytest.mark.parametrize("c", [0.7, -2.0, 300.0])
def test_scale_function_of_a_constant_drift(c):
    scale = Scale.of(_Drifted(c).rates)
    for start, low, high in ((0.01, -0.1, 0.2), (-0.004, -0.013, 0.5)):
        want = math.expm1(-2 * c * (start - low)) / math.expm1(-2 * c * (high - low))
        assert abs(scale.hitting_probability(start, low, high) - want) < 1e-12
    assert scale.hitting_probability(0.3, -np.inf, np.inf) == (c > 0)
    assert abs(Scale.of(_Drifted(0.7).rates).hitting_probability(0.5, 0.0, np.inf) + math.expm1(-0.7)) < 1e-12


@pytest.mark.parametrize("k", [1, 2, 3, 8, 64, 768])
def test_means_over_chi(k):
    nodes, weights = chi_rule(k)
    for function in (np.tanh, lambda c: c**2 / (1 + c**2)):
        want = quad(lambda c, f=function: f(c) * stats.chi.pdf(c, k), 0, math.sqrt(k) + 9, epsabs=1e-13, limit=200,
                    points=[math.sqrt(k)])[0]  # fmt: skip
        assert abs(weights @ function(nodes) - want) < 1e-12
    assert abs(weights @ nodes**2 - k) < 1e-11 * k


def test_bad_laws_are_refused():
    law = TwoTokens(3, 0.0, 1.0, 3)
    cases = [
        (lambda: TwoTokens(1, 1.0, 1.0, 1), "d must be at least 2, got 1"),
        (lambda: TwoTokens(3, math.nan, 1.0, 3), "beta must be finite and >= 0, got nan"),
        (lambda: TwoTokens(3, 1.0, -1.0, 3), "sigma_a must be finite and >= 0, got -1"),
        (lambda: TwoTokens(3, 1e300, 1e300, 3), r"beta \* sigma_a\^2 must be at most 1e\+15, got inf"),
        (lambda: TwoTokens(3, 1.0, 1.0, 4), "head_dim must be between 1 and d = 3, got 4"),
        (lambda: law.drift(1.5), "overlap must lie between -1 and 1, got 1.5"),
        (lambda: law.drift(math.nan), "overlap must lie between -1 and 1, got nan"),
        (lambda: law.hitting_probability(0.5, 0.6, 0.7), "low <= overlap <= high within"),
        (lambda: law.hitting_probability(0.5, 0.5, 0.5), "low <= overlap <= high within"),
        (lambda: Scale.of(_Drifted(0.0).rates).hitting_probability(0.0, -np.inf, np.inf), "no end attracts"),
        (lambda: law.stationary_density(0.0), "there is no stationary density"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    assert issubclass(TwoTokens, OverlapDiffusion)
    assert collapse_exponent(3, 0.5, 7.0) == -1 / 3
