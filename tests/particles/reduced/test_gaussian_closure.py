"""Gaussian closures: exact solutions, the published equations, quadrature, tokens, and blow-up."""

import numpy as np
import pytest
from scipy.linalg import expm, sqrtm

from particles import Ballistic, FixedHeads, Linear, Noise, RecordedLayers, Softmax, SolverError, simulate
from particles.attention.kernels import L2, Sigmoid
from particles.attention.sinkhorn import Sinkhorn
from particles.initial import Gaussian
from particles.measure import EuclideanTokens
from particles.reduced.gaussian_closure import GaussianClosure
from particles.retraction import translate

KERNELS = [Softmax(1.0), Softmax(0.6), L2(1.0), L2(0.4), Sinkhorn(1.0), Sinkhorn(2.0), Linear(1.0), Linear(0.5)]
LAW = Gaussian([0.5, -0.3], [[1.0, 0.3], [0.3, 0.5]])


def heads(seed, n_heads=2, d=2, head_dim=2, size=0.4):
    rng = np.random.default_rng(seed)
    value = size * rng.standard_normal((n_heads, d, d))
    query, key = size * rng.standard_normal((2, n_heads, head_dim, d))
    return value, query, key


def published(kernel, mean, s, value, query, key):
    """m' and S' as mathematics, section 6, prints them, with A -> beta A; one head."""
    beta, d, form = kernel.beta, len(mean), key.T @ query
    one = np.eye(d)
    if isinstance(kernel, Softmax):
        drift, half = value @ (one + beta * s @ form) @ mean, beta * value @ s @ form @ s
    elif isinstance(kernel, L2):
        b = np.linalg.inv(one + 2 * beta * s @ key.T @ key)
        drift = value @ b @ (one + 2 * beta * s @ form) @ mean
        half = 2 * beta * value @ b @ s @ form @ s
    elif isinstance(kernel, Sinkhorn):
        root = np.real(sqrtm(s))
        dd = beta * root @ form @ root
        b = 2 * np.linalg.inv(one + np.real(sqrtm(one + 4 * dd @ dd.T))) @ dd
        drift, half = beta * value @ mean, beta * value @ root @ b @ root
    else:
        second = s + np.outer(mean, mean)
        drift, half = beta * value @ second @ form @ mean, beta * value @ second @ form @ s
    return drift, half + half.T


def gauss_hermite(law, n):
    """Nodes and weights of a Gaussian in two dimensions; exact for polynomials of degree 2n - 1."""
    z, w = np.polynomial.hermite_e.hermegauss(n)
    nodes = np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.outer(w, w).ravel()
    return EuclideanTokens(law.mean + nodes @ law.root, weights)


# --- the velocity


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("head_dim", [1, 3])
def test_velocity_is_the_published_one(kernel, head_dim):
    value, query, key = heads(0, n_heads=2, d=3, head_dim=head_dim, size=0.8)
    rng = np.random.default_rng(1)
    mean, root = rng.standard_normal(3), rng.standard_normal((3, 3))  # any root, not only the symmetric one
    s = root @ root.T
    drift, stretch = GaussianClosure(kernel, value, query, key).velocity(mean, root)
    parts = [published(kernel, mean, s, *head) for head in zip(value, query, key, strict=True)]
    assert np.abs(drift - sum(p[0] for p in parts)).max() < 1e-12
    change = stretch @ root.T
    assert np.abs(change + change.T - sum(p[1] for p in parts)).max() < 1e-11


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_velocity_is_what_quadrature_nodes_see(kernel):
    """Gamma(m) and its slope, from the kernels themselves at Gauss-Hermite nodes."""
    value, query, key = heads(2)
    nodes = gauss_hermite(LAW, 24)
    points = LAW.mean + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) @ LAW.root
    seen = sum(kernel.barycenter(points, nodes, q, k) @ v.T for v, q, k in zip(value, query, key, strict=True))
    drift, stretch = GaussianClosure(kernel, value, query, key).velocity(LAW.mean, LAW.root)
    assert np.abs(seen[0] - drift).max() < 1e-9
    assert np.abs((seen[1:] - seen[0]).T - stretch).max() < 1e-9


@pytest.mark.parametrize("kernel", [Softmax(1.0), L2(1.0), Linear(1.0)], ids=str)
def test_a_hundred_thousand_random_tokens_agree_within_their_error(kernel):
    """At depth time 0.4: tokens moved by the affine flow are a sample of the law there, and see Gamma."""
    value, query, key = heads(3, n_heads=1, size=0.7)
    closure = GaussianClosure(kernel, value, query, key)
    path = closure.solve(LAW, 0.4)
    mean, root = path.flow(0.4)
    rng = np.random.default_rng(4)
    n = 100_000
    tokens = EuclideanTokens(mean + rng.standard_normal((n, 2)) @ root.T)
    z = rng.standard_normal((40, 2))
    points = mean + z @ root.T
    drift, stretch = closure.velocity(mean, root)
    want = drift + z @ stretch.T
    seen = kernel.barycenter(points, tokens, query[0], key[0]) @ value[0].T
    terms = []  # of the mean whose error is wanted: linear in the measure, or a ratio of two such
    for target, centre in zip(points, want, strict=True):
        scores = (tokens.points @ key[0].T) @ (query[0] @ target)
        moved = tokens.points @ value[0].T
        if isinstance(kernel, Linear):
            terms.append(scores[:, None] * moved)
            continue
        if isinstance(kernel, L2):
            scores = -((tokens.points @ key[0].T - query[0] @ target) ** 2).sum(axis=1)
        weights = np.exp(scores - scores.max())
        terms.append((weights / weights.mean())[:, None] * (moved - centre))
    error = np.array([t.std(axis=0) for t in terms]) / np.sqrt(n)
    score = (seen - want) / error
    assert np.abs(score).max() < 4.5  # of 80, not independent
    wrong = drift + z @ stretch.T * np.sqrt(2)
    assert np.abs((seen - wrong) / error).max() > 12


def test_random_tokens_under_sinkhorn_agree_within_their_error():
    value, query, key = heads(5, n_heads=1, size=0.8)
    closure, kernel = GaussianClosure(Sinkhorn(1.0), value, query, key), Sinkhorn(1.0)
    z = np.array([[0.0, 0.0], [1.0, 0.5], [-0.5, 1.0]])
    drift, stretch = closure.velocity(LAW.mean, LAW.root)
    want = drift + z @ stretch.T
    found = []
    for replica in range(30):
        tokens = EuclideanTokens(LAW.sample(np.random.default_rng([6, replica]), 600))
        found.append(kernel.barycenter(LAW.mean + z @ LAW.root, tokens, query[0], key[0]) @ value[0].T)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(30)
    assert np.abs((np.mean(found, axis=0) - want) / error).max() < 4
    assert np.abs((np.mean(found, axis=0) - drift - z @ stretch.T * np.sqrt(2)) / error).max() > 8


# --- layers of infinitely many tokens


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_layers_move_quadrature_tokens_as_the_closure_says(kernel):
    """`simulate` with x + U at Gauss-Hermite nodes, which an affine flow keeps: exact at every step size."""
    value, query, key = heads(7)
    h, n_steps, law = 0.2, 5, LAW
    stacks = [np.repeat(a[None], n_steps, axis=0) for a in (h * value, query, key)]
    layers = RecordedLayers(*stacks, kernel, translate)
    run = simulate(gauss_hermite(LAW, 24), layers, n_steps=n_steps, save_every=n_steps)
    closure = GaussianClosure(kernel, value, query, key)
    for _ in range(n_steps):
        law = closure.layer(law, h)
    mean = run.mean_token.values[-1]
    assert np.abs(mean - law.mean).max() < 1e-9
    assert np.abs(run.second_moment.values[-1] - np.outer(mean, mean) - law.covariance).max() < 1e-9
    assert np.abs(law.covariance - LAW.covariance).max() > 0.02


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_the_ballistic_limit_of_quadrature_tokens_is_the_closure(kernel):
    """The PDE itself: fixed heads, fourth order in R^d, against the integrated closure; the error falls like dt^4."""
    value, query, key = heads(7)
    end = GaussianClosure(kernel, value, query, key).solve(LAW, 1.0, [1.0])
    errors = []
    for n_steps in (2, 4):
        law = Ballistic(
            FixedHeads(2 * value, query, key), kernel, 1 / n_steps, 1, Noise(0), retraction=translate
        )  # mean of 2
        run = simulate(gauss_hermite(LAW, 20), law, n_steps=n_steps, save_every=n_steps)
        mean = run.mean_token.values[-1]
        covariance = run.second_moment.values[-1] - np.outer(mean, mean)
        errors.append(max(np.abs(mean - end.mean[0]).max(), np.abs(covariance - end.covariance[0]).max()))
    assert errors[1] < 2e-5
    assert errors[0] / errors[1] > 10


def test_softmax_layer_is_the_published_one():
    value, query, key = heads(8, n_heads=1)
    form, s, one = key[0].T @ query[0], LAW.covariance, np.eye(2)
    law = GaussianClosure(Softmax(1.0), value, query, key).layer(LAW, 0.3)
    step = one + 0.3 * value[0] @ s @ form
    assert np.abs(law.mean - LAW.mean - 0.3 * value[0] @ (one + s @ form) @ LAW.mean).max() < 1e-14
    assert np.abs(law.covariance - step @ s @ step.T).max() < 1e-14


def test_layers_converge_to_the_differential_equation():
    value, query, key = heads(9)
    for kernel in KERNELS:
        closure = GaussianClosure(kernel, value, query, key)
        end = closure.solve(LAW, 1.0, [1.0])
        errors = []
        for n_steps in (64, 128):
            law = LAW
            for _ in range(n_steps):
                law = closure.layer(law, 1 / n_steps)
            errors.append(np.abs(law.covariance - end.covariance[0]).max() + np.abs(law.mean - end.mean[0]).max())
        assert 1.9 < errors[0] / errors[1] < 2.1, kernel


# --- exact solutions


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_softmax_with_diagonal_form(beta):
    """s_i = s_i0/(1 - 2 a_i s_i0 t), m_i = m_i0 e^t (1 - 2 a_i s_i0 t)^{-1/2} with a = beta A."""
    a, s0, m0 = np.array([0.4, -1.0, 0.0]), np.array([1.0, 0.5, 2.0]), np.array([1.0, -2.0, 0.5])
    path = GaussianClosure(Softmax(beta), np.eye(3), np.diag(a), np.eye(3)).solve(Gaussian(m0, np.diag(s0)), 1.0)
    left = 1 - 2 * beta * a * s0 * path.times[:, None]
    assert len(path.times) == 101
    assert np.abs(np.einsum("tii->ti", path.covariance) / (s0 / left) - 1).max() < 1e-9
    assert np.abs(path.covariance - np.einsum("ti,ij->tij", s0 / left, np.eye(3))).max() < 1e-9
    assert np.abs(path.mean / (m0 * np.exp(path.times)[:, None] / np.sqrt(left)) - 1).max() < 1e-9
    assert path.blow_up_time is None


@pytest.mark.parametrize("seed", range(4))
def test_inverse_covariance_is_linear_in_time_and_the_blow_up_is_exact(seed):
    """V = I: S^{-1}(t) = S_0^{-1} - t (A + A^T) with A = sum_h beta A_h, blow-up at 1/lambda_max."""
    rng = np.random.default_rng(seed)
    n_heads, d = (1, 3) if seed % 2 else (2, 2)
    query, key = 0.5 * rng.standard_normal((2, n_heads, d, d))
    form = 0.8 * np.einsum("hki,hkj->ij", key, query) / n_heads
    root = rng.standard_normal((d, d))
    s0 = root @ root.T / d
    law = Gaussian(rng.standard_normal(d), s0)
    end = 1 / np.linalg.eigvals(s0 @ (form + form.T)).real.max()
    value = np.broadcast_to(np.eye(d) / n_heads, (n_heads, d, d))
    closure = GaussianClosure(Softmax(0.8), value, query, key)
    path = closure.solve(law, 3 * end, np.linspace(0, 3 * end, 17))
    assert path.blow_up_time == pytest.approx(end, rel=1e-9)
    assert path.times.max() < end
    assert len(path.times) == 6
    before = closure.solve(law, 0.9 * end)
    assert before.blow_up_time is None
    for solution in (path, before):
        for time, s in zip(solution.times[:-1], solution.covariance, strict=False):
            exact = np.linalg.inv(np.linalg.inv(s0) - time * (form + form.T))
            assert np.abs(s - exact).max() < 1e-9 * np.abs(exact).max()
    with pytest.raises(ValueError, match="where the covariance becomes infinite"):
        path.flow(end)
    assert np.abs(path.law(path.times[2]).covariance - path.covariance[2]).max() < 1e-14


@pytest.mark.parametrize("t_end", [0.5001, 5.0, 1e6, 1e12])
def test_the_blow_up_is_found_whatever_the_horizon(t_end):
    eye = np.eye(2)
    path = GaussianClosure(Softmax(1.0), eye, eye, eye).solve(Gaussian([1.0, 0.0], eye), t_end)
    assert path.blow_up_time == pytest.approx(0.5, rel=1e-9)


def test_linear_attention_in_one_dimension():
    """s/m^2 is constant, so (m^2)' = 2a(1 + s_0/m_0^2) m^4: blow-up at 1/(2a(s_0 + m_0^2))."""
    a, m0, s0 = 0.7, 0.8, 0.5
    closure = GaussianClosure(Linear(2.0), [[1.0]], [[a / 2]], [[1.0]])
    end = 1 / (2 * a * (s0 + m0**2))
    path = closure.solve(Gaussian([m0], [[s0]]), 2 * end, [0.25 * end, 0.75 * end, 1.5 * end])
    assert path.blow_up_time == pytest.approx(end, rel=1e-9)
    left = 1 - path.times / end
    assert np.abs(path.mean[:, 0] - m0 / np.sqrt(left)).max() < 1e-9
    assert np.abs(path.covariance[:, 0, 0] - s0 / left).max() < 1e-9
    point = closure.solve(Gaussian([m0], [[0.0]]), 2.0)  # a point mass escapes all the same
    assert point.blow_up_time == pytest.approx(1 / (2 * a * m0**2), rel=1e-9)


def test_l2_attention_in_one_dimension():
    """s' = 4 v a s^2/(1 + 2 k^2 s), so -1/s + 2 k^2 log s = 4 v a t + constant; never a blow-up."""
    v, q, k = 1.5, 0.8, 0.6
    path = GaussianClosure(L2(1.0), [[v]], [[q]], [[k]]).solve(Gaussian([0.3], [[0.5]]), 20.0)
    s = path.covariance[:, 0, 0]
    invariant = -1 / s + 2 * k**2 * np.log(s) - 4 * v * q * k * path.times
    assert s[-1] > 1e12
    assert np.abs(invariant - invariant[0]).max() < 1e-8 * np.abs(4 * v * q * k * 20)
    assert path.blow_up_time is None


def test_sinkhorn_mean_is_an_exponential_and_low_temperature_transport_is_the_identity():
    """m' = beta V m.  As beta grows with A = I, the kernel couples each token to itself: Gamma(x) -> beta V x."""
    value, query, key = heads(10, n_heads=1)
    path = GaussianClosure(Sinkhorn(1.5), value, query, key).solve(LAW, 2.0)
    want = np.array([expm(1.5 * t * value[0]) @ LAW.mean for t in path.times])
    assert np.abs(path.mean - want).max() < 1e-9
    eye = np.eye(2)
    _, stretch = GaussianClosure(Sinkhorn(1e6), eye, eye, eye).velocity(LAW.mean, LAW.root)
    assert np.abs(stretch / 1e6 - LAW.root).max() < 1e-5


# --- ranks, growth


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_rank_is_kept_and_a_line_behaves_like_one_dimension(kernel):
    """Tokens on a line through 0 that V maps to itself: the closure of d = 1 with q = Qe, k = Ke."""
    e = np.array([0.6, 0.8])
    _, query, key = heads(11, n_heads=1)
    value = 0.9 * np.outer(e, e) + 0.3 * np.outer([-0.8, 0.6], [1.0, 0.0])
    value -= 0.3 * 0.6 * np.outer([-0.8, 0.6], e)  # V e = 0.9 e
    wide = GaussianClosure(kernel, value, query, key).solve(Gaussian(0.5 * e, 0.7 * np.outer(e, e)), 0.5)
    thin = GaussianClosure(kernel, [[0.9]], query[0] @ e[:, None], key[0] @ e[:, None])
    line = thin.solve(Gaussian([0.5], [[0.7]]), 0.5)
    assert np.abs(wide.mean - line.mean * e).max() < 1e-9
    assert np.abs(wide.covariance - line.covariance * np.outer(e, e)).max() < 1e-9
    assert np.abs(np.linalg.eigvalsh(wide.covariance)[:, 0]).max() < 1e-12


def test_point_masses_stay_points():
    value, query, key = heads(12)
    for kernel in KERNELS:
        path = GaussianClosure(kernel, value, query, key).solve(Gaussian([0.0, 1.0], np.zeros((2, 2))), 0.5)
        assert not path.covariance.any()


def test_growth_without_blow_up_is_not_called_one():
    eye = np.eye(2)
    fast = GaussianClosure(Sinkhorn(1.0), eye, eye, eye)  # S' -> 2S
    assert fast.solve(LAW, 250.0).blow_up_time is None  # S = 1e217: its square is no number
    with pytest.raises(SolverError, match=r"leaves the range of numbers \(step \d+, depth time 3\d\d"):
        GaussianClosure(Softmax(1.0), eye, 0 * eye, eye).solve(LAW, 1000.0)  # m' = m: e^350 = 1e152


def test_too_much_effort_is_an_error(monkeypatch):
    from particles.reduced import gaussian_closure

    monkeypatch.setattr(gaussian_closure, "EFFORT", 50)
    with pytest.raises(SolverError, match="grows too fast or too thin"):
        GaussianClosure(Softmax(1.0), *heads(13)).solve(LAW, 1.0)


def test_refusals():
    eye = np.eye(2)
    closure = GaussianClosure(Softmax(1.0), eye, eye, eye)
    cases = [
        (lambda: GaussianClosure(Softmax(1.0), np.zeros((0, 2, 2)), eye, eye), "value must hold at least one"),
        (lambda: GaussianClosure(Softmax(1.0), eye, np.eye(3), eye), r"query must have shape \(1, any, 2\)"),
        (lambda: GaussianClosure(Softmax(1.0), eye, eye, np.ones((1, 2))), r"key must have shape \(1, 2, 2\)"),
        (lambda: GaussianClosure(Softmax(1.0), np.ones((2, 3)), eye, eye), r"value must have shape \(1, 2, 2\)"),
        (lambda: GaussianClosure(Softmax(1.0), eye * np.nan, eye, eye), "value must be finite"),
        (lambda: closure.solve(Gaussian([0.0], [[1.0]]), 1.0), "mean must have d = 2 entries, got 1"),
        (lambda: closure.solve(LAW, 0.0), "t_end must be positive and finite, got 0.0"),
        (lambda: closure.solve(LAW, np.nan), "t_end must be positive and finite, got nan"),
        (lambda: closure.solve(LAW, 0.1, [0.0, 0.2]), r"times must be non-decreasing and lie in \[0, t_end = 0.1\]"),
        (lambda: closure.solve(LAW, 0.1, [0.1, 0.0]), r"times must be non-decreasing and lie in \[0, t_end = 0.1\]"),
        (lambda: closure.solve(LAW, 0.1).flow(0.2), r"time must lie in \[0, 0.1\], got 0.2"),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(TypeError, match="keep tokens Gaussian, got Sigmoid"):
        GaussianClosure(Sigmoid(1.0), eye, eye, eye)


