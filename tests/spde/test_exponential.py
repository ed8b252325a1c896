"""The exponential scheme of densities: its order, its terms, what it keeps, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from particles import Noise, VonMisesFisherMixture
from particles.equations import (
    Dot,
    Equation,
    ExponentialRungeKutta4,
    Function,
    Gradient,
    Kicks,
    Legendre,
    Pull,
    Rotation,
    Zonal,
)
from spde import Circle, Density, Sphere, solve
from spde.exponential import ExponentialStep
from spde.flow import DensityFlow
from spde.state import density_state

SCHEME = ExponentialRungeKutta4()
START = {
    2: VonMisesFisherMixture([1.0, 0.5], [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0]),
    3: VonMisesFisherMixture([1.0, 0.5], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [1.0, 2.0]),
}
W = {2: Legendre((0.0, 1.0, 0.5), 2), 3: Legendre((0.0, 1.0, 1.0), 3)}
SERIES = np.array([0.0, 0.2, -0.1, 0.1, 0.2j, 0.15])  # degree 2 on S^2, 5 on S^1


def law_of(d, drift, dt, **more):
    return Equation(d, drift, dt, Noise(0), nu=0.1, **more)


def density_of(d, lmax):
    return Density.from_law(START[d], (Circle if d == 2 else Sphere)(lmax))


def end(d, drift, n, lmax=15, t_end=0.5):
    """Coefficients at t_end."""
    density = density_of(d, lmax)
    step = ExponentialStep(density.sphere, law_of(d, drift, t_end / n, scheme=SCHEME))
    found = density.coefficients
    for _ in range(n):
        found = step(found)
    return found


@pytest.mark.parametrize("d", [2, 3])
def test_the_order_is_four(d):
    drift, sizes = (Zonal(W[d]), Pull(np.eye(d)[1])), (8, 12, 16, 24, 32)
    exact = end(d, drift, 192)
    errors = [np.abs(end(d, drift, n) - exact).max() for n in sizes]
    assert abs(np.polyfit(np.log(1 / np.array(sizes)), np.log(errors), 1)[0] - 4) < 0.15


def test_the_noisy_kuramoto_model_against_scipy():
    degree, n, strength, t_end = 23, 96, 1.5, 0.5
    theta, k = 2 * np.pi * np.arange(n) / n, np.arange(degree + 1)

    def slope(_, parts):
        series = np.append(parts.view(np.complex128), np.zeros(n // 2 - degree))
        rho, mean = np.fft.irfft(series, n) * n, 2 * np.pi * np.conj(series[1])
        flux = rho * strength * (mean.imag * np.cos(theta) - mean.real * np.sin(theta))
        return (-1j * k * np.fft.rfft(flux)[: degree + 1] / n - 0.1 * k**2 * series[: degree + 1]).view(np.float64)

    density = density_of(2, degree)
    begin = np.ascontiguousarray(density.coefficients / np.sqrt(2 * np.pi)).view(np.float64)
    exact = solve_ivp(slope, (0, t_end), begin, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    found = end(2, (Zonal(Dot(strength)),), 80, degree, t_end) / np.sqrt(2 * np.pi)
    assert np.abs(found - np.ascontiguousarray(exact).view(np.complex128)).max() < 1e-8


@pytest.mark.parametrize(
    ("d", "terms"),
    [
        (2, (Zonal(W[2]), Gradient(SERIES / 20, 2), Rotation([[0.0, -1.0], [1.0, 0.0]]))),
        (3, (Zonal(W[3]),)),
        (3, (Zonal(Dot(0.5)), Zonal(W[3]), Gradient(SERIES), Rotation.about([0.3, -0.2, 1]), Pull([0.2, 0.4, 0.1]))),
    ],
)
def test_halves_of_private_noise_extrapolated_give_the_same(d, terms):
    """The push forward along characteristics, by other code, to its order."""
    density, t_end = density_of(d, 15), 0.4

    def pushed(n):
        flow = DensityFlow(density.sphere, law_of(d, terms, t_end / n), carried=(1, 128) if d == 2 else (24, 48))
        return flow.advance(flow.start(density), n).coefficients

    coarse, fine = pushed(8), pushed(16)
    found, apart = end(d, terms, 64, 15, t_end), np.abs(fine - coarse).max()
    assert apart > 1e-6
    assert np.abs((4 * fine - coarse) / 3 - found).max() < 0.02 * apart


@pytest.mark.parametrize("d", [2, 3])
def test_heat_alone_is_exact(d):
    density = density_of(d, 15)
    degrees = density.sphere.degrees
    exact = density.coefficients * np.exp(-0.1 * 0.5 * degrees * (degrees + d - 2))
    assert np.abs(end(d, (), 1) - exact).max() < 1e-15


@pytest.mark.parametrize("d", [2, 3])
def test_a_run_keeps_mass_falls_in_free_energy_and_has_positive_nodes(d):
    density = density_of(d, 23)
    run = solve(density, law_of(d, (Zonal(W[d]),), 0.05, scheme=SCHEME), n_steps=20, save_every=4)
    assert np.abs(run.mass - run.mass[0]).max() < 1e-13
    assert (run.free_energy.diff("depth_time") < 0).all()
    assert float(run.moment_defect.max()) < 1e-12
    assert run.attrs["carried_nodes"] == "the points of the grid"


def test_a_run_goes_on_bitwise():
    density = density_of(3, 15)
    flow = DensityFlow(density.sphere, law_of(3, (Zonal(W[3]),), 0.05, scheme=SCHEME))
    straight = flow.advance(flow.start(density), 10)
    stopped = density_state(flow.advance(flow.start(density), 4).arrays())
    again = flow.advance(stopped, 10)
    assert all(np.array_equal(one, again.arrays()[name]) for name, one in straight.arrays().items())


def test_tokens_take_the_steps_of_rk4():
    law = law_of(3, (Zonal(W[3]),), 0.05)
    assert len(replace(law, scheme=SCHEME).layer(3)) == len(law.layer(3)) == 3
    assert SCHEME.order == law.scheme.order


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"nu": 0.0}, "where there is no private noise"),
        ({"nu": 0.1, "common": (Kicks(0.1),)}, "beside common noise"),
        ({"nu": 0.1, "drift": (Function(lambda points, measure: points),)}, "beside Function or Attention"),
    ],
)
def test_what_has_no_series_or_noise_in_common_is_refused(more, why):
    with pytest.raises(ValueError, match=f"scheme must be another {why}"):
        Equation(**({"d": 3, "drift": (), "dt": 0.1, "noise": Noise(0), "scheme": SCHEME} | more))


def test_it_moves_no_passive_points():
    with pytest.raises(ValueError, match="passive must be left out where tokens ride on the density"):
        solve(density_of(2, 15), law_of(2, (), 0.1, scheme=SCHEME), n_steps=1, passive=np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("dt", [1e-3, 0.3, 20.0])
def test_quotients_are_exact_for_a_rate_that_is_linear_in_time(dt):
    """N = 1 and N = t: int_0^1 e^{z (1 - s)} (1, s) ds, by Gauss' rule."""
    step = ExponentialStep(Circle(15), law_of(2, (), dt, scheme=SCHEME))
    whole, half, quarter, first, middle, last = step._tables
    nodes, weights = np.polynomial.legendre.leggauss(120)
    s, z = 0.5 + 0.5 * nodes, np.log(whole[:4])  # beyond, e^z has no digits at the largest dt
    moments = [0.5 * weights @ (np.exp(np.outer(1 - s, z)) * s[:, None] ** k) for k in (0, 1)]
    assert np.abs((first + 2 * middle + last)[:4] / dt - moments[0]).max() < 1e-13
    assert np.abs((middle + last)[:4] / dt - moments[1]).max() < 1e-13
    assert np.abs(quarter[:4] / dt - 0.5 * weights @ np.exp(np.outer(1 - s, z / 2)) / 2).max() < 1e-13
    assert np.abs(half**2 - whole).max() < 1e-15


@pytest.mark.filterwarnings("ignore:.*free energy.*:RuntimeWarning")
def test_a_step_too_long_is_told_as_such():
    """Not by more degrees: the series is not cut."""
    law = law_of(2, (Zonal(Dot(5.0)),), 1.5, scheme=SCHEME)
    with pytest.warns(RuntimeWarning, match="lower dt where layers.stepping is exponential"):
        solve(density_of(2, 31), law, n_steps=2)
