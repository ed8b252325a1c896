"""Sizes of a transformer and the limit they point to."""

import numpy as np
import pytest

from particles import (
    Ballistic,
    FixedHeads,
    GaussianHeads,
    Homogenized,
    Modified,
    Noise,
    RandomTransformer,
    Scaling,
    Softmax,
    Tokens,
    Uniform,
    simulate,
)

EYE = np.eye(3)
HEADS = GaussianHeads(3, 3**-0.5, 3**-0.5, 3, EYE)


def test_sizes_in_closed_form():
    s = Scaling(eta=0.2, heads=4, depth=30, d=5)
    assert abs(s.depth_time - 6.0) < 1e-14
    assert abs(s.noise_scale - 0.05) < 1e-16
    assert abs(s.variance - 4 / 5) < 1e-15  # sigma_v^2 (d - 1), sigma_v^2 = 1/d
    assert abs(s.alpha - 0.04) < 1e-15
    assert abs(s.diffusive_time - 0.2**2 * 30 / 4) < 1e-15
    mixed = Scaling(0.2, 4, 30, 5, sigma_v=0.5, mean_v=2 * np.eye(5))
    assert abs(mixed.variance - (0.25 * 4 + 4)) < 1e-14
    assert s.centred
    assert not mixed.centred


def test_variance_bounds_what_heads_do():
    """E|P_x (V m_A - E V m_A)|^2 by Monte Carlo, for one token and for several."""
    rng, n = np.random.default_rng(0), 20_000
    heads = GaussianHeads(3, 0.6, 1.0, 3, 0.5 * EYE).sample(rng, n)
    bound = Scaling(0.1, 1, 1, 3, sigma_v=0.6, mean_v=0.5 * EYE).variance
    for count in (1, 4):
        points = Uniform(3).sample(rng, count)
        x = points[0]
        scores = 5.0 * np.einsum("hkd,d,hke,ne->hn", heads.query, x, heads.key, points)
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        moves = np.einsum("hij,hj->hi", heads.value, share @ points / share.sum(axis=1, keepdims=True))
        moves -= moves.mean(axis=0)
        moves -= np.outer(moves @ x, x)
        found = np.mean(np.sum(moves**2, axis=1))
        assert found < 1.02 * bound
        if count == 1:  # sigma_v^2 (d - 1) exactly
            assert abs(found / (0.36 * 2) - 1) < 4 * np.sqrt(1 / n)


CASES = [  # eta, heads, depth, mean, regime, law
    ((0.01, 8, 50), EYE, "ballistic", Ballistic),
    ((0.1, 64, 20), EYE, "modified", Modified),
    ((0.05, 1, 40), EYE, "diffusive", Homogenized),
    ((0.05, 24, 2000), EYE, "diffusive", Homogenized),
    ((0.4, 4, 20), EYE, "outside", RandomTransformer),
    ((0.1, 1, 5000), 0 * EYE, "diffusive", Homogenized),
    ((0.9, 1, 10), 0 * EYE, "outside", RandomTransformer),
]


@pytest.mark.parametrize(("sizes", "mean", "regime", "law"), CASES)
def test_regimes_and_the_layers_they_recommend(sizes, mean, regime, law):
    s = Scaling(*sizes, 3, mean_v=mean)
    if sizes == (0.05, 24, 2000):  # eta^2 t_L = 0.25 and alpha t_L = 0.35
        s = Scaling(*sizes, 3, mean_v=mean, continuous_below=0.5)
    assert s.regime == regime
    heads = GaussianHeads(3, 3**-0.5, 3**-0.5, 3, mean)
    made = s.law(heads, Softmax(1.0), Noise(1))
    assert type(made) is law
    assert made.dt == s.eta
    if regime != "ballistic":
        assert made.noise_scale == pytest.approx(s.noise_scale)
    if regime == "modified":
        assert made.eta == s.eta
    if law is not RandomTransformer:
        assert s.law(heads, Softmax(1.0), Noise(1), dt=s.eta / 2, nodes=64).nodes == 64
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 3))
    assert np.isfinite(simulate(tokens, made, n_steps=2).tokens.values).all()
    text = s.explain()
    assert f"regime: {regime}" in text
    assert type(made).__name__ in text
    for reason in s.reasons:
        assert reason in text
        assert any(character.isdigit() for character in reason)


def test_thresholds_decide():
    sizes = (0.1, 64, 20, 3)
    assert Scaling(*sizes, mean_v=EYE, ballistic_below=0.21).regime == "ballistic"
    assert Scaling(*sizes, mean_v=EYE, noise_below=1e-3).regime == "diffusive"
    assert Scaling(*sizes, mean_v=EYE, continuous_below=0.019).regime == "outside"
    assert "alpha t_L = 0.00521 is at most 0.1" in Scaling(*sizes, mean_v=EYE).explain()
    assert "eta t_L = 0.2 is above 0.1" in Scaling(*sizes, mean_v=EYE).explain()
    assert "eta^2 t_L = 0.02 is at most 0.1" in Scaling(*sizes, mean_v=EYE).explain()
    assert Scaling.of(RandomTransformer(HEADS, Softmax(1.0), 0.1, 64, Noise(0)), 20).explain() == Scaling(
        *sizes, mean_v=EYE).explain()  # fmt: skip


def test_what_is_recommended_is_close_to_the_transformer():
    """Modified regime, 40 members: nearer to the mean of the transformers than the ballistic limit is."""
    chain = RandomTransformer(GaussianHeads(3, 0.1, 0.0, 3, EYE, 2 * EYE), Softmax(1.0), 0.1, 64, Noise(1))
    s = Scaling.of(chain, 10)
    s = Scaling(s.eta, s.heads, s.depth, s.d, s.sigma_v, s.mean_v, ballistic_below=0.05)
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 6))

    def end(law):
        return simulate(tokens, law, n_steps=10, save_every=10).tokens.values[-1]

    mean = np.mean(
        [end(RandomTransformer(chain.heads, Softmax(1.0), 0.1, 64, Noise(1, k))) for k in range(40)], axis=0
    )
    modified, ballistic = (
        s.law(chain.heads, Softmax(1.0), Noise(1)),
        Ballistic(chain.heads, Softmax(1.0), 0.1, 16, Noise(1)),
    )
    assert isinstance(modified, Modified)
    assert np.abs(end(modified) - mean).max() < 0.3 * np.abs(end(ballistic) - mean).max()


def test_bad_scalings_are_refused():
    cases = [
        (lambda: Scaling(0.0, 1, 1, 3), "eta must be positive"),
        (lambda: Scaling(0.1, 0, 1, 3), "heads must be an integer >= 1"),
        (lambda: Scaling(0.1, 1, -1, 3), "depth must be an integer >= 0"),
        (lambda: Scaling(0.1, 1, 1, 1), "d must be an integer >= 2"),
        (lambda: Scaling(0.1, 1, 1, 3, sigma_v=np.nan), "sigma_v must be finite and >= 0, got nan"),
        (lambda: Scaling(0.1, 1, 1, 3, mean_v=np.eye(2)), r"mean_v must have shape \(3, 3\), got \(2, 2\)"),
        (lambda: Scaling(0.1, 1, 1, 3, noise_below=0.0), "noise_below must be positive"),
        (lambda: Scaling(0.1, 1, 1, 4).law(HEADS, Softmax(1.0), Noise(0)), "heads have dimension 3, the scaling 4"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    fixed = FixedHeads(EYE[None], EYE[None], EYE[None])
    with pytest.raises(TypeError, match="a scaling needs values independent of A; FixedHeads has not"):
        Scaling.of(RandomTransformer(fixed, Softmax(1.0), 0.1, 1, Noise(0)), 3)
