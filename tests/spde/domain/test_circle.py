"""Transforms of the circle: round trip, Parseval, known harmonics, signs, adjoint, both ways to free points."""

import pickle

import numpy as np
import pytest

from spde import Circle, Sphere, unit_sphere
from spde.domain.circle import adjoint_at, resize, synthesis_at
from tests.spde.domain.circle_sums import SummedCircle

KINDS = [Circle, SummedCircle]


def angles(rng, n):
    return rng.uniform(-np.pi, np.pi, n)


def points_at(theta):
    return np.stack([np.cos(theta), np.sin(theta)], axis=1)


def random_coefficients(rng, degree):
    a = rng.standard_normal(degree + 1) + 1j * rng.standard_normal(degree + 1)
    a[0] = a[0].real
    return a


def textbook(a, theta):
    """a_0 e_0 + 2 Re sum a_k e^{ik theta}/sqrt(2 pi), by cosines and sines."""
    k = np.arange(1, len(a))
    waves = np.cos(np.outer(theta, k)) @ a[1:].real - np.sin(np.outer(theta, k)) @ a[1:].imag
    return (a[0].real + 2 * waves) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lmax", [2, 3, 8, 31, 64, 255])
def test_round_trip_and_parseval(kind, lmax):
    circle, rng = kind(lmax), np.random.default_rng(lmax)
    a = random_coefficients(rng, lmax)
    values = circle.synthesis(a)
    assert values.shape == circle.shape == (circle.nphi,)
    assert circle.nphi >= 3 * (lmax + 1)
    assert np.abs(circle.analysis(values) - a).max() < 1e-13
    assert abs(circle.power(a).sum() / (circle.weights @ values**2) - 1) < 1e-13
    assert np.abs(circle.synthesis_at(a, circle.points) - values).max() < 1e-12 * np.abs(values).max()
    assert np.abs(circle.adjoint_at(circle.weights * values, circle.points) - a).max() < 1e-12
    assert abs(circle.weights.sum() - circle.volume) < 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_harmonics_are_the_textbook_ones(kind):
    """On the grid and at free points, one mode at a time and all together; the sign of i is that of e^{ik theta}."""
    circle, rng = kind(9), np.random.default_rng(0)
    theta = angles(rng, 50)
    grid = 2 * np.pi * np.arange(circle.nphi) / circle.nphi
    for k in (0, 1, 5, 9):
        a = np.zeros(10, dtype=complex)
        a[k] = 1.0 + (0.5j if k else 0)
        want = lambda t, k=k: (1.0 if k == 0 else 2.0) * (np.cos(k * t) - 0.5 * np.sin(k * t) * (k > 0))  # noqa: E731
        assert np.abs(circle.synthesis(a) * np.sqrt(2 * np.pi) - want(grid)).max() < 1e-13
        assert np.abs(circle.synthesis_at(a, points_at(theta)) * np.sqrt(2 * np.pi) - want(theta)).max() < 1e-12
    a = random_coefficients(rng, 40)
    assert np.abs(circle.synthesis_at(a, points_at(theta)) - textbook(a, theta)).max() < 1e-11
    rows = np.stack([a, 2j * a])
    assert np.abs(synthesis_at(rows, points_at(theta))[1] - textbook(2j * a, theta)).max() < 1e-11


def test_gradient_and_divergence():
    circle, rng = Circle(20), np.random.default_rng(0)
    a = random_coefficients(rng, 20)
    gradient = circle.gradient(a)
    assert gradient.shape == (circle.nphi, 1)
    assert np.abs(circle.divergence(gradient) + circle.degrees**2 * a).max() < 1e-11
    sine = np.zeros(3, dtype=complex)
    sine[1] = -0.5j * np.sqrt(2 * np.pi)
    assert np.abs(circle.synthesis(sine) - circle.points[:, 1]).max() < 1e-14
    assert np.abs(circle.gradient(sine)[:, 0] - circle.points[:, 0]).max() < 1e-14  # d sin = cos


@pytest.mark.parametrize("kind", KINDS)
def test_adjoint_is_the_adjoint(kind):
    rng, circle = np.random.default_rng(2), kind(40)
    points, values = points_at(angles(rng, 500)), rng.standard_normal(500) / 500
    a = random_coefficients(rng, 40)
    weight = np.where(np.arange(41) == 0, 1.0, 2.0)
    left = values @ circle.synthesis_at(a, points)
    right = np.sum(weight * (circle.adjoint_at(values, points) * a.conj()).real)
    assert abs(left - right) < 1e-13
    assert circle.adjoint_at(values, points)[0] == values.sum() / np.sqrt(2 * np.pi)  # to the last bit
    one = adjoint_at(np.array([1.0]), np.array([[0.0, 1.0]]), 3)  # at theta = pi/2: conj(i^k)
    assert np.abs(one * np.sqrt(2 * np.pi) - [1, -1j, -1, 1j]).max() < 1e-13


def test_both_ways_to_free_points_agree():
    rng = np.random.default_rng(3)
    points, values = points_at(angles(rng, 3000)), rng.standard_normal(3000)
    for lmax in (2, 50, 300):
        one, two = (kind(lmax) for kind in KINDS)
        a = random_coefficients(rng, lmax)
        size = np.linalg.norm(a)
        assert np.abs(one.synthesis_at(a, points) - two.synthesis_at(a, points)).max() < 1e-12 * size
        assert np.abs(one.adjoint_at(values, points) - two.adjoint_at(values, points)).max() < 1e-11


def test_any_degree_can_be_synthesised_on_a_grid():
    circle, rng = Circle(15), np.random.default_rng(4)
    for degree in (4, 15, 23, 24, 40):  # below lmax, at it, below half the grid, at it, beyond
        a = random_coefficients(rng, degree)
        want = textbook(a, 2 * np.pi * np.arange(circle.nphi) / circle.nphi)
        assert np.abs(circle.synthesis(a) - want).max() < 1e-12 * np.abs(want).max()
    a = random_coefficients(rng, 12)
    assert np.array_equal(resize(resize(a, 30), 12), a)
    assert np.abs(resize(a, 30)[13:]).max() == 0


def test_low_moments_are_those_of_the_density():
    circle, rng = Circle(8), np.random.default_rng(5)
    a = random_coefficients(rng, 8)
    mass = circle.weights * circle.synthesis(a)
    mean, second = circle.low_moments(a)
    assert np.abs(mean - mass @ circle.points).max() < 1e-13
    assert np.abs(second - (circle.points * mass[:, None]).T @ circle.points).max() < 1e-13


def test_bad_arguments_are_refused():
    for lmax in (1, 0, 1024):
        with pytest.raises(ValueError, match="lmax must be an integer between 2 and 1023"):
            Circle(lmax)
    for wrong in (31.0, "31", True):
        with pytest.raises(ValueError, match="lmax must be an integer"):
            Circle(wrong)
    with pytest.raises(ValueError, match='backend must be "ducc0", got \'shtns\''):
        Circle(31, "shtns")
    with pytest.raises(ValueError, match=r"grid values must have shape \(96,\), got \(97,\)"):
        Circle(31).analysis(np.zeros(97))


def test_circles_survive_pickling():
    circle = Circle(31, "ducc0")
    again = pickle.loads(pickle.dumps(circle))
    assert (again.lmax, again.backend) == (31, "ducc0")
    assert np.array_equal(again.points, circle.points)


def test_spheres_are_chosen_by_dimension():
    assert isinstance(unit_sphere(2, 15), Circle)
    assert isinstance(unit_sphere(3, 15), Sphere)
    with pytest.raises(ValueError, match="d must be 2 or 3 for densities; tokens may have any d, got 4"):
        unit_sphere(4, 15)
