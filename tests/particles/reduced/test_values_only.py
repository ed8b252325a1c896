"""Values only: the explicit scale density, numbers of an independent program, and pairs followed to their end."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from particles import GaussianHeads, Softmax
from particles.reduced import ValuesOnly
from tests.particles.reduced.moments import assert_mean, first_overlap, one_step, pair


def antipodal(d, beta, start):
    """P(R -> -1) from the scale density written in mathematics, section 4, by nested quadrature in artanh R."""

    def density(y):
        inner = quad(lambda t: 1 / math.cosh(min(beta * (1 - math.tanh(t)), 700.0)), 0, y, epsabs=1e-12, limit=200)[0]
        return math.exp(-(d - 2) * inner) / math.cosh(y)

    y = math.atanh(start)
    left, right = (quad(density, *ends, epsabs=1e-11, limit=200)[0] for ends in ((-60, y), (y, 60)))
    return right / (left + right)


@pytest.mark.parametrize(("d", "beta", "want"), [(3, 1.0, 0.22242256), (4, 1.5, 0.18113843), (5, 1.5, 0.11366816)])
def test_antipodal_probabilities_of_an_independent_program(d, beta, want):
    assert abs(ValuesOnly(d, beta).antipodal_probability(0.0) - want) < 6e-9


@pytest.mark.parametrize(("d", "beta", "start"), [(3, 1.0, -0.4), (4, 2.0, 0.5), (2, 0.7, 0.1)])
def test_equals_the_explicit_integrals(d, beta, start):
    law, want = ValuesOnly(d, beta), antipodal(d, beta, start)
    assert abs(law.antipodal_probability(start) - want) < 1e-8
    assert abs(law.hitting_probability(start) - (1 - want)) < 1e-8


def test_critical_beta():
    for d, want in ((4, 0.658479), (5, 0.881374), (8, 1.238944)):
        beta = ValuesOnly(d, 1.0).critical_beta
        assert abs(beta - want) < 5e-7
        assert abs(math.cosh(2 * beta) - (d - 2)) < 1e-12
        above, below = ValuesOnly(d, beta + 0.01), ValuesOnly(d, beta - 0.01)
        assert above.antipodal_probability(0.0) > 0
        assert below.antipodal_probability(0.0) == 0
        assert above.antipodal_exponent < 0 < below.antipodal_exponent
    assert ValuesOnly(2, 1.0).critical_beta == ValuesOnly(3, 1.0).critical_beta == 0


def test_one_step_of_actual_tokens_has_these_moments():
    heads, law = GaussianHeads(8, 8**-0.5, 0.0, 1, mean_a=np.eye(8)), ValuesOnly(8, 1.2)
    for overlap in (-0.5, 0.3):
        drift, variance = one_step(pair(8, overlap), heads, Softmax(1.2), first_overlap, members=3000)
        assert_mean(drift, float(law.drift(overlap)))
        assert_mean(variance, float(law.variance(overlap)))


def test_pairs_followed_to_their_end():
    """4000 pairs of tokens, d = 3, beta = 1.5: the fraction that ends opposite, z < 4; at beta = 0 none would."""
    d, beta, n, dt, steps = 3, 1.5, 4000, 0.04, 900
    rng = np.random.default_rng(0)
    x = np.tile(pair(d, 0.0), (n, 1, 1))
    for _ in range(steps):
        weights = np.exp(beta * x @ x.transpose(0, 2, 1))
        means = weights / weights.sum(axis=2, keepdims=True) @ x
        x = x + means @ (math.sqrt(dt / d) * rng.standard_normal((n, d, d)))
        x /= np.linalg.norm(x, axis=2, keepdims=True)
    overlap = np.einsum("ni,ni->n", x[:, 0], x[:, 1])
    assert np.mean(np.abs(overlap) > 0.9) > 0.99  # almost all have arrived
    want = ValuesOnly(d, beta).antipodal_probability(0.0)
    error = math.sqrt(want * (1 - want) / n)
    assert abs(np.mean(overlap < 0) - want) < 4 * error
    assert abs(antipodal(d, beta / 1.6, 0.0) - want) > 8 * error


def test_large_beta_and_dimension():
    found = ValuesOnly(3, 1e6).antipodal_probability(0.0)  # tokens attend to themselves: no preference, except ...
    assert abs(found - antipodal(3, 1e6, 0.0)) < 1e-8
    assert 0 < 0.5 - found < 1e-3  # ... where they are nearer than beta^-1/2
    want = quad(lambda y: math.exp(-998 * y) / math.cosh(y), -0.002, 0.0)[0]
    rest = quad(lambda y: math.exp(-998 * y) / math.cosh(y), 0.0, 0.003)[0]
    law = ValuesOnly(1000, 0.0)
    found = law.hitting_probability(0.0, math.tanh(-0.002), math.tanh(0.003))
    assert abs(found - want / (want + rest)) < 1e-11


def test_bad_laws_are_refused():
    with pytest.raises(ValueError, match="d must be at least 2, got 1"):
        ValuesOnly(1, 1.0)
    with pytest.raises(ValueError, match="beta must be finite and >= 0, got inf"):
        ValuesOnly(3, math.inf)
