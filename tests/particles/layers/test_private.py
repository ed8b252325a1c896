"""Private noise of tokens: decay of the mean, independence, numbers by place, replicas, gradients."""


import numpy as np
import pytest
from scipy import special

from particles import (
    Cloud,
    Diffusion,
    GaussianHeads,
    Homogenized,
    Noise,
    PreNorm,
    ResidualPush,
    Softmax,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    WithPrivateNoise,
    geodesic,
    normalize,
    simulate,
)
from particles.derivatives.adjoint import push_vjp


class Nothing:
    """Layers without pushes."""

    noise_scale = None

    def __init__(self, d, dt):
        self.d, self.dt = d, dt

    def layer(self, step):
        return ()


def still(d, dt, sigma_v=0.0, beta=1.0):
    """Layers; without values they move nothing."""
    return Homogenized(GaussianHeads(d, sigma_v, 0.5, d), Softmax(beta), dt=dt, nodes=1, noise=Noise(3))


def one_step(retraction, d, strength):
    """E <x, x'> of one step of the scheme: cos |v| or (1 + |v|^2)^-1/2, |v|^2 = 2 strength chi^2 with d - 1 degrees."""
    half, weights = special.roots_genlaguerre(60, (d - 3) / 2)  # of chi^2/2, which has a Gamma law
    size = np.sqrt(4 * strength * half)
    cosines = np.cos(size) if retraction is geodesic else (1 + size**2) ** -0.5
    return weights @ cosines / weights.sum()


def test_one_step_in_closed_form():
    """The quadrature itself: E cos(s chi) = 1F1((d-1)/2; 1/2; -s^2/2)."""
    for d in (2, 3, 8):
        assert abs(one_step(geodesic, d, 0.3) - special.hyp1f1((d - 1) / 2, 0.5, -0.3)) < 1e-9


@pytest.mark.parametrize("retraction", [normalize, geodesic])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_the_mean_of_tokens_decays(d, retraction):
    """Four steps from one point: the mean is the scheme's own factor to the fourth, z-score over 20,000 tokens."""
    n, nu, dt, steps = 20_000, 0.3, 0.1, 4
    pole = np.eye(d)[0]
    tokens = Tokens(np.tile(pole, (n, 1)))
    law = WithPrivateNoise(Nothing(d, dt), nu, Noise(11), retraction=retraction)
    run = simulate(tokens, law, n_steps=steps, save_every=steps)
    x = run.tokens.values[-1]
    assert np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-14
    error = x[:, 0].std() / np.sqrt(n)
    mean = run.mean_token.values[-1]
    assert abs(mean[0] - one_step(retraction, d, nu * dt) ** steps) < 4 * error
    for wrong in (nu / 2, 2 * nu, nu * np.sqrt(2), nu / dt):
        assert abs(mean[0] - one_step(retraction, d, wrong * dt) ** steps) > 8 * error
    assert np.abs(mean[1:]).max() < 4 * x[:, 1].std() / np.sqrt(n)


@pytest.mark.parametrize("retraction", [normalize, geodesic])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_the_scheme_has_weak_order_one(d, retraction):
    """Its mean after time 1/2 against exp(-nu (d-1) t), over five steps; a wrong generator would not converge."""
    nu, t_end, counts = 0.2, 0.5, np.array([8, 16, 32, 64, 128])
    found = np.array([one_step(retraction, d, nu * t_end / k) ** k for k in counts])
    errors = np.abs(found - np.exp(-nu * (d - 1) * t_end))
    if d == 2 and retraction is geodesic:  # Brownian motion on the circle, exactly
        assert errors.max() < 1e-9
    else:
        assert abs(np.polyfit(np.log(counts), np.log(errors), 1)[0] + 1) < 0.15


def test_tokens_step_independently():
    """The mean of n steps from one point has length squared E|v|^2/n; common noise would leave it E|v|^2."""
    n, strength, steps = 500, 0.01, 60
    cloud = Cloud(np.tile([0.0, 0.0, 1.0], (n, 1)), np.full(n, 1 / n))
    shifts = [Diffusion(strength, Noise(1), k).move(cloud, (), None)[0].points - cloud.points for k in range(steps)]
    squares = np.array([n * np.sum(shift[:, :2].mean(axis=0) ** 2) for shift in shifts])
    error = squares.std() / np.sqrt(steps)
    assert abs(squares.mean() - 4 * strength) < 4 * error
    assert squares.mean() < 10 * strength  # against n E|v|^2 = 2,000 strength of a shared step
    one, two = shifts[0][:, 0], shifts[1][:, 0]  # steps in depth are independent too
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(n)


def test_numbers_belong_to_places():
    """The first of more points take the steps that fewer would take, to the bit: twins are coupled so."""
    points = Uniform(3).sample(np.random.default_rng(0), 30)
    push = Diffusion(0.1, Noise(1), 5)
    assert np.array_equal(push.scatter(points)[:10], push.scatter(points[:10]))
    moved, (riders,) = push.move(Cloud(points[:10], np.full(10, 0.1)), (points[10:],), None)
    assert np.array_equal(np.concatenate([moved.points, riders]), push.scatter(points))


def test_replicas_share_common_noise_alone():
    common, cloud = still(3, 0.05, 0.6, 2.0), VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [4.0])
    tokens = Tokens(cloud.sample(np.random.default_rng(0), 400))
    one, two, again = (WithPrivateNoise(common, 0.1, Noise(3), replica) for replica in (0, 1, 0))
    assert np.array_equal(one.layer(4)[0].mixing, two.layer(4)[0].mixing)
    first, second = (law.layer(4)[1].increments(tokens.points) for law in (one, two))
    assert np.array_equal(first, again.layer(4)[1].increments(tokens.points))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)
    other = WithPrivateNoise(common, 0.1, Noise(3, member=1)).layer(4)[1].increments(tokens.points)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(first.size)
    runs = [simulate(tokens, law, n_steps=5, save_every=5) for law in (one, two)]
    means = [run.mean_token.values[-1] for run in runs]
    law = WithPrivateNoise(Nothing(3, 0.05), 0.1, Noise(3))
    alone = simulate(tokens, law, n_steps=5, save_every=5).mean_token.values[-1]
    gap, moved = np.linalg.norm(means[0] - means[1]), np.linalg.norm(means[0] - alone)
    assert 0 < gap < 0.1
    assert gap < moved / 3  # the common noise moved both alike


def test_no_strength_is_no_noise():
    common = still(3, 0.05, 0.6, 2.0)
    tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 20))
    one, two = (
        simulate(tokens, law, n_steps=5)
        for law in (common, WithPrivateNoise(common, 0.0, Noise(1)))
    )
    assert np.array_equal(one.tokens.values, two.tokens.values)


@pytest.mark.parametrize("retraction", [normalize, geodesic])
def test_gradients_through_a_private_step(retraction):
    """Central differences of the step with its numbers held fixed, along tangent directions."""
    rng = np.random.default_rng(2)
    x = Uniform(4).sample(rng, 6)
    push = Diffusion(0.2, Noise(1), 3, retraction=retraction)
    v, p = rng.standard_normal((2, 6, 4))
    v -= np.sum(x * v, axis=1, keepdims=True) * x

    def along(s):
        y = x + s * v
        return np.sum(p * push.scatter(y / np.linalg.norm(y, axis=1, keepdims=True)))

    h = 1e-3
    slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    found = push_vjp(push, Cloud(x, np.full(6, 1 / 6)), p)
    assert abs(np.sum(found * v) - slope) < 1e-9


def test_what_private_noise_refuses():
    for nu in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="nu must be finite and >= 0"):
            WithPrivateNoise(still(3, 0.1), nu, Noise(0))
    with pytest.raises(ValueError, match="replica must be an integer >= 0, got -1"):
        WithPrivateNoise(still(3, 0.1), 0.1, Noise(0), replica=-1)
    law = WithPrivateNoise(still(3, 0.1), 0.1, Noise(0))
    with pytest.raises(ValueError, match="private noise already"):
        WithPrivateNoise(law, 0.1, Noise(0))
    with pytest.raises(ValueError, match=r"law must have no private noise, .* no place in a residual stream"):
        PreNorm(law)
    with pytest.raises(TypeError, match="no place in a residual stream"):
        ResidualPush(law.layer(0)[-1]).block  # noqa: B018 - made when it is asked for
