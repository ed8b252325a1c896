"""Tokens and density on the same layers of an equation: the distance of twins falls as n^-1/2 for each term."""

import math

import numpy as np
import pytest

from particles import Noise, Softmax, TokenFlow, Tokens, VonMisesFisherMixture
from particles.equations import (
    Attention,
    Dot,
    Equation,
    Exponential,
    Function,
    Heun,
    Isotropic,
    Kicks,
    MaierSaupe,
    Rotations,
    VectorFields,
    Zonal,
    ito,
)
from spde import Circle, Density, DensityFlow, Sphere, default_field
from validation import PairFlow

START = {d: VonMisesFisherMixture([1.0, 0.7], np.eye(d)[:2], [1.0, 2.0]) for d in (2, 3)}


def mean_field(x, mu):
    return np.broadcast_to(mu.weights @ mu.points, x.shape)


TERMS = {
    "dot": (3, (Zonal(Dot(1.5)),), (Kicks(0.4),)),
    "maier_saupe": (3, (Zonal(MaierSaupe(3.0)),), (Rotations(0.4),)),
    "exponential": (3, (Zonal(Exponential(2.0)),), (Isotropic((0.1,), (0.2, 0.1)),)),
    "attention": (3, (Attention(Softmax(1.5), *np.eye(3)[None, None].repeat(3, 0)),), ()),
    "functions of the measure": (3, (Function(mean_field),), (VectorFields((mean_field,)),)),
    "dot on the circle": (2, (Zonal(Dot(1.5)),), (Isotropic((0.1, 0.1)),)),
    "exponential on the circle": (2, (Zonal(Exponential(2.0)),), (Kicks(0.4),)),
}


COUNTS, SAMPLES, STEPS = (16, 32, 64, 128, 256), 32, 6


@pytest.mark.parametrize("name", TERMS)
def test_twins_come_together_as_the_root_of_their_number(name):
    """Root mean square distance at depth 0.3 to points that start there and ride on the density, on one noise."""
    d, drift, common = TERMS[name]
    law = Equation(d, drift, 0.05, Noise(2), common, 0.0, ito, Heun())
    sphere = Sphere(7) if d == 3 else Circle(15)
    density = Density.from_law(START[d], sphere, (16, 32) if d == 3 else (2, 32))
    starts = [START[d].sample(np.random.default_rng(n + k), n) for n in COUNTS for k in range(SAMPLES)]
    flow = DensityFlow(sphere, law, remap_every=0)
    twins = flow.advance(flow.start(density, np.concatenate(starts)), STEPS).passive
    tokens, square, place = TokenFlow(law, default_field), np.zeros(len(COUNTS)), 0
    for number, start in enumerate(starts):
        end = tokens.advance(tokens.start(Tokens(start)), STEPS).points
        gap = end - twins[place : place + len(start)]
        place += len(start)
        square[number // SAMPLES] += np.einsum("ij,ij->", gap, gap) / len(start) / SAMPLES
    assert abs(np.polyfit(np.log(COUNTS), np.log(np.sqrt(square)), 1)[0] + 0.5) < 0.1
    assert math.sqrt(square[0]) > 0.01


def test_a_pair_goes_through_an_equation():
    """Tokens of the density itself are moved as the density's nodes are, private noise apart."""
    law = Equation(3, (Zonal(Exponential(2.0)),), 0.05, Noise(2), (Kicks(0.4),), 0.2)
    density, points = Density.from_law(START[3], Sphere(11)), START[3].sample(np.random.default_rng(0), 400)
    flow = PairFlow(DensityFlow(density.sphere, law), default_field, frozenset())
    end = flow.advance(flow.start(density, Tokens(points), (points[:2], points[2:4])), 4)
    gap = end.tokens.points - end.density.passive[:400]
    assert 0 < math.sqrt(np.einsum("ij,ij->", gap, gap) / 400) < 0.02  # twins have the same private steps
    assert np.abs(end.tokens.points - points).max() > 0.3


def test_the_energies_of_tokens_stand_beside_those_of_the_density():
    """Closed sums over pairs; without noise the energy falls at the rate told; with private noise there is none."""
    dt, sphere = 1e-3, Sphere(15)
    drift = (Zonal(MaierSaupe(2.0)), Attention(Softmax(1.5), *np.eye(3)[None, None].repeat(3, 0)))
    start = Tokens(START[3].sample(np.random.default_rng(0), 40))
    samples = (start.points, start.points)
    density = Density.from_law(START[3], sphere, (16, 32))

    def records(*terms, nu=0.0, common=()):
        law = Equation(3, terms, dt, Noise(0), common, nu)
        pair = PairFlow(DensityFlow(sphere, law, carried=(16, 32)), default_field, frozenset())
        return pair.run(pair.start(density, start, samples), [0, 1, 2]).result()

    found = records(drift[0])
    overlaps = np.einsum("tik,tjk->tij", found.tokens.values, found.tokens.values)
    energy = -0.5 * (overlaps**2).mean(axis=(1, 2))
    assert np.abs(found.tokens_interaction_energy - energy).max() < 1e-12
    rate = -(energy[2] - energy[0]) / (2 * dt)
    assert abs(rate / found.tokens_dissipation.values[1] - 1) < 1e-4
    assert abs(found.interaction_energy - found.tokens_interaction_energy).max() > 1e-3
    both = records(*drift)
    want = (np.exp(1.5 * overlaps[0]) / 3.0).mean()
    assert abs(both.tokens_attention_energy.values[0] - want) < 1e-12
    assert not {"tokens_interaction_energy", "tokens_dissipation"} & set(both)  # softmax attention has none
    private = records(drift[0], nu=0.1)
    assert "tokens_interaction_energy" in private
    assert "tokens_dissipation" not in private
