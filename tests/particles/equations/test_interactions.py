"""Multipliers of Funk and Hecke against closed forms and an independent quadrature; w' against differences of w."""

import numpy as np
import pytest
import scipy

from particles.equations import Dot, Exponential, Legendre, MaierSaupe, OfOverlap, multipliers
from particles.equations.interactions import harmonics_of_degree, polynomials
from particles.initial import sphere_area

T = np.linspace(-1, 1, 41)
DIMENSIONS = (2, 3, 4, 7)


def first(d, degree, t=T):
    return np.array([p for (p, _), _ in zip(polynomials(t, d), range(degree + 1), strict=False)])


def test_polynomials_are_those_of_the_dimension():
    assert np.abs(first(2, 9) - np.cos(np.outer(np.arange(10), np.arccos(T)))).max() < 1e-13
    assert np.abs(first(3, 9) - [scipy.special.eval_legendre(k, T) for k in range(10)]).max() < 1e-14
    for d in (4, 7):
        want = [scipy.special.eval_gegenbauer(k, d / 2 - 1, T) for k in range(10)]
        assert np.abs(first(d, 9) - np.array(want) / np.array(want)[:, -1:]).max() < 1e-13
    for d in DIMENSIONS:
        slopes = np.array([q for (_, q), _ in zip(polynomials(T, d), range(10), strict=False)])
        step = 1e-6
        inner = T[1:-1]
        ahead, behind = first(d, 9, inner + step), first(d, 9, inner - step)
        assert np.abs(slopes[:, 1:-1] - (ahead - behind) / (2 * step)).max() < 1e-7 * np.abs(slopes).max()
    assert [harmonics_of_degree(k, 3) for k in range(4)] == [1, 3, 5, 7]
    assert [harmonics_of_degree(k, 2) for k in range(4)] == [1, 2, 2, 2]
    assert [harmonics_of_degree(k, 4) for k in range(4)] == [1, 4, 9, 16]


@pytest.mark.parametrize("d", DIMENSIONS)
def test_multipliers_in_closed_form(d):
    """w = K t has |S| K/d in degree 1; e^{beta t} the modified Bessel functions, mathematics section 10."""
    area = sphere_area(d)
    found = multipliers(Dot(1.7), d, 1e-12)
    assert np.abs(found - [0, 1.7 * area / d]).max() < 1e-14 * area
    found = multipliers(MaierSaupe(1.7), d, 1e-12)  # t^2 = 1/d + (1 - 1/d) P_2, share |S|/dim_2
    want = 0.85 * (1 - 1 / d) * area / harmonics_of_degree(2, d)
    assert np.abs(found - [0.85 * area / d, 0, want]).max() < 2e-14 * area
    for beta in (0.3, 4.0, 20.0):
        found = multipliers(Exponential(beta, 1.7), d, 1e-12)
        degrees = np.arange(len(found))
        bessel = scipy.special.iv(d / 2 - 1 + degrees, beta)
        want = 1.7 / beta * (2 * np.pi) ** (d / 2) * beta ** (1 - d / 2) * bessel
        assert np.abs(found - want).max() < 1e-13 * want[0]
        assert 4 < len(found) < 6 * beta + 25


@pytest.mark.parametrize("d", DIMENSIONS)
def test_a_series_has_the_multipliers_of_its_coefficients(d):
    a = np.array([0.3, -1.0, 0.0, 0.4, 0.2])
    want = a * sphere_area(d) / [harmonics_of_degree(k, d) for k in range(5)]
    interaction = Legendre(tuple(a), d)
    assert np.abs(multipliers(interaction, d, 1e-12) - want).max() < 1e-14 * sphere_area(d)
    assert np.abs(interaction.value(T) - a @ first(d, 4)).max() < 1e-15


@pytest.mark.parametrize(
    "interaction",
    [
        Dot(0.7), MaierSaupe(-0.7), Exponential(3.0, 2.0), Legendre((0.1, 0.5, -2.0, 0.3), 4),
        OfOverlap(lambda t: np.sin(3 * t) + t**2), OfOverlap(np.exp, np.exp), OfOverlap(lambda t: t**3),
    ],
)  # fmt: skip
def test_slopes_are_those_of_the_values(interaction):
    step, inner = 1e-5, T[1:-1]
    want = (interaction.value(inner + step) - interaction.value(inner - step)) / (2 * step)
    assert np.abs(interaction.slope(inner) - want).max() < 1e-8
    assert np.abs(interaction.slope(T)).max() > 0.1


def test_the_degree_comes_from_the_tail():
    """The slope of what is cut off is within tol of the bound of the whole, and would not be one degree earlier."""
    narrow = OfOverlap(lambda t: 1 / (1.1 - t), lambda t: 1 / (1.1 - t) ** 2)  # P_l decays like 1.558^-l
    whole = multipliers(narrow, 3, 1e-14)
    share = np.arange(len(whole)) * (2 * np.arange(len(whole)) + 1) / (4 * np.pi)
    for tol in (1e-3, 1e-6, 1e-9):
        found = multipliers(narrow, 3, tol)
        assert np.array_equal(found, whole[: len(found)]) or np.abs(found - whole[: len(found)]).max() < 1e-12
        beyond = share[len(found) :] @ np.abs(whole[len(found) :])
        assert beyond <= tol * (share @ np.abs(whole)) < beyond + share[len(found) - 1] * abs(whole[len(found) - 1])
    assert multipliers(OfOverlap(np.abs, np.sign), 3, 1e-6) is None  # a kink: no series of a reasonable degree
    cube = OfOverlap(lambda t: np.abs(t) ** 3, lambda t: 3 * t * np.abs(t))
    assert 10 < len(multipliers(cube, 3, 1e-3)) < 200


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dot(np.nan), "strength must be finite"),
        (lambda: Exponential(0.0), "beta must be positive"),
        (lambda: Legendre(()), "coefficients must have at least one entry"),
        (lambda: Legendre((1.0,), 1), "d must be an integer >= 2"),
        (lambda: OfOverlap(3.0), "function must be a function of t"),
        (lambda: OfOverlap(lambda t: 1.0), r"function\(t\) must have shape \(3\)"),
        (lambda: OfOverlap(np.abs), "derivative must be given"),
        (lambda: multipliers(OfOverlap(lambda t: 1 / (t - 0.5), np.ones_like), 2, 1e-6), None),
    ],
)
def test_what_is_refused(make, message):
    if message is None:
        assert make() is None
        return
    with pytest.raises(ValueError, match=message):
        make()
