"""Tokens and density on the same layers: the mean-field error falls like n^-1/2; the instruments are what they say."""

import numpy as np
import pytest
import xarray as xr

from particles import (
    DirectField,
    GaussianHeads,
    Homogenized,
    Noise,
    Softmax,
    Tokens,
    VonMisesFisherMixture,
    simulate,
)
from particles.flow import schedule
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere
from validation import PairFlow, distance_steps, w1_geodesic, w2_chordal

START = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])


def law(seed=0, nodes=4):
    return Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), Softmax(2.0), dt=0.05, nodes=nodes, noise=Noise(seed))


def test_coupled_rms_falls_like_the_root_of_n():
    """Slope -1/2 within 0.1 over n = 64 ... 4,096, mean square over 12 samples of tokens on each of two noises."""
    sizes, n_steps, replicas = (64, 256, 1024, 4096), 6, 12
    squares = np.zeros((len(sizes), 2, replicas))
    for seed in range(2):
        layers, rng = law(seed), np.random.default_rng(seed)
        samples = [[Tokens(START.sample(rng, n)) for _ in range(replicas)] for n in sizes]
        density = Density.from_law(START, Sphere(7))
        flow = DensityFlow(density.sphere, layers, remap_every=0)
        twins = np.concatenate([tokens.points for group in samples for tokens in group])
        moved = flow.advance(DensityState(0, density.coefficients, density.nodes, twins), n_steps).passive
        begin = 0
        for k, group in enumerate(samples):
            for r, tokens in enumerate(group):
                field = DirectField if len(tokens) < 512 else SpectralField
                run = simulate(tokens, layers, n_steps=n_steps, save_every=n_steps, field=field)
                gap = run.tokens.values[-1] - moved[begin : begin + len(tokens)]
                squares[k, seed, r] = np.mean(np.sum(gap**2, axis=1))
                begin += len(tokens)
    rms = np.sqrt(squares.mean(axis=(1, 2)))
    slope = np.polyfit(np.log(sizes), np.log(rms), 1)[0]
    assert abs(slope + 0.5) < 0.1, (slope, rms)
    assert rms[-1] > 1e-4  # a real distance, far above the field's tolerance


def comparison(n=200, seed=0, distance=frozenset({0, 6})):
    density = Density.from_law(START, Sphere(15))
    flow = DensityFlow(density.sphere, law(seed))
    rng = np.random.default_rng(seed)
    tokens = Tokens(START.sample(rng, n))
    made = PairFlow(flow, DirectField, distance)
    return made, made.start(density, tokens, (START.sample(rng, n), START.sample(rng, n)))


def test_instruments():
    made, start = comparison()
    end, run = made.advance(start, 6), made.run(start, schedule(6, 2)).result()
    assert run.coupled_rms.values[0] == 0
    assert 0 < run.coupled_rms.values[-1] < 0.2
    assert np.isfinite(run.w2_chordal.values).tolist() == [True, False, False, True]
    n = 200
    twins, first, second = (end.density.passive[k * n : (k + 1) * n] for k in range(3))
    x = end.tokens.points
    assert run.w2_chordal.values[-1] == w2_chordal(x, first)
    assert run.w1_geodesic.values[-1] == w1_geodesic(x, first)
    assert run.w2_floor.values[-1] == w2_chordal(first, second)
    assert run.w1_floor.values[-1] == w1_geodesic(first, second)
    assert run.w1_geodesic.values[-1] < 3 * run.w1_floor.values[-1]
    assert abs(run.coupled_rms.values[-1] - np.sqrt(np.mean(np.sum((x - twins) ** 2, axis=1)))) < 1e-15
    assert w2_chordal(x, twins) <= run.coupled_rms.values[-1] * (1 + 1e-12)  # one coupling among all
    assert run.w2_chordal.values[-1] < 3 * run.w2_floor.values[-1]
    assert np.abs(run.node.values[-1] - end.density.nodes.points).max() == 0
    assert np.abs(run.node_weight.values.sum() - 1) < 1e-14


def test_tokens_and_density_see_the_same_noise():
    """With another seed for the tokens the two drift apart: the shared noise is what holds them together."""
    made, start = comparison(n=600)
    together = made.advance(start, 6)
    alone = simulate(
        Tokens(start.tokens.points), law(seed=1), n_steps=6, save_every=6
    ).tokens.values[-1]
    n = 600
    gap = np.sqrt(np.mean(np.sum((together.tokens.points - together.density.passive[:n]) ** 2, axis=1)))
    other = np.sqrt(np.mean(np.sum((alone - together.density.passive[:n]) ** 2, axis=1)))
    assert other > 8 * gap


def test_resumed_comparison_is_bitwise_equal():
    made, start = comparison(n=50)
    whole = made.advance(start, 10)
    half = made.restore({name: np.array(array) for name, array in made.advance(start, 4).arrays().items()})
    again = made.advance(half, 10)
    for name, array in whole.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name


def test_weighted_tokens_keep_their_weights():
    density = Density.from_law(START, Sphere(15))
    flow = DensityFlow(density.sphere, law())
    tokens = Tokens(density.nodes.points, density.nodes.weights)
    rng = np.random.default_rng(0)
    made = PairFlow(flow, SpectralField, frozenset())
    start = made.start(density, tokens, (START.sample(rng, len(tokens)), START.sample(rng, len(tokens))))
    end = made.advance(start, 4)
    found = made.record(end)
    assert float(found.coupled_rms.item()) < 1e-6  # the tokens are the carried nodes, so nothing separates them
    assert np.abs(found.tokens_mean.values - found.mean_token.values).max() < 1e-6
    assert isinstance(found, xr.Dataset)


def test_distance_steps_are_spread_evenly():
    assert distance_steps(range(0, 101, 5), 6) == {0, 20, 40, 60, 80, 100}
    assert distance_steps([0, 10], 6) == {0, 10}
    assert distance_steps([0], 6) == {0}
    assert distance_steps([0, 1, 2, 3], 2) == {0, 3}


def test_distances_above_the_limit_are_refused():
    big = np.tile([[0, 0, 1.0]], (8193, 1))
    with pytest.raises(ValueError, match=r"8,?192"):
        w2_chordal(big, big)
