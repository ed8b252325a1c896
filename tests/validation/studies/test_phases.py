"""Studies E1, V2 and S4 on small sizes: against closed forms, other parts of the program, and wrong laws."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import iv

from particles import Ballistic, FixedHeads, Noise, Softmax, Tokens, simulate
from particles.equations import Exponential
from particles.stationary import follow
from validation.studies import e1_phase_transition as e1
from validation.studies import s4_residual_streams as s4
from validation.studies import v2_symmetric_values as v2


@pytest.mark.parametrize("d", [2, 3])
def test_laws_on_the_grid_are_those_of_the_branch(d):
    strength = e1.Direct(d, 1.2).strength(0.6)
    state = follow(Exponential(1.2), d, 0.5 / strength).at(1 / strength)
    assert state.order_parameter == pytest.approx(0.6, abs=1e-8)


@pytest.mark.parametrize("d", [2, 3])
def test_beta_star_is_where_the_quadratic_coefficient_vanishes(d):
    """-(1 - d r)/((1 - r)(d + 2)) times d, r the ratio of Bessel functions: derived in docs/theory.md."""
    for beta in (0.7, 3.0):
        r = float(iv(d / 2 + 1, beta) / iv(d / 2, beta))
        start, bend = e1.curvature(d, beta, 0.25)
        assert start == pytest.approx(1, abs=1e-6)
        assert bend == pytest.approx((1 - d * r) / (1 - r) * d / (d + 2), rel=5e-3)
    found, bias = e1.turning(d)
    assert abs(found - e1.star(d)) < bias
    assert bias < 2e-3
    other, rest = e1.leaving(d)
    assert abs(other - e1.star(d)) < rest < 1e-4


def test_a_wrong_threshold_fails():
    part = e1.study(True, 0).parts["beta_star_d3"]
    assert part.verdict == "holds"
    wrong = replace(part, predicted=e1.star(2), excludes={"that of d = 3": e1.star(3)})
    assert wrong.verdict == "fails"


def test_the_velocity_under_symmetric_values_is_that_of_ballistic_layers():
    points = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    form = np.diag(v2.POSITIVE)
    law = Ballistic(FixedHeads(form[None], np.eye(3)[None], form[None]), Softmax(0.8), 1e-6, 1, Noise(0))
    moved = simulate(Tokens(points), law, n_steps=1).tokens.values[-1]
    assert np.abs((moved - points) / 1e-6 - v2.velocity(points, v2.POSITIVE, 0.8)).max() < 1e-5


@pytest.mark.parametrize("values", [v2.POSITIVE, v2.NEGATIVE, np.array([-1.0, -0.3, 0.5])])
@pytest.mark.parametrize("beta", [0.3, 1.5])
def test_rates_of_splits_are_the_derived_ones(values, beta):
    assert v2.growth(values, beta) == pytest.approx(v2.derived(values, beta), abs=1e-8)
    if values is v2.NEGATIVE:
        assert v2.growth(values, beta) > v2.printed(values, beta) + 0.05


def test_overlaps_on_residual_streams_depend_on_the_number_of_tokens(monkeypatch):
    monkeypatch.setattr(s4, "LAYERS", 60)
    found = s4.at_end(s4.course(4, 12, 3))
    assert abs(found.value - s4.steps(s4.START, s4.DEPTH, 4, 60)) < 4 * found.error + 1e-3
    assert found.value - s4.logistic(s4.START, s4.DEPTH) > 20 * found.error
    assert s4.overlap(0.3, 1.0, 10**9) == pytest.approx(s4.logistic(0.3, 1.0), rel=1e-8)
