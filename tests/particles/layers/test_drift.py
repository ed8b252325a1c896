"""Deterministic limits: orders of the schemes, closed forms, and every term of the corrector, mathematics (3)."""

from itertools import product

import dense
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from particles import (
    Ballistic,
    Cloud,
    DirectField,
    Euler,
    FixedHeads,
    GaussianHeads,
    Linear,
    Modified,
    Noise,
    RandomTransformer,
    RungeKutta4,
    Softmax,
    Tokens,
    Uniform,
    VonMisesFisherMixture,
    flow,
    geodesic,
    normalize,
    record,
    simulate,
)
from particles.layers.drift import BallisticPush
from particles.pushes import own_velocity
from spde import Density, SpectralField, Sphere, solve, spectral_field

BETA = 1.5
MEAN = np.array([[1.0, 0.4, 0.0], [-0.5, 0.6, 0.3], [0.0, -0.2, -0.7]])


def fixed_heads():
    rng = np.random.default_rng(3)
    return FixedHeads(rng.standard_normal((2, 3, 3)), *(rng.standard_normal((2, 2, 3, 3)) / 1.5))


def start(n=6):
    return Tokens(Uniform(3).sample(np.random.default_rng(11), n))


def end(law, tokens, t_end):
    n_steps = round(t_end / law.dt)
    return simulate(tokens, law, n_steps=n_steps, save_every=n_steps).tokens.values[-1]


def project(x, v):
    return v - np.sum(x * v, axis=1, keepdims=True) * x


def dense_mean(x, w, mixings, forms):
    """u at the points of the measure itself."""
    return dense.velocity(x, x, w, BETA, mixings, forms)


def dense_modified(x, w, mixings, forms, eta, eps, leave_out=()):
    """b and the three terms of (3), a second computation: nabla_b b by a five-point rule over all tokens."""
    u = dense_mean(x, w, mixings, forms)
    b = project(x, u)

    def moved(s):
        y = dense.nrm(x + s * b)
        return project(y, dense_mean(y, w, mixings, forms))

    h = 2e-3
    turn = project(x, (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h))
    each = len(forms) * np.stack(
        [dense.velocity(x, x, w, BETA, [c], [a]) for c, a in zip(mixings, forms, strict=True)]
    )
    apart = each - each.mean(axis=0)
    covariance_x = np.mean(np.einsum("mij,ij->mi", apart, x)[..., None] * apart, axis=0)
    terms = {
        "turn": -eta / 2 * turn,
        "length": -eta * np.sum(x * u, axis=1, keepdims=True) * b,
        "spread": -eps * project(x, covariance_x),
    }
    return b + sum(term for name, term in terms.items() if name not in leave_out)


def integrate(velocity, x, t_end):
    found = solve_ivp(
        lambda _, y: velocity(y.reshape(x.shape)).ravel(), (0, t_end), x.ravel(), rtol=1e-10, atol=1e-11
    )
    return dense.nrm(found.y[:, -1].reshape(x.shape))


def slope(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


# --- schemes


@pytest.mark.parametrize(("scheme", "steps"), [(Euler(), 2.0 ** -np.arange(4, 9)), (RungeKutta4(), 0.5 / np.arange(2, 7))])  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("retraction", [normalize, geodesic])
def test_schemes_have_the_order_they_declare(scheme, steps, retraction):
    heads, tokens = fixed_heads(), start()
    forms = np.swapaxes(heads.key, 1, 2) @ heads.query
    exact = integrate(
        lambda x: project(x, dense_mean(x, tokens.weights, heads.value / 2, forms)), tokens.points, 0.5
    )
    errors = [
        np.sqrt(
            np.mean(
                (end(Ballistic(heads, Softmax(BETA), h, 1, Noise(0), scheme, retraction), tokens, 0.5) - exact) ** 2
            )
        )
        for h in steps
    ]
    assert abs(slope(steps, errors) - scheme.order) < 0.15, errors


def test_an_euler_step_is_the_layer_of_a_transformer():
    heads, tokens = fixed_heads(), start()
    limit = Ballistic(heads, Softmax(BETA), 0.1, 7, Noise(0), Euler())
    chain = RandomTransformer(heads, Softmax(BETA), 0.1, 2, Noise(0))
    assert np.array_equal(end(limit, tokens, 0.5), end(chain, tokens, 0.5))
    assert len(record(limit, 3)) == 3
    with pytest.raises(ValueError, match=r"layer 0 is \(BallisticPush\)"):
        record(Ballistic(heads, Softmax(BETA), 0.1, 7, Noise(0)), 1)
    pushed, _ = BallisticPush(limit.mean, Euler()).move(
        Cloud(tokens.points, tokens.weights), (), own_velocity
    )
    assert np.array_equal(pushed.points, end(limit, tokens, 0.1))


def test_riders_take_the_stages_of_the_measure():
    """Points that ride where tokens are stay on them; a rider alone follows an independent integration."""
    tokens, heads = start(), GaussianHeads(3, 0.5, 1.0, 3, MEAN)
    rider = Uniform(3).sample(np.random.default_rng(5), 2)
    for law in (
        Ballistic(heads, Softmax(BETA), 0.1, 3, Noise(2)),
        Modified(heads, Softmax(BETA), 0.1, 0.1, 0.2, 3, Noise(2)),
    ):
        cloud, riders = Cloud(tokens.points, tokens.weights), (tokens.points[:4], np.zeros((0, 3)), rider)
        for step in range(5):
            (push,) = law.layer(step)
            cloud, riders = push.move(cloud, riders, own_velocity)
        assert np.array_equal(riders[0], cloud.points[:4])
        assert riders[1].shape == (0, 3)
        assert np.array_equal(cloud.points, end(law, tokens, 0.5))
        forms = np.swapaxes(law.layer(0)[0].mean.key, 1, 2) @ law.layer(0)[0].mean.query
        both, w = np.concatenate([tokens.points, rider]), np.concatenate([tokens.weights, [1e-13, 1e-13]])
        eta, eps = (law.eta, law.noise_scale) if isinstance(law, Modified) else (0.0, 0.0)
        want = integrate(lambda x: dense_modified(x, w, [MEAN / 3] * 3, forms, eta, eps), both, 0.5)  # noqa: B023
        assert np.abs(riders[2] - want[-2:]).max() < 2e-6


# --- closed forms


def test_two_tokens_with_linear_attention():
    """A = V = I: Sigma x = (x + R y)/2, so R' = R (1 - R^2), and R/sqrt(1 - R^2) grows as e^t."""
    overlap = 0.3
    tokens = Tokens([[1.0, 0, 0], [overlap, np.sqrt(1 - overlap**2), 0]])
    eye = np.eye(3)[None]
    x, y = end(Ballistic(FixedHeads(eye, eye, eye), Linear(), 0.1, 1, Noise(0)), tokens, 1.0)
    want = overlap / np.sqrt(1 - overlap**2) * np.exp(1.0)
    assert abs((x @ y) / np.sqrt(1 - (x @ y) ** 2) - want) < 1e-6


def test_uniform_attention_moves_two_tokens_to_their_middle():
    """beta = 0, V = I: U = mean; the half angle obeys a' = -sin(a) cos(a), so tan a = tan a_0 e^-t."""
    half = 1.1
    tokens = Tokens([[np.cos(half), np.sin(half), 0], [np.cos(half), -np.sin(half), 0]])
    eye = np.eye(3)[None]
    x, _ = end(Ballistic(FixedHeads(eye, eye, eye), Softmax(0.0), 0.1, 1, Noise(0)), tokens, 2.0)
    assert abs(x[1] / x[0] - np.tan(half) * np.exp(-2.0)) < 1e-6


@pytest.mark.parametrize("n", [2, 5])
def test_equiangular_tokens(n):
    """A = V = I: rho' = 2 e^{beta rho} (1 - rho) ((n - 1) rho + 1)/(e^beta + (n - 1) e^{beta rho})."""
    rho0, d = 0.1, 5
    gram = np.full((n, n), rho0) + (1 - rho0) * np.eye(n)
    tokens = Tokens(np.linalg.cholesky(gram) @ np.eye(n, d))
    eye = np.eye(d)[None]
    points = end(Ballistic(FixedHeads(eye, eye, eye), Softmax(BETA), 0.05, 1, Noise(0)), tokens, 1.0)

    def rate(_, r):
        e = np.exp(BETA * r)
        return 2 * e * (1 - r) * ((n - 1) * r + 1) / (np.exp(BETA) + (n - 1) * e)

    want = solve_ivp(rate, (0, 1.0), [rho0], rtol=1e-11, atol=1e-12).y[0, -1]
    assert want - rho0 > 0.3
    assert np.abs((points @ points.T)[~np.eye(n, dtype=bool)] - want).max() < 1e-6


# --- the corrector

ETAS = 2.0 ** -np.arange(3, 8)


@pytest.mark.parametrize("retraction", [normalize, geodesic])
def test_a_deterministic_chain_is_matched_to_second_order(retraction):
    heads, tokens = fixed_heads(), start()
    ballistic = end(Ballistic(heads, Softmax(BETA), 1 / 32, 1, Noise(0)), tokens, 1.0)
    first, second = [], []
    for eta in ETAS:
        chain = end(RandomTransformer(heads, Softmax(BETA), eta, 2, Noise(0), retraction), tokens, 1.0)
        modified = Modified(heads, Softmax(BETA), 1 / 16, eta, 0.7, 1, Noise(0), retraction=retraction)
        first.append(np.abs(chain - ballistic).max())
        second.append(np.abs(chain - end(modified, tokens, 1.0)).max())
    assert abs(slope(ETAS, first) - 1) < 0.15, first
    assert abs(slope(ETAS, second) - 2) < 0.15, second


@pytest.mark.parametrize("leave_out", [(), ("turn",), ("length",)])
def test_without_any_of_its_terms_the_chain_is_matched_to_first_order_only(leave_out):
    """Dense equation (3): complete it has second order, and it is what `Modified` solves."""
    heads, tokens = fixed_heads(), start()
    forms = np.swapaxes(heads.key, 1, 2) @ heads.query
    errors = []
    for eta in ETAS:
        want = integrate(
            lambda x: dense_modified(x, tokens.weights, heads.value / 2, forms, eta, 0.0, leave_out),  # noqa: B023
            tokens.points, 1.0,
        )  # fmt: skip
        errors.append(np.abs(end(RandomTransformer(heads, Softmax(BETA), eta, 2, Noise(0)), tokens, 1.0) - want).max())
        if not leave_out:
            assert (
                np.abs(end(Modified(heads, Softmax(BETA), 1 / 32, eta, 0.7, 1, Noise(0)), tokens, 1.0) - want).max()
                < 1e-6
            )
    assert abs(slope(ETAS, errors) - (1 if leave_out else 2)) < 0.2, errors


class TwoForms:
    """V = MEAN, A one of two matrices with equal probability; an even number of draws holds both equally often."""

    d, sigma_v, mean_value = 3, 0.0, MEAN
    forms = 2 * np.array([np.diag([1.0, -0.5, 0.2]), [[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]])

    def sample_query_key(self, rng, size):
        which = np.arange(size) % 2
        return self.forms[which], np.broadcast_to(np.eye(3), (size, 3, 3))

    def sample(self, rng, size):
        raise NotImplementedError


@pytest.mark.parametrize("leave_out", [(), ("turn",), ("length",), ("spread",)])
@pytest.mark.parametrize("n_heads", [1, 3])
def test_the_mean_of_a_random_layer_is_matched_to_second_order(leave_out, n_heads):
    """Exact mean of T(x) - x over all draws of H heads, in the tangent space: one step is right to order eta^3 with
    all of (3), to order eta^2 without any one of its terms."""
    law, tokens = TwoForms(), start()
    x, w = tokens.points, tokens.weights
    errors, gaps = [], []
    for eta in ETAS:
        eps = eta / n_heads
        draws = [
            project(x, dense.layer(x, w, BETA, [eps * MEAN] * n_heads, law.forms[list(which)]) - x)
            for which in product((0, 1), repeat=n_heads)
        ]
        want = integrate(lambda y: dense_modified(y, w, [MEAN / 2] * 2, law.forms, eta, eps, leave_out), x, eta)  # noqa: B023
        errors.append(np.abs(np.mean(draws, axis=0) - project(x, want - x)).max())
        modified = Modified(law, Softmax(BETA), eta / 4, eta, eps, 2, Noise(0))
        gaps.append(np.abs(end(modified, tokens, eta) - want).max())
    assert abs(slope(ETAS, errors) - (2 if leave_out else 3)) < 0.25, errors
    if not leave_out:
        assert max(gaps) < 1e-7


def test_the_mean_over_realizations_needs_the_noise_term():
    """Exact mean of seven layers of one head over all 128 realizations.  The Ito terms of the noise, of order eps too,
    are in no deterministic equation, so order eps remains, but six times less of it."""
    law, tokens, eta, n_layers = TwoForms(), start(), 1 / 14, 7
    mean = np.zeros((6, 3))
    for which in product((0, 1), repeat=n_layers):
        x = tokens.points
        for one in which:
            x = dense.layer(x, tokens.weights, BETA, [eta * MEAN], law.forms[[one]])
        mean += x / 2**n_layers
    gaps = []
    for eps in (eta, 0.0):
        found = end(Modified(law, Softmax(BETA), 0.125, eta, eps, 2, Noise(0)), tokens, 0.5)
        gaps.append(np.abs(project(found, mean - found)).max())
    assert gaps[0] < 0.25 * gaps[1], gaps


def test_terms_of_normalize_are_absent_for_geodesic_steps():
    tokens, heads = start(), GaussianHeads(3, 0.5, 1.0, 3, MEAN)
    laws = [Modified(heads, Softmax(BETA), 0.1, 0.2, eps, 4, Noise(2), retraction=geodesic) for eps in (0.0, 0.5)]
    assert np.array_equal(end(laws[0], tokens, 0.5), end(laws[1], tokens, 0.5))
    (push,) = laws[0].layer(0)
    forms = np.swapaxes(push.mean.key, 1, 2) @ push.mean.query
    want = integrate(
        lambda x: dense_modified(x, tokens.weights, [MEAN / 4] * 4, forms, 0.2, 0.0, ("length",)), tokens.points, 0.5
    )
    assert np.abs(end(laws[0], tokens, 0.5) - want).max() < 1e-5


# --- densities


def test_density_follows_dense_nodes_moved_by_another_integrator():
    tokens_law = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])
    law = Ballistic(GaussianHeads(3, 0.5, 3**-0.5, 3, MEAN), Softmax(BETA), 0.02, 2, Noise(4))
    run = solve(
        Density.from_law(tokens_law, Sphere(31), carried=(20, 40)), law, n_steps=20, save_every=20,
        field=spectral_field(1e-10),
    )  # fmt: skip
    x, area = dense.gauss_nodes(20, 40)
    w = area * tokens_law.pdf(x)
    w /= w.sum()
    forms = np.swapaxes(law.mean.key, 1, 2) @ law.mean.query
    moved = integrate(lambda y: project(y, dense_mean(y, w, [MEAN / 2] * 2, forms)), x, 0.4)
    rows, columns = np.triu_indices(3)
    found = np.concatenate([run.mean_token.values[-1], run.second_moment.values[-1][rows, columns]])
    want = dense.moments(moved, w)
    assert np.abs(want - dense.moments(x, w)).max() > 0.05
    assert np.abs(found - want).max() < 1e-8
    assert run.moment_defect.values[-1] < 1e-8  # and so do the grid nodes, through stages of their own


def test_modified_layers_move_densities_with_the_default_tolerance():
    """Central differences of series cut at 1e-6, against direct sums; the corrector is 3e5 times as large."""
    tokens_law = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [2.0])
    heads = GaussianHeads(3, 0.5, 1.0, 3, MEAN)
    law = Modified(heads, Softmax(BETA), 0.1, 0.1, 0.05, 2, Noise(4))
    start_density = Density.from_law(tokens_law, Sphere(23), carried=(16, 32))
    one, two = (
        solve(start_density, law, n_steps=2, save_every=2, field=field)
        for field in (SpectralField, DirectField)
    )
    other = solve(start_density, Ballistic(heads, Softmax(BETA), 0.1, 2, Noise(4)), n_steps=2, save_every=2)
    assert one.field_degree.values[-1] > 0
    assert np.abs(one.mean_token.values[-1] - two.mean_token.values[-1]).max() < 1e-9
    assert np.abs(one.density.values[-1] - two.density.values[-1]).max() < 1e-7
    assert np.abs(other.mean_token.values[-1] - two.mean_token.values[-1]).max() > 3e-4


def test_clocks_and_what_is_refused():
    heads = GaussianHeads(3, 0.5, 0.5, 3, MEAN)
    assert Ballistic(heads, Softmax(BETA), 0.1, 2, Noise(0)).noise_scale is None
    assert Modified(heads, Softmax(BETA), 0.1, 0.2, 0.3, 2, Noise(0)).noise_scale == 0.3
    assert np.array_equal(
        end(Ballistic(GaussianHeads(3, 1, 1, 3), Softmax(BETA), 0.1, 2, Noise(0)), start(), 0.1), start().points
    )
    assert np.array_equal(
        end(Modified(GaussianHeads(3, 1, 1, 3), Softmax(BETA), 0.1, 0.1, 1.0, 2, Noise(0)), start(), 0.1),
        start().points,
    )
    cases = [
        (lambda: Ballistic(heads, Softmax(BETA), 0.0, 1, Noise(0)), "dt must be positive"),
        (lambda: Ballistic(heads, Softmax(BETA), 0.1, 0, Noise(0)), "nodes must be an integer >= 1"),
        (lambda: Modified(heads, Softmax(BETA), 0.1, np.nan, 0.1, 1, Noise(0)), "eta must be positive"),
        (
            lambda: Modified(heads, Softmax(BETA), 0.1, 0.1, -1.0, 1, Noise(0)),
            "noise_scale must be finite and >= 0, got -1",
        ),
        (
            lambda: Modified(heads, Softmax(BETA), 0.1, 0.1, 0.1, 1, Noise(0), retraction=flow),
            "retraction must be normalize or geod",
        ),
    ]
    for make, text in cases:
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(TypeError, match="a mean needs fixed heads or values independent of A; object"):
        Ballistic(object(), Softmax(BETA), 0.1, 1, Noise(0))
