"""Refined paths: sums and law of the split increments, what they share, strong order, and what has no finer path."""

from itertools import pairwise

import numpy as np
import pytest

from particles import (
    AttentionPush,
    Ballistic,
    Diffusion,
    GaussianHeads,
    Homogenized,
    MLPBlock,
    Modified,
    Noise,
    PreNorm,
    RandomTransformer,
    Softmax,
    Stream,
    WithMLP,
    WithPrivateNoise,
    normalize,
    record,
)
from particles.flow import TokenFlow, TokenState
from particles.layers.base import Refinable, refine_within
from particles.layers.mlp.kernels import ACTIVATIONS

MEAN = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 0.5], [0.3, 0.0, 1.0]])


def homogenized(fixed=False, mean=None, member=0, **changes):
    heads = GaussianHeads(3, 0.5, 0.7, 3, np.zeros((3, 3)) if mean is None else mean)
    given = {"dt": 0.2, "nodes": 3, "noise_scale": 0.5} | changes
    return Homogenized(heads, Softmax(2.0), noise=Noise(9, member), fixed=fixed, **given)


def mixing(law, step):
    return law.layer(step)[0].mixing


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_fine_increments_sum_to_the_coarse_ones_and_keep_their_nodes(fixed, factor):
    law = homogenized(fixed, MEAN)
    fine = law.refine(factor)
    assert isinstance(fine, Refinable)
    assert fine.dt == law.dt / factor
    for step in (0, 3):
        (coarse,) = law.layer(step)
        parts = [fine.layer(k)[0] for k in range(step * factor, (step + 1) * factor)]
        assert np.abs(sum(part.mixing for part in parts) - coarse.mixing).max() < 1e-15
        for part in parts:
            assert np.array_equal(part.query, coarse.query)
            assert np.array_equal(part.key, coarse.key)
    assert len({mixing(fine, k)[0, 0, 0] for k in range(2 * factor)}) == 2 * factor


@pytest.mark.parametrize("fixed", [False, True])
def test_paths_are_refined_by_halving(fixed):
    """The path of R = 4 is one refinement of the path of R = 2, from whichever law it is reached."""
    law = homogenized(fixed, MEAN)
    two, four = law.refine(2), law.refine(4)
    for step in range(5):
        assert np.abs(mixing(four, 2 * step) + mixing(four, 2 * step + 1) - mixing(two, step)).max() < 1e-15
        for same in (two.refine(2), law.refine(8).coarsen(2)):
            assert np.array_equal(mixing(same, step), mixing(four, step))
        assert np.array_equal(mixing(four.coarsen(4), step), mixing(law, step))
    again = homogenized(fixed, MEAN).refine(4)
    assert np.array_equal(mixing(again, 7), mixing(four, 7))  # of no step before it
    other = homogenized(fixed, MEAN, member=1).refine(4)
    assert np.abs(mixing(other, 7) - mixing(four, 7)).min() > 0


def test_fixed_nodes_go_both_ways():
    law = homogenized(fixed=True, mean=MEAN)
    six, back = law.coarsen(6), law.coarsen(6).refine(4)
    assert back.dt == pytest.approx(0.3)
    total = sum(mixing(back, k) for k in range(4))
    assert np.abs(total - mixing(six, 0)).max() < 1e-14
    assert np.array_equal(mixing(law.coarsen(4).refine(4), 3), mixing(law, 3))


def test_an_unrefined_path_has_the_numbers_it_always_had():
    law = homogenized(nodes=2)
    rng = Noise(9).generator(Stream.MIXING, 5)
    want = np.sqrt(0.5 * 0.2 / 2) * 0.5 * rng.standard_normal((2, 3, 3))
    assert np.allclose(mixing(law, 5), want, rtol=1e-15, atol=0)
    query, _ = law.heads.sample_query_key(Noise(9).generator(Stream.HEADS, 5), 2)
    assert np.array_equal(law.layer(5)[0].query, query)


def test_bridges_share_no_numbers():
    noise = Noise(5, 2)
    draws = [noise.generator(s, step, r).random(4) for s in Stream for step in range(4) for r in (0, 1)]
    draws += [noise.bridge(s, step, n, r).random(4) for s in Stream for step in (0, 1) for n in (1, 2) for r in (0, 1)]
    assert len({tuple(d) for d in draws}) == len(draws)


def z_of_variance(samples, variance):
    return (np.mean(samples**2) / variance - 1) / np.sqrt(2 / samples.size)


def test_fine_increments_are_independent_and_of_the_right_variance():
    """Entries of C_m of variance eps (dt/R) sigma_v^2/M, uncorrelated within a coarse step and across."""
    fine = homogenized().refine(4)
    drawn = np.stack([mixing(fine, k) for k in range(4 * 400)]).reshape(1600, -1)
    variance = 0.5 * 0.05 * 0.25 / 3
    for place in range(4):
        assert abs(z_of_variance(drawn[place::4], variance)) < 4
        assert abs(z_of_variance(drawn[place::4], np.sqrt(2) * variance)) > 8
    unit = (drawn / np.sqrt(variance)).reshape(400, 4, -1)
    for one in range(4):
        for two in range(one):
            z = np.mean(unit[:, one] * unit[:, two]) * np.sqrt(unit[:, one].size)
            assert abs(z) < 4
    across = np.mean(unit[1:, 0] * unit[:-1, 3]) * np.sqrt(unit[1:, 0].size)
    assert abs(across) < 4
    assert np.sqrt(unit[:, 0].size) * 0.2 > 16  # power: a fifth of a correlation would be seen


def test_a_mean_of_the_values_keeps_mean_and_covariance_of_a_coarse_step():
    """Over a step as drawn, with the measure frozen: mean dt Vbar E m, covariance eps dt Vbar Cov(m) Vbar^T.

    Barycentres m of scalar variance 1 stand for those of the nodes, fresh in each coarse step; sigma_v = 0.  Four fine
    steps with the c of their own dt would have too large a variance, which is seen.
    """
    dt, eps, nodes, n, factor = 0.8, 0.5, 2, 2500, 4
    law = Homogenized(GaussianHeads(2, 0.0, 0.5, 2, np.eye(2)), Softmax(2.0), dt, nodes, Noise(3), eps).refine(factor)
    rng = np.random.default_rng(0)
    sums = np.array([sum(mixing(law, k)[:, 0, 0] for k in range(s * factor, (s + 1) * factor)) for s in range(n)])
    barycentres = 0.4 + rng.standard_normal((n, nodes))
    moves = np.sum(sums * barycentres, axis=1)
    assert abs(moves.mean() - dt * 0.4) < 4 * np.sqrt(eps * dt / n)
    # moves is no normal number: its own fourth moment
    squares = (moves - dt * 0.4) ** 2
    assert abs(squares.mean() - eps * dt) < 4 * squares.std() / np.sqrt(n)
    own_c = dt**2 / nodes + (nodes - dt / factor / eps) / (nodes - 1) * eps * dt * (nodes - 1) / nodes
    assert abs(squares.mean() - own_c) > 8 * squares.std() / np.sqrt(n)


@pytest.mark.parametrize("d", [2, 3])
def test_limit_fields_of_mlp_blocks_are_split(d):
    heads = GaussianHeads(d, 0.5, 0.5, d)
    law = WithMLP(Homogenized(heads, Softmax(2.0), 0.2, 2, Noise(1)), MLPBlock(ACTIVATIONS["erf"]), Noise(1))
    fine = law.refine(4)
    parts = np.stack([fine.layer(k)[1].field.coefficients for k in range(4 * 100)])
    for step in (0, 2):
        attention, push = law.layer(step)
        assert np.abs(parts[4 * step : 4 * step + 4].sum(axis=0) - push.field.coefficients).max() < 1e-14
        assert np.abs(sum(mixing(fine, k) for k in range(4 * step, 4 * step + 4)) - attention.mixing).max() < 1e-15
    coarse = np.stack([law.layer(k)[1].field.coefficients for k in range(100)])
    ratio = np.mean(np.abs(parts) ** 2) / np.mean(np.abs(coarse) ** 2)
    assert abs(ratio - 0.25) < 0.04
    assert np.array_equal(law.refine(4).coarsen(4).layer(2)[1].field.coefficients, coarse[2])
    assert np.array_equal(law.refine(8).coarsen(2).layer(9)[1].field.coefficients, parts[9])


def test_private_increments_are_split_and_those_of_a_token_stay_its_own():
    law = WithPrivateNoise(homogenized(), 0.3, Noise(9), replica=2)
    fine = law.refine(4)
    points = np.random.default_rng(0).standard_normal((500, 3))
    (_, coarse), parts = law.layer(2), [fine.layer(k)[1] for k in range(8, 12)]
    assert all(isinstance(part, Diffusion) and part.strength == coarse.strength / 4 for part in parts)
    steps = [part.increments(points) for part in parts]
    assert np.abs(sum(steps) - coarse.increments(points)).max() < 1e-14
    assert np.array_equal(parts[1].increments(points[:7]), steps[1][:7])
    for one in steps:
        assert abs(z_of_variance(one, 2 * 0.3 * 0.05)) < 4
    cross = np.mean(steps[0] * steps[1]) / (2 * 0.3 * 0.05) * np.sqrt(points.size)
    assert abs(cross) < 4
    other = WithPrivateNoise(homogenized(), 0.3, Noise(9), replica=1).refine(4).layer(8)[1]
    assert np.abs(other.increments(points) - steps[0]).min() > 0
    assert np.array_equal(mixing(fine, 8), mixing(homogenized().refine(4), 8))  # the common noise is the law's


def test_streams_and_limits_without_noise_have_finer_steps():
    stream = PreNorm(homogenized(), 2.0).refine(2)
    assert stream.gain == 2.0
    assert np.array_equal(stream.layer(3)[0].push.mixing, mixing(homogenized().refine(2), 3))
    heads = GaussianHeads(3, 0.5, 0.5, 3, np.eye(3))
    for law in (
        Ballistic(heads, Softmax(2.0), 0.2, 4, Noise(1)),
        Modified(heads, Softmax(2.0), 0.2, 0.1, 0.0, 4, Noise(1)),
    ):
        fine = law.refine(4)
        (one,), (two,) = law.layer(0), fine.layer(5)
        assert fine.dt == 0.05
        assert np.array_equal(one.mean.query, two.mean.query)
        assert np.allclose(one.mean.mixing, 4 * two.mean.mixing, rtol=1e-15)


def start():
    points = np.array([[1.0, 0, 0], [0, 0.6, 0.8], [0.6, 0, -0.8]])
    return TokenState(0, points, np.full(3, 1 / 3))


def end(law, n_steps):
    return TokenFlow(law).advance(start(), n_steps).points


def test_fresh_nodes_converge_at_order_one_half():
    """Root mean square distance of neighbours R and 2R, five of them: R^-1/2."""
    factors, members = 2 ** np.arange(1, 7), 24
    squares = np.zeros(len(factors) - 1)
    for member in range(members):
        law = homogenized(member=member, mean=0.5 * np.eye(3), dt=0.25, nodes=2, noise_scale=1.0)
        ends = [end(law.refine(int(factor)), 2 * int(factor)) for factor in factors]
        squares += [np.mean(np.sum((a - b) ** 2, axis=1)) / members for a, b in pairwise(ends)]
    gaps = np.sqrt(squares)
    slope = np.polyfit(np.log(factors[:-1]), np.log(gaps), 1)[0]
    assert abs(slope + 0.5) < 0.15


def test_what_has_no_finer_path_says_so():
    heads, law = GaussianHeads(3, 0.5, 0.5, 3), homogenized()
    chain = RandomTransformer(heads, Softmax(2.0), 0.1, 2, Noise(0))
    recorded = record(law, 3)
    relu = ACTIVATIONS["relu"]
    four = Homogenized(GaussianHeads(4, 0.5, 0.5, 4), Softmax(2.0), 0.1, 2, Noise(0))
    cases = [
        (lambda: refine_within(chain, 2), "RandomTransformer cannot be refined: its steps are its layers"),
        (lambda: PreNorm(recorded).refine(2), "RecordedLayers cannot be refined"),
        (lambda: WithPrivateNoise(chain, 0.1, Noise(0)).refine(2), "RandomTransformer cannot be refined"),
        (lambda: WithMLP(chain, MLPBlock(relu), Noise(0)).refine(2), "RandomTransformer cannot be refined"),
        (lambda: WithMLP(law, MLPBlock(relu, 8), Noise(0)).refine(2), "width must be 0"),
        (lambda: WithMLP(four, MLPBlock(relu), Noise(0)).refine(2), "d must be 2 or 3 to refine"),
        (lambda: law.refine(3), "factor must be a power of two"),
        (lambda: law.refine(0), "factor must be an integer >= 1"),
        (lambda: law.refine(True), "factor must be an integer >= 1"),
        (lambda: Ballistic(heads, Softmax(2.0), 0.1, 2, Noise(0)).refine(6), "factor must be a power of two"),
        (lambda: law.refine(2).coarsen(4), "only layers with fixed nodes can be coarsened"),
        (lambda: homogenized(splits=3), "splits must be a power of two"),
        (lambda: WithPrivateNoise(law, 0.1, Noise(0), splits=0), "splits must be an integer >= 1"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    bound = Homogenized(
        GaussianHeads(3, 0.5, 0.5, 3, np.eye(3)), Softmax(2.0), 0.4, 2, Noise(0), noise_scale=0.2
    ).refine(4)
    assert isinstance(bound.layer(0)[0], AttentionPush)
    assert bound.retraction is normalize
