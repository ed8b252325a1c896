"""Fits that bend: next orders fitted, what is left bounded, misfits told, correlated points weighed."""

import numpy as np
import pytest

from validation.estimates import LinearFit, exponent, limit, slope

RNG = np.random.default_rng
STEPS = 2.0 ** -np.arange(3, 9)


@pytest.mark.parametrize(("power", "order"), [(1.0, 1.0), (2.0, 1.0), (-0.5, -1.0)])
def test_exponents_are_those_of_the_limit_and_not_of_the_points(power, order):
    x = STEPS if order > 0 else 1 / STEPS
    small = x**order
    y = 3 * x**power * (1 + 2 * small + 3 * small**2)
    noise = 0.002 * y * RNG(0).standard_normal(len(x))
    bent, straight = exponent(x, y + noise, 0.002 * y, order=order), slope(x, y + noise, 0.002 * y)
    assert abs(bent.value - power) < 3 * bent.error + bent.bias
    assert abs(straight.value - power) > 0.03
    assert bent.fit > 1e-3


def test_points_without_errors_give_one_by_their_scatter():
    found = exponent(STEPS, STEPS * (1 + 0.5 * STEPS))
    assert found.freedom == 3
    assert abs(found.value - 1) < 5 * found.error + found.bias < 0.02


def test_limits():
    x = np.array([1 / 16, 1 / 32, 1 / 64, 1 / 128])
    found = limit(x, 2 + 3 * x - x**2 + x**3)
    assert abs(found.value - 2) < found.bias + 5 * found.error < 0.02
    values = [limit(x, 2 + 3 * x + 0.01 * RNG(k).standard_normal(4), np.full(4, 0.01)) for k in range(400)]
    z = np.array([(fit.value - 2) / fit.error for fit in values])
    assert 0.9 < z.std() < 1.1
    flat = limit(x, np.ones(4), np.full(4, 0.01))
    assert flat.value == pytest.approx(1, abs=1e-12)


def test_a_misfit_is_told_and_one_within_the_bias_is_not():
    x = np.linspace(1, 2, 8)
    terms = [np.ones(8), x]
    wrong = LinearFit.of(terms, x**2, np.full(8, 0.01))
    assert wrong.number(0).fit < 1e-6
    assert wrong.number(0, np.full(8, 0.2)).fit > 0.1
    assert LinearFit.of(terms, x, np.full(8, 0.01)).number(1).fit > 0.5


def test_the_bias_is_the_most_that_what_was_left_out_can_do():
    x = np.linspace(1, 2, 6)
    terms, errors, rest = [np.ones(6), x], np.full(6, 0.01), np.full(6, 0.1)
    fit = LinearFit.of(terms, x, errors)
    signs = [2.0 * RNG(k).integers(0, 2, 6) - 1 for k in range(200)]
    worst = max(abs(LinearFit.of(terms, x + rest * sign, errors).number(1).value - 1) for sign in signs)
    assert 0.9 * fit.number(1, rest).bias < worst < fit.number(1, rest).bias + 1e-12


def test_points_that_move_together_are_weighed_together():
    """All points share one error: the slope has none of it."""
    x, shared = np.array([8.0, 16.0, 32.0, 64.0]), 0.1
    covariance = shared**2 + 1e-6 * np.eye(4)
    together, apart = exponent(x, np.ones(4), covariance), exponent(x, np.ones(4), np.full(4, shared))
    assert together.error < 0.02 < 0.2 < apart.error


def test_senseless_fits_are_refused():
    for bad, text in (
        (([1.0, 2.0], [1.0, 2.0], [0.1, 0.1]), "terms need"),
        (([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), "terms need 4"),
        (([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.1, 0.0, 0.1]), "positive standard errors"),
        (([1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [0.1, 0.1, 0.1]), "finite|positive"),
        (([1.0, 2.0, 3.0], [1.0, -2.0, 3.0], [0.1, 0.1, 0.1]), "positive x and y"),
    ):
        with pytest.raises(ValueError, match=text):
            exponent(*bad)
