"""Replica means, variance reduction, slopes and stopping, on data of known law."""

import math

import numpy as np
import pytest

from validation.estimates import (
    Line,
    control_mean,
    replica_mean,
    share,
    slope,
    until,
)


def test_standard_errors_cover():
    rng = np.random.default_rng(0)
    z = [(e := replica_mean(rng.exponential(size=200))).value - 1 for _ in range(1000)]
    rows = [replica_mean(row) for row in rng.exponential(size=(1000, 200))]
    scores = np.array([(row.value - 1) / row.error for row in rows])
    assert e.error > 0
    assert abs(np.std(z) * np.sqrt(200) - 1) < 0.1
    assert 0.92 < np.mean(np.abs(scores) < 1.96) < 0.97


def test_a_control_variate_of_known_mean_removes_its_part():
    rng = np.random.default_rng(2)
    scores = []
    for _ in range(300):
        control, rest = rng.standard_normal(100), 0.1 * rng.standard_normal(100)
        found = control_mean(1 + 2 * control + rest, control, 0.0)
        scores.append((found.value - 1) / found.error)
        assert found.error < 0.02
    assert 0.91 < np.mean(np.abs(scores) < 1.98) < 0.985
    wrong = control_mean(1 + 2 * control + rest, control, 0.5)  # a wrong mean is a wrong answer: it must matter
    assert abs(wrong.value - 1) > 0.5
    with pytest.raises(ValueError, match="need at least"):
        control_mean([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.0)


def test_slopes_and_their_intervals():
    rng, x = np.random.default_rng(3), 2.0 ** np.arange(6)
    exact = slope(x, 3 * x**-0.5)
    assert exact.value == pytest.approx(-0.5, abs=1e-12)
    assert exact.prefactor == pytest.approx(3)
    inside, scores = 0, []
    for _ in range(400):
        errors = 0.05 * x**-0.5 * np.array([1, 1, 1, 3, 3, 3])
        y = x**-0.5 + errors * rng.standard_normal(6)
        found = slope(x, y, errors)
        inside += found.low <= -0.5 <= found.high
        scores.append((found.value + 0.5) / found.error)
    assert inside / 400 > 0.93
    assert 0.8 < np.std(scores) < 1.15
    bent = slope(x, x**-0.5 * (1 + x / 10), 0.001 * x**-0.5)
    assert bent.misfit > 100
    assert bent.error > 0.01  # the misfit widens it
    for bad, text in ((([1, 2], [1, 2]), "at least 3"), (([1, 2, 3], [1, 0, 2]), "positive x and y")):
        with pytest.raises(ValueError, match=text):
            slope(*bad)
    with pytest.raises(ValueError, match="positive standard errors"):
        slope([1, 2, 3], [1, 2, 3], [1, 0, 1])


def test_sequential_stopping():
    draw = lambda k: np.random.default_rng(k).standard_normal(64)  # noqa: E731
    found, reached = until(draw, target=0.05, batch=64)
    assert reached
    assert found.error <= 0.05
    assert abs(found.value) < 4 * 0.05
    found, reached = until(draw, target=1e-6, batch=64, most=256)
    assert not reached
    drawn = []
    found, reached = until(lambda k: drawn.append(k) or np.zeros(64), target=0.05, batch=64, most=512)
    assert (found.value, reached, len(drawn)) == (0.0, False, 8)  # nothing is known of their spread
    rare = lambda k: (np.random.default_rng(k).random(64) < 0.01).astype(float)  # noqa: E731
    ends = [until(lambda k, seed=seed: rare((seed, k)), target=0.02, batch=64)[0] for seed in range(20)]
    assert all(end.error > 0 for end in ends)
    with pytest.raises(ValueError, match="target must be positive"):
        until(draw, target=0.0)


def test_shares_without_a_hit_have_an_error():
    assert share(np.zeros(100)).value == 0
    assert share(np.zeros(100)).error == pytest.approx(np.sqrt(2 / 104 * 102 / 104 / 104))
    assert share(np.ones(100)).error == pytest.approx(share(np.zeros(100)).error)
    rng = np.random.default_rng(2)
    found = [share(rng.random(200) < 0.01) for _ in range(400)]
    assert 0.93 < np.mean([abs(one.value - 0.01) < 2 * one.error for one in found]) <= 1
    assert np.mean([one.error for one in found]) == pytest.approx(np.sqrt(0.01 * 0.99 / 200), rel=0.5)


def test_what_are_no_samples_is_refused():
    with pytest.raises(ValueError, match="finite"):
        replica_mean([1.0, np.nan])
    with pytest.raises(ValueError, match="at least two"):
        replica_mean([1.0])


def test_lines():
    x = np.array([1.0, 2.0, 4.0])
    line = Line.through(x, 3 - 2 * x, [0.1, 0.1, 0.2])
    assert np.abs(line.coefficients - [3, -2]).max() < 1e-12
    rng = np.random.default_rng(0)
    lines = [Line.through(x, 3 - 2 * x + 0.1 * rng.standard_normal(3), np.full(3, 0.1)) for _ in range(2000)]
    for k, want in ((0, 3), (1, -2)):
        values, errors = np.array([(a.coefficients[k], np.sqrt(a.covariance[k, k])) for a in lines]).T
        assert abs(values.mean() - want) < 0.01
        assert 0.9 < values.std() / np.median(errors) < 1.02  # chi^2 > 1 widens a third of the errors
    bent = Line.through([1, 2, 3], [1, 4, 9], [0.01, 0.01, 0.01])
    assert np.sqrt(np.array([1, 2]) @ bent.covariance @ [1, 2]) > 0.1  # at 2: a parabola within 1 % is no line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, 2], [1, 2], [1, 1]), "at least 3 points"),
        (([1, 2, 3], [1, 2], [1, 1, 1]), "at least 3 points"),
        (([1, 2, 3], [1, 2, 3], [1, 0, 1]), "positive standard errors"),
        (([1, 2, 3], [1, 2, 3], [1, math.nan, 1]), "positive standard errors"),
    ],
)
def test_lines_refuse(arguments, text):
    with pytest.raises(ValueError, match=text):
        Line.through(*arguments)
