"""Exact pathwise solutions of the stochastic Fokker-Planck equation: E1 conformal, E2 linear fields, E3 rotations."""

import dense
import numpy as np
import pytest

from particles import (
    AttentionPush,
    Conformal,
    GaussianHeads,
    Homogenized,
    Linear,
    Noise,
    RecordedLayers,
    Softmax,
    Uniform,
    VonMisesFisherMixture,
    flow,
)
from particles.harmonics import power
from particles.reduced import angular_gaussian, conformal_mean, conformal_step
from spde import Density, Sphere, solve

START = np.array([0.3, -0.1, 0.2])


def conformal_path(law, n_steps):
    """Exact parameters of the scheme with the retraction `flow`: h = (sum C_m) mean(rho_a) from before the step."""
    a = START
    for step in range(n_steps):
        (push,) = law.layer(step)
        a = conformal_step(a, push.mixing.sum(axis=0) @ conformal_mean(a))
    return a


def gaussian(seed, dt, **more):
    heads = GaussianHeads(3, 3**-0.5, 3**-0.5, 3)
    return Homogenized(heads, Softmax(0.0), dt=dt, nodes=1, noise=Noise(seed), fixed=True, **more)


def test_conformal_mean_is_the_mean():
    points, area = dense.gauss_nodes(60, 120)
    for size in (0.02, 0.099, 0.101, 0.5):
        a = size * np.array([0.6, 0.0, 0.8])
        assert np.abs(area * Conformal(a).pdf(points) @ points - conformal_mean(a)).max() < 1e-12


def test_conformal_family_is_kept_exactly_by_the_flow():
    law = gaussian(3, 0.05, retraction=flow)
    start = Density.from_law(Conformal(START), Sphere(63))
    run = solve(start, law, n_steps=20, save_every=20)
    a = conformal_path(law, 20)
    assert np.linalg.norm(a - START) > 0.1
    want = Conformal(a).pdf(start.sphere.points)
    assert np.abs(run.density.values[-1].ravel() - want).max() < 1e-8
    assert np.abs(run.mean_token.values[-1] - conformal_mean(a)).max() < 1e-8


@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")
def test_normalized_steps_converge_at_order_one_half():
    """RMS over 24 paths of the density's L^2 error at t = 1/2, five steps; the reference path is 16 times finer."""
    n_paths, finest, factors = 24, 2.0**-6, (1, 2, 4, 8, 16)
    sphere = Sphere(15)
    start = Density.from_law(Conformal(START), sphere, (16, 32))
    squares = np.zeros(len(factors))
    for seed in range(n_paths):
        fine = gaussian(seed, finest / 16)
        exact = conformal_path(fine, int(8 / finest))
        want = Density.from_law(Conformal(exact), sphere, (32, 64)).coefficients
        for k, factor in enumerate(factors):
            coarse = fine.coarsen(16 * factor)
            steps = int(0.5 / (finest * factor))
            run = solve(start, coarse, n_steps=steps, save_every=steps)
            found = sphere.analysis(run.density.values[-1])
            squares[k] += power(found - want).sum()
    rms = np.sqrt(squares / n_paths)
    slope = np.polyfit(np.log(factors), np.log(rms), 1)[0]
    assert 0.35 <= slope <= 0.65, (slope, rms)


def test_linear_attention_gives_the_angular_central_gaussian():
    """Exact for `normalize` at every step size: g -> (I + C) g, C = sum_m C_m Sigma A_m."""
    rng = np.random.default_rng(0)
    n_steps = 12
    mixing = 0.12 * rng.standard_normal((n_steps, 2, 3, 3))
    forms = rng.standard_normal((n_steps, 2, 3, 3))
    law = RecordedLayers.from_query_key(mixing, forms, Linear())
    start = Density.from_law(Uniform(3), Sphere(127), carried=(48, 96))
    run = solve(start, law, n_steps=n_steps)
    g, points = np.eye(3), start.sphere.points
    for step in range(n_steps):
        sigma = run.second_moment.values[step]
        g = (np.eye(3) + sum(mixing[step, m] @ sigma @ forms[step, m] for m in range(2))) @ g
        exact = angular_gaussian(points, g @ g.T)
        if run["spectral_tail"].values[step + 1] < 1e-10:
            assert np.abs(run.density.values[step + 1].ravel() - exact).max() < 1e-8
    assert run["spectral_tail"].values[-1] < 1e-10
    assert exact.max() / exact.min() > 5


def test_linear_attention_moments_are_those_of_the_exact_density():
    """The second moment that drives E2 itself, against quadrature of the exact density."""
    rng = np.random.default_rng(1)
    mixing, forms = 0.15 * rng.standard_normal((8, 1, 3, 3)), rng.standard_normal((8, 1, 3, 3))
    law = RecordedLayers.from_query_key(mixing, forms, Linear())
    run = solve(Density.from_law(Uniform(3), Sphere(63)), law, n_steps=8)
    points, area = dense.gauss_nodes(128, 256)
    g = np.eye(3)
    for step in range(8):
        weights = area * angular_gaussian(points, g @ g.T)
        sigma = (points * weights[:, None]).T @ points
        assert np.abs(sigma - run.second_moment.values[step]).max() < 1e-7
        g = (np.eye(3) + mixing[step, 0] @ sigma @ forms[step, 0]) @ g


@pytest.mark.parametrize("attention", [Softmax(3.0), Linear()])
def test_rotating_everything_rotates_the_density(attention):
    rng = np.random.default_rng(2)
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    mixing, forms = 0.1 * rng.standard_normal((2, 5, 2, 3, 3))
    turn = lambda matrices: rotation @ matrices @ rotation.T  # noqa: E731
    means, kappas = np.array([[0, 0, 1.0], [1, 0.2, 0]]), [2.0, 3.0]
    runs = []
    for m, f, centres in ((mixing, forms, means), (turn(mixing), turn(forms), means @ rotation.T)):
        start = Density.from_law(VonMisesFisherMixture([1.0, 0.5], centres, kappas), Sphere(47))
        law = RecordedLayers.from_query_key(m, f, attention)
        run = solve(start, law, n_steps=5, save_every=5)
        runs.append((run, start.sphere))
    points = dense.nrm(rng.standard_normal((200, 3)))
    values = []
    for (run, sphere), where in zip(runs, (points, points @ rotation.T), strict=True):
        coefficients = sphere.analysis(run.density.values[-1])
        values.append(sphere.synthesis_at(coefficients, where))
    assert np.abs(values[0] - values[1]).max() < 1e-6
    assert np.abs(runs[0][0].mean_token.values[-1] @ rotation.T - runs[1][0].mean_token.values[-1]).max() < 1e-6


def test_mass_over_five_hundred_steps():
    heads = GaussianHeads(3, 3**-0.5, 3**-0.5, 3)
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [1.0]), Sphere(9), (12, 24))
    run = solve(start, Homogenized(heads, Softmax(1.0), 0.002, 2, Noise(0)), n_steps=500, save_every=50)
    assert np.abs(run.mass.values - 1).max() < 1e-12


def test_push_with_two_parts_is_applied_in_order():
    """A layer of two pushes equals two layers of one push each."""

    class Two:
        dt, d, noise_scale = 1.0, 3, None

        def __init__(self, pushes):
            self.pushes = pushes

        def layer(self, step):
            return self.pushes[step]

    rng = np.random.default_rng(3)
    first, second = (AttentionPush(Softmax(1.0), *0.3 * rng.standard_normal((3, 1, 3, 3))) for _ in range(2))
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [2.0]), Sphere(31))
    together = solve(start, Two([(first, second)]), n_steps=1)
    apart = solve(start, Two([(first,), (second,)]), n_steps=2, remap_every=2)
    assert np.abs(together.density.values[-1] - apart.density.values[-1]).max() < 1e-12
    assert np.abs(together.mean_token.values[-1] - apart.mean_token.values[-1]).max() < 1e-13
