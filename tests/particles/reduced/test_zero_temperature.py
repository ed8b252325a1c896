"""Fixed heads at low temperature: closed forms against quadrature, the zero-temperature flow and its end."""

import dense
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from particles import (
    Ballistic,
    Cloud,
    FixedHeads,
    Noise,
    Softmax,
    Tokens,
    Uniform,
    simulate,
    top_projection,
    uniform_barycenter,
    zero_temperature_flow,
    zero_temperature_velocity,
)

VALUE = np.array([[1.0, 0.2], [0.2, -0.5]])


@pytest.mark.parametrize("beta", [1e-3, 0.15, 0.25, 1.0, 8.0, 30.0])
def test_barycentre_of_the_uniform_law(beta):
    """Softmax on fine Gauss nodes; the sizes of z = beta |Ax| lie on both sides of the switch to the series."""
    nodes, area = dense.gauss_nodes(60, 120)
    x = Uniform(3).sample(np.random.default_rng(0), 40)
    form = np.array([[0.5, 0.2, 0.0], [-0.3, 0.7, 0.1], [0.0, 0.0, 0.4]])
    want = Softmax(beta).barycenter(x, Cloud(nodes, area / (4 * np.pi)), form, np.eye(3))
    assert np.abs(uniform_barycenter(x, form, beta) - want).max() < 1e-10
    relative = np.abs(uniform_barycenter(x, form, beta) - want).max() / np.abs(want).max()
    assert relative < 1e-10


def test_barycentre_where_the_form_vanishes():
    found = uniform_barycenter(np.eye(3), np.diag([0.0, 1e-9, 1000.0]), 2.0)
    assert np.array_equal(found[0], np.zeros(3))
    assert np.abs(found[1, 1] / (2e-9 / 3) - 1) < 1e-15
    assert abs(found[2, 2] - (1 - 1 / 2000)) < 1e-15


def test_flow_solves_the_equation_and_ends_on_the_top_eigenspace():
    x = Uniform(3).sample(np.random.default_rng(1), 8)
    value = np.array([[0.3, 0.1, 0.0], [-0.4, 1.0, 0.2], [0.0, 0.5, -1.0]])  # not symmetric
    found = solve_ivp(
        lambda _, y: zero_temperature_velocity(y.reshape(8, 3), value, np.eye(3)).ravel(),
        (0, 1.3), x.ravel(), rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    assert np.abs(zero_temperature_flow(x, value, 1.3) - found.y[:, -1].reshape(8, 3)).max() < 1e-8
    assert np.abs(zero_temperature_flow(x, value, 1.3) - dense.nrm(x @ expm(1.3 * value).T)).max() < 1e-13
    frame, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))
    for strengths in ([2.0, 2.0, -1.0], [0.5, 0.1, 0.0]):
        symmetric = frame @ np.diag(strengths) @ frame.T
        symmetric = (symmetric + symmetric.T) / 2
        late = zero_temperature_flow(x, symmetric, 500.0)
        assert np.abs(top_projection(x, symmetric) - late).max() < 1e-12
        assert np.abs(late - x).max() > 0.3


def test_velocity_sees_the_direction_of_the_image_only():
    x = Uniform(3).sample(np.random.default_rng(1), 5)
    form, value = np.diag([2.0, 1.0, 0.5]), np.arange(9.0).reshape(3, 3)
    want = dense.nrm(x @ form.T) @ value.T
    want -= np.sum(want * x, axis=1)[:, None] * x
    assert np.abs(zero_temperature_velocity(x, value, form) - want).max() < 1e-14
    assert np.abs(zero_temperature_velocity(x, value, 7 * form) - want).max() < 1e-14


def test_the_error_at_low_temperature_is_of_order_one_over_beta():
    """Ballistic layers, A = I, a smooth density on the circle held by 600 equally spaced nodes, t = 1/2."""
    angle = 2 * np.pi * np.arange(600) / 600
    x = np.column_stack([np.cos(angle), np.sin(angle)])
    tokens = Tokens(x, np.exp(np.cos(angle - 0.7)) + 0.2)
    heads = FixedHeads(VALUE[None], np.eye(2)[None], np.eye(2)[None])
    want, betas, errors = zero_temperature_flow(x, VALUE, 0.5), 20.0 * 2.0 ** np.arange(5), []
    for beta in betas:
        run = simulate(tokens, Ballistic(heads, Softmax(beta), 0.1, 1, Noise(0)), n_steps=5, save_every=5)
        errors.append(np.sqrt(tokens.weights @ np.sum((run.tokens.values[-1] - want) ** 2, axis=1)))
    slope = np.polyfit(np.log(betas), np.log(errors), 1)[0]
    assert abs(slope + 1) < 0.15, errors
    assert errors[-1] < 1e-2


def test_what_is_refused():
    with pytest.raises(ValueError, match="value must be symmetric"):
        top_projection(np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="1 of 2 points are orthogonal to the top eigenspace"):
        top_projection(np.eye(2), np.diag([2.0, 1.0]))
    with pytest.raises(ValueError, match=r"form must have shape \(3, 3\), got \(2, 2\)"):
        uniform_barycenter(np.eye(3), np.eye(2), 1.0)
