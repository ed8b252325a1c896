"""Averages in tiles against extended precision: every way of keeping exponentials in range, in both precisions."""

import tracemalloc

import numpy as np
import pytest

from particles.attention import tiles
from particles.attention.tiles import weighted_average

EPS = {np.float64: 2.2e-16, np.float32: 1.2e-7}


def exact(rows, columns, weights, values):
    """The same average in extended precision, all scores at once."""
    rows, columns, values = (np.asarray(one, np.longdouble) for one in (rows, columns, values))
    scores = rows @ columns.T + np.log(np.asarray(weights, np.longdouble))
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (scores @ values) / scores.sum(axis=1, keepdims=True)


def problem(precision, n_rows, n, k=5, v=4, bound=3.0, seed=0):
    """Rows, columns, weights and values whose largest |r| times largest |c| is `bound`."""
    rng = np.random.default_rng(seed)
    rows, columns, values = (rng.standard_normal(shape) for shape in ((n_rows, k), (n, k), (n, v)))
    rows *= bound / np.linalg.norm(rows, axis=1).max()
    columns /= np.linalg.norm(columns, axis=1).max()
    values /= np.linalg.norm(values, axis=1).max()
    return *(one.astype(precision) for one in (rows, columns)), rng.random(n) + 0.1, values.astype(precision)


def ways(monkeypatch):
    """A list that will say for each block whether it was shifted by its maximum, and its number of rows."""
    seen, sums = [], tiles._sums

    def spy(rows, tiles_, floor, by_maximum):
        seen.append((by_maximum, np.isfinite(floor), len(rows)))
        return sums(rows, tiles_, floor, by_maximum)

    monkeypatch.setattr(tiles, "_sums", spy)
    return seen


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (70, 50, 3, 3), (256, 256, 8, 5), (257, 999, 64, 64), (900, 99, 5, 6)])
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_averages_are_those_of_extended_precision(precision, shape):
    given = problem(precision, *shape)
    found = weighted_average(*given)
    assert found.dtype == precision
    assert found.shape == (shape[0], shape[3])
    assert np.abs(found - exact(*given)).max() < (1e-13 if precision is np.float64 else 1e-6)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("limits", [0.0, 0.5, 0.99, 1.01, 2.0, 3.99, 4.01, 50.0, 1e4])
def test_any_size_of_the_scores(monkeypatch, precision, limits):
    """The error is that of scores rounded in the given precision: a few units times their bound."""
    seen = ways(monkeypatch)
    bound = limits * (tiles.PLAIN_LIMIT if precision is np.float64 else tiles.SINGLE_LIMIT)
    given = problem(precision, 300, 700, bound=bound)
    found = weighted_average(*given)
    assert np.abs(found - exact(*given)).max() < EPS[precision] * (20 + 2 * bound)
    assert np.linalg.norm(found, axis=1).max() <= 1 + 20 * EPS[precision]
    by_maximum, shifted = seen[0][:2]
    assert (shifted, by_maximum) == (limits > 1, limits > 4)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_rows_with_a_loose_bound_are_done_by_their_maximum(monkeypatch, precision):
    """One long column that some rows, and then most, point away from: all their exponentials fall below the floor."""
    seen = ways(monkeypatch)
    limit = tiles.PLAIN_LIMIT if precision is np.float64 else tiles.SINGLE_LIMIT
    rows, columns, weights, values = problem(precision, 1000, 600)
    rows *= precision(3.5 * limit / 3)
    columns[17] = 0
    columns[17, 0] = 1
    columns[:, 0] = np.where(np.arange(600) == 17, 1, 0)  # the others see nothing of the first coordinate
    rows[:, 1:] *= precision(1e-2)
    rows[:, 0] = 3.5 * limit
    rows[:300:7, 0] *= -1
    rows[600:, 0] *= -1
    found = weighted_average(rows, columns, weights, values)
    bound = float(np.linalg.norm(rows, axis=1).max())
    assert np.abs(found - exact(rows, columns, weights, values)).max() < EPS[precision] * (20 + 2 * bound)
    assert [way[0] for way in seen] == [False, True] * 4  # blocks do not ask each other
    assert [way[2] for way in seen] == [256, 37, 256, 6, 256, 168, 232, 232]
    seen.clear()
    assert np.abs(weighted_average(rows[::-1], columns, weights, values)[::-1] - found).max() < EPS[precision] * bound
    assert [way[0] for way in seen] == [False, True, True, True, True]  # but all the first one


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0, 1e6])
def test_one_dominant_column_takes_all(precision, scale):
    rows, columns, weights, values = problem(precision, 40, 3000, k=6)
    rows[:] = 0
    rows[:, 0] = scale * np.linspace(1, 2, 40)
    columns[:, 0] = -1
    columns[2500, 0] = 60
    found = weighted_average(rows, columns, weights, values)
    assert np.abs(found - values[2500]).max() < 4 * EPS[precision]
    rows *= -1  # and now it has nothing
    others = np.arange(3000) != 2500
    want = exact(rows, columns[others], weights[others], values[others])
    assert np.abs(weighted_average(rows, columns, weights, values) - want).max() < 20 * EPS[precision] * (1 + 2 * scale)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("light", [1e-5, 1e-30, 1e-200, 1e-300])
def test_light_tokens_count_where_their_scores_are_high(precision, light):
    """Two points: the log odds are those of the scores and log weights, also where the weight itself is no number."""
    gap = np.log(light) + np.array([-2.0, 0.0, 1.0])  # odds of the light point, by rows
    rows, columns = (gap - np.log(light))[:, None].astype(precision), np.array([[1.0], [0.0]], precision)
    rows -= precision(np.log(light))
    values = np.array([[1.0], [0.0]], precision)
    found = weighted_average(rows, columns, np.array([light, 1.0]), values)[:, 0]
    want = 1 / (1 + np.exp(-np.array([-2.0, 0.0, 1.0])))
    assert np.abs(found - want).max() < EPS[precision] * (20 - 4 * np.log(light))


def test_a_row_that_is_not_finite_spoils_itself_only():
    rows, columns, weights, values = problem(np.float64, 5, 30)
    rows[3, 0] = np.nan
    with np.errstate(invalid="ignore"):
        found = weighted_average(rows, columns, weights, values)
    kept = [0, 1, 2, 4]
    assert np.isnan(found[3]).all()
    assert np.abs(found[kept] - exact(rows[kept], columns, weights, values)).max() < 1e-13


def test_no_rows_have_no_averages():
    rows, columns, weights, values = problem(np.float64, 1, 30)
    assert weighted_average(rows[:0], columns, weights, values).shape == (0, 4)


def test_memory_grows_with_the_number_of_tokens_not_of_pairs():
    peaks = []
    for n in (2048, 8192):
        given = problem(np.float32, n, n, k=16, v=16)
        tracemalloc.start()
        weighted_average(*given)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 4.1 * peaks[0]
    assert peaks[1] < 0.02 * 4 * 8192**2
