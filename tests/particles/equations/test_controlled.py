"""Steps chosen by their own error: the tolerance holds against exact solutions, and is what the error goes by."""

import numpy as np
import pytest
from scipy.linalg import expm

from particles import (
    Cloud,
    Noise,
    SolverError,
    TokenFlow,
    Tokens,
    Uniform,
)
from particles.equations import Dot, Equation, Function, Heun, Kicks, Pull, Rotation, Zonal
from particles.equations.controlled import in_steps
from particles.layers.schemes import RungeKutta4

TOLERANCES = (1e-3, 1e-5, 1e-7)


def tokens(d, n=20):
    return Tokens(Uniform(d).sample(np.random.default_rng(0), n))


def end(law, start, steps):
    run = TokenFlow(law)
    return run.advance(run.start(start), steps).points


def assert_kept(errors, tolerances, time):
    """Errors are at most twice tolerance times time, and go by the tolerance."""
    bounds = np.array(tolerances) * time
    assert (errors <= 2 * bounds).all(), errors / bounds
    assert (errors >= 0.005 * bounds).all(), errors / bounds


@pytest.mark.parametrize("scheme", [RungeKutta4(), Heun()])
def test_a_rotation_keeps_its_tolerance(scheme):
    """One turn of 2.3 radians a unit of depth time in steps of at most 1, which are far too long."""
    turn, start = Rotation.about([0.3, 1.0, 2.0]), tokens(3)
    want = start.points @ expm(2 * turn.matrix).T
    tolerances = TOLERANCES if scheme.order == 4 else (1e-2, 1e-3, 1e-4)

    def law(tolerance):
        return Equation(3, (turn,), 1.0, Noise(0), scheme=scheme, tolerance=tolerance)

    errors = np.array([np.abs(end(law(tolerance), start, 2) - want).max() for tolerance in tolerances])
    assert_kept(errors, tolerances, 2.0)
    assert np.abs(end(law(None), start, 2) - want).max() > 10 * errors[0]


@pytest.mark.parametrize("d", [2, 4])
def test_the_pull_to_a_point_keeps_its_tolerance(d):
    """<x, e> = tanh(artanh <x_0, e> + t): steps are short where it is fast."""
    start = tokens(d, 6)
    want = np.tanh(np.arctanh(start.points[:, 0]) + 4.0)
    errors = []
    for tolerance in TOLERANCES:
        law = Equation(d, (Pull(np.eye(d)[0]),), 4.0, Noise(0), tolerance=tolerance)
        errors.append(np.abs(end(law, start, 1)[:, 0] - want).max())
    assert (np.array(errors) < 2 * 4 * np.array(TOLERANCES)).all()
    assert errors[2] < errors[1] / 10 < errors[0] / 100


def test_every_step_keeps_the_error_over_its_length():
    """A problem made of local errors (h/scale(t))^3: steps fill the length, none is above the bound, few far below."""
    tolerance, length = 1e-4, 3.0

    def local(t, h):
        return (h / (0.1 + 3 * t**2)) ** 3

    def take(ends, h):
        return (*ends, ends[-1] + h)

    def gap(whole, halves):
        assert len(halves) == len(whole) + 1
        return 3 * local(whole[-2], whole[-1] - whole[-2])

    ends = np.array(in_steps(take, gap, (0.0,), length, 2, tolerance)[::2])
    steps = np.diff(ends)
    share = local(ends[:-1], steps) / (tolerance * steps)
    assert abs(ends[-1] - length) < 1e-9
    assert share.max() <= 1
    assert np.median(share) > 0.2
    assert steps.max() > 10 * steps.min()


def test_riders_do_not_act_on_the_steps():
    [layer] = Equation(3, (Zonal(Dot(3.0)), Pull([0, 0, 1.0])), 1.0, Noise(0), tolerance=1e-4).layer(0)
    cloud, riders = Cloud(tokens(3).points, np.full(20, 0.05)), (Uniform(3).sample(np.random.default_rng(1), 30),)
    alone, _ = layer.move(cloud, (), lambda push, measure: push.velocity(measure))
    beside, _ = layer.move(cloud, riders, lambda push, measure: push.velocity(measure))
    assert np.array_equal(alone.points, beside.points)


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"tolerance must be left out with common noise.*got 0.001"):
        Equation(3, (), 0.1, Noise(0), (Kicks(0.3),), tolerance=1e-3)
    with pytest.raises(ValueError, match="tolerance must be"):
        Equation(3, (), 0.1, Noise(0), tolerance=0.0)
    with pytest.raises(ValueError, match="points with private noise are random"):
        end(Equation(3, (), 0.1, Noise(0), nu=0.1, tolerance=1e-3), tokens(3), 1)


def test_a_drift_that_no_step_resolves_stops_the_run():
    def jumping(points, measure):
        return np.where(points[:, :1] > 0, 1.0, -1.0) * np.sign(np.sin(1e12 * points)) * 1e3

    with pytest.raises(SolverError, match=r"no step keeps the error at 1.0e-06 of its length"):
        end(Equation(3, (Function(jumping),), 0.1, Noise(0), tolerance=1e-6), tokens(3), 1)
