"""Energies: series against pairs, closed forms, what attention and drift do to them."""

import math

import dense
import numpy as np
import pytest

from particles import Cloud, Noise, Softmax, TokenFlow, Tokens, Uniform, simulate
from particles.equations import (
    Attention,
    Dot,
    Equation,
    Exponential,
    Function,
    Gradient,
    Kicks,
    Legendre,
    MaierSaupe,
    Pull,
    Rotation,
    Zonal,
    attention_energy,
    self_energy,
)

RNG = np.random.default_rng(0)
TURN = Rotation.about([0.3, 0.2, 0.1])


def cloud(d, n):
    weights = RNG.random(n) + 0.1
    return Cloud(dense.nrm(RNG.standard_normal((n, d))), weights / weights.sum())


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("make", [Dot, MaierSaupe, Exponential, lambda a: Legendre((0.2, a, 0.4, -0.1), 3)])
def test_series_are_sums_over_pairs(d, make):
    interaction, measure = make(1.3), cloud(d, 300)
    values = interaction.value(measure.points @ measure.points.T)
    want = measure.weights @ values @ measure.weights
    assert abs(self_energy(interaction, measure) - want) < 1e-12
    few = Cloud(measure.points[:5], np.full(5, 0.2))
    assert abs(self_energy(interaction, few) - interaction.value(few.points @ few.points.T).mean()) < 1e-14


def test_energies_of_known_measures():
    point, poles = Cloud(np.eye(3)[:1], np.ones(1)), Cloud(np.array([[0, 0, 1.0], [0, 0, -1.0]]), np.full(2, 0.5))
    assert abs(attention_energy(point, 2.0) - math.exp(2) / 4) < 1e-14
    assert abs(attention_energy(poles, 2.0) - math.cosh(2) / 4) < 1e-14
    turned = attention_energy(poles, 2.0, -np.eye(3))
    assert abs(turned - attention_energy(poles, 2.0)) < 1e-14
    assert abs(attention_energy(point, 2.0, 0.5 * np.eye(3)) - math.exp(1) / 4) < 1e-14

    def energy(*drift):
        return Equation(3, drift, 0.1, Noise(0)).energy(poles)

    assert abs(energy(Zonal(Dot(2.0)))) < 1e-15
    assert abs(energy(Zonal(MaierSaupe(2.0)), Pull([1.0, 2.0, 0.0])) + 0.5) < 1e-15
    assert abs(energy(Zonal(MaierSaupe(2.0)), TURN) + 0.5) < 1e-15
    assert energy(Pull([1.0, 0, 0]), TURN) is None
    assert energy(Function(lambda x, mu: x)) is None
    potential = Gradient([0.0, 1.0, 0.0])  # Y_10 = (3/(4 pi))^(1/2) z
    assert abs(Equation(3, (potential,), 0.1, Noise(0)).energy(Cloud(np.eye(3)[2:], np.ones(1))) + 0.4886025119) < 1e-9


def course(law, n=400, steps=20):
    return simulate(Tokens(Uniform(3).sample(np.random.default_rng(1), n)), law, n_steps=steps)


def test_drift_lowers_the_energy_as_its_square_says():
    """dE/dt = -int |P b|^2 dmu, by a central difference over one step."""
    drift, dt = (Zonal(Exponential(2.0)), Pull([0.3, 0.0, 0.1])), 1e-3
    law = Equation(3, drift, dt, Noise(0))
    flow = TokenFlow(law)
    states = [flow.start(Tokens(Uniform(3).sample(np.random.default_rng(1), 40)))]
    for _ in range(2):
        states.append(flow.step(states[-1]))
    values = [law.energy(Cloud(state.points, state.weights)) for state in states]
    middle = Cloud(states[1].points, states[1].weights)
    velocity = law.descent.velocity(middle)(middle.points)
    velocity -= np.einsum("ij,ij->i", velocity, middle.points)[:, None] * middle.points
    want = -middle.weights @ np.einsum("ij,ij->i", velocity, velocity)
    assert abs((values[2] - values[0]) / (2 * dt) - want) < 1e-5 * abs(want)
    run = course(law)
    assert (np.diff(run.interaction_energy) < 0).all()


def test_files_of_tokens_have_the_energies():
    run = course(Equation(3, (Attention(Softmax(2.0), *np.eye(3)[None, None].repeat(3, 0)),), 0.1, Noise(0)))
    assert "interaction_energy" not in run  # normalised attention is no gradient on the round sphere
    assert (np.diff(run.attention_energy) > 0).all()
    cloud = Cloud(run.tokens.values[-1], run.weight.values)
    assert abs(run.attention_energy.values[-1] - attention_energy(cloud, 2.0)) < 1e-13
    run = course(Equation(3, (Zonal(Dot(1.0)),), 0.1, Noise(0), (Kicks(0.3),)), steps=3)
    assert np.abs(run.interaction_energy + 0.5 * run.mean_overlap).max() < 1e-13
    assert "E_beta" not in run.interaction_energy.long_name
    assert "interaction_energy" not in course(Equation(3, (Function(lambda x, mu: x),), 0.1, Noise(0)), steps=1)
