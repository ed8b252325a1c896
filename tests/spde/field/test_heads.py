"""Heads that share grids: right whatever their company, and where sources or degrees were chosen too small."""

import dense
import numpy as np
import pytest

from particles import AttentionPush, Cloud, DirectField, GaussianHeads, Softmax, VonMisesFisherMixture
from spde import SpectralField
from spde.field import heads as head_series
from spde.field.deposits import SourceChoice

TOL = 1e-6
RNG = np.random.default_rng(0)
POINTS = dense.nrm(RNG.standard_normal((300, 3)))


def cloud(n=2000):
    points = VonMisesFisherMixture([1.0], [[0.6, 0.0, 0.8]], [1.5]).sample(np.random.default_rng(1), n)
    return Cloud(points, np.full(n, 1 / n))


def push(n_heads, strengths, rng=RNG):
    heads = GaussianHeads(3, 1.0, 1.0, 3).sample(rng, n_heads)
    norms = np.linalg.norm(np.swapaxes(heads.key, 1, 2) @ heads.query, 2, axis=(1, 2))
    query = heads.query * (np.broadcast_to(strengths, n_heads) / norms)[:, None, None]
    return AttentionPush(Softmax(1.0), heads.value / n_heads, query, heads.key)


def error(of_push, measure, **options):
    field = SpectralField(of_push, measure, 20_000, **options)
    wanted = DirectField(of_push, measure)(POINTS)
    return field, np.abs(field(POINTS) - wanted).max() / np.linalg.norm(of_push.mixing, 2, axis=(1, 2)).sum()


@pytest.mark.parametrize("n_heads", [1, 5, 40])
def test_heads_of_all_strengths_together(n_heads):
    field, found = error(push(n_heads, np.geomspace(0.1, 25, n_heads)), cloud())
    assert found < TOL
    assert field.tail < TOL
    assert (field.degrees[: n_heads // 2] > 0).all()


def test_weak_heads_share_and_strong_ones_do_not(monkeypatch):
    sizes, on_grid = [], head_series.on_gauss_grid

    def counted(forms, degree, pairs):
        sizes.append((len(forms), degree))
        return on_grid(forms, degree, pairs)

    monkeypatch.setattr(head_series, "on_gauss_grid", counted)
    assert error(push(30, 0.5), cloud())[1] < TOL
    assert sizes == [(head_series.TOGETHER, sizes[0][1]), (30 - head_series.TOGETHER, sizes[0][1])]
    sizes.clear()
    assert error(push(3, [2.0, 5.0, 8.0]), cloud())[1] < TOL
    assert [count for count, _ in sizes] == [1, 1, 1]


def test_the_company_of_a_head_changes_nothing_beyond_the_tolerance():
    measure, both = cloud(), push(2, [3.0, 2.8])
    alone = [AttentionPush(Softmax(1.0), both.mixing[[m]], both.query[[m]], both.key[[m]]) for m in (0, 1)]
    together = SpectralField(both, measure, 20_000)(POINTS)
    apart = sum(SpectralField(one, measure, 20_000)(POINTS) for one in alone)
    assert 0 < np.abs(together - apart).max() < TOL


def test_signed_sums_that_leave_the_unit_ball_are_done_again_with_the_measure(monkeypatch):
    """Deposits of degree 3 for strong heads of a narrow cluster."""
    points = dense.nrm(np.array([0.6, 0, 0.8]) + 0.05 * np.random.default_rng(4).standard_normal((600, 3)))
    measure, heads, sources = Cloud(points, np.full(600, 1 / 600)), push(4, [20.0, 19.5, 19.0, 18.5]), []
    on_grid = head_series.on_gauss_grid

    def counted(forms, degree, pairs):
        sources.append((len(forms), pairs.table.shape[0]))
        return on_grid(forms, degree, pairs)

    monkeypatch.setattr(head_series, "on_gauss_grid", counted)
    monkeypatch.setattr(SourceChoice, "degree_for", lambda self, strength: 3)
    field, found = error(heads, measure)
    assert (field.degrees > 0).all()
    assert sum(count for count, rows in sources if rows == 4) == 4  # positive points
    assert found < TOL


def test_a_head_without_a_number_spoils_no_other(monkeypatch):
    heads, measure = push(3, [0.5, 0.6, 0.7]), cloud()
    on_grid = head_series.on_gauss_grid

    def spoiled(forms, degree, pairs):
        values = on_grid(forms, degree, pairs)
        values[0, 0, 0, 0] = np.inf if pairs.table.shape[0] == 8 else values[0, 0, 0, 0]
        return values

    monkeypatch.setattr(head_series, "on_gauss_grid", spoiled)
    assert error(heads, measure)[1] < TOL


def test_the_first_of_a_group_is_the_strongest_and_has_sources_for_all():
    choice = SourceChoice(cloud(), TOL)

    def head(strength, deposit, alone=False):
        return head_series.Head(np.eye(3), np.eye(3), strength, np.eye(3), choice, deposit, alone)

    weak, middle, strong, positive, own = head(1, 5), head(2, 7), head(3, 9), head(1.5, 0), head(2.5, 9, alone=True)
    sized = [(weak, 15), (own, 13), (strong, 11), (positive, 9), (middle, 11)]
    groups = list(head_series._groups(sized, lambda degree, n_sources: 0.0))
    assert sorted((group[0].strength, len(group), size) for group, size in groups) == [
        (1, 1, 15), (1.5, 1, 9), (2.5, 1, 13), (3, 2, 11)
    ]  # fmt: skip


def test_degrees_that_are_too_small_are_raised(monkeypatch):
    heads, measure = push(6, np.linspace(1, 3, 6)), cloud()
    usual, _ = error(heads, measure)
    monkeypatch.setattr(head_series, "guessed_degree", lambda variation, tolerance: 3)
    monkeypatch.setattr(head_series, "PROBE", 10**9)
    raised, found = error(heads, measure)
    assert found < TOL
    assert (raised.degrees >= 7).all()
    assert (raised.degrees <= 2 * usual.degrees).all()


def test_a_probe_that_starts_too_small_goes_on(monkeypatch):
    heads, measure = push(3, [3.0, 5.0, 7.0]), cloud()
    usual, _ = error(heads, measure)
    monkeypatch.setattr(head_series, "_first_half", lambda strength: 6)
    small, found = error(heads, measure)
    assert found < TOL
    assert np.abs(small.degrees - usual.degrees).max() <= 2
