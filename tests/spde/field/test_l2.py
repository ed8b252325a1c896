"""L2 attention on S^2: the field by harmonics against direct sums, the density against tokens."""

import numpy as np
import pytest

from particles import (
    L2,
    AttentionPush,
    Cloud,
    DirectField,
    GaussianHeads,
    Homogenized,
    Noise,
    Sigmoid,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    simulate,
)
from particles.harmonics import gauss_grid
from spde import CircleField, Density, DensityFlow, SpectralField, Sphere, solve

START = VonMisesFisherMixture([2.0, 1.0], [[0, 0, 1.0], [1.0, 1.0, 0]], [2.0, 4.0])


def measure(kappa):
    points, area = gauss_grid(24, 48)
    weights = area * VonMisesFisherMixture([1.0], [[0.2, -0.3, 1.0]], [kappa]).pdf(points)
    return Cloud(points, weights / weights.sum())


@pytest.mark.parametrize("kappa", [0.5, 20.0])
@pytest.mark.parametrize("beta", [0.5, 2.0, 8.0])
def test_field_equals_direct_sums(kappa, beta):
    rng = np.random.default_rng(0)
    heads = GaussianHeads(3, 0.5, 0.6, 3).sample(rng, 4)
    push = AttentionPush(L2(beta), heads.value, heads.query, heads.key)
    tokens = measure(kappa)
    field = SpectralField(push, tokens, 20_000)
    points = rng.standard_normal((400, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    assert (field.degrees > 0).all()
    assert np.abs(field(points) - DirectField(push, tokens)(points)).max() < 4e-6


@pytest.mark.parametrize("beta", [0.5, 8.0])
def test_field_on_the_circle_equals_direct_sums(beta):
    rng = np.random.default_rng(1)
    heads = GaussianHeads(2, 0.5, 0.7, 2).sample(rng, 4)
    push = AttentionPush(L2(beta), heads.value, heads.query, heads.key)
    angle = 2 * np.pi * np.arange(64) / 64
    around = np.column_stack([np.cos(angle), np.sin(angle)])
    weights = np.exp(np.cos(angle - 1))
    tokens = Cloud(around, weights / weights.sum())
    field = CircleField(push, tokens, 20_000)
    points = Uniform(2).sample(rng, 300)
    assert (field.degrees > 0).all()
    assert np.abs(field(points) - DirectField(push, tokens)(points)).max() < 4e-6
    far = AttentionPush(L2(1.0), np.eye(2)[None], np.full((1, 1, 2), 1e-3), np.array([[[40.0, 0.0]]]))
    assert CircleField(far, tokens, 20_000).degrees[0] == 0


def test_characteristics_know_the_derivative():
    """det DT along the nodes against the density on the grid: they share the layers and neither nodes nor series."""
    start = VonMisesFisherMixture([1.0], [[0.6, 0.0, 0.8]], [1.0])
    law = Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), L2(1.0), dt=0.05, nodes=4, noise=Noise(5))
    density = Density.from_law(start, Sphere(31), (16, 32))
    flow = DensityFlow(density.sphere, law, characteristics=True)
    end = flow.advance(flow.start(density), 4)
    followed = end.characteristics.log_density
    assert np.abs(np.exp(followed) - flow.density(end).at(end.nodes.points)).max() < 1e-4
    assert np.abs(followed - end.characteristics.log_start).max() > 0.05


def test_weights_out_of_range_are_summed_directly():
    """Keys so long that e^{-beta |Ky|^2} underflows, queries so short that the field would be smooth."""
    push = AttentionPush(L2(1.0), np.eye(3)[None], np.full((1, 1, 3), 1e-3), np.array([[[40.0, 0.0, 0.0]]]))
    tokens = measure(0.5)
    field = SpectralField(push, tokens, 20_000)
    assert field.degrees[0] == 0
    assert np.abs(field(tokens.points) - DirectField(push, tokens)(tokens.points)).max() < 1e-12


def test_density_moves_like_its_nodes_as_tokens():
    """Carried nodes are tokens with weights: the same layers by direct sums give the same moments."""
    law = Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), L2(1.0), dt=0.05, nodes=4, noise=Noise(5))
    density = Density.from_law(START, Sphere(31), (16, 32))
    run = solve(density, law, n_steps=5, save_every=5)
    tokens = simulate(Tokens(*density.nodes), law, n_steps=5, save_every=5)
    assert np.abs(run["mean_token"].values - tokens["mean_token"].values).max() < 1e-6
    assert np.abs(run["second_moment"].values - tokens["second_moment"].values).max() < 1e-6
    assert float(run["moment_defect"][-1]) < 1e-4
    assert np.abs(run["mean_token"].values[-1] - run["mean_token"].values[0]).max() > 0.01


def test_other_kernels_are_refused():
    push = AttentionPush(Sigmoid(1.0), np.eye(3)[None], np.eye(3)[None], np.eye(3)[None])
    with pytest.raises(TypeError, match="SpectralField needs softmax or L2 attention, got Sigmoid"):
        SpectralField(push, measure(1.0), 100)
