"""MLP blocks: covariance of the field for every width, exponents of two tokens, coarse paths, and what is refused."""

from dataclasses import replace

import dense
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import legval
from scipy.special import expit
from still import Still

from particles import (
    Cloud,
    FixedHeads,
    GaussianHeads,
    Homogenized,
    JointPush,
    MLPBlock,
    Noise,
    RandomTransformer,
    Softmax,
    Tokens,
    Uniform,
    WithMLP,
    record,
    simulate,
)
from particles.layers.mlp.block import BLOCK, MOST_POINTS
from particles.layers.mlp.kernels import ACTIVATIONS, Activation
from particles.layers.mlp.random_fields import MAX_DEGREE, spectrum
from particles.pushes import own_velocity
from particles.retraction import velocity_alone

SHAPES = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": expit, "silu": lambda z: z * expit(z)}
SIGMA_R, SIGMA_W = 0.4, 0.2


def block(name, width=0, sigma_r=SIGMA_R, sigma_w=SIGMA_W):
    return MLPBlock(ACTIVATIONS[name], width, sigma_r, sigma_w)


def velocities(law, points, n):
    """U of the block's push at points in the layers 0 ... n - 1: (n, N, d)."""
    law = replace(law, retraction=velocity_alone)
    cloud = Cloud(points, np.full(len(points), 1 / len(points)))
    return np.stack([law.layer(step)[-1].move(cloud, (), own_velocity)[0].points for step in range(n)])


def kernel(name, d, u):
    """k(u) by Gauss-Hermite quadrature; the arc-cosine formula for relu."""
    v, c = 1 / d + SIGMA_R**2, u / d + SIGMA_R**2
    if name == "relu":
        r = c / v
        return v / (2 * np.pi) * (np.sqrt(1 - r * r) + r * (np.pi - np.arccos(r))) + SIGMA_W**2
    x, w = hermegauss(100)
    w = w / w.sum()
    first = SHAPES[name](np.sqrt(v) * x)
    second = SHAPES[name](c / np.sqrt(v) * x[:, None] + np.sqrt(max(v - c * c / v, 0.0)) * x)
    return w @ (first[:, None] * second) @ w + SIGMA_W**2


CASES = [  # activation, d, width, realizations
    ("relu", 3, 0, 300), ("tanh", 3, 0, 1500), ("silu", 3, 0, 1500), ("relu", 2, 0, 1500), ("sigmoid", 2, 0, 1500),
    ("relu", 5, 0, 1500), ("tanh", 5, 0, 1500),
    ("relu", 3, 1, 20000), ("tanh", 5, 7, 8000), ("sigmoid", 4, 300, 4000),
]  # fmt: skip


@pytest.mark.parametrize(("name", "d", "width", "n"), CASES)
def test_covariance_is_that_of_the_kernel(name, d, width, n):
    """Cov(U(x), U(y)) = dt k(<x, y>) I, for every width; fresh and independent in each layer."""
    dt, overlap = 0.3, 0.4
    x = np.eye(d)[0]
    y = overlap * x + np.sqrt(1 - overlap**2) * np.eye(d)[1]
    u = velocities(WithMLP(Still(d, dt), block(name, width), Noise(5)), np.stack([x, y]), n)
    for one, other, want in ((0, 0, kernel(name, d, 1.0)), (0, 1, kernel(name, d, overlap))):
        products = (u[:, one] * u[:, other]).mean(axis=1)
        error = products.std() / np.sqrt(n)
        assert abs(products.mean() - dt * want) < 4 * error
        for wrong in (2 * dt * want, dt**2 * want, want):  # power: sqrt 2, a missing root, a missing dt
            assert abs(products.mean() - wrong) > 8 * error
    across = u[:, 0, 0] * u[:, 1, 1]
    assert abs(across.mean()) < 4 * across.std() / np.sqrt(n)
    following = (u[1:, 0] * u[:-1, 0]).mean(axis=1)
    assert abs(following.mean()) < 4 * following.std() / np.sqrt(n - 1)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("d", [2, 3])
def test_series_give_the_kernel_and_exactly_its_variance(name, d):
    k = block(name).kernel(d)
    variances = spectrum(k)
    u = np.cos(np.linspace(0, np.pi, 301))
    whole = float(k.value(1.0))
    series = legval(u, variances) if d == 3 else np.cos(np.arccos(u)[:, None] * np.arange(len(variances))) @ variances
    # what the cut may cost: relu's kernel has a root at u = 1, and its series falls like l^-4
    error, slope_error = (1.5e-7, 3e-3) if name == "relu" else (3e-10, 1e-7)
    assert variances.min() >= 0
    assert abs(variances.sum() / whole - 1) < 1e-14
    assert np.abs(series - k.value(u)).max() < error * whole
    degrees = np.arange(len(variances))
    slope = variances @ (degrees * (degrees + 1) / 2 if d == 3 else degrees**2)
    assert abs(slope / k.derivative(1.0) - 1) < slope_error
    assert (len(variances) - 1 == MAX_DEGREE) == (name == "relu")


def test_relu_series_without_bias_keeps_the_stated_accuracy():
    """The worst case: no inner bias.  1.6e-7 of k(1) in the tail, 0.3 % in k'(1)."""
    k = MLPBlock(ACTIVATIONS["relu"]).kernel(3)
    variances = spectrum(k)
    degrees = np.arange(len(variances))
    assert k.legendre(MAX_DEGREE).tail < 1.6e-7 * k.value(1.0)
    assert 0 < 1 - variances @ (degrees * (degrees + 1) / 2) / k.derivative(1.0) < 3e-3


@pytest.mark.parametrize("d", [2, 3])
def test_the_linear_limit_is_a_matrix(d):
    u = velocities(WithMLP(Still(d, 1.0), block("linear", 0, 0.0, 0.0), Noise(1)), np.eye(d), 2)
    points = Uniform(d).sample(np.random.default_rng(0), 50)
    law = WithMLP(Still(d, 1.0), block("linear", 0, 0.0, 0.0), Noise(1))
    assert np.abs(velocities(law, points, 1)[0] - points @ u[0]).max() < 1e-13
    assert np.abs(u[0] - u[1]).max() > 0.1


def test_many_hidden_units_and_points_are_taken_in_blocks():
    d, width = 200, 3000
    points = Uniform(d).sample(np.random.default_rng(0), 500)
    law = WithMLP(Still(d, 1.0), block("tanh", width), Noise(1))
    assert width > 2 * BLOCK // d
    assert len(points) > 2 * BLOCK // (BLOCK // d)
    field = law.layer(0)[0].field
    u = field(points)
    assert np.abs(u[::7] - field(points[::7])).max() < 1e-12
    square = (u**2).mean(axis=0)  # over points that share the field; components are independent
    z = (square.mean() - kernel("tanh", d, 1.0)) / (square.std() / np.sqrt(d))
    assert abs(z) < 4


def test_width_counts_hidden_units():
    """Without outer bias the values of a block of width w lie in a space of dimension w."""
    points = Uniform(8).sample(np.random.default_rng(0), 30)
    for width in (1, 3):
        u = velocities(WithMLP(Still(8, 1.0), block("relu", width, sigma_w=0.0), Noise(2)), points, 1)[0]
        assert np.linalg.matrix_rank(u, tol=1e-10) == width


def test_joint_draws_are_one_field():
    """Riders and measure share the field: the same point gives the same velocity, near points nearly the same."""
    points = Uniform(4).sample(np.random.default_rng(0), 6)
    near = dense.nrm(points + 1e-4 * np.random.default_rng(1).standard_normal(points.shape))
    push = JointPush(block("tanh").kernel(4), 1.0, Noise(3), 0, velocity_alone)
    cloud, riders = push.move(Cloud(points, np.full(6, 1 / 6)), (near, np.zeros((0, 4)), points[:2]), None)
    assert [len(rider) for rider in riders] == [6, 0, 2]
    assert np.abs(riders[2] - cloud.points[:2]).max() < 1e-6
    assert 1e-6 < np.abs(riders[0] - cloud.points).max() < 1e-3
    assert np.array_equal(cloud.weights, np.full(6, 1 / 6))


@pytest.mark.parametrize("name", ["relu", "tanh", "silu"])
def test_joint_draws_have_the_kernel_between_all_points(name):
    points, k = Uniform(4).sample(np.random.default_rng(0), 30), block(name).kernel(4)
    want = k.value(np.clip(points @ points.T, -1, 1))
    assert np.abs(JointPush(k, 1.0, Noise(0), 0)._covariance(points) - want).max() < 1e-11


def test_the_block_stands_behind_any_law():
    heads = GaussianHeads(3, 0.5, 0.5, 3)
    for law in (
        Homogenized(heads, Softmax(1.0), 0.1, 2, Noise(1), noise_scale=0.5),
        RandomTransformer(heads, Softmax(1.0), 0.2, 4, Noise(1)),
    ):
        both = WithMLP(law, block("erf"), Noise(1))
        assert (both.dt, both.d, both.noise_scale) == (law.dt, 3, law.noise_scale)
        first, second = both.layer(3)
        assert np.array_equal(first.mixing, law.layer(3)[0].mixing)
        alone = WithMLP(Still(3, law.dt), block("erf"), Noise(1)).layer(3)[0]
        assert np.array_equal(second.field.coefficients, alone.field.coefficients)
        with pytest.raises(ValueError, match=r"layer 0 is \(AttentionPush, FieldPush\); only single attention pushes"):
            record(both, 2)


@pytest.mark.parametrize("width", [0, 32])
def test_the_chain_is_the_papers(width):
    """Y = nrm(x + (tau/L) Att(x)), x+ = nrm(Y + sqrt(tau/L) g(Y)), Att(x) = V m_A(x), for all tokens at once."""
    rng = np.random.default_rng(0)
    value, form, step, beta = rng.standard_normal((3, 3)), rng.standard_normal((3, 3)), 0.1, 1.5
    chain = RandomTransformer(FixedHeads(value[None], form[None], np.eye(3)[None]), Softmax(beta), step, 1, Noise(4))
    law = WithMLP(chain, block("tanh", width), Noise(4))
    unit = WithMLP(Still(3, 1.0), block("tanh", width), Noise(4))  # its velocity is g itself
    x = Uniform(3).sample(rng, 7)
    found = simulate(Tokens(x), law, n_steps=3).tokens.values
    for k in range(3):
        y = dense.nrm(x + step * dense.barycenters(x, x, np.full(7, 1 / 7), beta, form) @ value.T)
        x = dense.nrm(y + np.sqrt(step) * unit.layer(k)[0].field(y))
        assert np.abs(found[k + 1] - x).max() < 1e-12


# --- laws of motion


def spread(law, points, n_steps, members, measure):
    """measure(tokens at the end), one row per member of the noise: (members, ...)."""
    rows = []
    for member in range(members):
        cloud = Cloud(points, np.full(len(points), 1 / len(points)))
        one = replace(law, noise=Noise(11, member))
        for step in range(n_steps):
            cloud, _ = one.layer(step)[-1].move(cloud, (), own_velocity)
        rows.append(measure(cloud.points))
    return np.array(rows)


def z_of_mean(samples, want):
    return (samples.mean() - want) / (samples.std() / np.sqrt(len(samples)))


@pytest.mark.parametrize(("name", "d", "width"), [("tanh", 3, 0), ("tanh", 3, 8), ("relu", 6, 0), ("relu", 6, 3)])
def test_tokens_forget_where_they_began(name, d, width):
    """E <x_0, x_t> = exp(-(d-1) k(1) t/2): the limit field and chains of any width move a token equally far."""
    points, dt, n_steps = np.concatenate([np.eye(d), -np.eye(d)]), 0.05, 8
    law = WithMLP(Still(d, dt), block(name, width), Noise(0))
    overlaps = spread(law, points, n_steps, 400, lambda x: np.einsum("ij,ij->i", x, points).mean())
    rate = (d - 1) * kernel(name, d, 1.0) / 2
    assert abs(z_of_mean(overlaps, np.exp(-rate * dt * n_steps))) < 4
    for wrong in (2 * rate, rate / 2):
        assert abs(z_of_mean(overlaps, np.exp(-wrong * dt * n_steps))) > 8


@pytest.mark.parametrize("width", [0, 24])
def test_exponents_of_two_tokens(width):
    """relu, d = 5, biases .1: log(angle) has slope lambda_1 = -.13, E(1 - R) grows at lambda_bar = .17."""
    d, dt, gap = 5, 0.05, 1e-4
    rng = np.random.default_rng(0)
    firsts = np.concatenate([np.eye(d), -np.eye(d)])
    side = rng.standard_normal(firsts.shape)
    side = dense.nrm(side - (side * firsts).sum(axis=1)[:, None] * firsts)
    pairs = np.stack([firsts, np.cos(gap) * firsts + np.sin(gap) * side], axis=1).reshape(-1, d)
    law = WithMLP(Still(d, dt), block("relu", width, 0.1, 0.1), Noise(0))

    def ratio(x):
        chord = np.linalg.norm(x[::2] - x[1::2], axis=1)
        return 2 * np.arcsin(chord / 2) / gap

    ratios = spread(law, pairs, 1, 6000, ratio)
    slopes, growths = np.log(ratios).mean(axis=1) / dt, (ratios**2 - 1).mean(axis=1) / dt
    assert abs(z_of_mean(slopes, -0.13)) < 4
    assert abs(z_of_mean(growths, 0.17)) < 4
    for wrong in (2 * -0.13, -0.13 / 2, -0.23):  # -0.23: without the separating part of k'(1)
        assert abs(z_of_mean(slopes, wrong)) > 6
    assert abs(z_of_mean(growths, 2 * 0.17)) > 6


@pytest.mark.parametrize(("d", "width"), [(3, 0), (2, 0), (5, 40)])
def test_linear_noise_keeps_the_mean_angle(d, width):
    """E arccos(overlap) is constant, E log sin(angle) falls at rate k(1) = 1/d."""
    rng = np.random.default_rng(1)
    firsts = Uniform(d).sample(rng, 40)
    side = rng.standard_normal(firsts.shape)
    side = dense.nrm(side - (side * firsts).sum(axis=1)[:, None] * firsts)
    pairs = np.stack([firsts, np.cos(1.0) * firsts + np.sin(1.0) * side], axis=1).reshape(-1, d)
    dt, n_steps = 0.03, 6

    def angle(x):
        return np.arccos(np.clip((x[::2] * x[1::2]).sum(axis=1), -1, 1))

    law = WithMLP(Still(d, dt), block("linear", width, 0.0, 0.0), Noise(0))
    angles = spread(law, pairs, n_steps, 400, angle)
    assert abs(z_of_mean(angles.mean(axis=1), 1.0)) < 4
    fall = (np.log(np.sin(angles)) - np.log(np.sin(1.0))).mean(axis=1)
    assert abs(z_of_mean(fall, -dt * n_steps / d)) < 4
    assert abs(z_of_mean(fall, -2 * dt * n_steps / d)) > 8
    if d == 2:
        return  # on the circle every isotropic noise keeps the mean angle
    biased = replace(law, block=block("linear", width, 0.0, 0.6))  # power: with a bias the angle shrinks
    assert abs(z_of_mean(spread(biased, pairs, n_steps, 400, angle).mean(axis=1), 1.0)) > 8


# --- coarse paths


def test_strong_order_one_half():
    """RMS over 32 paths of linear noise on the circle, five steps, against a path eight times finer than the finest."""
    finest, factors = 2.0**-8, (1, 2, 4, 8, 16)
    points = Uniform(2).sample(np.random.default_rng(0), 8)
    squares = np.zeros(len(factors))
    for member in range(32):
        fine = WithMLP(Still(2, finest / 8), block("linear", 0, 0.0, 0.0), Noise(5, member))
        ends = []
        for law in (fine, *(fine.coarsen(8 * factor) for factor in factors)):
            cloud = Cloud(points, np.full(8, 1 / 8))
            for step in range(round(0.0625 / law.dt)):
                cloud, _ = law.layer(step)[0].move(cloud, (), own_velocity)
            ends.append(cloud.points)
        squares += [((end - ends[0]) ** 2).sum() for end in ends[1:]]
    slope = np.polyfit(np.log(factors), np.log(squares) / 2, 1)[0]
    assert 0.35 <= slope <= 0.65, slope


# --- what is refused


def test_errors():
    relu = ACTIVATIONS["relu"]
    with pytest.raises(TypeError, match=r"activation must be an Activation \(see ACTIVATIONS\), got 'relu'"):
        MLPBlock("relu")
    for width in (-1, 2.5, True):
        with pytest.raises(ValueError, match=f"width must be an integer >= 0, got {width}"):
            MLPBlock(relu, width)
    with pytest.raises(ValueError, match="sigma_r must be finite and >= 0, got nan"):
        MLPBlock(relu, 0, float("nan"))
    with pytest.raises(ValueError, match=r"sigma_w must be finite and >= 0, got -0\.1"):
        MLPBlock(relu, 0, 0.0, -0.1)
    with pytest.raises(ValueError, match="substeps must be an integer >= 1, got 0"):
        WithMLP(Still(3, 0.1), block("relu"), Noise(0), substeps=0)
    with pytest.raises(ValueError, match=r"sigma_r must be such that 1/d \+ sigma_r\^2 is at most 900"):
        WithMLP(Still(3, 0.1), MLPBlock(ACTIVATIONS["tanh"], 0, 40.0), Noise(0))
    with pytest.raises(ValueError, match="series of random fields exist for d = 2 and d = 3, got d = 4"):
        spectrum(block("relu").kernel(4))


def test_what_cannot_be_coarsened_says_so():
    transformer = RandomTransformer(GaussianHeads(3, 0.5, 0.5, 3), Softmax(1.0), 0.1, 1, Noise(0))
    with pytest.raises(ValueError, match="RandomTransformer cannot be coarsened"):
        WithMLP(transformer, block("relu"), Noise(0)).coarsen(2)
    with pytest.raises(ValueError, match=r"width must be 0 \(the limit field\) to coarsen a path, got 8"):
        WithMLP(Still(3, 0.1), block("relu", 8), Noise(0)).coarsen(2)
    with pytest.raises(ValueError, match="d must be 2 or 3 to coarsen the path of a limit field, got 4"):
        WithMLP(Still(4, 0.1), block("relu"), Noise(0)).coarsen(2)
    with pytest.raises(ValueError, match="only layers with fixed nodes can be coarsened"):
        WithMLP(
            Homogenized(GaussianHeads(3, 0.5, 0.5, 3), Softmax(1.0), 0.1, 1, Noise(0)), block("relu"), Noise(0)
        ).coarsen(2)


def test_joint_draws_of_too_many_points_are_refused():
    law = WithMLP(Still(4, 0.1), block("relu"), Noise(0))
    assert law.most_points == MOST_POINTS
    assert WithMLP(Still(3, 0.1), block("relu"), Noise(0)).most_points is None
    assert WithMLP(Still(4, 0.1), block("relu", 5), Noise(0)).most_points is None
    points = Uniform(4).sample(np.random.default_rng(0), MOST_POINTS + 1)
    with pytest.raises(ValueError, match=r"width must be at least 1 for 2049 points: .* no more than 2048, got 0"):
        simulate(Tokens(points), law, n_steps=1)


def test_a_custom_activation_will_do():
    """Bias only: the activation 0 leaves b_o, one vector for all points."""
    nothing = Activation("zero", np.zeros_like, np.zeros_like, lambda c, v: 0 * c, lambda c, v: 0 * c)
    points = Uniform(3).sample(np.random.default_rng(0), 10)
    for width in (0, 4):
        u = velocities(WithMLP(Still(3, 1.0), MLPBlock(nothing, width, 0.0, 1.0), Noise(0)), points, 300)
        assert np.abs(u - u[:, :1]).max() < 1e-13
        z = (np.mean(u[:, 0] ** 2) - 1) / np.sqrt(2 / 900)
        assert abs(z) < 4


@pytest.mark.parametrize(("name", "width", "d"), [("tanh", 0, 3), ("relu", 0, 2), ("silu", 40, 5), ("erf", 300, 3)])
def test_jacobians_of_blocks_are_slopes_along_the_sphere(name, width, d, monkeypatch):
    """Central differences along great circles, for the two series and for finite width in several pieces."""
    monkeypatch.setattr("particles.layers.mlp.block.BLOCK", 64)
    rng = np.random.default_rng(1)
    push = WithMLP(Still(d, 0.1), MLPBlock(ACTIVATIONS[name], width, 0.3, 0.2), Noise(3)).layer(2)[-1]
    x, step = dense.nrm(rng.standard_normal((9, d))), 1e-5
    tangent = rng.standard_normal((9, d))
    tangent = dense.nrm(tangent - np.sum(x * tangent, axis=1, keepdims=True) * x)
    there, back = (push.field(np.cos(h) * x + np.sin(h) * tangent) for h in (step, -step))
    found = np.einsum("nij,nj->ni", push.field.jacobian(x), tangent)
    assert np.abs(found - (there - back) / (2 * step)).max() < 1e-7 * max(1, np.abs(found).max())
    assert np.abs(found).max() > 1e-3
