"""Vectors known up to a rotation: factors, random images, gradients' orientation, digits where columns meet."""

import numpy as np
import pytest
import scipy

from particles.networks.vectors import (
    axes_and_factor,
    bartlett,
    compress,
    draw,
    gaps,
    image,
    reflected,
    root,
    split,
    times,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [RNG.standard_normal((9, 5)), RNG.standard_normal((5, 5)), RNG.standard_normal((3, 5)),
                                  np.repeat(RNG.standard_normal((9, 1)), 5, axis=1)])  # fmt: skip
def test_a_factor_has_the_same_products(rows):
    for factor in (root(rows), reflected(rows), compress(rows, 0)[0], compress(rows, 0, True)[0]):
        assert len(factor) <= 5
        np.testing.assert_allclose(factor.T @ factor, rows.T @ rows, atol=1e-13)


def test_both_ways_to_a_factor_agree():
    rows = RNG.standard_normal((40, 7))
    np.testing.assert_allclose(root(rows), reflected(rows), atol=1e-13)
    axes, factor = axes_and_factor(rows)
    np.testing.assert_allclose(axes @ factor, rows, atol=1e-13)
    np.testing.assert_allclose(factor, root(rows), atol=1e-13)


def test_turned_axes_are_turned_back():
    rows = RNG.standard_normal((12, 4))
    short, turn = compress(rows, 1, True)
    assert short.shape == (5, 4)
    np.testing.assert_array_equal(short[0], rows[0])
    np.testing.assert_allclose(turn.back(np.concatenate([short, np.zeros((7, 4))])), rows, atol=1e-14)
    other = RNG.standard_normal((12, 4))
    np.testing.assert_allclose(turn.back(other).T @ turn.back(other), other.T @ other, atol=1e-13)


def test_products_with_triangles():
    matrix, full = RNG.standard_normal((8, 5)), RNG.standard_normal((5, 5))
    for columns in (full, np.triu(full), full[:, :3], np.triu(full).astype(np.float32)):
        np.testing.assert_allclose(times(matrix.astype(columns.dtype), columns), matrix @ columns, atol=1e-5)


def test_columns_that_meet_are_told_apart():
    """1 - cosine keeps six digits down to 1e-12, through factors too."""
    rows = np.random.default_rng(1).standard_normal((30, 1)) + 1e-6 * np.random.default_rng(2).standard_normal((30, 6))
    exact = np.array(rows, dtype=np.longdouble)
    units = exact / np.sqrt((exact**2).sum(axis=0))
    expected = ((units[:, :, None] - units[:, None]) ** 2).sum(axis=0) / 2
    off = ~np.eye(6, dtype=bool)
    assert 1e-13 < expected[off].min() < 1e-11
    for found in (gaps(rows), gaps(root(rows)), gaps(compress(rows, 0, True)[0])):
        np.testing.assert_allclose(found[off], expected[off].astype(float), rtol=1e-7)


def test_close_pairs_among_distant_ones():
    rows = np.random.default_rng(3).standard_normal((20, 8))
    rows[:, 5] = rows[:, 2] + 1e-6 * rows[:, 3]
    length = np.linalg.norm(rows, axis=0)
    expected = np.sum((rows[:, 5] / length[5] - rows[:, 2] / length[2]) ** 2) / 2
    assert expected < 1e-10
    assert gaps(rows)[2, 5] == pytest.approx(expected, rel=1e-8, abs=0)
    assert gaps(rows)[0, 1] == pytest.approx(1 - rows[:, 0] @ rows[:, 1] / length[0] / length[1], rel=1e-12)


@pytest.mark.parametrize(("known", "d"), [(0, 7), (3, 7), (7, 7), (2, 4)])
def test_images_have_the_law_of_a_gaussian_matrix(known, d):
    """Products of Y = W T: mean d T^T T, covariance that of Wishart's law."""
    factor, rng, count = RNG.standard_normal((5, 3)), np.random.default_rng(4), 4000
    found = np.array([(y := image(factor, known, d, rng)[0]).T @ y for _ in range(count)])
    gram = factor.T @ factor
    error = np.sqrt(d * (gram**2 + np.outer(np.diag(gram), np.diag(gram))) / count)
    assert np.abs((found.mean(axis=0) - d * gram) / error).max() < 4
    spread = found[:, 0, 0].var() / (2 * d * gram[0, 0] ** 2)
    assert abs(spread - 1) < 5 * np.sqrt((2 + 12 / d) / count)


def test_bartlett_is_the_factor_of_a_normal_matrix():
    rng, count = np.random.default_rng(5), 3000
    drawn = np.array([bartlett(4, 6, rng) for _ in range(count)])
    made = np.array([reflected(draw(rng, 6, 4)) for _ in range(count)])
    for i, j in ((0, 0), (3, 3), (0, 3), (2, 3)):
        assert scipy.stats.ks_2samp(drawn[:, i, j], made[:, i, j]).pvalue > 1e-4
    assert bartlett(4, 2, rng).shape == (2, 4)
    assert bartlett(4, 0, rng).shape == (0, 4)


@pytest.mark.parametrize(("dimensions", "first"), [(6, 2), (3, 2), (3, 3), (9, 4)])
def test_a_random_orientation_is_uniform(dimensions, first):
    """Against a frame drawn whole; lengths are kept."""
    beyond, rng, count = RNG.standard_normal((3, 4)), np.random.default_rng(6), 3000
    parts = [split(beyond, dimensions, first, rng) for _ in range(count)]
    for along, rest in parts[:20]:
        assert len(rest) <= dimensions - first
        np.testing.assert_allclose(along.T @ along + rest.T @ rest, beyond.T @ beyond, atol=1e-12)
    whole = scipy.stats.ortho_group(dimensions, seed=7).rvs(count)[:, :first, :3] @ beyond
    for i, j in ((0, 0), (first - 1, 3)):
        ours = np.array([along[i, j] for along, _ in parts])
        assert scipy.stats.ks_2samp(ours, whole[:, i, j]).pvalue > 1e-4
        both = np.array([along[0, 0] * along[-1, j] for along, _ in parts])
        assert scipy.stats.ks_2samp(both, whole[:, 0, 0] * whole[:, -1, j]).pvalue > 1e-4


def test_normal_numbers_of_single_precision():
    found = draw(np.random.default_rng(8), 301, 1001, np.float32)
    assert found.dtype == np.float32
    assert scipy.stats.kstest(found.ravel().astype(float), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(found[:, 0::2][:, :500].ravel(), found[:, 1::2].ravel())[0, 1]) < 4 / np.sqrt(150000)
    assert scipy.stats.kstest((found[:, :1000] ** 2).sum(axis=1).astype(float), "chi2", args=(1000,)).pvalue > 1e-4
