"""Heads smooth in depth: law of the curves, coupled transformers in L and in H."""

import numpy as np
import pytest

from particles import (
    Ballistic,
    Euler,
    GaussianHeads,
    Noise,
    SmoothHeads,
    SmoothTransformer,
    Softmax,
    Tokens,
    Uniform,
    simulate,
)

MEAN = np.diag([1.0, 0.5, -0.5])


def tokens(n=5):
    return Tokens(Uniform(3).sample(np.random.default_rng(1), n))


def end(law, t_end=1.0):
    n_steps = round(t_end / law.dt)
    return simulate(tokens(), law, n_steps=n_steps, save_every=n_steps).tokens.values[-1]


def z_of_mean(samples, mean):
    samples = np.ravel(samples)
    return (samples.mean() - mean) / (samples.std() / np.sqrt(samples.size))


@pytest.mark.parametrize("modes", [1, 4])
def test_curves_have_the_stated_variance_and_autocovariance(modes):
    heads = SmoothHeads(4, 0.7, 0.3, 2, modes=modes)
    curves = heads.curves(np.random.default_rng(0), 4000)
    for s, lag in ((0.0, 0.5), (1.3, 0.5), (5.0, 2.0)):
        one, two = curves.at(s), curves.at(s + lag)
        for name, sigma, shape in (("value", 0.7, (4, 4)), ("query", 0.3, (2, 4)), ("key", 0.3, (2, 4))):
            a, b = getattr(one, name), getattr(two, name)
            assert a.shape == (4000, *shape)
            assert abs(z_of_mean(a, 0.0)) < 4
            assert abs(z_of_mean(a**2, sigma**2)) < 4
            assert abs(z_of_mean(a**2, 2 * sigma**2)) > 8  # power: a factor sqrt(2) would be seen
            autocovariance = sigma**2 * np.mean(np.cos(lag * np.arange(1, modes + 1)))
            assert abs(z_of_mean(a * b, autocovariance)) < 4
            assert abs(z_of_mean(a * b, autocovariance + 0.2 * sigma**2)) > 8
    assert abs(np.corrcoef(one.query.ravel(), one.key.ravel())[0, 1]) < 4 / np.sqrt(one.key.size)
    assert np.abs(curves.at(2 * np.pi).value - curves.at(0.0).value).max() < 1e-12


def test_means_are_added_exactly():
    mean_a = np.arange(9.0).reshape(3, 3)
    heads = SmoothHeads(3, 0.0, 0.0, 2, MEAN, mean_a).curves(np.random.default_rng(0), 2).at(0.7)
    assert np.array_equal(heads.value[1], MEAN)
    assert np.array_equal(np.swapaxes(heads.key, 1, 2)[1] @ heads.query[1], mean_a)


def test_layers_follow_the_same_curves_whatever_their_number():
    heads = SmoothHeads(3, 0.5, 0.6, 2, MEAN)
    law = SmoothTransformer(heads, Softmax(1.5), 0.1, 3, Noise(4, 1))
    fine, few = (
        SmoothTransformer(heads, Softmax(1.5), 0.025, 3, Noise(4, 1)),
        SmoothTransformer(heads, Softmax(1.5), 0.1, 2, Noise(4, 1)),
    )
    late = law.layer(6)[0]
    assert np.abs(late.mixing - 4 * fine.layer(24)[0].mixing).max() < 1e-15
    assert np.abs(late.query - fine.layer(24)[0].query).max() < 1e-15
    assert np.abs(late.mixing[:2] / 2 - few.layer(6)[0].mixing / 3).max() < 1e-15
    assert np.abs(law.layer(0)[0].mixing - late.mixing).min() > 0
    assert (
        np.abs(SmoothTransformer(heads, Softmax(1.5), 0.1, 3, Noise(4, 2)).layer(6)[0].mixing - late.mixing).min() > 0
    )
    assert law.dt == 0.1
    assert law.noise_scale is None


def test_coupled_transformers_converge_to_first_order_in_depth():
    heads = SmoothHeads(3, 0.5, 0.6, 2, MEAN)
    want = end(SmoothTransformer(heads, Softmax(1.5), 2.0**-11, 4, Noise(3)))
    etas = 2.0 ** -np.arange(3, 8)
    errors = [np.abs(end(SmoothTransformer(heads, Softmax(1.5), eta, 4, Noise(3))) - want).max() for eta in etas]
    assert abs(np.polyfit(np.log(etas), np.log(errors), 1)[0] - 1) < 0.15, errors


def test_many_heads_come_close_to_the_ballistic_limit_like_the_root_of_their_number():
    """RMS distance to the limit with 1,000 nodes, over 32 realizations, at eta = 1/8 by Euler on both sides."""
    heads = SmoothHeads(3, 0.5, 0.6, 2, MEAN)
    want = end(Ballistic(heads, Softmax(1.5), 0.125, 1000, Noise(0), Euler()))
    counts = 2 ** np.arange(2, 7)
    rms = [
        np.sqrt(
            np.mean(
                [
                    (end(SmoothTransformer(heads, Softmax(1.5), 0.125, int(h), Noise(1, k))) - want) ** 2
                    for k in range(32)
                ]
            )
        )
        for h in counts
    ]
    assert abs(np.polyfit(np.log(counts), np.log(rms), 1)[0] + 0.5) < 0.15, rms
    assert rms[-1] < 0.2 * np.abs(want - tokens().points).max()


def test_what_is_refused():
    with pytest.raises(ValueError, match="modes must be an integer >= 1, got 0"):
        SmoothHeads(3, 0.5, 0.5, 2, modes=0)
    with pytest.raises(TypeError, match="a smooth transformer needs smooth heads, got GaussianHeads"):
        SmoothTransformer(GaussianHeads(3, 0.5, 0.5, 2), Softmax(1.5), 0.1, 2, Noise(0))
    with pytest.raises(ValueError, match="eta must be positive"):
        SmoothTransformer(SmoothHeads(3, 0.5, 0.5, 2), Softmax(1.5), 0.0, 2, Noise(0))
