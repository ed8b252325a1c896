"""Private noise of a density: heat kernel, twins of tokens, resuming, loss of positivity."""


import dense
import numpy as np
import pytest

from particles import (
    DirectField,
    GaussianHeads,
    Homogenized,
    Layers,
    Noise,
    Softmax,
    SolverError,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    WithPrivateNoise,
)
from particles.flow import TokenFlow, TokenState
from particles.harmonics import mode_numbers
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere, solve
from spde.diffusion import heat, nodes_anew

START = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])


def common(sigma_v=3**-0.5, dt=0.05, nodes=4, seed=0):
    return Homogenized(GaussianHeads(3, sigma_v, 3**-0.5, 3), Softmax(2.0), dt=dt, nodes=nodes, noise=Noise(seed))


def private(law, nu, replica=0):
    return WithPrivateNoise(law, nu, Noise(0), replica)


def test_without_values_the_density_follows_the_heat_kernel():
    """Every coefficient decays as exp(-nu l(l+1) t), to 1e-12; so do the moments, which come from the nodes."""
    nu, start = 0.13, Density.from_law(START, Sphere(31))
    flow = DensityFlow(start.sphere, private(common(0.0), nu))
    end = flow.advance(DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3))), 20)
    degree, _ = mode_numbers(31)
    want = start.coefficients * np.exp(-nu * degree * (degree + 1) * 20 * 0.05)
    assert np.abs(end.coefficients - want).max() < 1e-12
    run = solve(start, private(common(0.0), nu), n_steps=20, save_every=20)
    decay = np.exp(-np.array([2, 6]) * nu)
    assert np.abs(run.mean_token.values[-1] - decay[0] * start.mean).max() < 1e-10
    traceless = start.second_moment - np.eye(3) / 3
    assert np.abs(run.second_moment.values[-1] - np.eye(3) / 3 - decay[1] * traceless).max() < 1e-10
    assert run.moment_defect.values.max() < 1e-10
    assert abs(run.mass.values[-1] - 1) < 1e-12


@pytest.mark.filterwarnings("ignore:mean and second moment are known")
def test_solve_makes_as_many_nodes_as_it_is_told():
    law, density = private(common(), 0.2), Density.from_law(START, Sphere(15))
    runs = [
        solve(density, law, n_steps=3, save_every=3, **carried)
        for carried in ({"carried": (8, 18)}, {"carried": (32, 64)}, {})
    ]
    flow = DensityFlow(density.sphere, law, carried=(8, 18))
    end = flow.advance(flow.start(density), 3)
    coarse, fine, default = (run.second_moment.values[-1] for run in runs)
    assert np.array_equal(coarse, flow.density(end).second_moment)
    assert np.array_equal(fine, default)
    assert len(end.nodes.points) == 8 * 18
    assert not np.array_equal(coarse, fine)


def test_attention_first_then_the_heat_kernel():
    """One layer of order one: the moments of dense nodes after the layer, times the decay of their degree."""
    nu, law = 0.3, common(dt=0.2)
    run = solve(Density.from_law(START, Sphere(47)), private(law, nu), n_steps=1, carried=(32, 64))
    x, area = dense.gauss_nodes(40, 80)
    w = area * START.pdf(x)
    (push,) = law.layer(0)
    moved = dense.layer(x, w / w.sum(), 2.0, push.mixing, np.swapaxes(push.key, 1, 2) @ push.query)
    mean = w @ moved / w.sum()
    second = (moved * w[:, None]).T @ moved / w.sum() - np.eye(3) / 3
    assert np.abs(run.mean_token.values[1] - np.exp(-2 * nu * 0.2) * mean).max() < 1e-7
    assert np.abs(run.second_moment.values[1] - np.eye(3) / 3 - np.exp(-6 * nu * 0.2) * second).max() < 1e-7
    assert np.linalg.norm(mean - run.mean_token.values[0]) > 1e-2


@pytest.mark.parametrize("nu", [0.2])
def test_coupled_rms_falls_like_the_root_of_n(nu):
    """Twins take the private steps of their tokens: slope -1/2 within 0.1 over n = 64 ... 4,096."""
    sizes, n_steps, replicas = (64, 256, 1024, 4096), 5, 6
    density = Density.from_law(START, Sphere(15))
    squares = np.zeros((len(sizes), replicas))
    for k, n in enumerate(sizes):
        for replica in range(replicas):
            law = private(common(), nu, replica)
            tokens = Tokens(START.sample(np.random.default_rng((n, replica)), n))
            flow = DensityFlow(density.sphere, law)
            passive = np.concatenate([tokens.points, Uniform(3).sample(np.random.default_rng(0), 10)])
            twins = flow.advance(DensityState(0, density.coefficients, density.nodes, passive), n_steps).passive[:n]
            state = TokenState(0, tokens.points, tokens.weights)
            field = DirectField if n < 512 else SpectralField
            moved = TokenFlow(law, field).advance(state, n_steps).points
            squares[k, replica] = np.mean(np.sum((moved - twins) ** 2, axis=1))
    rms = np.sqrt(squares.mean(axis=1))
    slope = np.polyfit(np.log(sizes), np.log(rms), 1)[0]
    assert abs(slope + 0.5) < 0.1, (slope, rms)
    assert rms[-1] < 0.02  # a step apart would be (4 nu dt)^1/2 = 0.2


def test_private_noise_does_not_depend_on_numbers_of_tokens():
    """The density of two replicas is the same to the bit; passive points are not."""
    density = Density.from_law(START, Sphere(15))
    passive = Uniform(3).sample(np.random.default_rng(0), 10)
    ends = [
        DensityFlow(density.sphere, private(common(), 0.1, replica)).advance(
            DensityState(0, density.coefficients, density.nodes, passive), 3
        )
        for replica in (0, 1)
    ]
    assert np.array_equal(ends[0].coefficients, ends[1].coefficients)
    assert np.abs(ends[0].passive - ends[1].passive).max() > 0.1


def test_smoothing_keeps_the_density_resolved():
    """On layers where the pointwise density is lost without private noise."""
    start, law = Density.from_law(START, Sphere(15)), common(dt=0.05, seed=3)
    with pytest.warns(RuntimeWarning, match="not resolved"):
        lost = solve(start, law, n_steps=40, save_every=40)
    kept = solve(start, private(law, 0.3), n_steps=40, save_every=40)
    assert (lost.unresolved.values[-1], kept.unresolved.values[-1]) == (1, 0)


@pytest.mark.filterwarnings("ignore:mean and second moment are known")
def test_a_negative_density_is_told_or_stops_the_run():
    """kappa = 30 at lmax 7: 4 percent of negative mass; the setting is obeyed, and what is negative is in the file."""
    narrow = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [30.0]), Sphere(7), (48, 96))
    law = private(common(), 0.01)
    with pytest.warns(RuntimeWarning, match="not resolved .* cut too early") as told:
        run = solve(narrow, law, n_steps=3)
    assert not any("stay right" in str(one.message) for one in told)
    assert run.negative_mass.values.min() > 0.01
    assert (run.moment_error.values > run.negative_mass.values).all()
    with pytest.raises(SolverError, match=r"no longer resolved.*step 0") as caught:
        solve(narrow, law, n_steps=3, on_unresolved="stop")
    assert caught.value.state.step == 0


def test_a_little_negative_mass_is_no_reason_to_stop():
    """kappa = 25 at lmax 31: the series rings at 1e-9 to 1e-6 of its maximum; the run goes on, and says how much."""
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [25.0]), Sphere(31))
    assert -1e-6 < start.minimum / start.maximum < -1e-9
    run = solve(start, private(common(dt=0.02), 0.02), n_steps=3, on_unresolved="stop")
    assert 1e-9 < run.negative_mass.values.max() < 1e-5
    assert not run.unresolved.values.any()


def test_rounding_is_not_negative():
    """kappa = 25: the density is 1e-22 of its maximum on the other side, below the rounding of coefficients."""
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [25.0]), Sphere(63), (48, 96))
    cloud = nodes_anew(start.sphere, start.coefficients, (48, 96))
    assert cloud.weights.min() > 0
    assert abs(cloud.weights.sum() - 1) < 1e-13
    assert np.abs(cloud.weights @ cloud.points - start.mean).max() < 1e-9
    assert np.array_equal(heat(start.sphere, start.coefficients, 0.0), start.coefficients)


def test_what_a_density_refuses():
    law = private(common(), 0.1)
    for remap_every in (0, 2):
        with pytest.raises(ValueError, match="remap_every must be 1 with private noise, got"):
            DensityFlow(Sphere(7), law, remap_every=remap_every)
    DensityFlow(Sphere(7), private(common(), 0.0), remap_every=0)


def test_a_private_step_may_stand_anywhere_in_a_layer():
    """In front of the pushes it is the heat kernel before them."""
    law, nu, start = common(), 0.13, Density.from_law(START, Sphere(15))
    behind = Layers(lambda step: tuple(reversed(private(law, nu).layer(step))), 3, law.dt)
    flow = DensityFlow(start.sphere, behind)
    end = flow.advance(flow.start(start), 1)
    warm = Density.from_coefficients(heat(start.sphere, start.coefficients, nu * law.dt), start.sphere, (24, 48))
    flow = DensityFlow(start.sphere, law)
    want = flow.advance(flow.start(warm), 1)
    assert np.abs(end.coefficients - want.coefficients).max() < 1e-12
    assert np.abs(end.coefficients - start.coefficients).max() > 1e-3
