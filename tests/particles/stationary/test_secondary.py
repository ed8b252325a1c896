"""Secondary branches of interactions of two and three degrees, against conditions on the laws they leave.

On a law whose moments are those of one degree k alone the derivative of the equations parts into blocks: with b_l = a_l
the moments of other degrees obey nu m_l = sum_j <P_l P_j> b_j m_j, and another branch leaves where that has a solution.
"""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ive

from particles.equations import Dot, Exponential, Legendre, MaierSaupe
from particles.stationary import StationaryState, follow, onset, secondaries


def on_circle(nu, a):
    """m_k of the law of one degree, e^{(a/nu) m cos(k theta)}/Z."""
    return brentq(lambda m: m - ive(1, a * m / nu) / ive(0, a * m / nu), 1e-5, 1.0, xtol=1e-15)


def left_on_sphere(m, nu):
    """What is left of the equation of the law e^{(m/nu) P_2(t)}/Z."""
    x, weights = np.polynomial.legendre.leggauss(100)
    p = 1.5 * x**2 - 0.5
    rho = weights * np.exp(m / nu * (p - 1))
    return m - p @ rho / rho.sum()


@pytest.mark.parametrize(("first", "low"), [(0.5, 0.3), (0.8, 0.4), (0.95, 0.47)])
def test_two_degrees_on_the_circle(first, low):
    """nu = <cos^2> a_1 = (1 + m_2) a_1/2."""
    expected = brentq(lambda nu: nu - first * (1 + on_circle(nu, 1.0)) / 2, low, 0.5 - 1e-9, xtol=1e-15)
    branch = follow(Legendre((0.0, first, 1.0), 2), 2, 0.2)
    assert branch.degree == 2
    (found,) = secondaries(branch)
    assert abs(found.leaves - expected) < 1e-11
    assert found.direction == 1
    assert np.abs(found.points[0, :-1] - [0.0, on_circle(expected, 1.0)]).max() < 1e-9
    near = found.at(found.leaves * (1 - 1e-4) if found.sheets == 1 else found.leaves * (1 + 1e-4), 0)
    nearer = found.at(found.leaves * (1 - 5e-5) if found.sheets == 1 else found.leaves * (1 + 5e-5), 0)
    assert abs((near.acting[0] / nearer.acting[0]) ** 2 - 2) < 0.01  # a pitchfork: m_1^2 grows with the distance


def test_two_degrees_on_the_sphere():
    """nu = <t^2> a_1 = (1 + 2 m_2) a_1/3, before the fold."""
    m = brentq(lambda m: left_on_sphere(m, (1 + 2 * m) / 6), 0.05, 0.25, xtol=1e-15)
    expected = (1 + 2 * m) / 6
    (found,) = secondaries(follow(Legendre((0.0, 0.5, 1.0)), 3, 0.1))
    assert abs(found.leaves - expected) < 1e-11


def test_three_degrees_on_the_circle_both_ways():
    """(nu - a_1/2) (nu - a_2/2) = a_1 a_2 m_3^2/4, as <cos cos 2> = m_3/2; the two ways are no images of each other."""
    one, two = 0.3, 0.5
    expected = brentq(
        lambda nu: (nu - one / 2) * (nu - two / 2) - one * two * on_circle(nu, 1.0) ** 2 / 4, 0.3, 0.4, xtol=1e-15
    )
    found = secondaries(follow(Legendre((0.0, one, two, 1.0), 2), 2, 0.1))
    assert [branch.direction for branch in found] == [1, -1]
    assert max(abs(branch.leaves - expected) for branch in found) < 1e-11


def test_the_other_direction_of_an_even_degree_on_the_circle():
    """nu = <sin^2> a_1 = (1 - m_2) a_1/2 of the law turned by a right angle."""
    w = Legendre((0.0, 1.0, 0.9), 2)
    expected = brentq(lambda nu: nu - (1 - on_circle(nu, 0.9)) / 2, 0.4, 0.45 - 1e-9, xtol=1e-15)
    assert not secondaries(follow(w, 2, 0.2, degree=2))
    (found,) = secondaries(follow(w, 2, 0.2, degree=2, direction=-1))
    assert abs(found.leaves - expected) < 1e-11


def test_laws_on_a_secondary_branch_are_stationary_and_change_places_in_stability():
    a = np.array([0.5, 1.0])
    w, theta = Legendre((0.0, *a), 2), 2 * np.pi * np.arange(512) / 512
    branch = follow(w, 2, 0.1)
    (mixed,) = secondaries(branch)
    modes = np.cos(np.outer([1, 2], theta))
    for nu in (0.39, 0.3, 0.15):
        state = mixed.at(nu)
        density = np.exp((a * state.acting / nu) @ modes)
        assert np.abs(modes @ density / density.sum() - state.acting).max() < 1e-13
        assert abs(state.acting[0]) > 0.1
        assert state.stability < 0 < branch.at(nu).stability
        assert state.free_energy < branch.at(nu).free_energy
    assert branch.at(0.41).stability < 0
    assert mixed.at(0.41) is None


@pytest.mark.parametrize(("w", "d"), [(Dot(1.0), 2), (MaierSaupe(1.0), 3), (Exponential(2.0), 3), (Exponential(4), 2)])
def test_named_interactions_have_none(w, d):
    assert not secondaries(follow(w, d, 0.2 * onset(w, d)[1]))


def test_rates_of_wells_whose_exchange_is_below_rounding():
    """The form int rho |grad g|^2 had no Cholesky factor here."""
    (_, last) = secondaries(follow(Legendre((0.0, 0.3, 0.5, 1.0), 2), 2, 0.045))
    state = last.at(0.05)
    assert isinstance(state, StationaryState)
    assert abs(state.stability) < 1e-9
    (first, _) = secondaries(follow(Legendre((0.0, 0.3, 0.5, 1.0), 2), 2, 0.045))
    assert abs(first.at(0.05).stability) < 1e-9
