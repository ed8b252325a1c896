"""L2, sigmoid and causal attention against dense computations, closed forms and overflow."""

import tracemalloc

import numpy as np
import pytest
from scipy import integrate

from particles import Cloud, Linear, Softmax, Uniform
from particles.attention import kernels
from particles.attention.kernels import L2, Causal, Sigmoid
from particles.attention.sinkhorn import Sinkhorn
from particles.networks import RoPE

EYE = np.eye(3)


def cloud(rng, n, d, scale=1.0):
    weights = rng.random(n) + 0.1
    return Cloud(scale * rng.standard_normal((n, d)), weights / weights.sum())


def pair_weights(kernel, x, y, w, query, key):
    """Weights (N, n) of a kernel, straight from its definition."""
    qx, ky = x @ query.T, y @ key.T
    if isinstance(kernel, Causal):
        seen = np.tril(pair_weights(kernel.kernel, x, y, w, query, key))
        return seen if kernel.window is None else np.triu(seen, 1 - kernel.window)
    if isinstance(kernel, Sigmoid):
        return w / (1 + np.exp(-kernel.beta * qx @ ky.T))
    if isinstance(kernel, Linear):
        return w * kernel.beta * (qx @ ky.T)
    if isinstance(kernel, Softmax):
        return w * np.exp(kernel.beta * qx @ ky.T)
    return w * np.exp(-kernel.beta * ((qx[:, None, :] - ky[None]) ** 2).sum(axis=2))


def dense(kernel, x, y, w, query, key):
    weights = pair_weights(kernel, x, y, w, query, key)
    inner = kernel.kernel if isinstance(kernel, Causal) else kernel
    total = weights.sum(axis=1, keepdims=True) if isinstance(inner, L2 | Softmax) else 1.0
    return weights @ y / total


KERNELS = [
    L2(1.0),
    L2(0.3),
    Sigmoid(1.0),
    Sigmoid(2.5),
    Causal(Softmax(1.5)),
    Causal(L2(0.7)),
    Causal(Linear(2.0)),
    Causal(Sigmoid(0.8)),
    Causal(Softmax(1.5), window=1),
    Causal(Softmax(1.5), window=9),
    Causal(L2(0.7), window=30),
    Causal(Linear(2.0), window=2000),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize(("d", "head_dim", "n"), [(3, 3, 40), (5, 2, 1500), (2, 1, 7)])
def test_barycenters_equal_dense_ones(kernel, d, head_dim, n, monkeypatch):
    monkeypatch.setattr(kernels, "ROWS", 1 << 15)  # several blocks of rows
    rng = np.random.default_rng(0)
    measure = cloud(rng, n, d)
    query, key = rng.standard_normal((2, head_dim, d)) * 0.8
    points = measure.points if isinstance(kernel, Causal) else rng.standard_normal((30, d))
    want = dense(kernel, points, *measure, query, key)
    assert np.abs(kernel.barycenter(points, measure, query, key) - want).max() < 1e-12 * max(1, np.abs(want).max())


def test_two_tokens_in_closed_form():
    y, w = np.array([[1.0, 2.0], [-0.5, 0.25]]), np.array([0.3, 0.7])
    measure, eye, x = Cloud(y, w), np.eye(2), np.array([[0.2, -0.4]])
    beta = 0.9
    log_odds = np.log(0.3 / 0.7) - beta * ((0.8**2 + 2.4**2) - (0.7**2 + 0.65**2))
    first = 1 / (1 + np.exp(-log_odds))
    assert np.abs(L2(beta).barycenter(x, measure, eye, eye) - (first * y[0] + (1 - first) * y[1])).max() < 1e-15
    share = w / (1 + np.exp(-beta * np.array([0.2 - 0.8, -0.1 - 0.1])))
    assert np.abs(Sigmoid(beta).barycenter(x, measure, eye, eye) - share @ y).max() < 1e-15
    seen = Causal(Softmax(beta)).barycenter(y, measure, eye, eye)
    odds = 0.3 / 0.7 * np.exp(beta * (y[1] @ y[0] - y[1] @ y[1]))
    assert np.abs(seen - [y[0], (odds * y[0] + y[1]) / (1 + odds)]).max() < 1e-15


def test_a_token_sees_itself_first_and_the_last_token_sees_all():
    rng = np.random.default_rng(1)
    measure = cloud(rng, 30, 3)
    query, key = rng.standard_normal((2, 3, 3))
    for kernel in (Softmax(1.0), L2(1.0), Linear(1.0), Sigmoid(1.0)):
        seen = Causal(kernel).barycenter(measure.points, measure, query, key)
        every = kernel.barycenter(measure.points, measure, query, key)
        assert np.abs(seen[-1] - every[-1]).max() < 1e-13
        assert np.abs(seen[5] - every[5]).max() > 1e-3
        one = Cloud(measure.points[:1], measure.weights[:1])  # the first token is alone
        assert np.abs(seen[:1] - kernel.barycenter(one.points, one, query, key)).max() < 1e-14
        if isinstance(kernel, Softmax | L2):
            assert np.abs(seen[0] - measure.points[0]).max() < 1e-14


@pytest.mark.parametrize("kernel", [*KERNELS, Softmax(1.0), Linear(1.0), Sinkhorn(1.0)], ids=str)
def test_a_scale_of_the_tokens_goes_to_the_matrices(kernel):
    """m[g mu](g x) with Query, Key is g m[mu](x) with g Query, g Key: what residual streams of another norm use."""
    rng = np.random.default_rng(12)
    measure, scale = cloud(rng, 25, 3), 1.7
    query, key = rng.standard_normal((2, 2, 3))
    wide = Cloud(scale * measure.points, measure.weights)
    found = kernel.barycenter(wide.points, wide, query, key)
    want = scale * kernel.barycenter(measure.points, measure, scale * query, scale * key)
    assert np.abs(found - want).max() < 1e-9 * np.abs(want).max()


@pytest.mark.parametrize("beta", [0.0, 1e-3, 150.0, 1e6])
def test_any_temperature_is_finite(beta):
    rng = np.random.default_rng(4)
    points = Uniform(3).sample(rng, 2000)
    weights = rng.random(2000) + 0.1
    measure = Cloud(points, weights / weights.sum())
    for kernel in (L2(beta), Causal(L2(beta)), Causal(Softmax(beta))):
        assert np.linalg.norm(kernel.barycenter(points, measure, EYE, EYE), axis=1).max() <= 1 + 1e-12
    far = -beta * ((points[:, None] - points[None]) ** 2).sum(axis=2) + np.log(measure.weights)
    share = np.exp(far - far.max(axis=1, keepdims=True))
    want = share @ points / share.sum(axis=1, keepdims=True)
    assert np.abs(L2(beta).barycenter(points, measure, EYE, EYE) - want).max() < 1e-9
    assert np.linalg.norm(Sigmoid(beta).barycenter(points, measure, EYE, EYE), axis=1).max() <= 1


def test_weights_over_many_orders_do_not_vanish_at_low_temperature():
    points = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    measure = Cloud(points, np.array([1e-200, 1.0]))
    for kernel in (L2(400.0), Causal(L2(400.0)), Causal(Softmax(400.0))):  # 1600 or 800 against log 1e200 = 460
        assert np.abs(kernel.barycenter(points, measure, EYE, EYE) - points).max() < 1e-12


def test_l2_keeps_its_digits_far_from_the_origin():
    rng = np.random.default_rng(5)
    near = cloud(rng, 50, 3)
    far = Cloud(near.points + 1e5, near.weights)
    moved = L2(1.0).barycenter(far.points, far, EYE, EYE) - 1e5
    assert np.abs(moved - L2(1.0).barycenter(near.points, near, EYE, EYE)).max() < 1e-9
    seen = Causal(L2(1.0)).barycenter(far.points, far, EYE, EYE) - 1e5
    assert np.abs(seen - Causal(L2(1.0)).barycenter(near.points, near, EYE, EYE)).max() < 1e-9


def test_l2_is_softmax_of_a_reweighted_measure():
    rng = np.random.default_rng(6)
    measure = cloud(rng, 60, 3)
    query, key = rng.standard_normal((2, 2, 3))
    softmax, reweighted = L2(0.7).reweighted(measure, key)
    assert softmax == Softmax(1.4)
    assert abs(reweighted.weights.sum() - 1) < 1e-14
    points = rng.standard_normal((9, 3))
    want = dense(L2(0.7), points, *measure, query, key)
    assert np.abs(softmax.barycenter(points, reweighted, query, key) - want).max() < 1e-12
    with pytest.raises(ValueError, match=r"beta \|Ky\|\^2 must vary by at most 300 over the measure, got"):
        L2(1e4).reweighted(measure, key)


@pytest.mark.parametrize("beta", [0.7, 30.0])
def test_l2_derivative_is_the_slope_of_its_barycenter(beta):
    rng = np.random.default_rng(11)
    measure = cloud(rng, 60, 3)
    query, key = rng.standard_normal((2, 2, 3))
    points, step = rng.standard_normal((5, 3)), 1e-5
    found = L2(beta).derivative(points, measure, query, key)
    for j in range(3):
        ends = [L2(beta).barycenter(points + sign * step * EYE[j], measure, query, key) for sign in (1, -1)]
        assert np.abs(found[:, :, j] - (ends[0] - ends[1]) / (2 * step)).max() < 1e-6 * max(1, beta)
    assert np.abs(found).max() > 0.1


def test_memory_stays_bounded():
    rng = np.random.default_rng(7)
    measure = cloud(rng, 6000, 8)  # a dense matrix of scores alone is 288 MB
    query, key = rng.standard_normal((2, 8, 8)) / 8
    for kernel in (L2(1.0), Sigmoid(1.0), Causal(Softmax(1.0))):
        tracemalloc.start()
        kernel.barycenter(measure.points, measure, query, key)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6e7, kernel


def test_sigmoid_step_of_a_gaussian_in_one_dimension():
    """Mean and variance after one Euler step of N(m, s), against nested quadrature; tokens at Gauss-Hermite nodes."""
    mean, deviation, beta, a, h = 0.4, 1.2, 1.0, 0.9, 0.3

    def density(y):
        return np.exp(-((y - mean) ** 2) / (2 * deviation**2)) / (deviation * np.sqrt(2 * np.pi))

    def seen(x):
        return integrate.quad(lambda y: y * density(y) / (1 + np.exp(-beta * a * x * y)), -12, 12, epsabs=1e-13)[0]

    def moment(power):
        return integrate.quad(lambda x: (x + h * seen(x)) ** power * density(x), -12, 12, epsabs=1e-11)[0]

    z, w = np.polynomial.hermite_e.hermegauss(120)
    nodes = Cloud((mean + deviation * z)[:, None], w / w.sum())
    moved = nodes.points + h * Sigmoid(beta).barycenter(nodes.points, nodes, np.array([[a]]), np.eye(1))
    assert abs(nodes.weights @ moved[:, 0] - moment(1)) < 1e-8
    assert abs(nodes.weights @ moved[:, 0] ** 2 - moment(2)) < 1e-8


def test_causal_linear_step_of_independent_tokens():
    """E[m_i | x_i] = beta ((i-1)/n S A x_i + <Ax_i, x_i> x_i / n) for independent centred tokens of covariance S."""
    rng = np.random.default_rng(8)
    n, replicas, beta = 6, 40_000, 1.5
    query, key = rng.standard_normal((2, 2, 2))
    first = rng.standard_normal(2)  # the token in place 3, the same in all replicas
    form, place = key.T @ query, 3
    total, square = np.zeros(2), np.zeros(2)
    for _ in range(replicas // 100):
        for points in rng.standard_normal((100, n, 2)):
            points[place] = first
            measure = Cloud(points, np.full(n, 1 / n))
            seen = Causal(Linear(beta)).barycenter(points, measure, query, key)[place]
            total, square = total + seen, square + seen**2
    mean = total / replicas
    error = np.sqrt((square / replicas - mean**2) / replicas)
    want = beta * (place / n * form @ first + first @ form @ first / n * first)
    assert (np.abs(mean - want) < 4 * error).all()
    assert (np.abs(want) > 8 * np.sqrt(2) * error).any()


def test_refusals():
    measure = cloud(np.random.default_rng(9), 5, 3)
    with pytest.raises(ValueError, match="causal attention is defined at the tokens of the measure only"):
        Causal(Softmax(1.0)).barycenter(measure.points[:3], measure, EYE, EYE)
    with pytest.raises(ValueError, match="causal attention is defined at the tokens of the measure only"):
        Causal(Softmax(1.0)).barycenter(measure.points + 1e-9, measure, EYE, EYE)
    with pytest.raises(TypeError, match="a causal mask needs softmax, L2, linear or sigmoid, got Sinkhorn"):
        Causal(Sinkhorn(1.0))
    with pytest.raises(TypeError, match="positions turn queries and keys of scalar products"):
        Causal(L2(1.0), RoPE())
    with pytest.raises(ValueError, match="window must be"):
        Causal(Softmax(1.0), window=0)
    for kind in (L2, Sigmoid, Sinkhorn):
        for beta in (-1.0, np.nan, np.inf):
            with pytest.raises(ValueError, match="beta must be finite and >= 0"):
                kind(beta)


@pytest.mark.parametrize("kernel", [Causal(Softmax(0.7), RoPE(50.0)), Causal(Softmax(0.7), RoPE(50.0, 0.5), window=7)])
def test_positions_turn_queries_and_keys(kernel):
    """Against each pair of coordinates (a, b) as the number a + ib times e^(i place base^(-2j/r))."""
    rng, (n, d, k) = np.random.default_rng(3), (20, 6, 8)
    measure, (query, key) = cloud(rng, n, d), rng.standard_normal((2, k, d))
    r = round(kernel.positions.share * k)
    turns = np.exp(1j * np.arange(n)[:, None] * 50.0 ** (-2 * np.arange(r // 2) / r))
    q, k_ = measure.points @ query.T, measure.points @ key.T
    numbers = [(v[:, : r // 2] + 1j * v[:, r // 2 : r]) * turns for v in (q, k_)]
    scores = (numbers[0] @ numbers[1].conj().T).real + q[:, r:] @ k_[:, r:].T
    back = np.arange(n)[:, None] - np.arange(n)
    seen = (back >= 0) & (back < (kernel.window or n))
    weights = seen * measure.weights * np.exp(0.7 * scores)
    expected = weights @ measure.points / weights.sum(axis=1, keepdims=True)
    assert np.abs(kernel.barycenter(measure.points, measure, query, key) - expected).max() < 1e-13
    inner = rng.standard_normal((2, 3, d))
    found = kernel.averages(measure.points, measure, np.stack([query] * 2), np.stack([key] * 2), inner)
    assert np.abs(found - np.concatenate([expected @ one.T for one in inner], axis=1)).max() < 1e-12
