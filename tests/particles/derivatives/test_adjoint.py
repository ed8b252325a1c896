"""Gradients through depth: finite differences, complex steps, a dense tangent map, and the adjoint equation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from particles import (
    AttentionPush,
    Cloud,
    FixedHeads,
    GaussianHeads,
    Linear,
    Noise,
    RandomTransformer,
    RecordedLayers,
    Softmax,
    Tokens,
    Uniform,
    flow,
    geodesic,
    normalize,
)
from particles.derivatives.adjoint import barycenter_vjp, layer_vjp, push_vjp
from particles.derivatives.gradients import (
    backward,
    gradient_norms,
    mean_overlap_gradient,
    random_cotangent,
    trajectory,
)
from particles.retraction import translate

BETA = 1.7


def made(n=5, d=4, n_layers=4, retraction=normalize, seed=0, size=0.5):
    """Weighted tokens and layers of order one."""
    rng = np.random.default_rng(seed)
    mixing = size * rng.standard_normal((n_layers, 2, d, d))
    query, key = rng.standard_normal((2, n_layers, 2, 2, d))
    tokens = Tokens(Uniform(d).sample(rng, n), rng.uniform(0.5, 2.0, n))
    return tokens, RecordedLayers(mixing, query, key, Softmax(BETA), retraction), rng


def forward(x, weights, law, attention, n_layers):
    """The whole map in plain numpy, for real and complex points."""
    for mixing, query, key in zip(law.mixing[:n_layers], law.query, law.key, strict=False):
        u = 0
        for c, q, k in zip(mixing, query, key, strict=True):
            scores = BETA * (x @ q.T) @ (x @ k.T).T
            p = weights * (np.exp(scores) if isinstance(attention, Softmax) else scores)
            if isinstance(attention, Softmax):
                p = p / p.sum(axis=1, keepdims=True)
            u = u + p @ x @ c.T
        if law.retraction is geodesic:
            u = u - np.sum(x * u, axis=1, keepdims=True) * x
            length = np.sqrt(np.sum(u * u, axis=1, keepdims=True))
            x = np.cos(length) * x + np.sin(length) / length * u
        elif law.retraction is translate:
            x = x + u
        else:
            x = x + u
            x = x / np.sqrt(np.sum(x * x, axis=1, keepdims=True))
    return x


ATTENTIONS = [Softmax(BETA), Linear(BETA)]
SPHERE = [normalize, geodesic]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("retraction", SPHERE)
def test_gradients_are_central_differences_of_the_whole_map(retraction, attention):
    """d/ds of the mean overlap after four layers along tangent directions, from every depth; 1e-7 relative."""
    tokens, law, rng = made(retraction=retraction, size=0.3)
    law = replace(law, kernel=attention)
    states = trajectory(tokens, law, 4)
    gradients = backward(tokens, law, n_steps=4, gradient=mean_overlap_gradient)

    def overlap(x, begin):
        rest = RecordedLayers(law.mixing[begin:], law.query[begin:], law.key[begin:], attention, retraction)
        mean = tokens.weights @ forward(x, tokens.weights, rest, attention, 4 - begin)
        return mean @ mean

    shares = []
    for begin in (0, 2, 3):
        x = states[begin]
        for _ in range(4):
            v = rng.standard_normal(x.shape)
            v -= np.sum(x * v, axis=1, keepdims=True) * x

            def along(s, x=x, v=v, begin=begin):
                return overlap((y := x + s * v) / np.linalg.norm(y, axis=1, keepdims=True), begin)

            h = 5e-4  # fourth order: Richardson of central differences
            slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
            scale = np.linalg.norm(gradients[begin]) * np.linalg.norm(v)
            assert abs(np.sum(gradients[begin] * v) - slope) < 1e-7 * scale
            shares.append(abs(slope) / scale)
    assert max(shares) > 0.05


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("retraction", [*SPHERE, translate])
def test_the_push_and_its_transpose_are_adjoint(retraction, attention):
    """<p, J v> = <J^T p, v> with J v by a complex step, v any vector of R^d."""
    tokens, law, rng = made(retraction=retraction)
    cloud = Cloud(tokens.points, tokens.weights)
    v, p = rng.standard_normal((2, *cloud.points.shape))
    if retraction is geodesic:  # the formula in `forward` is this retraction for unit vectors only
        v -= np.sum(cloud.points * v, axis=1, keepdims=True) * cloud.points
    moved = forward(cloud.points + 1e-30j * v, cloud.weights, law, attention, 1)
    found = push_vjp(replace(law.layer(0)[0], kernel=attention), cloud, p)
    want = np.sum(p * moved.imag) / 1e-30
    assert abs(np.sum(found * v) - want) < 1e-12 * np.linalg.norm(p) * np.linalg.norm(v)
    assert abs(want) > 1e-2


def test_products_with_tangent_vectors_are_kept_through_depth():
    """<p_l, v_l> does not depend on l for v_l = J v_{l-1}, and p_l is tangent."""
    tokens, law, rng = made(n_layers=6)
    attention = Softmax(BETA)
    gradients = backward(tokens, replace(law, kernel=attention), n_steps=6, gradient=random_cotangent(rng))
    v = rng.standard_normal(tokens.points.shape)
    v -= np.sum(tokens.points * v, axis=1, keepdims=True) * tokens.points
    states, products = trajectory(tokens, replace(law, kernel=attention), 6), []
    for depth in range(7):
        tangent = forward(tokens.points + 1e-30j * v, tokens.weights, law, attention, depth).imag / 1e-30
        products.append(np.sum(gradients[depth] * tangent))
    assert np.ptp(products) < 1e-12 * np.abs(products[0])
    assert abs(products[0]) > 1e-3
    assert np.abs(np.einsum("lij,lij->li", gradients, states)).max() < 1e-14
    assert abs(np.linalg.norm(gradients[-1]) - 1) < 1e-14


def test_many_rows_go_in_blocks(monkeypatch):
    from particles.derivatives import adjoint

    tokens, law, rng = made(n=23)
    cloud = Cloud(tokens.points, tokens.weights)
    p = rng.standard_normal(cloud.points.shape)
    whole = barycenter_vjp(Softmax(BETA), cloud, law.query[0, 0], law.key[0, 0], p)
    monkeypatch.setattr(adjoint, "BLOCK", 64)
    assert np.abs(barycenter_vjp(Softmax(BETA), cloud, law.query[0, 0], law.key[0, 0], p) - whole).max() < 1e-14


def test_scores_beyond_the_exponential():
    """beta |A| = 4000: the weights are a hard maximum, and the gradient stays finite."""
    tokens, law, rng = made()
    cloud = Cloud(tokens.points, tokens.weights)
    push = AttentionPush(Softmax(BETA), law.mixing[0], 50 * law.query[0], 50 * law.key[0])
    assert np.isfinite(push_vjp(push, cloud, rng.standard_normal(cloud.points.shape))).all()


def test_short_geodesics_have_the_slope_of_their_series():
    """On both sides of the length where the series takes over, and at length 0."""
    rng = np.random.default_rng(3)
    x = Uniform(4).sample(rng, 3)
    direction = rng.standard_normal((3, 4))
    direction -= np.sum(x * direction, axis=1, keepdims=True) * x
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    g, v = rng.standard_normal((2, 3, 4))
    for length in (0.0, 1e-8, 0.9e-3, 1.1e-3, 0.1):
        at_x, at_u = geodesic.vjp(x, length * direction, g)
        h = 1e-3
        slope = sum(
            c * np.sum(g * geodesic(x, length * direction + s * h * v))
            for s, c in ((1, 8), (-1, -8), (2, -1), (-2, 1))
        ) / (12 * h)
        assert abs(np.sum(at_u * v) - slope) < 1e-9
        assert np.isfinite(at_x).all()


def adjoint_equation(x, weights, heads, t_end, p_end):
    """x' = b(x), b = P_x U, and p' = -(Db)^T p backwards, Db by central differences; both dense."""
    shape, c, q, k = x.shape, heads.value[0], heads.query[0], heads.key[0]

    def b(flat):
        y = flat.reshape(shape)
        p = weights * np.exp(BETA * (y @ q.T) @ (y @ k.T).T)
        u = (p / p.sum(axis=1, keepdims=True)) @ y @ c.T
        return (u - np.sum(y * u, axis=1, keepdims=True) * y).ravel()

    def jacobian(flat):
        h, eye = 1e-5, np.eye(flat.size)
        return np.stack([(b(flat + h * e) - b(flat - h * e)) / (2 * h) for e in eye], axis=1)

    options = {"rtol": 1e-10, "atol": 1e-12, "method": "DOP853"}
    end = solve_ivp(lambda t, y: b(y), (0, t_end), x.ravel(), **options).y[:, -1]
    last = end.reshape(shape)
    p = p_end(last, weights)
    p -= np.sum(last * p, axis=1, keepdims=True) * last
    both = np.concatenate([end, p.ravel()])

    def back(t, both):
        y, p = np.split(both, 2)
        return np.concatenate([-b(y), jacobian(y).T @ p])

    first = solve_ivp(back, (0, t_end), both, **options).y[:, -1]
    p = np.split(first, 2)[1].reshape(shape)
    return p - np.sum(x * p, axis=1, keepdims=True) * x


@pytest.mark.parametrize("retraction", SPHERE)
def test_the_discrete_adjoint_converges_to_the_adjoint_equation(retraction):
    """Fixed heads, eta -> 0: first order in eta over five steps."""
    rng = np.random.default_rng(5)
    heads = FixedHeads(*rng.standard_normal((3, 1, 3, 3)))
    tokens, t_end = Tokens(Uniform(3).sample(rng, 4), rng.uniform(0.5, 2, 4)), 1.0
    want = adjoint_equation(tokens.points, tokens.weights, heads, t_end, mean_overlap_gradient)
    steps, errors = [16, 32, 64, 128, 256], []
    for n_steps in steps:
        law = RandomTransformer(heads, Softmax(BETA), t_end / n_steps, 1, Noise(0), retraction)
        found = backward(tokens, law, n_steps=n_steps, gradient=mean_overlap_gradient)
        errors.append(np.abs(found[0] - want).max())
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope + 1) < 0.15, (slope, errors)
    assert errors[-1] < 0.02 * np.abs(want).max()


def test_norms_over_depth():
    tokens, law, _ = made(n_layers=3)
    attention, w = Softmax(BETA), tokens.weights
    found = gradient_norms(tokens, replace(law, kernel=attention), n_steps=3)
    p = backward(tokens, replace(law, kernel=attention), n_steps=3, gradient=mean_overlap_gradient)
    assert found.depth_time.values.tolist() == [0, 1, 2, 3]
    for depth in range(4):
        assert abs(found.gradient_norm.values[depth] - np.sqrt(sum(np.sum(row**2) for row in p[depth]))) < 1e-14
        per_token = [wi * np.sum((row / wi) ** 2) for wi, row in zip(w, p[depth], strict=True)]
        assert abs(found.gradient_rms.values[depth] - np.sqrt(sum(per_token))) < 1e-14
        mean = w @ trajectory(tokens, replace(law, kernel=attention), 3)[depth]
        assert abs(found.mean_overlap.values[depth] - mean @ mean) < 1e-15
    # at the last depth: p = 2 w P m, so p/w is the projected mean
    last = trajectory(tokens, replace(law, kernel=attention), 3)[-1]
    m = w @ last
    assert abs(found.gradient_rms.values[-1] ** 2 - 4 * w @ (m @ m - (last @ m) ** 2)) < 1e-14
    assert "layer_growth" not in found


def test_twice_the_tokens_have_the_same_rms():
    """Each token twice, with half the weight: the measure, and the gradient of mean-field theory, are the same."""
    tokens, law, _ = made()
    twice = Tokens(np.repeat(tokens.points, 2, axis=0), np.repeat(tokens.weights, 2) / 2)
    one, two = (gradient_norms(t, law, n_steps=4) for t in (tokens, twice))
    assert np.abs(one.gradient_rms.values - two.gradient_rms.values).max() < 1e-13
    assert np.abs(one.gradient_norm.values / two.gradient_norm.values - np.sqrt(2)).max() < 1e-12


def test_layer_growth_estimates_the_norm_of_the_jacobian():
    """Mean square over 3,000 probes against |J|_F^2 / dimension, J dense by complex steps between tangent spaces."""
    tokens, law, rng = made(n=3, d=3, n_layers=1)
    attention, x = Softmax(BETA), tokens.points
    columns = []
    for token in range(3):
        basis = np.linalg.svd(x[token][None])[2][1:]
        for direction in basis:
            v = np.zeros_like(x)
            v[token] = direction
            columns.append(forward(x + 1e-30j * v, tokens.weights, law, attention, 1).imag.ravel() / 1e-30)
    jacobian = np.stack(columns, axis=1)
    want = np.sum(jacobian**2) / 6
    found = gradient_norms(tokens, replace(law, kernel=attention), n_steps=1, rng=rng, probes=3000).layer_growth.values
    singular = np.linalg.svd(jacobian, compute_uv=False)[:6] ** 2
    spread = np.sqrt(2 * np.var(singular) / (6 + 2) / 3000)  # of sum_k s_k u_k^2, u uniform on the sphere of R^6
    assert abs(found[0] ** 2 - want) < 4 * spread
    assert abs(found[0] ** 2 / 2 - want) > 8 * spread
    assert np.isnan(found[1])


def test_a_layer_that_does_nothing_grows_nothing():
    tokens, law, rng = made(size=0.0)
    found = gradient_norms(tokens, law, n_steps=4, gradient=random_cotangent(rng), rng=rng)
    assert np.abs(found.layer_growth.values[:-1] - 1).max() < 1e-14
    assert np.abs(found.gradient_norm.values - 1).max() < 1e-14


def test_layers_of_two_pushes_are_gone_through_backwards():
    tokens, law, rng = made(n_layers=2)
    cloud, p = Cloud(tokens.points, tokens.weights), rng.standard_normal(tokens.points.shape)
    first, second = law.layer(0)[0], law.layer(1)[0]
    together = layer_vjp((first, second), cloud, p)
    apart = backward(tokens, law, n_steps=2, gradient=p)[0]
    assert np.abs(together - apart).max() < 1e-14


def test_what_has_no_gradient_is_refused():
    tokens, law, _ = made()
    cloud = Cloud(tokens.points, tokens.weights)
    with pytest.raises(TypeError, match="retractions normalize, geodesic and translate, got flow"):
        flow.vjp(tokens.points, tokens.points, tokens.points)
    with pytest.raises(TypeError, match="softmax and linear attention, got object"):
        barycenter_vjp(object(), cloud, law.query[0, 0], law.key[0, 0], tokens.points)
    with pytest.raises(TypeError, match="gradients know no object; register it"):
        push_vjp(object(), cloud, tokens.points)
    with pytest.raises(ValueError, match=r"gradient must have shape \(5, 4\), got \(4,\)"):
        backward(tokens, law, n_steps=1, gradient=np.zeros(4))


def test_a_push_of_ones_own_is_registered():
    class Turn:
        def move(self, measure, riders, make):
            return Cloud(np.roll(measure.points, 1, axis=1), measure.weights), riders

    @push_vjp.register
    def _(push: Turn, measure, gradient):
        return np.roll(gradient, -1, axis=1)

    tokens, _, rng = made()
    p = random_cotangent(rng)(np.roll(tokens.points, 1, axis=1), tokens.weights)
    found = layer_vjp((Turn(),), Cloud(tokens.points, tokens.weights), p)
    assert np.abs(found - np.roll(p, -1, axis=1)).max() < 1e-15


def test_heads_of_a_law_give_finite_gradients_through_many_layers():
    law = RandomTransformer(GaussianHeads(8, 8**-0.5, 8**-0.5, 8), Softmax(3.0), 0.3, 2, Noise(1))
    tokens = Tokens(Uniform(8).sample(np.random.default_rng(0), 16))
    found = gradient_norms(tokens, law, n_steps=60)
    assert np.isfinite(found.gradient_norm.values).all()
    assert found.diffusive_time.values[-1] == pytest.approx(60 * 0.3 * 0.15)
