"""Barycentres on the grid of a head and on great circles, against dense sums over all points and sources."""

import dense
import numpy as np
import pytest

from spde.domain.tables import by_order_and_degree
from spde.field import sums as barycentres
from spde.field.deposits import Sources, pairs_of
from spde.field.heads import _truncation
from spde.field.sums import on_circles, on_gauss_grid

RNG = np.random.default_rng(0)


def sources(n, signed):
    """Points in no order; signed: weights at the antipodes too, some of either kind negative."""
    points = dense.nrm(RNG.standard_normal((n, 3)))
    weights = RNG.uniform(0.5, 1.5, n) / n
    return Sources(points, weights, RNG.uniform(-0.3, 0.6, n) / n if signed else None)


def wanted(x, form, given):
    """Barycentres at x (N, 3), term by term."""
    y, w = given.points, given.weights
    if given.mirrored is not None:
        y, w = np.concatenate([y, -y]), np.concatenate([w, given.mirrored])
    scores = (x @ form.T) @ y.T
    e = np.exp(scores - scores.max(axis=1, keepdims=True)) * w
    return e @ y / e.sum(axis=1, keepdims=True)


def form_of(strength):
    form = RNG.standard_normal((3, 3))
    return strength * form / np.linalg.norm(form, 2)


@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@pytest.mark.parametrize("degree", [3, 9, 21])
@pytest.mark.parametrize("strength", [0.0, 1.5, 4.0])
def test_the_grid_is_the_dense_sum(signed, degree, strength):
    given, form = sources(133, signed), form_of(strength)
    points, _ = dense.gauss_nodes(degree + 1, 2 * degree + 2)
    north_first = points.reshape(degree + 1, -1, 3)[::-1].reshape(-1, 3)
    forms = np.stack([form, form_of(strength), form])
    found = on_gauss_grid(forms, degree, pairs_of(given))
    assert found.shape == (3, 3, degree + 1, 2 * degree + 2)
    for one, values in zip(forms, found, strict=True):
        assert np.abs(values.reshape(3, -1).T - wanted(north_first, one, given)).max() < 1e-13


@pytest.mark.parametrize("strength", [20.0, 299.0])
def test_strong_heads_stay_right(strength):
    """Up to the largest scores that are summed without a shift; weights over twelve orders."""
    given, form = sources(50, signed=False), form_of(strength)
    given = given._replace(weights=10.0 ** RNG.uniform(-12, 0, 50))
    points, _ = dense.gauss_nodes(12, 24)
    north_first = points.reshape(12, -1, 3)[::-1].reshape(-1, 3)
    found = on_gauss_grid(form[None], 11, pairs_of(given)).reshape(3, -1).T
    assert np.abs(found - wanted(north_first, form, given)).max() < 1e-12


@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
def test_the_circles_are_the_dense_sum(signed):
    given, forms, half = sources(97, signed), np.stack([form_of(3.0), form_of(1.0)]), 26
    _, _, axes = np.linalg.svd(forms)
    phi = np.pi * np.arange(2 * half) / half
    for form, own, circles in zip(forms, axes, on_circles(forms, axes, half, pairs_of(given)), strict=True):
        for circle, other in zip(circles, own[1:], strict=True):
            x = np.outer(np.cos(phi), own[0]) + np.outer(np.sin(phi), other)
            assert np.abs(circle.T - wanted(x, form, given)).max() < 1e-13


@pytest.mark.parametrize("block", [1, 500, 5000])
@pytest.mark.parametrize("n", [64, 67, 400])
def test_blocks_change_nothing(monkeypatch, block, n):
    """Cut between rings, between sources, or both."""
    given, form = sources(n, signed=True), np.stack([form_of(2.0), form_of(1.0)])
    pairs, axes = pairs_of(given), np.linalg.svd(form)[2]
    whole = on_gauss_grid(form, 9, pairs), on_circles(form, axes, 12, pairs)
    monkeypatch.setattr(barycentres, "BLOCK", block)
    cut = on_gauss_grid(form, 9, pairs), on_circles(form, axes, 12, pairs)
    assert all(np.abs(a - b).max() < 1e-13 for a, b in zip(whole, cut, strict=True))


@pytest.mark.parametrize("degree", [3, 12, 41])
@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_the_truncation_of_a_geometric_series_is_exact(degree, ratio):
    """Parts of degree l of size r^l: those from L on, as the last two degrees count as one, are r^L/sqrt(1 - r^2)."""
    degrees = np.concatenate([np.arange(m, degree + 1) for m in range(degree + 1)])
    orders = np.concatenate([np.full(degree + 1 - m, m) for m in range(degree + 1)])
    fields = np.zeros((2, 3, len(degrees)), dtype=complex)
    for order in (0, 1):
        share = 1 if order == 0 else 2  # an order m > 0 stands for -m too
        here = orders == order
        fields[order, 1, here] = 1j * ratio ** degrees[here] * np.sqrt(4 * np.pi / (share * (2 * degrees[here] + 1)))
    want = ratio**degree / np.sqrt(1 - ratio**2)
    assert np.abs(_truncation(by_order_and_degree(fields.reshape(6, -1), degree)) / want - 1).max() < 1e-10
    assert _truncation(by_order_and_degree(np.zeros_like(fields[0]), degree)) == 0
