"""Studies M3 and M4 on small sizes: their estimators against known values, and against wrong laws."""

import math
from dataclasses import replace

import numpy as np
import pytest

from particles.reduced import IsotropicNoise, QuadraticForm, spectral_gap
from validation import Part
from validation.studies import m3_opposite_pairs as m3
from validation.studies import m4_sharp_rates as m4
from validation.studies.shared.backward import expectations
from validation.studies.shared.mlp_pairs import Block

RNG = np.random.default_rng


@pytest.mark.parametrize(("overlap", "gamma"), [(-0.9, 0.3), (-0.4, 1.0)])
def test_a_step_of_tokens_has_the_mean_of_the_generator_to_second_order(overlap, gamma):
    """E R^2 after h = 0.04 against the ordinary differential equation of moments; h^2 beyond it would be seen."""
    law, pairs, step = QuadraticForm(3, gamma), 150_000, 0.04
    rng = RNG(1)
    tokens, square = m3.start(law, overlap, pairs), step / 4 * (law.d + 1 + gamma**2)
    for _ in range(4):
        tokens = m3.moved(tokens, m3.noises(rng, law, pairs, step / 4), square)
    after = 1 - m3.gaps(tokens)

    def generator(values, at):
        first = np.polynomial.chebyshev.Chebyshev.fit(at, values, 12).deriv(1)
        return law.drift(at) * first(at) + 0.5 * law.variance(at) * first.deriv(1)(at)

    at = np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    for power in (1, 2):
        terms = [at**power]
        for _ in range(3):
            terms.append(generator(terms[-1], at))
        want = sum(
            step**k / math.factorial(k) * float(np.polynomial.chebyshev.Chebyshev.fit(at, term, 14)(overlap))
            for k, term in enumerate(terms)
        )
        error = np.std(after**power) / math.sqrt(pairs)
        assert abs(np.mean(after**power) - want) < 4 * error + 2e-4
        assert abs(want - overlap**power) > 8 * error


def test_death_rates_are_the_gap_and_not_the_printed_rate():
    law = QuadraticForm(3, 0.4)
    found = m3.death_rate(RNG(2), law, 16_000)
    gap = spectral_gap(law).gap
    part = Part("", found.value, found.error, law.moment_rate, gap, bias=0.02 * gap)
    assert abs(found.value - gap) < 4 * found.error
    assert part.verdict == "corrected"
    assert replace(part, corrected=2 * gap).verdict == "fails"


def test_the_mean_passage_is_half_the_lifetime_of_the_gap():
    law = IsotropicNoise(m3.blocks(1e-8).kernel)
    assert 2 * spectral_gap(law).gap * m3.mean_passage(law) == pytest.approx(1, abs=0.01)


def test_opposite_pairs_of_blocks_live_as_long_as_the_quadrature_says(monkeypatch):
    monkeypatch.setattr(m3, "BLOCK_STEP", 0.025)
    found = m3.lifetime(RNG(3), m3.blocks(0.1), 1000)
    assert abs(found.value - m3.mean_passage(IsotropicNoise(m3.blocks(0.1).kernel))) < 4 * found.error + 0.1
    assert found.value > 16 * found.error


def test_the_backward_equation_keeps_the_mean_angle_of_linear_noise_and_finds_the_ends():
    linear = IsotropicNoise(Block("linear", 5).kernel)
    found = expectations(linear, lambda y: 2 * np.arctan(np.exp(-y)), -0.3, (1.0, 4.0), cells=600)
    assert np.abs(found - math.acos(-0.3)).max() < 1e-4
    odd = IsotropicNoise(Block("erf", 4).kernel)
    share = expectations(odd, lambda y: (y < 0).astype(float), -0.5, (150.0,), cells=600, step=0.1)[0]
    assert share == pytest.approx(odd.antipodal_probability(-0.5), abs=3e-3)


def test_the_rate_at_the_edge_and_a_wrong_one():
    part = m4.late_rate()
    assert part.verdict == "holds"
    assert replace(part, predicted=1.25 * part.predicted).verdict == "fails"


def test_exponents_of_means_in_blocks_are_those_of_the_backward_equation():
    found = m4.exponent(RNG(4), m4.RELU, m4.distance, (5.0, 15.0), 2500, 0.1)
    early, late = m4.backward(m4.RELU, m4.distance, (5.0, 15.0))
    want = math.log(late / early) / 10
    assert abs(found.value - want) < 4 * found.error + 0.003
    assert abs(want) > 8 * found.error
    assert want < -0.05  # and not lambda_bar = 0.2
