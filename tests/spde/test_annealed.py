"""Annealed laws: the two-point law of points, estimates without bias, E4 and E5, common told from private noise."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special
from scipy.integrate import solve_ivp

from particles import Cloud, Noise, Uniform, VonMisesFisherMixture, WithPrivateNoise, flow
from particles.harmonics import adjoint_at, n_modes
from spde import Density, DensityFlow, DensityState, Sphere, anneal, solve, two_point
from spde.annealed import average
from tests.scripts import script

SCRIPT = Path(__file__).parents[2] / "examples" / "common_or_private.py"


class Bias:
    """All tokens move by the flow of one vector: common noise of rate c, exact in space."""

    d, noise_scale = 3, None

    def __init__(self, rate, seed, dt):
        self.rate, self.seed, self.dt = rate, seed, dt

    def layer(self, step):
        xi = np.random.default_rng((self.seed, step)).standard_normal(3)
        return (Shift(np.sqrt(self.rate * self.dt) * xi),)


class Shift:
    def __init__(self, vector):
        self.vector = vector

    def move(self, measure, riders, make):
        moved = [flow(x, np.broadcast_to(self.vector, x.shape)) for x in (measure.points, *riders)]
        return Cloud(moved[0], measure.weights), tuple(moved[1:])


def bias_runs(start, rate, members, dt, n_steps):
    return [
        solve(start, Bias(rate, seed, dt), n_steps=n_steps, save_every=n_steps, remap_every=0)
        for seed in range(members)
    ]


def bias_members(start, rate, members, dt, n_steps):
    """Coefficients (members, modes) after the last step, without files."""
    ends = []
    for seed in range(members):
        path = DensityFlow(start.sphere, Bias(rate, seed, dt), remap_every=0)
        state = DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3)))
        ends.append(path.density(path.advance(state, n_steps)).coefficients)
    return np.array(ends)


def two_point_equation(rate, t_end, degree=40):
    """E4 from the uniform start: C_l' = c l(l+1)[-C_l + (l C_{l+1} + (l+1) C_{l-1})/(2l+1)], C_0 = 1."""
    orders = np.arange(1, degree + 1)

    def slope(t, c):
        below, above = np.concatenate([[1.0], c[:-1]]), np.concatenate([c[1:], [0.0]])
        gain = (orders * above + (orders + 1) * below) / (2 * orders + 1)
        return rate * orders * (orders + 1) * (gain - c)

    return solve_ivp(slope, (0, t_end), np.zeros(degree), method="LSODA", rtol=1e-10, atol=1e-12).y[:3, -1]


def test_the_two_point_law_of_points():
    """Against the sum over all pairs of P_l(<x_i, x_j>)."""
    rng = np.random.default_rng(0)
    x, w = Uniform(3).sample(rng, 7), rng.dirichlet(np.ones(7))
    found = two_point(adjoint_at(w, x, 12))
    for degree in range(13):
        want = w @ special.eval_legendre(degree, np.clip(x @ x.T, -1, 1)) @ w
        assert abs(found[degree] - want) < 1e-12
    assert found.shape == (13,)
    assert two_point(np.zeros((4, 2, n_modes(5)), dtype=complex)).shape == (4, 2, 6)


def test_the_equation_of_the_two_point_law():
    """The reference itself: rate 1, t = 0.4, from an independent program."""
    assert np.abs(two_point_equation(1.0, 0.4) - [0.38176194, 0.16827197, 0.08240384]).max() < 2e-8


def members_of(rng, n, sigma=0.3, degree=2):
    """Coefficients mean + noise with E|noise|^2 = sigma^2 for m = 0, 2 sigma^2 beyond."""
    shape = (n, n_modes(degree))
    noise = sigma * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    noise[:, : degree + 1] = noise[:, : degree + 1].real
    mean = np.linspace(1.0, 0.2, n_modes(degree))
    return mean, mean + noise


def test_estimates_have_no_bias_and_honest_errors():
    """400 experiments of 6 members each: the mean of every estimate, and of its error against the spread."""
    rng, sigma, degree = np.random.default_rng(1), 0.3, 2
    found = []
    for _ in range(400):
        mean, members = members_of(rng, 6, sigma, degree)
        found.append(average(members))
    apart = two_point(mean.astype(complex))
    degrees = np.arange(degree + 1)
    excess = 4 * np.pi / (2 * degrees + 1) * sigma**2 * (1 + 4 * degrees)  # 1 for m = 0, 2 * 2 sigma^2 for each m > 0
    for name, want in (("two_point", apart + excess), ("apart", apart), ("excess", excess)):
        values = np.array([getattr(one, name).value for one in found])
        errors = np.array([getattr(one, name).error for one in found])
        spread = values.std(axis=0)
        assert np.abs((values.mean(axis=0) - want) / spread * 20).max() < 4, name
        assert np.abs(np.sqrt(np.mean(errors**2, axis=0)) / spread - 1).max() < 0.25, name
    plug_in = np.array([two_point(one.mean) for one in found])  # what apart is not: biased by excess/6
    assert np.abs((plug_in.mean(axis=0) - apart) / plug_in.std(axis=0) * 20).max() > 8
    means, errors = np.array([one.mean for one in found]), np.array([one.mean_error for one in found])
    assert abs(np.sqrt(np.mean(errors[:, 3].imag ** 2)) / means[:, 3].imag.std() - 1) < 0.15
    assert abs(np.sqrt(np.mean(errors[:, 3].real ** 2)) / means[:, 3].real.std() - 1) < 0.15


def test_bias_noise_follows_its_two_point_equation():
    """E4: uniform start, c = 1, t = 0.4: C_1, C_2, C_3 by z-score over 300 realizations; E rho stays uniform."""
    start = Density.from_law(Uniform(3), Sphere(7), (16, 32))
    found = average(bias_members(start, 1.0, 300, 0.02, 20))
    value, error = (array[1:4] for array in found.two_point)
    assert np.abs((value - two_point_equation(1.0, 0.4)) / error).max() < 4
    for rate in (0.5, 2.0):
        assert np.abs((value - two_point_equation(rate, 0.4)) / error).min() > 8
    for mean, spread in ((found.mean.real, found.mean_error.real), (found.mean.imag, found.mean_error.imag)):
        drawn = spread > 1e-12
        assert np.abs(mean[1:][drawn[1:]] / spread[1:][drawn[1:]]).max() < 4.5
    assert abs(found.two_point.value[0] - 1) < 1e-12


def test_common_and_private_noise_with_one_annealed_density():
    """E5: both decay as exp(-c l(l+1) t/2); the laws of two tokens differ."""
    rate, dt, steps, law = 0.4, 0.05, 10, VonMisesFisherMixture([1.0], [[0.0, 0.6, 0.8]], [3.0])
    start = Density.from_law(law, Sphere(15))
    common = anneal(bias_runs(start, rate, 60, dt, steps)).isel(depth_time=-1)
    private = anneal([
        solve(start, WithPrivateNoise(Bias(0.0, 0, dt), rate / 2, Noise(1, member)), n_steps=steps, save_every=steps)
        for member in range(3)
    ]).isel(depth_time=-1)  # fmt: skip
    first = solve(start, Bias(0.0, 0, dt), n_steps=0).coefficients.values[0]
    degree = private.sh_degree.values
    decay = np.exp(-rate * dt * steps / 2 * degree * (degree + 1))[:, None]
    assert np.abs(private.coefficients.values - decay * first).max() < 1e-12
    low = (degree > 0) & (degree < 4)
    mean, error = common.coefficients.values[low], common.coefficients_error.values[low]
    drawn = error > 1e-10
    assert np.abs((mean - decay[low] * first[low])[drawn] / error[drawn]).max() < 4
    assert np.abs(private.excess.values).max() < 1e-12
    assert (common.excess.values[1:3] > 8 * common.excess_error.values[1:3]).all()
    assert common.attrs["members"] == 60
    assert np.abs(private.two_point.values - private.apart.values).max() < 1e-12


def test_numbering_is_that_of_the_files():
    """anneal of two runs is the mean of their coefficients as they stand in the files."""
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0.0, 0.6, 0.8]], [3.0]), Sphere(7))
    runs = bias_runs(start, 0.5, 2, 0.1, 2)
    found = anneal(runs)
    want = (runs[0].coefficients.values + runs[1].coefficients.values) / 2
    assert np.abs(found.coefficients.values - want).max() < 1e-15
    assert found.coefficients.dims == ("depth_time", "mode", "part")
    half = np.abs(runs[0].coefficients.values - runs[1].coefficients.values) / 2
    assert np.abs(found.coefficients_error.values - half).max() < 1e-15
    assert np.isnan(found.excess_error.values).all()
    degree, order = found.sh_degree.values, np.where(found.sh_order.values == 0, 1.0, 2.0)
    each = [np.sum(run.coefficients.values[-1] ** 2, axis=1) * order for run in runs]
    for l in (0, 1, 2):  # noqa: E741
        square = np.mean([one[degree == l].sum() for one in each])
        assert abs(found.two_point.values[-1, l] - 4 * np.pi / (2 * l + 1) * square) < 1e-14


def test_what_averages_refuse():
    start = Density.from_law(Uniform(3), Sphere(7), (16, 32))
    runs = bias_runs(start, 0.5, 1, 0.1, 2)
    with pytest.raises(ValueError, match="need at least 2 realizations, got 1"):
        anneal(runs)
    with pytest.raises(ValueError, match="need at least 2 realizations, got 0"):
        anneal([])
    with pytest.raises(ValueError, match="the runs must have the same records in depth_time"):
        anneal([*runs, *bias_runs(start, 0.5, 1, 0.2, 2)])


def test_the_example(capsys):
    module = script(SCRIPT)
    module.MEMBERS = 30
    module.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("depth time 0.6, rate c = 0.5, nu = c/2, 30 realizations")
    for line in lines[2:]:
        numbers = [float(word) for word in line.replace("+-", " ").split()]
        assert abs(numbers[1] - numbers[3]) < 4 * numbers[2]
        assert numbers[4] - numbers[6] > 4 * numbers[5]
        assert numbers[7] > 4
    assert len(lines) == 5
