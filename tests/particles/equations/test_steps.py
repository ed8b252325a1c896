"""Steps: orders on shared paths, exact flows, the two senses of common noise, private noise of second order."""

import math

import dense
import numpy as np
import pytest

from particles import Cloud, Noise, Softmax, TokenFlow, Tokens, Uniform, flow
from particles.equations import (
    Attention,
    Dot,
    Equation,
    Exponential,
    Function,
    Heun,
    Isotropic,
    Kicks,
    MaierSaupe,
    Pull,
    Rotation,
    Rotations,
    VectorFields,
    Zonal,
    ito,
    stratonovich,
)
from particles.equations.steps import Heat
from particles.layers.schemes import RungeKutta4

AXIS = np.array([[0.0, 0.6, 0.8]])
DRIFT = (Zonal(Exponential(2.0)), Pull([0.5, 0.0, -0.3]), Rotation.about([0.0, 0.4, 0.0]))


def tokens(n, d, seed=0):
    return Tokens(Uniform(d).sample(np.random.default_rng(seed), n))


def end(law, start, steps):
    run = TokenFlow(law)
    return run.advance(run.start(start), steps).points


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize(("scheme", "steps"), [(RungeKutta4(), (6, 8, 12, 16, 24)), (Heun(), (8, 12, 16, 24, 32))])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_without_noise_the_order_is_that_of_the_scheme(scheme, steps, d):
    start, turn = tokens(20, d), np.triu(np.ones((d, d)), 1)
    drift = (
        Zonal(MaierSaupe(2.0)), Pull(np.arange(d) / 3), Rotation((turn - turn.T) / 2),
        Attention(Softmax(1.5), *0.6 * np.random.default_rng(2).standard_normal((3, 1, d, d))),
        Function(lambda x, mu: x[:, ::-1] * (mu.weights @ mu.points[:, :1])),
    )  # fmt: skip
    exact = end(Equation(d, drift, 0.5 / 256, Noise(0)), start, 256)
    errors = [np.abs(end(Equation(d, drift, 0.5 / n, Noise(0), scheme=scheme), start, n) - exact).max() for n in steps]
    assert abs(slope([1 / n for n in steps], errors) - scheme.order) < 0.15
    assert Equation(d, drift, 0.1, Noise(0), scheme=scheme).strong_order == scheme.order


def strong_errors(make, n_paths, coarse=2, levels=5, finer=4, d=3):
    """Root mean square distance at depth 1/8 to the same path with steps `finer` times as short as the shortest."""
    square, sizes = np.zeros(levels), [1 / (16 * 2**k) for k in range(levels)]
    for member in range(n_paths):
        law, start = make(1 / 16, Noise(5, member)), tokens(8, d, member)
        last = finer * 2 ** (levels - 1)
        exact = end(law.refine(last), start, coarse * last)
        for k in range(levels):
            gap = end(law.refine(2**k), start, coarse * 2**k) - exact
            square[k] += np.mean(np.sum(gap**2, axis=1))
    return sizes, np.sqrt(square / n_paths)


ABOUT = Rotation.about([0.3, 0.0, 1.0]).matrix[None]
FIELDS = VectorFields((lambda x, mu: 0.8 * (x[:, :1] ** 2) * (mu.weights @ mu.points + np.array([0, 1.0, 0])),))
TURN = Rotations(0.6, Rotation.about(AXIS[0]).matrix[None])
PATHS = {
    "one kick": (DRIFT, Kicks(0.8, AXIS), stratonovich, 1.0),
    "one kick of Ito": (DRIFT, Kicks(0.8, AXIS), ito, 1.0),
    "one rotation": (DRIFT, Rotations(0.8, ABOUT), ito, 1.0),
    "one field of the measure": (DRIFT, FIELDS, ito, 1.0),
    "kicks": ((), Kicks(0.6), None, 0.5),
    "kicks along two axes": ((), Kicks(0.3, [*AXIS, [1.0, 0, 0]]), stratonovich, 0.5),
    "a kick along an axis and turns about it": (DRIFT[1:], (Kicks(0.5, AXIS), TURN), stratonovich, 1.0),
    "rotations": (DRIFT, Rotations(0.6), None, 0.5),
    "isotropic": ((), Isotropic((0.3,), (0.3, 0.3)), None, 0.5),
}


@pytest.mark.parametrize("name", PATHS)
def test_strong_order_is_the_one_declared(name):
    drift, term, sense, order = PATHS[name]

    def make(dt, noise):
        return Equation(3, drift, dt, noise, term, 0.0, sense, Heun())

    assert make(0.1, Noise(0)).strong_order == order
    sizes, errors = strong_errors(make, 40 if order == 1.0 else 24)
    assert abs(slope(sizes, errors) - order) < 0.15


def test_the_path_of_a_token_with_private_noise():
    """1/2 on one path of the noise it projects, on S^1 too: P e_1 and P e_2 do not commute.  In the mean it is 2."""
    sizes, errors = strong_errors(lambda dt, noise: Equation(2, (Pull([0.5, 0.0]),), dt, noise, nu=0.3), 16, d=2)
    assert abs(slope(sizes, errors) - 0.5) < 0.15


def test_kicks_are_conformal_maps():
    """One kick and nothing else: the flow of E1, exact in `flow`, for many steps; RK4 leaves |h|^5."""
    law, start = Equation(4, (), 0.001, Noise(2), (Kicks(0.7, np.eye(4)[:1]),), 0.0, stratonovich), tokens(30, 4)
    total = sum(0.7 * math.sqrt(0.001) * law.numbers(step, 0)[0] for step in range(200))
    want = flow(start.points, np.broadcast_to(total * np.eye(4)[0], start.points.shape))
    assert abs(total) > 0.05
    assert np.abs(end(law, start, 200) - want).max() < 1e-8


def test_rotations_leave_overlaps():
    start = tokens(12, 5)
    found = end(Equation(5, (), 0.01, Noise(1), (Rotations(0.9),)), start, 50)
    assert np.abs(found @ found.T - start.points @ start.points.T).max() < 2e-4
    assert np.abs(found - start.points).max() > 0.1


def test_one_rotation_in_both_senses():
    """About e: <x, e> = z does not move in the sense of Stratonovich; z/(1 - z^2)^{1/2} falls as e^{-c^2 t/2} in Ito's.

    Exact on each path: Hess <x, e> = -<x, e> g, and |J x|^2 = 1 - z^2.
    """
    start, c, time = tokens(50, 3), 1.1, 0.8
    turn = Rotation.about([0.0, 0.0, 1.0]).matrix[None]
    z = start.points[:, 2]
    kept = end(Equation(3, (), 0.02, Noise(4), (Rotations(c, turn),), 0.0, stratonovich), start, 40)[:, 2]
    assert np.abs(kept - z).max() < 1e-4
    falling = end(Equation(3, (), 0.001, Noise(4), (Rotations(c, turn),), 0.0, ito), start, 800)[:, 2]
    want = z / np.sqrt(1 - z**2) * math.exp(-(c**2) * time / 2)
    assert np.abs(falling / np.sqrt(1 - falling**2) - want).max() < 5e-3 * np.abs(want).max()
    assert np.abs(falling - z).max() > 0.1


C = 1.5  # strength of the kicks below


def mean_height(sense, n, seed=0):
    """Mean of <x, a> at time 0.8 over independent kicks along a, from <x, a> = 0.95; with its standard error."""
    heights = []
    for member in range(n):
        law = Equation(3, (), 0.04, Noise(seed, member), (Kicks(C, [[0, 0, 1.0]]),), 0.0, sense, Heun())
        heights.append(end(law, Tokens([[math.sqrt(1 - 0.95**2), 0.0, 0.95]]), 20)[0, 2])
    return np.mean(heights), np.std(heights) / math.sqrt(n)


def exact_heights():
    """E tanh(artanh(0.95) + C W) for Stratonovich; for Ito dy = (C^2/2) tanh(y) dt + C dW, y = artanh: on a grid."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    y0, scale = math.atanh(0.95), C * math.sqrt(0.8)
    smooth = weights @ np.tanh(y0 + scale * nodes) / weights.sum()
    y = np.linspace(y0 - 9, y0 + 9, 601)
    step, c2 = y[1] - y[0], C**2
    value = np.tanh(y)
    lower, upper = c2 / 2 / step**2 - c2 / 4 * np.tanh(y) / step, c2 / 2 / step**2 + c2 / 4 * np.tanh(y) / step
    matrix = np.diag(-c2 / step**2 * np.ones_like(y)) + np.diag(upper[:-1], 1) + np.diag(lower[1:], -1)
    matrix[[0, -1]] = 0
    half = np.eye(len(y)) - 0.005 * matrix
    forward = np.linalg.solve(half, np.eye(len(y)) + 0.005 * matrix)  # Crank and Nicolson, steps of 0.01
    for _ in range(80):
        value = forward @ value
    return {"stratonovich": smooth, "ito": value[300]}


def test_kicks_in_both_senses_in_law():
    exact, n = exact_heights(), 800
    for sense in (ito, stratonovich):
        mean, error = mean_height(sense, n)
        assert abs(mean - exact[str(sense)]) < 4 * error + 1e-3
        other = exact["ito" if str(sense) == "stratonovich" else "stratonovich"]
        assert abs(mean - other) > 8 * error


@pytest.mark.parametrize("d", [2, 3, 5])
def test_private_steps_have_weak_order_two(d):
    """E of the zonal function of degree 1 and 2 behind one step, to the third power of its length; on S^1 exactly."""
    n, nodes = d - 1, np.polynomial.laguerre.laggauss(120)
    for s in (0.02, 0.04, 0.08):
        heat = Heat(s, Noise(0), 0)
        unit_step = heat.increments(np.zeros((1, d)))[0, 0] / Noise(0).generator(4, 0).standard_normal((1, d))[0, 0]
        square = nodes[0] * 2 * unit_step**2  # |v|^2 over sqrt: gamma of shape n/2
        share = nodes[1] * nodes[0] ** (n / 2 - 1)
        share = share / share.sum() if n != 1 else share / math.gamma(n / 2)
        for degree, of in ((1, np.cos), (2, lambda r: (d * np.cos(r) ** 2 - 1) / (d - 1))):
            if n == 1:  # r normal
                grid, weight = np.polynomial.hermite_e.hermegauss(60)
                found = weight @ of(unit_step * grid) / weight.sum()
                assert abs(found - math.exp(-s * degree**2)) < 1e-12
                continue
            found, exact = share @ of(np.sqrt(square)), math.exp(-s * degree * (degree + d - 2))
            assert abs(found - exact) < 1.5 * (s * degree * (degree + d - 2)) ** 3 / 6 + 1e-9
            assert abs(unit_step**2 - 2 * s) > (s**2 / 2 if d > 2 else -1)


def test_private_noise_of_tokens_is_that_of_the_heat_kernel():
    """E <x, e> = e^{-nu (d-1) t} in any d, from one point; a factor sqrt 2 in nu beyond 8 standard errors."""
    for d in (2, 3, 5):
        nu, n = 0.3, 4000
        start = Tokens(np.broadcast_to(np.eye(d)[0], (n, d)))
        height = end(Equation(d, (), 0.1, Noise(3), nu=nu), start, 8)[:, 0]
        error, rate = height.std() / math.sqrt(n), nu * (d - 1) * 0.8
        assert abs(height.mean() - math.exp(-rate)) < 4 * error
        assert abs(math.exp(-rate) - math.exp(-math.sqrt(2) * rate)) > 8 * error


def test_rotating_everything_rotates_the_tokens():
    turn, _ = np.linalg.qr(np.random.default_rng(8).standard_normal((3, 3)))
    start = tokens(9, 3)

    def law(q):
        drift = (Zonal(Dot(1.0)), Pull(q @ [1.0, 0, 0]), Rotation(q @ ABOUT[0] @ q.T))
        common = (Kicks(0.5, np.eye(3) @ q.T), Rotations(0.4, q @ ABOUT @ q.T))
        return Equation(3, drift, 0.1, Noise(0), common, 0.0, stratonovich)

    turned = end(law(turn), Tokens(start.points @ turn.T), 5)
    assert np.abs(turned - end(law(np.eye(3)), start, 5) @ turn.T).max() < 1e-12
    order = np.random.default_rng(1).permutation(9)
    permuted = end(law(np.eye(3)), Tokens(start.points[order]), 5)
    assert np.abs(permuted - end(law(np.eye(3)), start, 5)[order]).max() < 1e-13


def test_the_exponent_of_an_isotropic_flow():
    """Top Lyapunov exponent on S^2 by one tangent vector carried along, renormalised; derived in docs/theory.md."""
    for term in (Isotropic((0.0, 0.2), (0.0, 0.0, 0.7)), Isotropic((0.5,)), Isotropic((), (0.4,))):
        rates, gap, dt, steps = [], 1e-5, 0.02, 100
        for member in range(24):
            law = Equation(3, (), dt, Noise(6, member), (term,), scheme=Heun())
            start = dense.nrm(np.random.default_rng(member).standard_normal((6, 3)))
            aside = dense.nrm(np.cross(start, [0.3, 1.0, 0.2]))
            points, total = np.concatenate([start, dense.nrm(start + gap * aside)]), np.zeros(6)
            for step in range(steps):
                [push] = law.layer(step)
                cloud, _ = push.move(Cloud(points, np.full(12, 1 / 12)), (), lambda one, mu: one.velocity(mu))
                first, second = np.split(cloud.points, 2)
                length = np.linalg.norm(second - first, axis=1)
                total += np.log(length / gap)
                points = np.concatenate([first, dense.nrm(first + (second - first) * (gap / length)[:, None])])
            rates.append(total.mean() / (steps * dt))
        error = np.std(rates) / math.sqrt(len(rates))
        assert abs(np.mean(rates) - term.exponent) < 3 * error + 2e-3
    degree = 3
    assert abs(Isotropic((), (0.0, 0.0, 0.7)).exponent - 0.7 * (degree * (degree + 1) - 2) / 8) < 1e-15
