"""Residual streams: the plain formula, closed forms without attention, growth of the radius, gradients."""

from dataclasses import dataclass, replace

import dense
import numpy as np
import pytest

from particles import (
    AttentionPush,
    Cloud,
    DirectField,
    FixedHeads,
    GaussianHeads,
    Linear,
    Noise,
    PreNorm,
    RandomTransformer,
    RecordedLayers,
    ResidualPush,
    Softmax,
    Tokens,
    Uniform,
    backward,
    gradient_norms,
    normalize,
    record,
    simulate,
    trajectory,
)
from particles.derivatives.adjoint import push_vjp
from particles.derivatives.gradients import mean_overlap_gradient, random_cotangent
from particles.pushes import own_velocity
from spde import Density, DensityFlow, SpectralField, Sphere

BETA = 1.3


def made(n=6, d=4, n_layers=5, size=0.6, seed=0):
    rng = np.random.default_rng(seed)
    mixing = size * rng.standard_normal((n_layers, 2, d, d))
    query, key = rng.standard_normal((2, n_layers, 2, 3, d))
    return (
        Tokens(Uniform(d).sample(rng, n), rng.uniform(0.5, 2, n)),
        RecordedLayers(mixing, query, key, Softmax(BETA)),
        rng,
    )


def stream(x, weights, law, gain, n_layers):
    """x <- x + U(gain nrm(x)) in plain numpy."""
    states = [x]
    for step in range(n_layers):
        y = gain * dense.nrm(x)
        forms = np.swapaxes(law.key[step], 1, 2) @ law.query[step]
        x = x + dense.velocity(y, y, weights, BETA, law.mixing[step], forms)
        states.append(x)
    return np.array(states)


def points_of(run):
    return run.tokens.values * run.radius.values[..., None]


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_layers_are_the_plain_formula(gain):
    tokens, law, _ = made()
    run = simulate(tokens, PreNorm(law, gain), n_steps=5, radius=1.7)
    want = stream(1.7 * tokens.points, tokens.weights, law, gain, 5)
    assert np.abs(points_of(run) - want).max() < 1e-13
    assert np.abs(np.linalg.norm(run.tokens.values, axis=-1) - 1).max() < 1e-15
    directions = dense.nrm(want)
    assert np.abs(run.mean_token.values - np.einsum("i,lij->lj", tokens.weights, directions)).max() < 1e-14
    second = np.einsum("i,lij,lik->ljk", tokens.weights, directions, directions)
    assert np.abs(run.second_moment.values - second).max() < 1e-14
    assert "radius" not in simulate(tokens, law, n_steps=1)


def test_one_step_turns_directions_like_a_block_of_strength_one_over_the_radius():
    tokens, law, _ = made(n_layers=1)
    for radius in (0.5, 3.0):
        run = simulate(tokens, PreNorm(law), n_steps=1, radius=radius)
        weaker = RecordedLayers(law.mixing / radius, law.query, law.key, Softmax(BETA), normalize)
        post = simulate(tokens, weaker, n_steps=1)
        assert np.abs(run.tokens.values[1] - post.tokens.values[1]).max() < 1e-14


@pytest.mark.parametrize("attention, power", [(Softmax, 1), (Linear, 3)])
def test_rms_is_pre_norm_with_other_beta_and_mixing(attention, power):
    """Softmax: beta g^2 and g C; linear attention, of degree three in the tokens: g^3 C."""
    tokens, law, _ = made()
    gain = 4**0.5
    beta = BETA * gain**2 if power == 1 else BETA
    other = RecordedLayers(gain**power * law.mixing, law.query, law.key, attention(beta))
    rms = simulate(tokens, PreNorm(replace(law, kernel=attention(BETA)), gain), n_steps=5)
    pre = simulate(tokens, PreNorm(other), n_steps=5)
    assert np.abs(points_of(rms) - points_of(pre)).max() < 1e-12 * np.abs(points_of(pre)).max()


def test_the_sphere_field_serves_the_stream():
    """A million tokens on S^2 go the same way: the spectral field sees unit vectors for every gain."""
    tokens, law, _ = made(n=600, d=3, n_layers=3, size=0.3)
    runs = [
        simulate(tokens, PreNorm(law, 3**0.5), n_steps=3, field=field)
        for field in (DirectField, SpectralField)
    ]
    assert np.abs(points_of(runs[0]) - points_of(runs[1])).max() < 1e-6


def deterministic(tokens, eta, n_steps, radius):
    """One head V = I without attention: x' = mean direction."""
    eye = np.eye(tokens.d)[None]
    law = PreNorm(RandomTransformer(FixedHeads(eye, eye, eye), Softmax(0.0), eta, 1, Noise(0)))
    return simulate(tokens, law, n_steps=n_steps, radius=radius)


def test_one_token_goes_straight_on():
    """x' = nrm(x): the direction stays, the radius grows by eta a layer."""
    token = Tokens(Uniform(5).sample(np.random.default_rng(0), 1))
    run = deterministic(token, 0.3, 20, 2.0)
    assert np.abs(run.radius.values[:, 0] - (2.0 + 0.3 * np.arange(21))).max() < 1e-13
    assert np.abs(run.tokens.values - token.points).max() < 1e-14


def test_two_tokens_follow_their_closed_form():
    """x_i = (a, +-b), b constant, a' = a/R, R^2 = a^2 + b^2: R - b artanh(b/R) grows like t; first order in eta."""
    angle, radius, t_end = 1.1, 1.5, 2.0
    tokens = Tokens([[np.cos(angle), np.sin(angle)], [np.cos(angle), -np.sin(angle)]])
    b, steps, errors = radius * np.sin(angle), [8, 16, 32, 64, 128], []
    for n_steps in steps:
        run = deterministic(tokens, t_end / n_steps, n_steps, radius)
        x = points_of(run)
        assert np.abs(x[:, 0, 1] - b).max() < 1e-12
        r = run.radius.values[-1, 0]
        errors.append(abs((r - b * np.arctanh(b / r)) - (radius - b * np.arctanh(b / radius)) - t_end))
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope + 1) < 0.15, (slope, errors)
    assert errors[-1] < 0.01


def test_the_mean_square_radius_grows_linearly():
    """Centred values: E|x_l|^2 = |x_0|^2 + l eta^2 sigma_v^2 d/H for one token, z-score over 1,000 realizations."""
    d, eta, sigma, n_heads, radius, depth, members = 3, 0.8, 0.9, 2, 0.3, 4, 1000
    heads, token = GaussianHeads(d, sigma, 1.0, d), Tokens(Uniform(d).sample(np.random.default_rng(0), 1))
    squares = np.empty((members, depth + 1))
    for member in range(members):
        law = PreNorm(RandomTransformer(heads, Softmax(1.0), eta, n_heads, Noise(1, member)))
        squares[member] = np.sum(trajectory(token, law, depth, radius)[:, 0] ** 2, axis=-1)
    increments = np.diff(squares, axis=1)
    step = eta**2 * sigma**2 * d / n_heads
    error = increments.std(axis=0) / np.sqrt(members)
    assert np.abs((increments.mean(axis=0) - step) / error).max() < 4
    grown = squares[:, -1] - squares[:, 0]
    error = grown.std() / np.sqrt(members)
    assert abs(grown.mean() - depth * step) < 4 * error
    for wrong in (step / np.sqrt(2), step * np.sqrt(2), step * n_heads, step / d, step / eta):
        assert abs(grown.mean() - depth * wrong) > 8 * error
    assert np.abs(squares[:, 0] - radius**2).max() < 1e-12


def test_the_growth_of_many_tokens_is_that_of_the_mean_direction():
    """Without attention U = sum C_m m: E[|x|^2 grown | past] = eta^2 sigma_v^2 d |m|^2/H, summed over layers."""
    d, eta, sigma, depth, members = 4, 0.7, 0.8, 4, 800
    heads, tokens = GaussianHeads(d, sigma, 1.0, d), Tokens(Uniform(d).sample(np.random.default_rng(2), 5))
    rest = np.empty((members, 2))
    for member in range(members):
        law = PreNorm(RandomTransformer(heads, Softmax(0.0), eta, 1, Noise(2, member)))
        x = trajectory(tokens, law, depth)
        means = np.mean(dense.nrm(x), axis=1)[:-1]
        grown = np.mean(np.sum(x[-1] ** 2 - x[0] ** 2, axis=-1))
        expected = eta**2 * sigma**2 * d * np.sum(means**2)
        rest[member] = grown - expected, grown - 2 * expected
    z = rest.mean(axis=0) / (rest.std(axis=0) / np.sqrt(members))
    assert abs(z[0]) < 4
    assert abs(z[1]) > 8


def test_the_stream_slows_down():
    """One token of radius r turns by about |B|/r: the mean square turn falls like r^-2."""
    d, members = 3, 400
    heads, token = GaussianHeads(d, 1.0, 1.0, d), Tokens(Uniform(d).sample(np.random.default_rng(3), 1))
    turns = []
    for radius in (20.0, 40.0):
        squares = []
        for member in range(members):
            law = PreNorm(RandomTransformer(heads, Softmax(1.0), 1.0, 1, Noise(3, member)))
            run = trajectory(token, law, 1, radius)
            squares.append(np.sum((dense.nrm(run[1]) - token.points) ** 2))
        turns.append(np.mean(squares))
    assert turns[0] / turns[1] == pytest.approx(4, rel=0.05)  # on shared noise


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_gradients_through_the_stream_are_complex_steps(gain):
    """<p, J v> = <J^T p, v>, v any vector of R^d, at tokens of several lengths."""
    tokens, law, rng = made()
    x = tokens.points * rng.uniform(0.5, 3, (6, 1))
    v, p = rng.standard_normal((2, *x.shape))

    def moved(z):
        y = gain * z / np.sqrt(np.sum(z * z, axis=1, keepdims=True))
        u = 0
        for c, q, k in zip(law.mixing[0], law.query[0], law.key[0], strict=True):
            weights = tokens.weights * np.exp(BETA * (y @ q.T) @ (y @ k.T).T)
            u = u + (weights / weights.sum(axis=1, keepdims=True)) @ y @ c.T
        return z + u

    push = PreNorm(law, gain).layer(0)[0]
    found = push_vjp(push, Cloud(x, tokens.weights), p)
    want = np.sum(p * moved(x + 1e-30j * v).imag) / 1e-30
    assert abs(np.sum(found * v) - want) < 1e-13 * np.linalg.norm(p) * np.linalg.norm(v)


def test_gradients_of_the_overlap_of_directions():
    """Central differences of the whole map with respect to x in R^d; the last gradient has no radial part."""
    tokens, law, rng = made()
    pre, radius = PreNorm(law, 2.0), 1.7
    p = backward(tokens, pre, n_steps=5, gradient=mean_overlap_gradient, radius=radius)
    x = trajectory(tokens, pre, 5, radius)
    assert np.abs(np.sum(p[-1] * x[-1], axis=-1)).max() < 1e-14

    def overlap(z):
        mean = tokens.weights @ dense.nrm(stream(z, tokens.weights, law, 2.0, 5)[-1])
        return mean @ mean

    for _ in range(5):
        v, h = rng.standard_normal(x[0].shape), 2e-4
        near, far = (overlap(x[0] + s * v) - overlap(x[0] - s * v) for s in (h, 2 * h))
        assert abs(np.sum(p[0] * v) - (8 * near - far) / (12 * h)) < 1e-7 * np.linalg.norm(p[0]) * np.linalg.norm(v)
    found = gradient_norms(tokens, pre, n_steps=5, radius=radius, rng=rng)
    assert np.abs(found.gradient_norm.values - np.linalg.norm(p.reshape(6, -1), axis=1)).max() < 1e-14
    assert np.isfinite(found.layer_growth.values[:-1]).all()
    last = dense.nrm(x[-1])
    assert abs(found.mean_overlap.values[-1] - np.sum((tokens.weights @ last) ** 2)) < 1e-14
    given = backward(tokens, pre, n_steps=5, gradient=x[-1], radius=radius)
    assert np.array_equal(given[-1], x[-1])  # an array is the gradient with respect to x, radial part and all


def test_a_stream_that_does_nothing_grows_nothing():
    tokens, law, rng = made(size=0.0)
    found = gradient_norms(
        tokens, PreNorm(law), n_steps=5, gradient=random_cotangent(rng), radius=2.0, rng=rng
    )
    assert np.abs(found.layer_growth.values[:-1] - 1).max() < 1e-14
    assert np.abs(np.diff(found.gradient_norm.values)).max() < 1e-14


def test_layer_growth_in_a_stream_is_that_of_all_of_the_space():
    """Mean square over 3,000 probes against |J|_F^2/(n d), J by central differences; not that of tangent probes."""
    tokens, law, rng = made(n=2, d=2, n_layers=1)
    pre = PreNorm(law)
    found = gradient_norms(tokens, pre, n_steps=1, radius=0.6, rng=rng, probes=3000)
    x, h, columns = 0.6 * tokens.points, 1e-5, []
    for k in range(4):
        v = h * np.eye(4)[k].reshape(2, 2)
        ends = [stream(x + s * v, tokens.weights, law, 1.0, 1)[-1].ravel() for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    jacobian = np.stack(columns, axis=1)
    squares = np.linalg.svd(jacobian, compute_uv=False) ** 2
    error = np.sqrt(2 * np.var(squares) / (4 + 2) / 3000)
    assert abs(found.layer_growth.values[0] ** 2 - squares.mean()) < 4 * error
    tangent = np.zeros((4, 2))
    for k, row in enumerate(dense.nrm(x + dense_velocity(x, tokens.weights, law))):
        tangent[2 * k : 2 * k + 2, k] = -row[1], row[0]
    assert abs(np.sum((jacobian.T @ tangent) ** 2) / 2 - squares.mean()) > 8 * error


def dense_velocity(x, weights, law):
    y, forms = dense.nrm(x), np.swapaxes(law.key[0], 1, 2) @ law.query[0]
    return dense.velocity(y, y, weights, BETA, law.mixing[0], forms)


@dataclass(frozen=True)
class Constant:
    """A push with a retraction that adds the same vector everywhere."""

    retraction: object = normalize

    def move(self, measure, riders, make):
        return Cloud(self.retraction(measure.points, np.ones_like(measure.points)), measure.weights), riders


class Bare:
    def move(self, measure, riders, make):
        return measure, riders


def test_other_pushes_give_their_velocity_on_the_unit_sphere():
    cloud = Cloud(np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([0.5, 0.5]))
    moved, _ = ResidualPush(Constant()).move(cloud, (), None)
    assert np.array_equal(moved.points, cloud.points + 1)
    with pytest.raises(TypeError, match="Constant is known on the unit sphere alone: gain must be 1, got 2"):
        ResidualPush(Constant(), 2.0).move(cloud, (), None)
    with pytest.raises(TypeError, match="Bare has no velocity that a residual stream could add"):
        ResidualPush(Bare()).move(cloud, (), None)


def test_riders_are_moved_like_tokens_of_no_weight():
    tokens, law, rng = made()
    x = tokens.points * rng.uniform(0.5, 3, (6, 1))
    push = ResidualPush(AttentionPush(Softmax(BETA), law.mixing[0], law.query[0], law.key[0]), 2.0)
    make = own_velocity
    moved, (riders,) = push.move(Cloud(x, tokens.weights), (x[:3].copy(),), make)
    assert np.abs(riders - moved.points[:3]).max() < 1e-15


def test_what_a_stream_refuses():
    tokens, law, _ = made(d=3)
    for gain in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="gain must be positive and finite"):
            PreNorm(law, gain)
    with pytest.raises(ValueError, match=r"radius must be 1 unless the layers are a residual stream .*, got 2"):
        simulate(tokens, law, n_steps=1, radius=2.0)
    for radius in (0.0, np.nan):
        with pytest.raises(ValueError, match="radius must be positive and finite"):
            simulate(tokens, PreNorm(law), n_steps=1, radius=radius)
    with pytest.raises(ValueError, match="law must be no residual stream: directions alone"):
        DensityFlow(Density.from_law(Uniform(3), Sphere(7)).sphere, PreNorm(law))
    with pytest.raises(ValueError, match=r"layer 0 is \(ResidualPush\)"):
        record(PreNorm(law), 2)
