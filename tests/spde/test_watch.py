"""What a density run watches: the error of the field in the low moments, against runs whose field is exact."""

import numpy as np
import pytest

from particles import Cloud, DirectField, GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from spde import Circle, Density, DensityFlow, Sphere, solve, spectral_field
from spde.state import FieldError, density_state
from spde.watch import EVERY, moment_change

START = {
    3: VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0]),
    2: VonMisesFisherMixture([1.0, 0.5], [[0, 1.0], [1.0, 0]], [2.0, 3.0]),
}


def layers(d=3, seed=7):
    return Homogenized(GaussianHeads(d, d**-0.5, d**-0.5, d), Softmax(2.0), dt=0.02, nodes=8, noise=Noise(seed))


def moments(run):
    return np.concatenate([run.mean_token.values[-1], run.second_moment.values[-1].ravel()])


def solved(tol, d=3, n_steps=10, **more):
    sphere = Sphere(15) if d == 3 else Circle(15)
    start = Density.from_law(START[d], sphere, carried=(16, 32))
    field = DirectField if tol is None else spectral_field(tol)
    return solve(start, layers(d), n_steps=n_steps, save_every=n_steps, field=field, **more)


@pytest.mark.filterwarnings("ignore:the field loses digits")
@pytest.mark.parametrize("d", [3, 2])
def test_the_estimate_is_the_error(d, monkeypatch):
    """Every layer evaluated twice: the sum of what each loses is what is lost, within a factor of 4."""
    monkeypatch.setattr("spde.watch.EVERY", 1)
    exact = moments(solved(None, d))
    for tol in (1e-1, 1e-2):
        run = solved(tol, d)
        lost = np.abs(moments(run) - exact).max()
        assert lost > 1e-12
        assert lost / 4 < run.field_error.values[-1] < 8 * lost, (tol, lost, run.field_error.values)
    assert solved(None, d).field_error.values.tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:the field loses digits", "ignore:the pointwise density", "ignore:mean and second")
def test_one_layer_of_many_stands_for_the_others():
    run = solved(1e-2, n_steps=EVERY + 2)
    first = solved(1e-2, n_steps=1).field_error.values[-1]
    until = solved(1e-2, n_steps=EVERY).field_error.values[-1]
    assert until == pytest.approx(EVERY * first, rel=1e-12)
    assert run.field_error.values[-1] != pytest.approx((EVERY + 2) * first, rel=1e-3)


@pytest.mark.filterwarnings("ignore:the pointwise density", "ignore:mean and second", "ignore:the low moments")
def test_a_rough_field_is_told_once():
    with pytest.warns(RuntimeWarning, match="the field loses digits at depth time .*; lower field_tol") as caught:
        solved(1e-1, n_steps=200)
    assert len([one for one in caught if "loses digits" in str(one.message)]) == 1


def test_looking_changes_nothing(monkeypatch):
    one = solved(1e-4)
    monkeypatch.setattr("spde.watch.EVERY", 1)
    other = solved(1e-4)
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    np.testing.assert_array_equal(one.second_moment, other.second_moment)


def test_the_estimate_goes_on_with_a_state():
    start = Density.from_law(START[3], Sphere(15), carried=(16, 32))
    flow = DensityFlow(start.sphere, layers(), spectral_field(1e-2))
    half = flow.advance(flow.start(start), 5)
    assert half.field_error.total > 0
    assert flow.advance(density_state(half.arrays()), 9).field_error == flow.advance(half, 9).field_error


def test_field_errors_add_up():
    error = FieldError().after([0.5, 2.0]).after([np.nan]).after([]).after([1.0])
    assert (error.total, error.last) == (7.0, 1.0)


def test_moments_of_displaced_points():
    """First order: against the moments of points that are really moved; what is normal to the sphere does not count."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    weights = rng.random(50)
    weights /= weights.sum()
    push = 1e-7 * rng.standard_normal((50, 3))
    moved = points + push
    moved /= np.linalg.norm(moved, axis=1)[:, None]
    mean = weights @ (moved - points)
    second = np.einsum("n,ni,nj->ij", weights, moved, moved) - np.einsum("n,ni,nj->ij", weights, points, points)
    want = max(np.abs(mean).max(), np.abs(second).max())
    assert moment_change(Cloud(points, weights), push) == pytest.approx(want, rel=1e-5)
    both = Cloud(np.concatenate([points, -points]), np.concatenate([weights, weights]) / 2)
    even = moment_change(both, np.concatenate([push, -push]))  # the mean stays
    assert even == pytest.approx(np.abs(second).max(), rel=1e-5)
    assert moment_change(Cloud(points, weights), 3.0 * points) == pytest.approx(0, abs=1e-14)
