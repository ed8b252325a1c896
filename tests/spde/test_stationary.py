"""Densities beside the stationary laws of their equation: long runs end there, small disturbances have its rates."""

import numpy as np
import pytest

from particles import Noise
from particles.equations import Dot, Equation, Exponential, ExponentialRungeKutta4, Legendre, Zonal
from particles.stationary import follow, onset, secondaries
from spde import Circle, Density, DensityFlow, Sphere, spectral_field


def law_of(d, interaction, share, dt):
    """The ordered law at a share of the nu of the onset, and the equation."""
    nu = share * onset(interaction, d)[1]
    return follow(interaction, d, 0.9 * nu).at(nu), Equation(d, (Zonal(interaction),), dt, Noise(0), nu=nu)


def held(state, sphere):
    """Coefficients of the state about z; order 0 stands first."""
    found = np.zeros(len(sphere.degrees), dtype=complex)
    found[: sphere.lmax + 1] = state.coefficients(sphere.lmax)
    return found


def advanced(law, coefficients, sphere, size, steps, tol=1e-10):
    run = DensityFlow(sphere, law, spectral_field(tol), carried=size)
    return run.advance(run.start(Density.from_coefficients(coefficients, sphere, size)), steps)


@pytest.mark.parametrize(
    ("sphere", "interaction", "size", "dt"),
    [(Circle(23), Dot(1.0), (2, 48), 0.3), (Sphere(13), Exponential(1.0), (14, 28), 0.165)],
)
def test_a_long_run_ends_at_the_state(sphere, interaction, size, dt):
    """To 2e-6 in every coefficient, with the error of the step, of order 2 by Strang, taken out by extrapolation."""
    state, law = law_of(sphere.d, interaction, 0.65, dt)
    want = held(state, sphere)
    start = want * np.where(sphere.degrees > 0, 0.995, 1.0)
    steps = int(8.5 / -state.stability / law.dt)
    a, b, c = (advanced(law.refine(k), start, sphere, size, k * steps).coefficients for k in (1, 2, 4))
    assert np.abs((a - 20 * b + 64 * c) / 45 - want).max() < 2e-6  # Richardson, dt^2 and dt^4
    assert 3.8 < np.abs(b - want).max() / np.abs(c - want).max() < 4.2
    assert np.abs(start - want).max() > 1e-3


def test_small_disturbances_have_its_rates():
    """What is left of a disturbance in one azimuthal order falls by e^{rate time} in the end."""
    sphere, size = Sphere(13), (14, 28)
    state, law = law_of(3, Exponential(1.0), 0.6, 0.15)
    for order, steps in ((0, 40), (2, 24)):
        push = 1e-4 * ((sphere.orders == order) & (sphere.degrees == max(order, 1)))
        falls = []
        for k in (1, 2):
            run = DensityFlow(sphere, law.refine(k), spectral_field(1e-10), carried=size)
            ends = []
            for sign in (1, -1):
                start = Density.from_coefficients(held(state, sphere) + sign * push, sphere, size)
                first = run.advance(run.start(start), k * steps)
                ends.append([first.coefficients, run.advance(first, k * (steps + 8)).coefficients])
            left = np.abs(np.subtract(*ends))[:, push > 0][:, 0]
            falls.append(np.log(left[1] / left[0]) / (8 * law.dt))
        assert abs((4 * falls[1] - falls[0]) / 3 - state.rates.by_order[order]) < 0.02


def test_a_long_run_ends_on_a_secondary_branch():
    """From the nematic law of 0.8 cos + cos 2 with a small mean, where that law is unstable and where it is stable."""
    w, sphere = Legendre((0.0, 0.8, 1.0), 2), Circle(31)
    branch = follow(w, 2, 0.35)
    (mixed,) = secondaries(branch)
    for nu, end in ((0.4, mixed.at(0.4)), (0.494, branch.at(0.494))):
        law = Equation(2, (Zonal(w),), 0.2, Noise(0), nu=nu, scheme=ExponentialRungeKutta4())
        run = DensityFlow(sphere, law)
        start = held(branch.at(nu), sphere) + 0.02 * (sphere.degrees == 1)
        steps = int(20 / -end.stability / law.dt)
        found = run.advance(run.start(Density.from_coefficients(start, sphere)), steps).coefficients
        assert np.abs(found - held(end, sphere)).max() < 1e-7
