"""Transforms: round trip, Parseval, known harmonics, both backends, sizes that end the process of shtns."""

import itertools
import pickle

import dense
import numpy as np
import pytest
from scipy.special import sph_harm_y

from particles.harmonics import (
    adjoint_at,
    adjoint_from,
    angles,
    gauss_grid,
    mode_numbers,
    n_modes,
    power,
    resize,
    synthesis_at,
)
from spde.domain import tables
from spde.domain.sphere import FINEST_QUADRATURE, Sphere
from spde.domain.transforms import shtns_module

NEEDS_SHTNS = pytest.mark.skipif(shtns_module() is None, reason="shtns is not installed")
BACKENDS = ["ducc0", pytest.param("shtns", marks=NEEDS_SHTNS)]


def random_coefficients(rng, degree):
    _, orders = mode_numbers(degree)
    a = rng.standard_normal(n_modes(degree)) + 1j * rng.standard_normal(n_modes(degree))
    a[orders == 0] = a[orders == 0].real
    return a


def test_weights_sum_to_the_area_and_longitudes_are_those_of_the_nodes():
    sphere = Sphere(12)
    assert abs(sphere.weights.sum() - Sphere.volume) < 1e-12
    x, y, _ = sphere.points.reshape(*sphere.shape, 3)[0].T
    assert np.abs(np.rad2deg(np.arctan2(y, x)) % 360 - sphere.longitude).max() < 1e-12


def test_quadratures_grow_up_to_the_finest():
    sizes = list(Sphere(12).sizes((8, 18)))
    assert sizes[0] == (64, 128)
    assert all(fine == (2 * coarse[0], 2 * coarse[1]) for coarse, fine in itertools.pairwise(sizes))
    assert sizes[-1][0] == FINEST_QUADRATURE


@pytest.mark.parametrize("degree", [1, 2, 9])
def test_low_moments_are_integrals_over_the_sphere(degree):
    a, sphere = random_coefficients(np.random.default_rng(degree), degree), Sphere(12)
    mean, second = sphere.low_moments(a)
    x, share = sphere.points, sphere.weights * sphere.synthesis(resize(a, 12)).ravel()
    assert np.abs(mean - share @ x).max() < 1e-13
    assert np.abs(second - (x * share[:, None]).T @ x).max() < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lmax", [2, 3, 8, 21, 22, 31, 47, 63, 100])
def test_round_trip_and_parseval(backend, lmax):
    sphere, a = Sphere(lmax, backend), random_coefficients(np.random.default_rng(lmax), lmax)
    assert sphere.nlat >= 32
    assert sphere.nlat % 8 == 0
    assert sphere.nlat != sphere.nphi
    values = sphere.synthesis(a)
    assert np.abs(sphere.analysis(values) - a).max() < 1e-12
    assert abs(power(a).sum() / (sphere.weights @ values.ravel() ** 2) - 1) < 1e-12
    assert np.abs(synthesis_at(a, sphere.points) - values.ravel()).max() < 1e-12 * np.abs(values).max()
    assert np.abs(sphere.adjoint_at(sphere.weights * values.ravel(), sphere.points) - a).max() < 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
def test_harmonics_are_the_textbook_ones(backend):
    sphere = Sphere(9, backend)
    theta = np.arccos(sphere.points[:, 2])
    phi = np.arctan2(sphere.points[:, 1], sphere.points[:, 0])
    for degree, order in [(0, 0), (1, 0), (1, 1), (5, 2), (9, 9)]:
        a = np.zeros(n_modes(9), dtype=complex)
        a[(sphere.degrees == degree) & (sphere.orders == order)] = 1.0 + (0.5j if order else 0)
        harmonic = sph_harm_y(degree, order, theta, phi)  # orthonormal, Condon-Shortley
        want = harmonic.real if order == 0 else 2 * ((1.0 + 0.5j) * harmonic).real
        assert np.abs(sphere.synthesis(a).ravel() - want).max() < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_and_divergence(backend):
    sphere = Sphere(20, backend)
    a = random_coefficients(np.random.default_rng(0), 20)
    gradient = sphere.gradient(a)
    laplacian = sphere.divergence(gradient)
    assert np.abs(laplacian + sphere.degrees * (sphere.degrees + 1) * a).max() < 1e-11
    assert abs(sphere.weights @ (gradient**2).sum(-1).ravel() + (power(a) * 0).sum()
               - (power(a) * np.arange(21) * np.arange(1, 22)).sum()) < 1e-9  # fmt: skip
    cos_theta = np.zeros(n_modes(20), dtype=complex)
    cos_theta[1] = np.sqrt(4 * np.pi / 3)
    sin_theta = np.sqrt(1 - sphere.points[:, 2] ** 2)
    assert np.abs(sphere.gradient(cos_theta)[..., 0].ravel() + sin_theta).max() < 1e-13  # d cos / d theta, southward


@NEEDS_SHTNS
@pytest.mark.parametrize("lmax", [2, 5, 31, 63, 127])
def test_backends_agree(lmax):
    one, two = Sphere(lmax, "shtns"), Sphere(lmax, "ducc0")
    a = random_coefficients(np.random.default_rng(1), lmax) / (1 + one.degrees) ** 2
    values = one.synthesis(a)
    assert np.abs(values - two.synthesis(a)).max() < 1e-12
    assert np.abs(one.analysis(values) - two.analysis(values)).max() < 1e-12
    assert np.abs(one.gradient(a) - two.gradient(a)).max() < 1e-11
    assert np.array_equal(one.points, two.points)


def test_adjoint_is_the_adjoint():
    rng = np.random.default_rng(2)
    points, values = dense.nrm(rng.standard_normal((500, 3))), rng.standard_normal(500)
    a = random_coefficients(rng, 30)
    _, orders = mode_numbers(30)
    weight = np.where(orders == 0, 1.0, 2.0)
    left = values @ synthesis_at(a, points)
    right = np.sum(weight * (adjoint_at(values, points, 30) * a.conj()).real)
    assert abs(left - right) < 1e-10


def test_points_at_and_near_the_poles():
    """arccos(z) would lose eight digits of the angle there."""
    rng = np.random.default_rng(3)
    angle = np.array([0.0, 1e-9, 1e-5, 1e-3, np.pi - 1e-9, np.pi])
    points = np.stack([np.sin(angle) * np.cos(2.0), np.sin(angle) * np.sin(2.0), np.cos(angle)], axis=1)
    a = random_coefficients(rng, 40)
    theta, phi = angle, np.full(6, 2.0)
    degrees, orders = mode_numbers(40)
    want = np.zeros(6)
    for value, degree, order in zip(a, degrees, orders, strict=True):
        want += (1 if order == 0 else 2) * (value * sph_harm_y(degree, order, theta, phi)).real
    assert np.abs(synthesis_at(a, points) - want).max() < 1e-11 * np.abs(want).max()


def test_any_degree_can_be_synthesised_on_a_grid():
    sphere, rng = Sphere(15), np.random.default_rng(4)
    for degree in (4, 15, 25, 40):  # below lmax, at it, up to nlat - 1, beyond
        a = random_coefficients(rng, degree)
        want = synthesis_at(a, sphere.points)
        assert np.abs(sphere.synthesis(a).ravel() - want).max() < 1e-11 * np.abs(want).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_functions_at_once_are_each_function(backend):
    """Degrees at and beside those that have a plan of their own, up to those that the grid is too coarse for."""
    sphere, rng = Sphere(40, backend), np.random.default_rng(8)
    assert sphere.points.T.flags.c_contiguous
    for degree in (2, 15, 16, 23, 31, 39, 40, 41, 70):
        a = np.stack([random_coefficients(rng, degree) for _ in range(3)])
        want = synthesis_at(a, sphere.points).T
        found = sphere.vectors(a)
        assert found.T.flags.c_contiguous
        assert np.abs(found - want).max() < 1e-11 * np.abs(want).max()
        assert np.abs(sphere.synthesis(a[1]).ravel() - want[:, 1]).max() < 1e-11 * np.abs(want).max()


@pytest.mark.parametrize("degree", [4, 30])
def test_the_adjoint_from_angles_is_the_sum(degree):
    rng = np.random.default_rng(9)
    points, values = dense.nrm(rng.standard_normal((40, 3))), rng.standard_normal(40)
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    modes = zip(*mode_numbers(degree), strict=True)
    want = [values @ sph_harm_y(own, order, theta, phi).conj() for own, order in modes]
    found = adjoint_from(values, angles(points), degree)
    assert np.abs(found - want).max() < 1e-12 * np.abs(values).sum()
    assert found[0] == values.sum() / np.sqrt(4 * np.pi)  # to the last bit: mass


def test_resizing_keeps_the_modes():
    a = random_coefficients(np.random.default_rng(5), 12)
    assert np.array_equal(resize(resize(a, 30), 12), a)
    degrees, orders = mode_numbers(12)
    small_degrees, small_orders = mode_numbers(7)
    for value, degree, order in zip(resize(a, 7), small_degrees, small_orders, strict=True):
        assert value == a[(degrees == degree) & (orders == order)][0]


@pytest.mark.parametrize("lmax", [1, 0, -3, 1024, 10**9])
def test_degrees_out_of_range_are_refused(lmax):
    with pytest.raises(ValueError, match="lmax must be an integer between 2 and 1023"):
        Sphere(lmax)


def test_wrong_kinds_are_refused():
    for wrong in (31.0, "31", True):
        with pytest.raises(ValueError, match="lmax must be an integer"):
            Sphere(wrong)
    with pytest.raises(ValueError, match="backend"):
        Sphere(31, "healpy")
    with pytest.raises(ValueError, match="grid values must have shape"):
        Sphere(31).analysis(np.zeros((96, 48)))  # transposed: shtns would take it and be wrong


def test_big_endian_and_transposed_input_is_understood():
    sphere = Sphere(31)
    values = sphere.synthesis(random_coefficients(np.random.default_rng(6), 31))
    want = sphere.analysis(values)
    assert np.array_equal(sphere.analysis(values.astype(">f8")), want)
    assert np.array_equal(sphere.analysis(np.asfortranarray(values)), want)


def test_spheres_survive_pickling():
    sphere = Sphere(31)
    again = pickle.loads(pickle.dumps(sphere))
    a = random_coefficients(np.random.default_rng(7), 31)
    assert np.array_equal(again.synthesis(a), sphere.synthesis(a))


@pytest.mark.parametrize("degree", [3, 4, 17, 63])
def test_tables_are_the_transforms(degree):
    """Small transforms by products with tables: exact round trip, and the values of ducc0."""
    rng = np.random.default_rng(degree)
    want = rng.standard_normal((2, n_modes(degree))) + 1j * rng.standard_normal((2, n_modes(degree)))
    want[:, : degree + 1] = want[:, : degree + 1].real
    points, _ = gauss_grid(degree + 1, 2 * degree + 2)
    values = synthesis_at(want, points)
    table = tables.analysis(values.reshape(2, degree + 1, 2 * degree + 2))
    assert np.array_equal(table, tables.by_order_and_degree(tables.by_mode(table), degree))
    found = tables.by_mode(table)
    assert np.abs(found - want).max() < 1e-11
    finer, _ = gauss_grid(degree + 4, 2 * degree + 8)
    on_finer = np.moveaxis(tables.synthesis(want, degree + 3), -1, 0).reshape(2, -1)
    assert np.abs(on_finer - synthesis_at(want, finer)).max() < 1e-11
    table = tables.synthesis_table(points[:50], degree)
    assert np.abs(table @ np.concatenate([want[0].real, want[0].imag]) - values[0, :50]).max() < 1e-11
    assert tables.synthesis_table(np.tile(points, (1 + (1 << 20) // (len(points) * want.size // 2), 1)), degree) is None
