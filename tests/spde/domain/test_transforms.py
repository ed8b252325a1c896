"""Transforms of both backends at any size: properties that hold for every function and every grid.

lmax from 2 to 300, among them those at which the grid of shtns gains or loses a block of its vectors (8 latitudes) and
those of one and two blocks; ducc0 on odd and even grids too, where shtns, which ends the process on some, is not asked.
"""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from particles.harmonics import adjoint_from, angles, gauss_grid, mode_numbers, n_modes, power
from spde.domain.sphere import Sphere
from spde.domain.transforms import DuccTransforms, _ShtnsTransforms, plan, shtns_module

NEEDS_SHTNS = pytest.mark.skipif(shtns_module() is None, reason="shtns is not installed")
BACKENDS = ["ducc0", pytest.param("shtns", marks=NEEDS_SHTNS)]
EDGES = (2, 3, 4, 7, 8, 9, 15, 16, 20, 21, 22, 26, 31, 32, 36, 42, 63, 64, 85, 86, 127, 128, 255, 256, 299, 300)
"""Smallest and largest, powers of two, and where 3/2 (lmax + 1) passes a multiple of 8."""
TOLERANCE = 1e-12  # relative to the norm of what is transformed


def coefficients(rng, lmax):
    a = rng.standard_normal(n_modes(lmax)) + 1j * rng.standard_normal(n_modes(lmax))
    a[: lmax + 1] = a[: lmax + 1].real
    return a / np.sqrt(power(a).sum())


def product(a, b):
    """Inner product of the functions of two coefficient arrays."""
    _, orders = mode_numbers(int((8 * len(a) + 1) ** 0.5 - 3) // 2)
    return float(np.sum(np.where(orders == 0, 1.0, 2.0) * (a * b.conj()).real))


def check(transforms, lmax, nlat, nphi, rng):
    """Every property of one pair of transforms; arguments stay as they are."""
    points, weights = gauss_grid(nlat, nphi)
    degrees, orders = mode_numbers(lmax)
    a, free, south, east = coefficients(rng, lmax), *rng.standard_normal((3, nlat, nphi))
    w = weights.reshape(nlat, nphi)
    kept = [array.copy() for array in (a, free, south, east)]
    values = transforms.synthesis(a)

    # Round trip and Parseval.
    assert np.abs(transforms.analysis(values) - a).max() < TOLERANCE
    assert abs(np.sum(w * values**2) - 1) < TOLERANCE
    # Analysis of anything is the adjoint of synthesis, with the weights of the quadrature between them.
    size = np.sqrt(np.sum(w * free**2))
    assert abs(np.sum(w * values * free) - product(a, transforms.analysis(free))) < TOLERANCE * size
    # Synthesis at free points, at the nodes; its adjoint is analysis there.
    location = angles(points)
    assert np.abs(Sphere.synthesis_at(None, a, points) - values.ravel()).max() < TOLERANCE * np.abs(values).max() * 10
    found = adjoint_from((w * free).ravel(), location, lmax)
    assert np.abs(found - transforms.analysis(free)).max() < TOLERANCE * size
    # A turn by one node about the axis is a phase.
    turned = transforms.synthesis(a * np.exp(-2j * np.pi * orders / nphi))
    assert np.abs(turned - np.roll(values, 1, axis=1)).max() < TOLERANCE * np.abs(values).max() * 10
    # Gradient and divergence: minus each other's adjoint for any field, and the Laplacian together.
    gradient = transforms.gradient(a)
    steep = np.sqrt(np.sum(w * (gradient[0] ** 2 + gradient[1] ** 2)))
    assert abs(steep**2 / (power(a) @ (np.arange(lmax + 1) * np.arange(1, lmax + 2.0))) - 1) < TOLERANCE
    left = np.sum(w * (gradient[0] * south + gradient[1] * east))
    assert abs(left + product(a, transforms.divergence(south, east))) < TOLERANCE * steep * size * 10
    laplacian = transforms.divergence(*gradient)
    assert np.abs(laplacian + degrees * (degrees + 1) * a).max() < TOLERANCE * lmax * (lmax + 1)
    for before, array in zip(kept, (a, free, south, east), strict=True):
        assert np.array_equal(before, array)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lmax", EDGES)
def test_properties_at_the_edges(lmax, backend):
    sphere = Sphere(lmax, backend)
    check(sphere._transforms(), lmax, sphere.nlat, sphere.nphi, np.random.default_rng(lmax))


@pytest.mark.parametrize("backend", BACKENDS)
def test_properties_at_any_degree(backend):
    @seed(3)
    @settings(max_examples=15, deadline=None, database=None)
    @given(st.integers(2, 300))
    def hold(lmax):
        sphere = Sphere(lmax, backend)
        check(sphere._transforms(), lmax, sphere.nlat, sphere.nphi, np.random.default_rng(lmax))

    hold()


def test_properties_on_odd_and_even_grids():
    """The least grid, nlat = lmax + 1 and nphi = 2 lmax + 1, and larger ones of either parity."""

    @seed(4)
    @settings(max_examples=40, deadline=None, database=None)
    @given(st.integers(2, 90), st.integers(0, 9), st.integers(0, 9))
    def hold(lmax, more_latitudes, more_longitudes):
        nlat, nphi = lmax + 1 + more_latitudes, 2 * lmax + 1 + more_longitudes
        check(DuccTransforms(lmax, nlat, nphi), lmax, nlat, nphi, np.random.default_rng(lmax))

    hold()


@NEEDS_SHTNS
@pytest.mark.parametrize("lmax", EDGES)
def test_backends_give_the_same_numbers(lmax):
    one, two = (Sphere(lmax, backend)._transforms() for backend in ("shtns", "ducc0"))
    sphere, rng = Sphere(lmax), np.random.default_rng(lmax)
    a, (free, south, east) = coefficients(rng, lmax), rng.standard_normal((3, *sphere.shape))
    calls = {"synthesis": (a,), "analysis": (free,), "gradient": (a,), "divergence": (south, east)}
    for name, arguments in calls.items():
        ours, theirs = (np.asarray(getattr(transforms, name)(*arguments)) for transforms in (one, two))
        assert np.abs(ours - theirs).max() < TOLERANCE * max(np.abs(theirs).max(), 1), name


@NEEDS_SHTNS
@pytest.mark.parametrize("lmax", [*EDGES[:-4], 200])
def test_shtns_writes_nothing_beside_its_arrays(lmax):
    """Arrays of the caller, between guards: the guards and the inputs stay as they are, to the bit."""
    sphere, rng = Sphere(lmax, "shtns"), np.random.default_rng(lmax)
    transforms, guard = sphere._transforms(), 64

    def guarded(values):
        room = np.full(values.size + 2 * guard, 1e77, dtype=values.dtype)
        inner = room[guard : guard + values.size].reshape(values.shape)
        inner[...] = values
        return room, inner

    a = guarded(coefficients(rng, lmax))
    grids = [guarded(values) for values in rng.standard_normal((4, *sphere.shape))]
    rooms = [a, *grids]
    before = [room.copy() for room, _ in rooms]
    _, out = grids[3]
    transforms.synthesis(a[1], out)
    transforms.analysis(grids[0][1])
    transforms.gradient(a[1])
    transforms.divergence(grids[1][1], grids[2][1])
    for old, (room, _) in zip(before[:-1], rooms[:-1], strict=True):
        assert np.array_equal(old, room)
    assert np.array_equal(grids[3][0][:guard], before[-1][:guard])
    assert np.array_equal(grids[3][0][-guard:], before[-1][-guard:])
    assert np.abs(out - DuccTransforms(lmax, *sphere.shape).synthesis(a[1])).max() < TOLERANCE * np.abs(out).max()


@NEEDS_SHTNS
@pytest.mark.parametrize(
    ("lmax", "nlat", "nphi"),
    [(10, 16, 32), (10, 33, 66), (10, 32, 21), (10, 32, 62), (31, 24, 64), (40, 40, 82), (31, 48, 62), (31, 48, 49),
     (1, 32, 64), (3000, 4504, 9000), (-1, 32, 64)],
)  # fmt: skip
def test_sizes_that_shtns_dies_of_are_refused(lmax, nlat, nphi):
    """Too few latitudes for its vectors, odd or rough numbers, too coarse a grid: an error, never the end of Python."""
    with pytest.raises(ValueError, match="shtns"):
        _ShtnsTransforms(shtns_module(), lmax, nlat, nphi)
    with pytest.raises(ValueError, match="shtns"):
        plan("shtns", lmax, nlat, nphi)


@NEEDS_SHTNS
def test_what_shtns_would_take_wrongly_is_refused_or_made_right():
    sphere = Sphere(20, "shtns")
    transforms, rng = sphere._transforms(), np.random.default_rng(0)
    a, free = coefficients(rng, 20), rng.standard_normal(sphere.shape)
    want = transforms.analysis(free)
    for array in (free.astype(">f8"), np.asfortranarray(free), free[::-1][::-1], np.repeat(free, 2, axis=1)[:, ::2]):
        assert np.array_equal(transforms.analysis(array), want)
    values = transforms.synthesis(a)
    assert np.array_equal(transforms.synthesis(a.astype(">c16")), values)
    assert np.array_equal(transforms.synthesis(np.repeat(a, 2)[::2]), values)
    for wrong in (free.T, free[:-1], free.ravel(), free[:, :-1]):
        with pytest.raises(ValueError, match="grid values must have shape"):
            transforms.analysis(wrong)
        with pytest.raises(ValueError, match="grid values must have shape"):
            transforms.divergence(free, wrong)
    for wrong in (a[:-1], a[None], np.append(a, 0)):
        with pytest.raises(ValueError, match="coefficients must have shape"):
            transforms.synthesis(wrong)
        with pytest.raises(ValueError, match="coefficients must have shape"):
            transforms.gradient(wrong)
    for out in (np.zeros(sphere.shape, order="F"), np.zeros(sphere.shape, np.float32), np.zeros((3, 3))):
        with pytest.raises(ValueError, match="out must be"):
            transforms.synthesis(a, out)
