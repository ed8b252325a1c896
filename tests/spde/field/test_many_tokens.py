"""Large clouds on S^2: chunks, threads, tokens moved by one transform, and the choice of the faster field."""

from dataclasses import replace
from itertools import pairwise

import dense
import numpy as np
import pytest

from particles import (
    L2,
    AttentionPush,
    Cloud,
    DirectField,
    GaussianHeads,
    Homogenized,
    Linear,
    Noise,
    RandomTransformer,
    Softmax,
    simulate,
)
from particles.flow import TokenFlow, TokenState
from particles.harmonics import adjoint_at, angles, gradient_at, n_modes, synthesis_at
from particles.machine import buffers, parallel
from particles.machine.parallel import by_chunks, chunks
from particles.measure import Tokens, mean_token, second_moment
from particles.retraction import flow, geodesic, normalize
from spde import CircleField, SpectralField, spectral_field
from spde.field import cost as costs
from spde.field import deposits as sources
from spde.field import sphere as field
from spde.field.choice import auto_field, strengths
from spde.field.cost import direct_time, series_time
from spde.field.moves import move, tangent_series

POLES = [[0, 0, 1.0], [0, 0, -1.0], [1e-200, 2e-200, 1.0], [-3e-170, 1e-170, -1.0], [1e-9, -2e-9, 1.0]]
MANY = 150_000  # more than one chunk


def cloud(n, seed=0):
    """Weighted tokens around the north pole, some at the poles and as near as numbers get."""
    rng = np.random.default_rng(seed)
    points = dense.nrm(rng.standard_normal((n, 3)) + np.array([0, 0, 0.5]))
    points[: len(POLES)] = POLES
    weights = rng.uniform(0.5, 1.5, n)
    return Cloud(points, weights / weights.sum())


def push_of(retraction=normalize, step=0.5, n_heads=8, strongest=5.0, seed=1):
    """Heads with beta |A| from 1 to `strongest` at beta = 1."""
    heads = GaussianHeads(3, 3**-0.5, 3**-0.5, 3).sample(np.random.default_rng(seed), n_heads)
    norms = np.linalg.norm(np.swapaxes(heads.key, 1, 2) @ heads.query, 2, axis=(1, 2))
    scale = np.sqrt(np.linspace(1.0, strongest, n_heads) / norms)[:, None, None]
    return AttentionPush(Softmax(1.0), step / n_heads * heads.value, scale * heads.query, scale * heads.key, retraction)


@pytest.fixture(scope="module")
def many():
    return cloud(MANY)


@pytest.mark.parametrize("retraction", [normalize, geodesic])
def test_a_layer_of_many_tokens_is_that_of_direct_sums(many, retraction):
    """T(x) to 1e-8 at tokens of a large cloud, eight heads with beta |A| up to 5, whole moves of up to a third."""
    push, attention = push_of(retraction, step=1.0), Softmax(1.0)
    spectral = SpectralField(replace(push, kernel=attention), many, MANY, tol=1e-7)
    some = np.concatenate([np.arange(len(POLES)), np.random.default_rng(2).choice(MANY, 30, replace=False)])
    velocity = DirectField(replace(push, kernel=attention), many)(many.points[some])
    want = retraction(many.points[some], velocity)
    moved = spectral.moved(many.points, retraction)
    assert np.linalg.norm(velocity, axis=1).max() > 0.1  # otherwise nothing is tested
    assert tangent_series(spectral._coefficients, retraction, 1e-7) is not None  # the fast way was gone
    assert np.abs(moved[some] - want).max() < 1e-8
    assert np.abs(np.linalg.norm(moved, axis=1) - 1).max() < 1e-15
    assert np.abs(spectral(many.points[some]) - velocity).max() < 1e-8


@pytest.mark.parametrize("strength", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("retraction", [normalize, geodesic, flow])
def test_moved_is_the_retraction_of_the_velocity(retraction, strength, monkeypatch):
    """With a tangent series (weak fields) or without (strong ones, other retractions): the same places."""
    monkeypatch.setattr(parallel, "CHUNK", 500)
    monkeypatch.setattr(field, "CHUNK", 500)
    one = cloud(2000, seed=3)
    push = push_of(retraction, n_heads=1, strongest=1.0)
    push = AttentionPush(Softmax(1.0), strength * np.eye(3)[None] / 0.25, push.query, push.key, retraction)
    spectral = SpectralField(push, one, 2000, tol=1e-10)
    series = tangent_series(spectral._coefficients, retraction, 1e-10)
    assert (series is None) == (retraction is flow or strength > 0.1)
    want = retraction(one.points, spectral(one.points))
    assert np.abs(want - one.points).max() > 0.05
    assert np.abs(spectral.moved(one.points, retraction) - want).max() < 2e-10  # with the angles of the constructor
    assert np.abs(spectral.moved(one.points[::-1], retraction) - want[::-1]).max() < 2e-10  # with their own


def test_a_series_is_refused_where_it_would_take_too_many_degrees():
    """Coefficients that do not decay: the quotient w has no fewer than U, times all powers of <x, U>."""
    rng = np.random.default_rng(4)
    rough = 0.01 * rng.standard_normal((3, n_modes(12))).astype(np.complex128)
    assert tangent_series(rough, geodesic, 1e-12) is not None  # P_x U ends one degree beyond U
    assert tangent_series(rough, normalize, 1e-12) is None
    assert tangent_series(1e-6 * rough, normalize, 1e-4) is not None
    points = cloud(1000).points
    for size, tol in [(0.1, 1e-5), (0.3, 1e-4), (1.0, 1e-3)]:
        velocity = synthesis_at(size * rough, points).T
        series = tangent_series(size * rough, normalize, tol)
        error = np.abs(move(points, angles(points), series, normalize, tol) - normalize(points, velocity)).max()
        assert error < 0.3 * tol * np.abs(velocity).max()
    still = np.zeros((3, n_modes(4)), dtype=np.complex128)
    for retraction in (normalize, geodesic):
        found = tangent_series(still, retraction, 1e-6)
        assert np.abs(move(points, angles(points), found, retraction, 1e-6) - points).max() < 1e-15


def everything(measure, push, coefficients):
    """All that is done in chunks, as one list of arrays."""
    points, weights = measure
    spectral = SpectralField(push, measure, len(points))
    return [
        angles(points),
        synthesis_at(coefficients, points),
        gradient_at(coefficients[0], points),
        adjoint_at(np.stack([weights, points[:, 0]]), points, 12),
        adjoint_at(weights, points, 31, angles(points)),
        second_moment(measure),
        spectral(points),
        spectral.moved(points, normalize),
        spectral.moved(points, geodesic),
        spectral.moved(points, flow),
    ]


def test_threads_do_not_change_a_bit(many, monkeypatch):
    coefficients = np.random.default_rng(5).standard_normal((2, n_modes(20))).astype(np.complex128)
    found = []
    for number in ("1", "2", "5"):
        monkeypatch.setenv(parallel.VARIABLE, number)
        found.append(everything(many, push_of(n_heads=2), coefficients))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_layers_of_many_tokens_do_not_depend_on_threads_or_interruptions(many, monkeypatch):
    """Two layers at once on one thread; one layer, then another, on two."""
    law = RandomTransformer(GaussianHeads(3, 0.5, 0.5, 3), Softmax(2.0), eta=0.2, n_heads=2, noise=Noise(3))
    through = TokenFlow(law, spectral_field(1e-6))
    start = TokenState(0, many.points, many.weights)
    once = through.advance(start, 2)
    monkeypatch.setenv(parallel.VARIABLE, "2")
    first = through.advance(start, 1)
    first = TokenState(first.step, first.points.copy(), first.weights.copy())
    assert np.array_equal(through.advance(first, 2).points, once.points)


def test_chunks_give_the_numbers_of_one_piece(monkeypatch):
    """2000 tokens at once, and in chunks of at most 300: the same to rounding, sums included."""
    measure, push = cloud(2000, seed=6), push_of(n_heads=2)
    coefficients = np.random.default_rng(7).standard_normal((2, n_modes(20))).astype(np.complex128)
    whole = everything(measure, push, coefficients)
    for module in (parallel, field, sources):
        monkeypatch.setattr(module, "CHUNK", 300)
    pieces = everything(measure, push, coefficients)
    tolerances = [0, 1e-11, 1e-10, 1e-11, 1e-13, 1e-14, 1e-8, 1e-8, 1e-8, 1e-8]  # the last four: within tol = 1e-6
    for a, b, tolerance in zip(whole, pieces, tolerances, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance


@pytest.mark.parametrize("n", [0, 1, parallel.CHUNK, parallel.CHUNK + 1, 3 * parallel.CHUNK, 10**8 + 7])
def test_chunks_cover_all_points_once_and_evenly(n):
    parts = chunks(n)
    sizes = {part.stop - part.start for part in parts}
    assert parts[0].start == 0
    assert parts[-1].stop == n
    assert all(one.stop == two.start for one, two in pairwise(parts))
    assert max(sizes) <= parallel.CHUNK
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == 1 or len(parts) % 2 == 0


def test_chunks_on_threads_keep_order_errors_and_the_callers_errstate(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "4")
    n = 10 * parallel.CHUNK
    with np.errstate(over="raise"):
        assert {state["over"] for state in by_chunks(lambda part: np.geterr(), n)} == {"raise"}
    starts = by_chunks(lambda part: part.start, n)
    assert starts == sorted(starts)
    assert len(starts) == 10

    def fail(part):
        raise ArithmeticError(f"at {part.start}")

    with pytest.raises(ArithmeticError, match="at 0"):
        by_chunks(fail, n)


def test_memory_is_used_again_when_nobody_has_it(monkeypatch):
    """Not while a view lives, not for another size, not outside `reused`."""
    monkeypatch.setattr(buffers, "LARGE", 30)
    with buffers.reused():
        first = buffers.empty(10, 3)
        place, view = first.ctypes.data, first[2:, 1]
        view[:] = 7.0
        del first
        second = buffers.empty(30)
        second[:] = 0.0
        assert second.ctypes.data != place
        assert (view == 7.0).all()
        del view
        other = buffers.empty(11, 3)
        with buffers.reused():
            third = buffers.empty(5, 6)
        assert third.ctypes.data == place
        assert third.flags.writeable
        assert third.flags.c_contiguous
        assert buffers.empty(29).base is None  # small arrays are numpy's own
        del second, other, third
        assert len(buffers._shelf) == buffers.KEPT
        last = buffers.empty(31)
    assert len(buffers._shelf) == 0
    assert buffers.empty(31).base is None
    del last
    assert len(buffers._shelf) == 0


def test_records_are_not_overwritten_by_later_layers(monkeypatch):
    """Every layer recorded, on memory that is used again and on memory that is not: the same records."""
    for module in (parallel, field, sources):
        monkeypatch.setattr(module, "CHUNK", 300)
    start = Tokens(*cloud(1000, seed=12))
    law = RandomTransformer(GaussianHeads(3, 0.5, 0.5, 3), Softmax(2.0), eta=0.5, n_heads=2, noise=Noise(13))

    def records():
        run = simulate(start, law, n_steps=6, save_every=1, field=spectral_field(1e-6))
        sparse = simulate(start, law, n_steps=6, save_every=3, field=spectral_field(1e-6))
        return run.tokens.values, sparse.tokens.values

    plain = records()
    monkeypatch.setattr(buffers, "LARGE", 1)
    again = records()
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert np.array_equal(again[0][::3], again[1])
    assert len(np.unique(again[0], axis=0)) == 7
    assert len(buffers._shelf) == 0  # nothing is kept behind a run


def test_l2_heads_of_many_tokens(many):
    """Each head has a measure of its own, at the same points."""
    push = push_of(n_heads=2, strongest=2.0)
    spectral = SpectralField(replace(push, kernel=L2(0.5)), many, MANY, tol=1e-7)
    some = np.arange(40)
    want = normalize(many.points[some], DirectField(replace(push, kernel=L2(0.5)), many)(many.points[some]))
    assert np.abs(spectral.moved(many.points, normalize)[some] - want).max() < 1e-8


def test_records_of_many_tokens_have_their_moments():
    """The record of a run in memory: moments as numpy's, and the first state untouched by the layers."""
    start = Tokens(*cloud(MANY, seed=8))
    law = Homogenized(GaussianHeads(3, 0.5, 0.5, 3), Softmax(1.0), dt=0.05, nodes=2, noise=Noise(9))
    run = simulate(start, law, n_steps=1, field=spectral_field(1e-6))
    assert np.array_equal(run.tokens.values[0], start.points)
    last = run.tokens.values[-1]
    assert np.abs(run.second_moment.values[-1] - np.einsum("n,ni,nj", start.weights, last, last)).max() < 1e-14
    assert np.abs(run.mean_token.values[-1] - mean_token(Cloud(last, start.weights))).max() < 1e-14


def test_strengths_are_those_of_the_softmax_heads():
    push = push_of(n_heads=3, strongest=5.0)
    assert np.allclose(strengths(replace(push, kernel=Softmax(2.0))), [2.0, 6.0, 10.0], rtol=1e-12)
    assert np.allclose(strengths(replace(push, kernel=L2(2.0))), [4.0, 12.0, 20.0], rtol=1e-12)
    endless = AttentionPush(Softmax(1.0), push.mixing, 1e200 * push.query, 1e200 * push.key)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isinf(strengths(endless)).all()


@pytest.mark.parametrize("d", [2, 3])
def test_auto_takes_the_cheaper_field_of_its_model(d):
    """Direct for few tokens, series for many, later for stronger heads; always direct where there are no series."""
    rng = np.random.default_rng(10)
    kind = {2: CircleField, 3: SpectralField}[d]
    heads = GaussianHeads(d, 0.5, d**-0.5, d).sample(rng, 4)
    push = AttentionPush(Softmax(1.0), 0.1 * heads.value, heads.query, heads.key)
    x = dense.nrm(rng.standard_normal((6000, d)))
    for n, want in [(8, DirectField), (60, DirectField), (6000, kind)]:
        few = Cloud(x[:n], np.full(n, 1 / n))
        assert type(auto_field(1e-6)(push, few, n)) is want
    assert type(auto_field(1e-6)(replace(push, kernel=Linear()), few, n)) is DirectField
    for overlap in (0.0, 0.5):
        first = [
            next(n for n in range(1, 10**5) if direct_time(4, n, n) > series_time(strength, n, n, overlap, d, 1e-6))
            for strength in (np.full(4, b) for b in (0.5, 2.0, 5.0, 10.0))
        ]
        assert first == sorted(first)
        assert 50 < first[0] < first[-1] < 20_000


def test_the_cost_model_knows_what_makes_a_series_dear():
    """More digits, stronger heads; on S^2 narrow clouds are cheap as long as their deposit is admitted."""

    def cost(strength=2.0, overlap=0.0, tol=1e-6, d=3, n=3000):
        return series_time(np.full(2, strength), n, n, overlap, d, tol)

    for d in (2, 3):
        assert cost(tol=1e-9, d=d) > cost(d=d) > cost(tol=1e-3, d=d)
        assert cost(4.0, d=d) > cost(d=d)
        assert cost(1e4, d=d) < 1.01 * (direct_time(2, 3000, 3000) + 2000)  # such heads are summed directly
    assert cost(5.0, overlap=0.9) < cost(5.0)
    assert cost(7.0, overlap=0.99) > cost(5.0, overlap=0.99) + 1000  # beyond the bound of a deposit: all tokens


@pytest.mark.parametrize("d", [2, 3])
def test_auto_sums_directly_where_scores_have_no_number(d):
    push = AttentionPush(Softmax(1.0), np.eye(d)[None], np.full((1, d, d), 1e200), np.full((1, d, d), 1e200))
    x = dense.nrm(np.random.default_rng(11).standard_normal((300, d)))
    with np.errstate(over="ignore", invalid="ignore"):
        assert type(auto_field(1e-6)(push, Cloud(x, np.full(300, 1 / 300)), 300)) is DirectField


def test_auto_follows_the_model(monkeypatch):
    """Both ways around, whatever the costs are."""
    push, few = push_of(n_heads=2), cloud(300)
    for cost, want in [(0.0, SpectralField), (1e9, DirectField)]:
        monkeypatch.setitem(costs.COSTS, 3, costs.SeriesCost(cost, 0.0, 0.0, 0.0, 0.75))
        assert type(auto_field(1e-6)(push, few, 300)) is want


def test_auto_is_direct_in_other_dimensions():
    push = AttentionPush(Softmax(1.0), np.eye(4)[None], np.eye(4)[None], np.eye(4)[None])
    tokens = Tokens(dense.nrm(np.random.default_rng(11).standard_normal((5000, 4))))
    assert type(auto_field(1e-6)(push, tokens, 5000)) is DirectField
