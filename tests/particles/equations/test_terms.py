"""Each term against an independent computation of its field, in the dimensions that it has; what does not fit."""

import dense
import numpy as np
import pytest
from scipy.special import sph_harm_y

from particles import Cloud, Noise, Softmax, Stream, flow, mean_token, second_moment, tangent
from particles.equations import (
    Attention,
    Dot,
    Equation,
    Exponential,
    Function,
    Gradient,
    Heun,
    Isotropic,
    Kicks,
    Legendre,
    MaierSaupe,
    OfOverlap,
    Pull,
    Rotation,
    Rotations,
    VectorFields,
    Zonal,
    ito,
)
from particles.harmonics import mode_numbers
from particles.layers.schemes import Euler

RNG = np.random.default_rng(3)


def cloud(d, n=7):
    weights = RNG.random(n) + 0.2
    return Cloud(dense.nrm(RNG.standard_normal((n, d))), weights / weights.sum())


def field(term, d, dt=1.0):
    measure, points = cloud(d), dense.nrm(RNG.standard_normal((5, d)))
    return term.push(d, dt).velocity(measure)(points), measure, points


def slopes_of(potential, points, step=1e-5):
    """Tangent gradient of a function of unit vectors by central differences."""
    found = np.zeros_like(points)
    for axis in np.eye(points.shape[1]):
        ahead, behind = (dense.nrm(points + sign * step * axis) for sign in (1, -1))
        found += ((potential(ahead) - potential(behind)) / (2 * step))[:, None] * axis
    return found


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize(
    "interaction",
    [Dot(1.3), MaierSaupe(-2.0), Exponential(2.0, 0.7), OfOverlap(lambda t: np.cos(2 * t)), Legendre],
)
def test_zonal_fields_are_gradients(interaction, d):
    if interaction is Legendre:
        interaction = Legendre((0.0, 0.5, 1.0, -0.3), d)
    found, measure, points = field(Zonal(interaction), d, 0.4)
    want = slopes_of(lambda x: 0.4 * interaction.value(x @ measure.points.T) @ measure.weights, points)
    assert np.abs(tangent(points, found) - want).max() < 1e-9
    values = interaction.value(measure.points @ measure.points.T)
    assert abs(Zonal(interaction).potential(measure) + measure.weights @ values @ measure.weights / 2) < 1e-14


def test_external_drifts_are_what_they_say():
    for d in (2, 3, 4):
        axis = np.arange(1.0, d + 1)
        found, measure, points = field(Pull(axis), d, 0.5)
        assert np.abs(found - 0.5 * axis).max() < 1e-15
        assert abs(Pull(axis).potential(measure) + measure.weights @ measure.points @ axis) < 1e-15
        turn = np.triu(np.ones((d, d)), 1) - np.tril(np.ones((d, d)), -1)
        found, _, points = field(Rotation(turn), d, 0.5)
        assert np.abs(found - 0.5 * points @ turn.T).max() < 1e-15
        assert np.abs(np.einsum("ni,ni->n", points, found)).max() < 1e-15
    found, _, points = field(Rotation.about([0.3, -0.2, 0.9]), 3)
    assert np.abs(found - np.cross([0.3, -0.2, 0.9], points)).max() < 1e-15
    found, measure, points = field(Function(lambda x, mu: x * (mu.weights @ mu.points)), 4, 2.0)
    assert np.abs(found - 2 * points * (measure.weights @ measure.points)).max() < 1e-15


@pytest.mark.parametrize("d", [2, 3])
def test_gradients_of_series(d):
    """V = <a, x> as a series, and a random one by differences."""
    modes = 4 if d == 2 else len(mode_numbers(3)[0])
    a = RNG.standard_normal((2, modes))
    coefficients = a[0] + 1j * a[1] * (np.arange(modes) > (0 if d == 2 else 3))
    found, measure, points = field(Gradient(coefficients, d), d, 0.3)

    def potential(x):
        angle = np.arctan2(x[:, 1], x[:, 0])
        if d == 2:
            waves = np.exp(1j * np.outer(angle, np.arange(4))) / np.sqrt(2 * np.pi)
            return (waves * np.where(np.arange(4) > 0, 2, 1)).real @ a[0] - (waves.imag * 2)[:, 1:] @ a[1, 1:]
        degrees, orders = mode_numbers(3)
        waves = sph_harm_y(degrees, orders, np.arccos(x[:, 2:]), angle[:, None])
        return (waves * coefficients * np.where(orders > 0, 2, 1)).real.sum(axis=1)

    assert np.abs(found - slopes_of(lambda x: 0.3 * potential(x), points)).max() < 1e-8
    assert abs(Gradient(coefficients, d).potential(measure) + measure.weights @ potential(measure.points)) < 1e-12


def test_attention_is_a_drift():
    value, query, key = RNG.standard_normal((3, 2, 4, 4))
    found, measure, points = field(Attention(Softmax(1.5), value, query, key), 4, 0.2)
    want = np.zeros_like(points)
    for v, q, k in zip(value, query, key, strict=True):
        scores = np.exp(1.5 * (points @ q.T) @ (measure.points @ k.T).T) * measure.weights
        want += 0.1 * (scores / scores.sum(axis=1, keepdims=True)) @ measure.points @ v.T
    assert np.abs(found - want).max() < 1e-13


@pytest.mark.parametrize("d", [2, 3, 5])
def test_covariances_of_kicks_and_rotations(d):
    """sum_k v_k(x) v_k(y)^T, read off unit numbers."""
    x = dense.nrm(RNG.standard_normal((4, d)))

    def fields(term):
        count = len(term.draw(np.random.default_rng(0), d))
        measure = cloud(d)
        return np.array([tangent(x, term.push(one, d).velocity(measure)(x)) for one in np.eye(count)])

    kicks = fields(Kicks(0.7))
    projections = np.eye(d) - np.einsum("ni,nj->nij", x, x)
    assert np.abs(np.einsum("kni,knj->nij", kicks, kicks) - 0.49 * projections).max() < 1e-14
    turns = fields(Rotations(0.7))
    assert len(turns) == d * (d - 1) // 2
    assert np.abs(np.einsum("kni,knj->nij", turns, turns) - 0.49 * projections).max() < 1e-14
    pulled = fields(Kicks(0.7, 2 * np.eye(d)[:1]))
    assert np.abs(pulled[0] - tangent(x, np.broadcast_to(1.4 * np.eye(d)[0], x.shape))).max() < 1e-15


def products(term, n=4000):
    """Angles, and products of the components of F at 0 and there, along the geodesic and across it."""
    angles = np.linspace(0.0, np.pi, 5)
    points = np.stack([np.sin(angles), np.zeros(5), np.cos(angles)], axis=1)
    south = np.stack([np.cos(angles), np.zeros(5), -np.sin(angles)], axis=1)
    rng, along, across = np.random.default_rng(1), [], []
    for _ in range(n):
        found = term.push(term.draw(rng, 3), 3).velocity(None)(points)
        assert np.abs(np.einsum("ni,ni->n", found, points)).max() < 1e-12
        longitudinal, transverse = np.einsum("ni,ni->n", found, south), found[:, 1]
        along.append(longitudinal[0] * longitudinal)
        across.append(transverse[0] * transverse)
    return angles, np.array(along), np.array(across)


@pytest.mark.parametrize("part", ["gradient", "curl"])
def test_isotropic_fields_have_the_power_that_is_given(part):
    """Along the geodesic -c (P_l(cos))'' and across -c (P_l(cos))'/sin, c = power/(l(l+1)); the curl part exchanged."""
    degree, power = 3, 0.8
    angles, along, across = products(Isotropic(**{part: (0.0, 0.0, power)}))
    t, c = np.cos(angles), power / (degree * (degree + 1))
    p = np.polynomial.legendre.Legendre.basis(degree)
    slope, bend = p.deriv()(t), p.deriv(2)(t)
    want = c * (slope * t - bend * (1 - t**2)), c * slope
    if part == "curl":
        want = want[::-1]
    for found, mean in zip((along, across), want, strict=True):
        error = found.std(axis=0) / np.sqrt(len(found))
        assert np.abs((found.mean(axis=0) - mean) / error).max() < 4
        assert abs(mean[0]) * (np.sqrt(2) - 1) > 8 * error[0]  # an amplitude wrong by 2^(1/4) would show
    assert abs(want[0][0] + want[1][0] - power) < 1e-12


def test_isotropic_fields_on_the_circle():
    term, rng = Isotropic((0.5, 0.0, 0.3)), np.random.default_rng(2)
    angles = np.array([0.0, 0.4, 1.1, np.pi])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    found = np.array([
        np.einsum("ni,ni->n", term.push(term.draw(rng, 2), 2).velocity(None)(points), along) for _ in range(8000)
    ])  # fmt: skip
    squares = found[:, :1] * found
    error = squares.std(axis=0) / np.sqrt(len(squares))
    want = 0.5 * np.cos(angles) + 0.3 * np.cos(3 * angles)
    assert np.abs((squares.mean(axis=0) - want) / error).max() < 4
    assert want[0] * (np.sqrt(2) - 1) > 8 * error[0]


@pytest.mark.parametrize(
    ("term", "d", "vanishes"),
    [
        (Kicks(0.8), 3, True), (Kicks(0.8, [[1.0, 2.0, 0.0]]), 3, False), (Kicks(0.8, 2 * np.eye(4)), 4, True),
        (Rotations(0.6), 4, True), (Rotations(0.6, Rotation.about([0, 1.0, 1.0]).matrix[None]), 3, False),
        (Rotations(0.6), 2, True),
    ],
)  # fmt: skip
def test_corrections_in_closed_form_are_those_by_differences(term, d, vanishes):
    """(1/2) sum nabla_v v of the same fields as functions."""
    count = len(term.draw(np.random.default_rng(0), d))
    functions = tuple(lambda x, mu, one=one: term.push(one, d).velocity(mu)(x) for one in np.eye(count))
    found, measure, points = field(VectorFields(functions).correction(d), d)
    if vanishes:
        assert term.correction(d) is None
        assert np.abs(found).max() < 1e-8
        return
    own = term.correction(d).push(d, 1.0).velocity(measure)(points)
    assert np.abs(tangent(points, own) - found).max() < 2e-8
    assert np.abs(found).max() > 0.05


def test_the_correction_knows_that_the_measure_moves():
    """s = m, the mean of mu: (1/2) nabla_v v = (1/2) P_x (m - Sigma m - <x, m> m), Sigma the second moment."""
    found, measure, x = field(VectorFields((lambda x, mu: np.tile(mean_token(mu), (len(x), 1)),)).correction(4), 4)
    mean = mean_token(measure)
    want = tangent(x, mean - second_moment(measure) @ mean - (x @ mean)[:, None] * mean) / 2
    assert np.abs(found - want).max() < 1e-8
    assert np.abs(want).max() > 0.01


PLANES = np.zeros((2, 4, 4))
PLANES[0, 1, 0], PLANES[0, 0, 1], PLANES[1, 3, 2], PLANES[1, 2, 3] = 1, -1, 1, -1


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_bracket_of_two_kicks_is_a_rotation(d):
    """[P a, P b] = (b a^T - a b^T) x by the flows themselves: a, b, back by a, back by b leaves its square step."""
    rng = np.random.default_rng(d)
    a, b = rng.standard_normal((2, d))
    start, size = dense.nrm(rng.standard_normal((6, d))), 1e-3
    points = start
    for axis in (a, b, -a, -b):
        points = flow(points, np.broadcast_to(size * axis, points.shape))
    want = start @ (np.outer(b, a) - np.outer(a, b)).T
    assert np.abs((points - start) / size**2 - want).max() < 0.02 * np.abs(want).max()


def test_which_noise_commutes():
    def commutes(term, d=3):
        return Equation(d, (), 0.1, Noise(0), term, interpretation=ito).strong_order == 1.0

    about = Rotation.about([0.0, 0.0, 1.0]).matrix
    assert commutes((Kicks(1.0, [[1.0, 0, 0]]),))
    assert commutes((Kicks(1.0, [[1.0, 0, 0], [2.0, 0, 0]]),))
    assert not commutes((Kicks(1.0),))
    assert commutes((Rotations(1.0),), 2)
    assert not commutes((Rotations(1.0),))
    assert commutes((Rotations(1.0, [about, 2 * about]),))
    assert not commutes((Isotropic((1.0,)),))
    assert not commutes((Kicks(1.0, [[1.0, 0, 0]]), Rotations(1.0, [about])))
    assert commutes((Kicks(1.0, [[0, 0, 1.0]]), Rotations(1.0, [about]), Kicks(2.0, [[0, 0, 3.0]])))
    assert not commutes((Kicks(1.0, [[1.0, 0, 0], [1.0, 1e-3, 0]]),))
    assert commutes((Rotations(1.0, [PLANES[0], PLANES[1]]),), 4)
    assert commutes((Kicks(0.0),))

    def mean(x, mu):
        return np.broadcast_to(mu.weights @ mu.points, x.shape)

    def square(x, mu):
        return x**2

    assert commutes((VectorFields((square,)),))
    assert commutes((VectorFields((square, square)),))
    assert not commutes((VectorFields((square, mean)),))
    assert not commutes((VectorFields((mean,)), Kicks(1.0, [[1.0, 0, 0]])))  # each alone does
    assert commutes((VectorFields((mean,)), Rotations(1.0, [about])))  # but not where the measure stands still
    assert Equation(3, (), 0.1, Noise(0)).strong_order == 4
    assert Equation(3, (), 0.1, Noise(0), nu=0.1).strong_order == 2
    assert Equation(3, (), 0.1, Noise(0), scheme=Heun()).strong_order == 2


def test_numbers_are_functions_of_seed_member_step_and_place():
    law = Equation(3, (), 0.1, Noise(3), (Kicks(1.0), Kicks(1.0)))
    again = Equation(3, (), 0.2, Noise(3), (Kicks(2.0), Kicks(1.0)))
    assert np.array_equal(law.numbers(4, 1), again.numbers(4, 1))
    drawn = [law.numbers(4, 0), law.numbers(4, 1), law.numbers(5, 0)]
    drawn += [Equation(3, (), 0.1, noise, (Kicks(1.0),)).numbers(4, 0) for noise in (Noise(4), Noise(3, 1))]
    assert len({tuple(one) for one in drawn}) == 5
    assert np.array_equal(drawn[0], Noise(3).generator(Stream.COMMON, 4).standard_normal(3))
    fine = law.refine(4)
    assert fine.dt == 0.025
    assert np.abs(sum(fine.numbers(4 * 4 + k, 1) for k in range(4)) / 2 - law.numbers(4, 1)).max() < 1e-15
    heat, _, behind = Equation(3, (), 0.1, Noise(3), nu=0.2).layer(7)
    assert heat.strength == behind.strength == 0.2 * 0.1 / 2
    points = cloud(3).points
    assert np.abs(heat.increments(points) - behind.increments(points)).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Zonal(1.0), "interaction must be an Interaction"),
        (lambda: Equation(3, Dot(1.0), 0.1, Noise(0)), r"drift must be terms of the kind particles.equations.Drift"),
        (lambda: Equation(3, (), 0.1, Noise(0), (Pull([1.0, 0, 0]),)), "common must be terms"),
        (lambda: Equation(3, (), -0.1, Noise(0)), "dt must be positive"),
        (lambda: Equation(1, (), 0.1, Noise(0)), "d must be an integer >= 2"),
        (lambda: Equation(3, (), 0.1, Noise(0), nu=-1.0), "nu must be finite and >= 0"),
        (lambda: Equation(3, (), 0.1, Noise(0), scheme=Euler()), "scheme must have order 2 at least"),
        (lambda: Equation(3, (), 0.1, Noise(0), (Kicks(1.0, [[1.0, 0, 0]]),)), "interpretation must be ito or strat"),
        (lambda: Equation(3, (Pull([1.0, 0.0]),), 0.1, Noise(0)), r"axis must have shape \(3\)"),
        (lambda: Equation(2, (Zonal(Legendre((0, 1.0))),), 0.1, Noise(0)), "interaction must have d = 2"),
        (lambda: Equation(2, (Gradient(np.zeros(3)),), 0.1, Noise(0)), r"Gradient\(d\) must be 2"),
        (lambda: Equation(4, (), 0.1, Noise(0), (Isotropic((1.0,)),)), "d must be 2 or 3 for an isotropic field"),
        (lambda: Equation(2, (), 0.1, Noise(0), (Isotropic((1.0,), (1.0,)),)), "d must be 3 for a curl part"),
        (lambda: Isotropic((-1.0,)), "gradient must have no power below 0"),
        (lambda: Isotropic(), "gradient must have some power"),
        (lambda: Rotation(np.eye(3)), "matrix must be antisymmetric"),
        (lambda: Rotations(1.0, np.eye(3)[None]), "matrix must be antisymmetric"),
        (lambda: Kicks(-1.0), "strength must be finite and >= 0"),
        (lambda: VectorFields(()), "functions must be functions"),
        (lambda: Function(3), "function must be a function"),
        (lambda: Gradient([1j]), "coefficients must be real in order 0"),
        (lambda: Gradient([1.0, 2.0]), "not a number of coefficients"),
        (lambda: Gradient(np.zeros(3), 4), "d must be an integer between 2 and 3"),
        (lambda: field(Function(lambda x, mu: x[0]), 3), "must give shape"),
        (lambda: Attention(Softmax(1.0), np.eye(3), np.eye(3), np.eye(3)), "value must have shape"),
        (lambda: Attention(3.0, *np.ones((3, 1, 3, 3))), "kernel must have a method barycenter"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
