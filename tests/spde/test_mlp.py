"""MLP noise and densities: exact solutions E2, E4, E5, and one field for density and tokens."""

import dense
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.laguerre import laggauss
from scipy.integrate import solve_ivp
from scipy.special import eval_legendre
from still import Still

from particles import (
    Cloud,
    FixedHeads,
    GaussianHeads,
    HarmonicField,
    Homogenized,
    MLPBlock,
    Noise,
    RandomTransformer,
    Softmax,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    WithMLP,
    simulate,
)
from particles.harmonics import adjoint_at, mode_numbers, power
from particles.layers.mlp.kernels import ACTIVATIONS, Activation
from particles.pushes import own_velocity
from spde import Density, DensityFlow, DensityState, Sphere, solve

CLOUDS = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1, 0.2, 0]], [2.0, 3.0])
ZERO = Activation("zero", np.zeros_like, np.zeros_like, lambda c, v: 0 * c, lambda c, v: 0 * c)


def block(name, width=0, sigma_r=0.4, sigma_w=0.2):
    return MLPBlock(ACTIVATIONS[name], width, sigma_r, sigma_w)


def angular_gaussian(points, q):
    """|S|^-1 det(Q)^-1/2 (x^T Q^-1 x)^-3/2 on S^2."""
    square = np.einsum("ij,jk,ik->i", points, np.linalg.inv(q), points)
    return square**-1.5 / np.sqrt(np.linalg.det(q)) / (4 * np.pi)


@pytest.mark.parametrize("width", [0, 5])
def test_linear_blocks_give_the_angular_central_gaussian(width):
    """E2, exact at every step size: the field is G x, g -> (I + sqrt(dt) G) g; k(1) = 1/3 for every width."""
    n_steps, dt = 8, 0.04
    law = WithMLP(Still(3, dt), block("linear", width, 0.0, 0.0), Noise(3))
    unit = WithMLP(Still(3, 1.0), block("linear", width, 0.0, 0.0), Noise(3))  # its field is G x itself
    start = Density.from_law(Uniform(3), Sphere(127), carried=(48, 96))
    run = solve(start, law, n_steps=n_steps)
    g = np.eye(3)
    for step in range(n_steps):
        g = (np.eye(3) + np.sqrt(dt) * unit.layer(step)[0].field(np.eye(3)).T) @ g
        assert run["spectral_tail"].values[step + 1] < 1e-10
        exact = angular_gaussian(start.sphere.points, g @ g.T)
        assert np.abs(run.density.values[step + 1].ravel() - exact).max() < 1e-8
    assert exact.max() / exact.min() > 3


def hierarchy(c, t, degrees=60):
    """E4, C_l' = c l(l+1) [-C_l + (l C_{l+1} + (l+1) C_{l-1})/(2l+1)] from the uniform density, C_l(0) = [l = 0]."""
    l = np.arange(degrees + 1)  # noqa: E741

    def rate(_, values):
        above, below = np.append(values[1:], 0), np.append(0, values[:-1])
        return c * l * (l + 1) * (-values + (l * above + (l + 1) * below) / (2 * l + 1))

    return solve_ivp(rate, (0, t), (l == 0).astype(float), method="BDF", rtol=1e-9, atol=1e-12).y[:, -1]


def test_bias_noise_follows_the_hierarchy():
    """E4 from the uniform density, c = 1, t = 0.4; two steps on one path cancel the weak error of first order."""
    want = hierarchy(1.0, 0.4)[1:4]
    assert np.abs(want - [0.38176194, 0.16827197, 0.08240384]).max() < 1e-7
    points, area = dense.gauss_nodes(20, 40)
    weights = area / (4 * np.pi)
    factors = 4 * np.pi / (2 * np.arange(4) + 1)

    def correlations(law):
        cloud = Cloud(points, weights)
        for step in range(round(0.4 / law.dt)):
            cloud, _ = law.layer(step)[0].move(cloud, (), own_velocity)
        return (factors * power(adjoint_at(cloud.weights, cloud.points, 3)))[1:]

    found = []
    for member in range(700):
        fine = WithMLP(Still(3, 0.05), MLPBlock(ZERO, 0, 0.0, 1.0), Noise(1, member))
        found.append(2 * correlations(fine) - correlations(fine.coarsen(2)))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(mean - want) < 4 * error).all(), (mean, error)
    for wrong in (2.0, 0.5):
        assert (np.abs(mean - hierarchy(wrong, 0.4)[1:4]) > 8 * error).all()


def step_factor(variance, degree):
    """E P_l(<x, nrm(x + sqrt(variance) xi)>), xi standard normal in R^3, by quadrature."""
    z, wz = hermegauss(60)
    q, wq = laggauss(40)
    along = 1 + np.sqrt(variance) * z[:, None]
    cosine = along / np.sqrt(along**2 + 2 * variance * q)
    return wz / wz.sum() @ eval_legendre(degree, cosine) @ wq


@pytest.mark.filterwarnings("ignore:layer")  # a few draws move a point by more than 1
def test_the_mean_density_diffuses():
    """E5: E rho_lm decays as exp(-k(1) l(l+1) t/2)."""
    dt, n_steps, members, degrees_seen, wide = 0.06, 4, 800, (1, 2), block("erf", sigma_w=0.9)
    sphere = Sphere(12)
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0.6, 0, 0.8]], [6.0]), sphere, (16, 32))
    degrees, orders = mode_numbers(sphere.lmax)
    weight = np.where(orders == 0, 1.0, 2.0)
    begin = DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3)))
    shares = []
    for member in range(members):
        law = WithMLP(Still(3, dt), wide, Noise(2, member))
        end = DensityFlow(sphere, law).advance(begin, n_steps)
        product = weight * (end.coefficients * start.coefficients.conj()).real
        shares.append([product[degrees == degree].sum() / power(start.coefficients)[degree] for degree in degrees_seen])
    mean, error = np.mean(shares, axis=0), np.std(shares, axis=0) / np.sqrt(members)
    k = float(wide.kernel(3).value(1.0))
    for found, its_error, degree in zip(mean, error, degrees_seen, strict=True):
        rate = degree * (degree + 1) / 2
        steps = step_factor(dt * k, degree) ** n_steps  # what this step size gives exactly
        assert abs(steps / np.exp(-k * rate * dt * n_steps) - 1) < 0.05
        assert abs(found - steps) < 4 * its_error
        for wrong in (2 * k, k / 2):
            assert abs(found - np.exp(-wrong * rate * n_steps * dt)) > 8 * its_error


@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")  # relu of finite width has kinks
@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize("width", [0, 16])
def test_tokens_and_density_see_the_same_field(name, width):
    """Tokens that ride on the density's flow move as in their own simulation (values 0: only the block moves)."""
    still = FixedHeads(np.zeros((1, 3, 3)), np.eye(3)[None], np.eye(3)[None])
    law = WithMLP(RandomTransformer(still, Softmax(1.0), 0.05, 1, Noise(5)), block(name, width), Noise(5))
    points = CLOUDS.sample(np.random.default_rng(0), 40)
    run = solve(Density.from_law(CLOUDS, Sphere(31)), law, n_steps=4, passive=points)
    alone = simulate(Tokens(points), law, n_steps=4)
    assert np.abs(run.passive.values - alone.tokens.values).max() < 1e-10
    assert np.abs(run.passive.values[-1] - points).max() > 0.05
    assert np.abs(run.mass.values - 1).max() < 1e-12
    assert run.moment_defect.values[-1] < (1e-3 if name == "relu" else 1e-5)


def test_the_grid_takes_the_structured_transform(monkeypatch):
    """Also where the field has more degrees than the grid resolves; the same values, and the solver asks for it."""
    sphere = Sphere(15)
    field = WithMLP(Still(3, 0.1), block("relu"), Noise(1)).layer(0)[0].field
    assert field.degree > sphere.nlat
    values = field(sphere.points)
    assert np.abs(field.on_grid(sphere) - values).max() < 1e-12 * np.abs(values).max()
    asked, slow = [], HarmonicField.__call__
    counted = lambda self, points: asked.append(len(points)) or slow(self, points)  # noqa: E731
    monkeypatch.setattr(HarmonicField, "__call__", counted)
    law = WithMLP(Still(3, 0.01), block("erf"), Noise(1))
    run = solve(Density.from_law(CLOUDS, sphere, (24, 48)), law, n_steps=2, save_every=2)
    others = 22 * 44  # the second set: two copies with the first, and in the first layer on its own
    assert asked == [24 * 48, 2 * others, others, 24 * 48, 2 * others]
    assert run.field_degree.values[-1] == law.layer(1)[0].field.degree


def test_attention_comes_first():
    """A layer of both is the attention's map and then the block's."""
    heads = GaussianHeads(3, 0.6, 0.6, 3)
    law = Homogenized(heads, Softmax(2.0), 0.05, 2, Noise(7))
    points = CLOUDS.sample(np.random.default_rng(1), 12)
    both = WithMLP(law, block("tanh"), Noise(7))
    found = simulate(Tokens(points), both, n_steps=1).tokens.values[-1]
    first = simulate(Tokens(points), law, n_steps=1).tokens.values[-1]
    second = dense.nrm(first + both.layer(0)[1].field(first))
    assert np.abs(found - second).max() < 1e-13


@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")
@pytest.mark.filterwarnings("ignore:the pointwise density is not resolved")
def test_long_moves_of_a_block_warn():
    law = WithMLP(Still(3, 1.0), block("relu", 4, 0.0, 5.0), Noise(1))
    with pytest.warns(RuntimeWarning, match=r"layer 0 moves points by more than 1 \(\|U\| > 1\)"):
        solve(Density.from_law(CLOUDS, Sphere(15)), law, n_steps=1)
