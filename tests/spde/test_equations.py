"""Densities under equations of one's own: growth rates, Strang's order, conformal maps, stationary laws, resuming."""

import math
import warnings

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import iv, ive

from particles import (
    ACTIVATIONS,
    Conformal,
    Layers,
    MLPBlock,
    Noise,
    VonMisesFisherMixture,
    WithMLP,
    WithPrivateNoise,
)
from particles.equations import (
    Dot,
    Equation,
    Exponential,
    Isotropic,
    Kicks,
    Legendre,
    MaierSaupe,
    Pull,
    Rotation,
    Zonal,
    multipliers,
    stratonovich,
)
from particles.reduced import conformal_mean, conformal_step
from spde import Circle, Density, DensityFlow, Sphere, diffuses, solve, spectral_field
from spde.said import Said

FINE = spectral_field(1e-12)


def advanced(law, density, steps, field=FINE, size=(24, 48)):
    run = DensityFlow(density.sphere, law, field, carried=size)
    return run.advance(run.start(density), steps)


def vmf(d, kappa=1.0):
    return VonMisesFisherMixture([1.0, 0.6], np.eye(d)[:2], [kappa, 1.5 * kappa])


@pytest.mark.parametrize("sphere", [Sphere(11), Circle(11)])
@pytest.mark.parametrize("make", [lambda d: Exponential(2.5), lambda d: Legendre(tuple(0.5**k for k in range(10)), d)])
def test_growth_rates_of_all_degrees(sphere, make):
    """Degree l of a small disturbance of the uniform law grows as l(l + d - 2)(w_l/|S| - nu), to 1e-6."""
    d, nu, dt, steps, size = sphere.d, 0.15, 0.01, 10, 1e-5
    interaction = make(d)
    law = Equation(d, (Zonal(interaction),), dt, Noise(0), nu=nu)
    disturbed = (sphere.degrees > 0) & (sphere.degrees <= 8) & (sphere.orders == sphere.degrees)
    ends = []
    for sign in (1, -1):
        start = np.where(disturbed, sign * size, 0.0).astype(complex)
        start[0] = 1 / math.sqrt(sphere.volume)
        density = Density.from_coefficients(start, sphere, (24, 48) if d == 3 else (2, 64))
        ends.append(advanced(law, density, steps, size=(24, 48) if d == 3 else (2, 64)).coefficients)
    found = np.log(np.abs((ends[0] - ends[1])[disturbed].real) / (2 * size)) / (steps * dt)
    degrees, factors = sphere.degrees[disturbed], np.zeros(12)
    known = multipliers(interaction, d, 1e-14)[:12]
    factors[: len(known)] = known
    want = degrees * (degrees + d - 2) * (factors[degrees] / sphere.volume - nu)
    assert len(degrees) == 8
    assert np.abs(found - want).max() < 1e-6
    assert np.ptp(want) > 1


@pytest.mark.parametrize("sphere", [Sphere(9), Circle(23)])
def test_strang_has_order_two_with_private_noise(sphere):
    d, size = sphere.d, (12, 24) if sphere.d == 3 else (2, 48)
    drift = (
        Zonal(MaierSaupe(2.0)),
        Zonal(Dot(1.0)),
        Pull(np.arange(d) / 2),
        Rotation(np.eye(d)[::-1] * [[1], *[[0]] * (d - 2), [-1]]),
    )
    density = Density.from_law(vmf(d), sphere, size)

    def end(n):
        return advanced(Equation(d, drift, 0.5 / n, Noise(0), nu=0.3), density, n, size=size).coefficients

    exact, counts = end(96), (2, 3, 4, 6, 8)
    errors = [np.abs(end(n) - exact).max() for n in counts]
    assert abs(np.polyfit(np.log(counts), np.log(errors), 1)[0] + 2) < 0.1
    assert errors[0] > 1e-4


def test_without_drift_private_noise_is_the_heat_kernel():
    sphere = Sphere(15)
    density = Density.from_law(vmf(3), sphere)
    end = advanced(Equation(3, (), 0.1, Noise(0), nu=0.2), density, 5)
    decay = np.exp(-0.2 * 0.5 * sphere.degrees * (sphere.degrees + 1))
    assert np.abs(end.coefficients - density.coefficients * decay).max() < 1e-13


def test_kicks_with_dot_coupling_keep_the_conformal_family():
    """E1: b = K mean + kick has one direction at each time; a moves by a -> b (+) a, with a fine step."""
    a, strength, dt, steps = np.array([0.3, 0.0, 0.2]), 1.2, 0.01, 40
    law = Equation(3, (Zonal(Dot(strength)),), dt, Noise(3), (Kicks(0.8),))
    end = advanced(law, Density.from_law(Conformal(a), Sphere(31)), steps)
    for step in range(steps):
        kick, kicked = 0.8 * math.sqrt(dt) * law.numbers(step, 0), a
        for _ in range(20):
            kicked = conformal_step(kicked, (strength * dt * conformal_mean(kicked) + kick) / 20)
        a = kicked
    mean, _ = Sphere(31).low_moments(end.coefficients)
    assert np.abs(mean - conformal_mean(a)).max() < 2e-4
    assert np.abs(end.nodes.weights @ end.nodes.points - mean).max() < 1e-8
    assert np.linalg.norm(a - [0.3, 0.0, 0.2]) > 0.2
    points = Sphere(15).points
    values = Sphere(31).synthesis_at(end.coefficients, points)
    assert np.abs(values - Conformal(a).pdf(points)).max() < 2e-3 * values.max()


@pytest.mark.parametrize("d", [2, 3])
def test_a_long_run_ends_at_the_stationary_law(d):
    """dot with private noise: rho = exp(kappa <x, e>)/Z, kappa = (K/nu) A(kappa); Strang leaves dt^2."""
    ratio = 1.5 * d
    if d == 3:
        kappa = brentq(lambda k: k - ratio * (1 / math.tanh(k) - 1 / k), 0.1, 50)
    else:
        kappa = brentq(lambda k: k - ratio * ive(1, k) / ive(0, k), 0.1, 50)
    sphere = Sphere(23) if d == 3 else Circle(31)
    law = Equation(d, (Zonal(Dot(ratio)),), 0.04, Noise(0), nu=1.0)
    density = Density.from_law(VonMisesFisherMixture([1.0], np.eye(d)[:1], [0.7 * kappa]), sphere)
    end = advanced(law, density, 75 if d == 3 else 250, size=(24, 48) if d == 3 else (2, 64))
    length = np.linalg.norm(sphere.low_moments(end.coefficients)[0])
    assert abs(length - kappa / ratio) < 2e-3


def test_a_resumed_run_is_the_whole_one():
    law = Equation(3, (Zonal(Exponential(1.0)),), 0.05, Noise(1), (Isotropic((0.2,), (0.0, 0.3)),), 0.1)
    density = Density.from_law(vmf(3), Sphere(11))
    run = DensityFlow(density.sphere, law)
    start = run.start(density, vmf(3).sample(np.random.default_rng(0), 5))
    middle = run.advance(start, 2)
    whole = run.advance(middle, 4).arrays()
    resumed = run.advance(run.restore({name: one.copy() for name, one in middle.arrays().items()}), 4).arrays()
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        assert np.array_equal(array, resumed[name]), name
    assert np.abs(whole["passive"] - start.passive).max() > 0.05


def test_private_noise_of_an_equation_is_seen_through_other_laws():
    law = Equation(3, (Zonal(Dot(1.0)),), 0.05, Noise(1), nu=0.1)
    block = WithMLP(law, MLPBlock(ACTIVATIONS["tanh"], 8), Noise(1))
    assert diffuses(law)
    assert diffuses(block)
    assert not diffuses(Equation(3, (), 0.05, Noise(1)))
    with pytest.raises(ValueError, match="private noise of their own already"):
        WithPrivateNoise(law, 0.1, Noise(0))
    density = Density.from_law(vmf(3), Sphere(11))
    end = advanced(block, density, 2)
    assert abs(end.coefficients[0].real * math.sqrt(4 * math.pi) - 1) < 1e-13
    by_hand = Layers(lambda step: block.layer(step), 3, law.dt)
    assert np.abs(advanced(by_hand, density, 2).coefficients - end.coefficients).max() < 1e-12
    with pytest.raises(ValueError, match="characteristics must be left out with private noise"):
        DensityFlow(density.sphere, block, characteristics=True)


def test_solve_takes_an_equation():
    law = Equation(3, (Zonal(MaierSaupe(4.0)),), 0.05, Noise(1), (Kicks(0.2, [[0, 0, 1.0]]),), 0.1, stratonovich)
    run = solve(Density.from_law(vmf(3), Sphere(15)), law, n_steps=8, save_every=4)
    assert run.sizes["depth_time"] == 3
    assert abs(run.mass - 1).max() < 1e-12
    assert run.field_degree.values[-1] == 2
    assert run.moment_error.values.max() < 1e-6


def test_free_energy_falls_at_the_rate_of_its_dissipation():
    """dF/dt = -dissipation by central differences; F = E - nu S of a von Mises-Fisher law in closed form."""
    for sphere in (Sphere(31), Circle(31)):
        d, kappa = sphere.d, 2.0
        size, axis = (24, 48) if d == 3 else (2, 64), np.eye(sphere.d)[0]
        density = Density.from_law(VonMisesFisherMixture([1.0], axis[None], [kappa]), sphere, size)
        law = Equation(d, (Zonal(MaierSaupe(2.5)), Zonal(Dot(0.7)), Pull(0.3 * axis)), 1e-3, Noise(0), nu=0.4)
        run = solve(density, law, n_steps=2, field=FINE)
        rate = (run.free_energy.values[2] - run.free_energy.values[0]) / 2e-3
        assert abs(rate + run.dissipation.values[1]) < 2e-5 * run.dissipation.values[1]
        assert run.dissipation.values[1] > 0.01
        mean = density.mean[0]
        normal = {3: math.log(kappa / (4 * math.pi * math.sinh(kappa))), 2: -math.log(2 * math.pi * iv(0, kappa))}[d]
        assert abs(run.entropy.values[0] + normal + kappa * mean) < 1e-9
        quadratic = np.sum(density.second_moment**2)
        energy = -0.5 * (1.25 * quadratic + 0.7 * mean**2) - 0.3 * mean
        assert abs(run.interaction_energy.values[0] - energy) < 1e-9
        assert np.abs(run.free_energy - (run.interaction_energy - 0.4 * run.entropy)).max() < 1e-14


def test_a_stationary_law_dissipates_nothing():
    ratio = 4.5
    kappa = brentq(lambda k: k - ratio * (1 / math.tanh(k) - 1 / k), 0.1, 50)
    density = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [kappa]), Sphere(31))
    run = solve(density, Equation(3, (Zonal(Dot(ratio)),), 0.02, Noise(0), nu=1.0), n_steps=1, field=FINE)
    assert run.dissipation.values[0] < 1e-12


@pytest.mark.filterwarnings("ignore:layer 0 moves points", "ignore:the pointwise density", "ignore:mean and second")
def test_a_free_energy_that_rises_is_told_once():
    """A step far too long overshoots; with common noise nothing is said, and a run that begins again starts anew."""
    density = Density.from_law(vmf(3), Sphere(15), (24, 48))

    def run(dt, common=(), n_steps=6):
        return solve(density, Equation(3, (Zonal(Dot(-8.0)),), dt, Noise(0), common, 0.05), n_steps=n_steps)

    with pytest.warns(RuntimeWarning, match="free energy rises by") as caught:
        run(0.7)
    assert sum("free energy" in str(one.message) for one in caught) == 1
    for quiet in ((0.02,), (0.02, (Kicks(2.0),))):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="the free energy")
            found = run(*quiet)
        assert (np.diff(found.free_energy) > 1e-6).any() == (len(quiet) == 2)
    said = Said({"energy"}, 1.0)
    assert said.copy().free_energy == 1.0
    assert said.anew().free_energy == math.inf
    assert said.anew().kinds == {"energy"}


def test_chosen_steps_keep_their_tolerance():
    """A stationary law of dot with private noise that a rotation turns: exact, and no part alone keeps it; in L2."""
    k, turn, time, sphere = 4.0, 1.3, 1.0, Circle(23)
    kappa = brentq(lambda one: one - k * ive(1, one) / ive(0, one), 0.1, 50)
    first, last = (
        Density.from_law(VonMisesFisherMixture([1.0], [[math.cos(turn * t), math.sin(turn * t)]], [kappa]), sphere)
        for t in (0.0, time)
    )
    drift, errors = (Zonal(Dot(k)), Rotation(np.array([[0, -turn], [turn, 0]]))), []
    tolerances = (1e-2, 1e-3, 1e-4)
    for tolerance in (None, *tolerances):
        law = Equation(2, drift, 0.5, Noise(0), nu=1.0, tolerance=tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if tolerance is None else "error")  # |U| > 1 in steps that are not taken
            end = advanced(law, first, 2, size=(2, 48))
        gap = np.where(sphere.orders > 0, 2, 1) @ np.abs(end.coefficients - last.coefficients) ** 2
        errors.append(math.sqrt(gap))
    assert errors[0] > 10 * errors[1]
    for error, tolerance in zip(errors[1:], tolerances, strict=True):
        assert 0.02 * tolerance < error < 2 * tolerance * time
    assert 0.05 < errors[2] / errors[1] < 0.2
    assert 0.05 < errors[3] / errors[2] < 0.2


def test_chosen_steps_of_carried_nodes_keep_their_tolerance():
    """dot alone keeps the conformal family (E1); the error of steps is not taken for one of the nodes (no warning)."""
    start, strength, time = np.array([0.2, 0.0, 0.1]), 1.5, 1.0
    exact = start
    for _ in range(2000):
        half = conformal_step(exact, strength * time / 4000 * conformal_mean(exact))
        exact = conformal_step(exact, strength * time / 2000 * conformal_mean(half))
    density, errors = Density.from_law(Conformal(start), Sphere(25)), []
    tolerances = (1e-4, 1e-5, 1e-6)
    for tolerance in tolerances:
        law = Equation(3, (Zonal(Dot(strength)),), 1.0, Noise(0), tolerance=tolerance)
        run = solve(density, law, n_steps=1, field=FINE)
        errors.append(np.abs(run.mean_token.values[-1] - conformal_mean(exact)).max())
        assert run.sizes["depth_time"] == 2
    assert (np.array(errors) < 2 * np.array(tolerances)).all()
    assert errors[1] < errors[0] / 4 < errors[0] < 1e3 * errors[2]
    assert errors[2] < errors[1] / 4


@pytest.mark.parametrize("kicks", [(), (Kicks(0.4, [[0.0, 0.6, 0.8]]),)])
def test_the_density_along_the_flow_of_an_equation(kicks):
    """Steps of several stages: log rho at the nodes is that of the conformal family (E1)."""
    a, dt, steps = np.array([0.3, 0.0, 0.2]), 0.02, 20
    sense = stratonovich if kicks else None
    law = Equation(3, (Zonal(Dot(1.5)),), dt, Noise(3), kicks, 0.0, sense)
    start = Density.from_law(Conformal(a), Sphere(31), (24, 48))
    run = solve(start, law, n_steps=steps, save_every=steps, field=FINE, characteristics=True)
    plain = solve(start, law, n_steps=steps, save_every=steps, field=FINE, carried=(24, 48))
    assert np.array_equal(run.mean_token, plain.mean_token)
    for step in range(steps):
        kick = 0.4 * math.sqrt(dt) * law.numbers(step, 0) @ [[0.0, 0.6, 0.8]] if kicks else np.zeros(3)
        for _ in range(40):
            half = conformal_step(a, (1.5 * dt * conformal_mean(a) + kick) / 80)
            a = conformal_step(a, (1.5 * dt * conformal_mean(half) + kick) / 40)
    exact = np.log(Conformal(a).pdf(run.node.values[-1]))
    assert np.abs(run.node_log_density.values[-1] - exact).max() < (1e-5 if kicks else 1e-7)
    assert np.ptp(exact) > 1
    entropy = run.node_weight.values @ -exact
    assert abs(run.entropy.values[-1] - entropy) < 1e-5
    assert run.area_defect.values[-1] < 1e-5


@pytest.mark.slow
def test_the_strong_order_of_a_density_with_both_noises():
    """1 on paths of one common kick: private noise, which is no path of a density, costs no order."""
    density, levels, square = Density.from_law(vmf(2, 0.5), Circle(15), (2, 48)), 4, np.zeros(4)
    drift, kick = (Zonal(Dot(1.0)), Pull([2.0, 0.0])), (Kicks(0.6, [[0.6, 0.8]]),)
    for member in range(8):
        law = Equation(2, drift, 1 / 16, Noise(4, member), kick, 0.1, stratonovich)
        assert law.strong_order == 1
        ends = [advanced(law.refine(2**k), density, 8 * 2**k, size=(2, 48)).coefficients for k in (*range(levels), 5)]
        square += [np.sum(np.abs(end - ends[-1]) ** 2) for end in ends[:-1]]
    assert abs(np.polyfit(np.arange(levels), -0.5 * np.log2(square), 1)[0] - 1) < 0.15
