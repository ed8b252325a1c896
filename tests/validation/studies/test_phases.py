"""Study E1: stationary laws on a grid against closed forms and branches, and a wrong beta*."""

from dataclasses import replace

import pytest
from scipy.special import iv

from particles.equations import Exponential
from particles.stationary import follow
from validation.studies import e1_phase_transition as e1


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


def test_a_wrong_threshold_fails():
    part = e1.study(True, 0).parts["beta_star_d3"]
    assert part.verdict == "holds"
    assert replace(part, predicted=e1.star(2)).verdict == "fails"
