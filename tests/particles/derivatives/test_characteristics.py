"""Characteristics: derivatives against closed forms and differences, densities against E1, E2 far into a collapse."""

from dataclasses import replace

import dense
import numpy as np
import pytest

from particles import (
    AttentionPush,
    Characteristics,
    Cloud,
    Conformal,
    DirectField,
    Linear,
    Push,
    Softmax,
    Uniform,
    flow,
    geodesic,
    normalize,
    tangent_move,
)
from particles.attention import softmax
from particles.derivatives.characteristics import differential, tangent_frame
from particles.initial import sphere_area
from particles.pushes import own_velocity
from tests.spde.test_exact import conformal_step


def start(law, n, d, seed=0):
    points = law.sample(np.random.default_rng(seed), n)
    weights = np.random.default_rng(seed + 1).uniform(0.5, 1.5, n)
    return Cloud(points, weights / weights.sum()), Characteristics.start(points, np.log(law.pdf(points)))


def step(attention, push, cloud, along, riders=()):
    push = replace(push, kernel=attention) if isinstance(push, AttentionPush) else push
    return tangent_move(push, cloud, riders, own_velocity, along)


def pushes(rng, n_layers, n_heads, d, size, retraction=normalize):
    mixing = size * rng.standard_normal((n_layers, n_heads, d, d))
    query, key = rng.standard_normal((2, n_layers, n_heads, d, d))
    return [AttentionPush(Softmax(1.0), *layer, retraction) for layer in zip(mixing, query, key, strict=True)]


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("spread", [1.0, 1e-7])
def test_derivative_of_softmax_is_the_covariance(d, spread, monkeypatch):
    """beta Cov_x(y) A by dense centred sums; a cloud 1e-7 wide keeps its digits, whatever the blocks."""
    rng = np.random.default_rng(d)
    y = dense.nrm(np.eye(d)[0] + spread * rng.standard_normal((40, d)))
    w, x = rng.dirichlet(np.ones(40)), dense.nrm(rng.standard_normal((7, d)))
    query, key = rng.standard_normal((2, 2, d))
    form, beta = key.T @ query, 3.0
    probability = w * np.exp(beta * x @ form.T @ y.T)
    probability /= probability.sum(axis=1, keepdims=True)
    gap = y - (probability @ y)[:, None, :]
    want = beta * np.einsum("nj,nja,njb->nab", probability, gap, gap) @ form
    for table in (1 << 21, 50):  # 50: one product at a time
        monkeypatch.setattr(softmax, "TABLE", table)
        found = Softmax(beta).derivative(x, Cloud(y, w), query, key)
        assert np.abs(found - want).max() < 1e-7 * np.abs(want).max()


@pytest.mark.parametrize("attention", [Softmax(2.0), Linear(0.7)])
def test_jacobian_of_a_field_is_its_slope(attention):
    rng = np.random.default_rng(0)
    (push,) = pushes(rng, 1, 3, 4, 0.5)
    cloud = Cloud(dense.nrm(rng.standard_normal((30, 4))), np.full(30, 1 / 30))
    field, x, h = DirectField(replace(push, kernel=attention), cloud), dense.nrm(rng.standard_normal((5, 4))), 1e-5
    slope = np.stack([(field(x + h * e) - field(x - h * e)) / (2 * h) for e in np.eye(4)], axis=-1)
    assert np.abs(field.jacobian(x) - slope).max() < 1e-8


@pytest.mark.parametrize("retraction", [normalize, geodesic, flow])
@pytest.mark.parametrize("size", [0.0, 1e-9, 0.7])
def test_differential_of_a_retraction_is_its_slope(retraction, size):
    """U(x) = size (c + Bx), differences along great circles of the fourth order."""
    rng = np.random.default_rng(1)
    x, b, c = dense.nrm(rng.standard_normal((50, 4))), size * rng.standard_normal((4, 4)), size * np.arange(4.0)
    frame, h = tangent_frame(x), 3e-4
    found = differential(retraction, x, c + x @ b.T, np.broadcast_to(b, (50, 4, 4)), frame)

    def at(t, k):
        y = np.cos(t) * x + np.sin(t) * frame[..., k]
        return retraction(y, c + y @ b.T)

    for k in range(3):
        slope = (8 * (at(h, k) - at(-h, k)) - (at(2 * h, k) - at(-2 * h, k))) / (12 * h)
        assert np.abs(found[..., k] - slope).max() < 1e-10
    assert np.abs(np.einsum("nik,ni->nk", found, retraction(x, c + x @ b.T))).max() < 1e-14


def test_differential_of_normalize_in_closed_form():
    """P_T (v + DU v) / |x + U|."""
    rng = np.random.default_rng(2)
    x, u, slope = dense.nrm(rng.standard_normal((50, 3))), rng.standard_normal((50, 3)), rng.standard_normal((50, 3, 3))
    frame = tangent_frame(x)
    moved, length = dense.nrm(x + u), np.linalg.norm(x + u, axis=1)
    change = frame + slope @ frame
    want = (change - np.einsum("ni,nj,njk->nik", moved, moved, change)) / length[:, None, None]
    assert np.abs(differential(normalize, x, u, slope, frame) - want).max() < 1e-13 * np.abs(want).max()


@pytest.mark.parametrize("d", [2, 3, 5])
def test_conformal_density_to_the_last_digits_of_a_collapse(d):
    """E1: beta = 0, retraction `flow`; the maximum of the density grows beyond 1e4 times the uniform one.

    The map is conformal, so all directions grow alike.
    """
    law = Conformal(np.array([0.3, -0.2, 0.1, 0.0, 0.2])[:d])
    cloud, along = start(law, 200, d)
    mixing = 0.3 * np.eye(d) + 0.02 * np.random.default_rng(d).standard_normal((d, d))
    push, a = AttentionPush(Softmax(2.0), mixing[None], np.zeros((1, 1, d)), np.zeros((1, 1, d)), flow), law.a
    for _ in range(60):
        a = conformal_step(a, mixing @ (cloud.weights @ cloud.points))
        cloud, _, along = step(Softmax(0.0), push, cloud, along)
        if np.linalg.norm(a) > 1 - 1e-5:
            break
    assert ((1 + np.linalg.norm(a)) / (1 - np.linalg.norm(a))) ** (d - 1) > 1e4
    exact = np.log(Conformal(a).pdf(cloud.points))
    assert exact.max() > np.log(1e4 / sphere_area(d))
    assert np.abs(along.log_density - exact).max() < 1e-8
    assert np.abs(along.growth - along.log_jacobian[:, None] / (d - 1)).max() < 1e-9
    assert not along.folds.any()


@pytest.mark.parametrize("d", [2, 3, 5])
def test_angular_gaussian_density_at_condition_1e8(d):
    """E2: linear attention from the uniform law; Q = g g^T, rho = 1/(|S| |det g| |g^-1 x|^d)."""
    rng = np.random.default_rng(d)
    law, g = Uniform(d), np.eye(d)
    cloud, along = start(law, 200, d)
    for _ in range(200):
        (push,) = pushes(rng, 1, 2, d, 0.15)
        sigma = (cloud.points * cloud.weights[:, None]).T @ cloud.points
        c = sum(m @ sigma @ k.T @ q for m, q, k in zip(push.mixing, push.query, push.key, strict=True))
        g = (np.eye(d) + c) @ g
        cloud, _, along = step(Linear(), push, cloud, along)
        if np.linalg.cond(g) > 1e4:
            break
    assert np.linalg.cond(g @ g.T) > 1e8
    back = np.linalg.norm(np.linalg.solve(g, cloud.points.T), axis=0)
    exact = -np.log(sphere_area(d)) - np.log(abs(np.linalg.det(g))) - d * np.log(back)
    assert np.abs(along.log_density - exact).max() < 1e-8
    assert np.ptp(exact) > 4


@pytest.mark.parametrize("retraction", [normalize, geodesic, flow])
@pytest.mark.parametrize("d", [3, 4])
def test_jacobian_of_softmax_layers_is_that_of_the_map(retraction, d):
    """Five layers, against differences of passive points beside the nodes: det(W^T W) = J^2, W = DT E."""
    rng = np.random.default_rng(d)
    cloud, along = start(Uniform(d), 60, d)
    first, h = along.frame, 1e-5
    riders = tuple(dense.nrm(cloud.points + s * h * first[..., k]) for k in range(d - 1) for s in (1, -1))
    for push in pushes(rng, 5, 2, d, 0.15, retraction):
        cloud, riders, along = step(Softmax(2.0), push, cloud, along, riders)
    w = np.stack([(riders[2 * k] - riders[2 * k + 1]) / (2 * h) for k in range(d - 1)], axis=-1)
    log_j = 0.5 * np.linalg.slogdet(np.swapaxes(w, 1, 2) @ w)[1]
    assert np.ptp(log_j) > 0.5
    assert np.abs(along.log_jacobian - log_j).max() < 1e-7
    first_growth = np.log(np.linalg.norm(w[..., 0], axis=1))  # the first vector of a frame is carried as it is
    assert np.abs(along.growth[:, 0] - first_growth).max() < 1e-7


def test_growth_is_that_of_the_whole_differential():
    """Ten linear layers: QR of D nrm(gx) = P_y g / |gx| in one piece, against ten steps of it."""
    d, rng = 4, np.random.default_rng(0)
    cloud, along = start(Uniform(d), 300, d)
    first_frame, first_points, g = along.frame, cloud.points, np.eye(d)
    for push in pushes(rng, 10, 1, d, 0.3):
        sigma = (cloud.points * cloud.weights[:, None]).T @ cloud.points
        g = (np.eye(d) + push.mixing[0] @ sigma @ push.key[0].T @ push.query[0]) @ g
        cloud, _, along = step(Linear(), push, cloud, along)
    image = first_points @ g.T
    y, length = dense.nrm(image), np.linalg.norm(image, axis=1)
    w = (np.eye(d) - y[:, :, None] * y[:, None, :]) @ g @ first_frame / length[:, None, None]
    stretch = np.abs(np.einsum("nkk->nk", np.linalg.qr(w)[1]))
    assert np.abs(along.growth - np.log(stretch)).max() < 1e-11
    assert np.abs(along.growth).max() > 1


def test_exponents_of_a_linear_flow_are_its_singular_values():
    """U = Cx, C symmetric: log((1 + c_k)/(1 + c_1)) per layer in the long run, whatever the point."""
    d, rates = 4, np.array([0.2, 0.1, -0.05, -0.15])
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))
    c = turn @ np.diag(rates) @ turn.T
    points = Uniform(d).sample(np.random.default_rng(1), 50)
    along, kept = Characteristics.start(points, np.zeros(50)), []
    for _ in range(500):
        velocity, slope = points @ c.T, np.broadcast_to(c, (50, d, d))
        moved = normalize(points, velocity)
        along = along.pushed(differential(normalize, points, velocity, slope, along.frame), points, moved)
        points = moved
        kept.append(along.growth)
    want = np.log((1 + rates[1:]) / (1 + rates[0]))
    assert np.abs((kept[-1] - kept[-101]) / 100 - want).max() < 1e-8
    weights = np.full(50, 1 / 50)
    found = along.variables(Cloud(points, weights), 500 * 0.1)["lyapunov"][1]
    assert np.abs(found - want / 0.1).max() < 0.2  # the start is forgotten like 1/t
    assert np.allclose(found, weights @ along.growth / 50, rtol=1e-14)


def test_reflections_are_folds():
    """I + C = diag(-1, 1, 1) turns the orientation everywhere, and twice is two folds."""
    cloud, along = start(Uniform(3), 20, 3)
    at_first = along.log_density
    for count in (1, 2):
        sigma = (cloud.points * cloud.weights[:, None]).T @ cloud.points
        mixing = np.diag([-2.0, 0, 0]) @ np.linalg.inv(sigma)
        cloud, _, along = step(
            Linear(), AttentionPush(Softmax(2.0), mixing[None], np.eye(3)[None], np.eye(3)[None]), cloud, along
        )
        assert (along.folds == count).all()
        assert np.abs(along.log_density - at_first).max() < 1e-12  # an isometry all the same


def test_folds_are_where_the_determinant_of_differences_is_negative():
    """A of rank one and large: 1 - c beta |A| Var changes sign across the sphere."""
    cloud, along = start(Uniform(3), 400, 3)
    first, x, h = along.frame, cloud.points, 1e-6
    e = np.eye(3)[:1]
    push = AttentionPush(Softmax(2.0), np.eye(3)[None], -3.0 * e[None], e[None])
    riders = tuple(dense.nrm(x + s * h * first[..., k]) for k in range(2) for s in (1, -1))
    cloud, riders, along = step(Softmax(4.0), push, cloud, along, riders)
    w = np.stack([(riders[2 * k] - riders[2 * k + 1]) / (2 * h) for k in range(2)], axis=-1)
    after = np.linalg.det(np.concatenate([w, cloud.points[:, :, None]], axis=2))
    before = np.linalg.det(np.concatenate([first, x[:, :, None]], axis=2))
    assert np.array_equal(along.folds == 1, after * before < 0)
    assert 10 < along.folds.sum() < 390
    assert along.variables(cloud, 1.0)["folds"][1] == along.folds.sum()


def test_a_singular_layer_is_a_fold_of_infinite_density():
    cloud, along = start(Uniform(3), 20, 3)
    along = along.pushed(np.zeros_like(along.frame), cloud.points, cloud.points)
    assert np.isposinf(along.log_density).all()
    assert (along.folds == 1).all()
    assert np.isneginf(along.entropy(cloud.weights))
    assert along.area_defect(cloud.weights) == 1


def test_a_tangent_move_is_the_move():
    rng = np.random.default_rng(0)
    cloud, along = start(Uniform(3), 50, 3)
    (push,) = pushes(rng, 1, 2, 3, 0.3)
    riders = (cloud.points[:5], np.zeros((0, 3)))
    plain, plain_riders = push.move(cloud, riders, own_velocity)
    moved, moved_riders, _ = tangent_move(push, cloud, riders, own_velocity, along)
    assert np.array_equal(plain.points, moved.points)
    assert all(np.array_equal(a, b) for a, b in zip(plain_riders, moved_riders, strict=True))


def test_frames_are_orthonormal_and_tangent():
    for d in (2, 3, 6):
        points = np.concatenate([np.eye(d), -np.eye(d), Uniform(d).sample(np.random.default_rng(0), 50)])
        frame = tangent_frame(points)
        assert np.abs(np.swapaxes(frame, 1, 2) @ frame - np.eye(d - 1)).max() < 1e-14
        assert np.abs(np.einsum("nik,ni->nk", frame, points)).max() < 1e-14


def test_what_has_no_tangent_map_is_refused():
    class Drift:
        def move(self, measure, riders, make):
            return measure, riders

    class Kernel:
        def barycenter(self, points, measure, query, key):
            return points

    class Flat:
        def __call__(self, points):
            return 0 * points

    cloud, along = start(Uniform(3), 5, 3)
    (push,) = pushes(np.random.default_rng(0), 1, 1, 3, 0.1)
    with pytest.raises(TypeError, match="characteristics need pushes with one velocity; Drift has not"):
        step(Softmax(1.0), Drift(), cloud, along)
    with pytest.raises(TypeError, match="characteristics need attention with a derivative; Kernel has none"):
        step(Kernel(), push, cloud, along)
    with pytest.raises(TypeError, match="characteristics need a field with a jacobian; Flat has none"):
        tangent_move(push, cloud, (), lambda p, m: Flat(), along)
    with pytest.raises(ValueError, match=r"log_density must have shape \(5,\), got \(4,\)"):
        Characteristics.start(cloud.points, np.zeros(4))


def test_fields_of_other_pushes_need_a_jacobian_only():
    """A push that is its own field: the additive noise of an isotropic field is one."""

    class Constant(Push):
        retraction = flow

        def __call__(self, points):
            return np.broadcast_to([0.0, 0.0, 1.0], points.shape)

        def jacobian(self, points):
            return np.zeros((*points.shape, 3))

        def velocity(self, measure):
            return self

    cloud, along = start(Uniform(3), 20, 3)
    height = cloud.points[:, 2]
    _, _, along = step(Softmax(1.0), Constant(), cloud, along)
    factor = np.cosh(1.0) + height * np.sinh(1.0)  # conformal: |DT v| = |v| / (cosh|h| + <x, e> sinh|h|)
    assert np.abs(along.growth + np.log(factor)[:, None]).max() < 1e-13
