"""Stationary laws against integral equations in one unknown, closed forms, and direct integrals."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gamma, iv, ive

from particles.equations import Dot, Exponential, Legendre, MaierSaupe, OfOverlap
from particles.initial import sphere_area
from particles.stationary import follow, onset, uniform_rates, uniform_state

STRENGTHS = (1.01, 1.03, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 9.0, 20.0)  # over that of the onset


def langevin(kappa, d):
    """The mean of exp(kappa t)/Z on S^(d-1)."""
    return 1 / math.tanh(kappa) - 1 / kappa if d == 3 else ive(d / 2, kappa) / ive(d / 2 - 1, kappa)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_kuramoto_obeys_its_integral_equation(d):
    """kappa = (K/nu) A(kappa); K in the interaction and nu apart enter by their ratio alone."""
    degree, nu = onset(Dot(1.7), d)
    assert degree == 1
    assert abs(1.7 / nu - d) < 1e-12
    branch = follow(Dot(1.7), d, 1.7 / (d * 20.5))
    assert branch.sheets == 1
    for ratio in STRENGTHS:
        strength = ratio * d
        kappa = brentq(lambda k, s=strength: k - s * langevin(k, d), 1e-2, strength, xtol=1e-14)
        state = branch.at(1.7 / strength)
        assert abs(state.order_parameter - langevin(kappa, d)) < 1e-10
        assert state.stability < 0
        assert abs(state.rates.rotation) < 1e-10
    assert branch.at(1.7 / (0.99 * d)) is None


def nematic(a):
    """int P_2 e^{a t^2}/int e^{a t^2}, and log of the mean of e^{a t^2} over S^2."""
    x, weights = np.polynomial.legendre.leggauss(100)
    t, top = 0.5 + 0.5 * x, max(a, 0.0)
    density = 0.5 * weights * np.exp(a * t * t - top)
    return 1.5 * (density @ t**2) / density.sum() - 0.5, math.log(density.sum()) + top


def strength_of(a):
    """K/nu of a stationary law e^{a t^2}/Z: U = (K/nu) (2/3) S P_2/2, so a = (K/nu) S/2."""
    return 2 * a / nematic(a)[0]


def test_maier_saupe_obeys_its_integral_equation():
    branch = follow(MaierSaupe(1.0), 3, 1 / 150)
    fold = minimize_scalar(strength_of, bounds=(0.5, 5), method="bounded", options={"xatol": 1e-9})
    assert branch.sheets == 2
    assert abs(1 / branch.turning[0].nu - fold.fun) < 1e-9
    assert abs(branch.turning[0].order_parameter - nematic(fold.x)[0]) < 1e-5
    for strength in (13.47, 13.6, 14.0, 14.5, 14.9, 15.5, 20.0, 40.0, 80.0, 140.0):
        for sheet, (low, high) in enumerate(((1e-3, fold.x), (fold.x, 80.0))):
            if sheet == 0 and strength > 15:
                assert branch.at(1 / strength, 0) is None
                continue
            a = brentq(lambda a, s=strength: strength_of(a) - s, low, high, xtol=1e-13)
            state = branch.at(1 / strength, sheet)
            assert abs(state.order_parameter - nematic(a)[0]) < 1e-8
            assert state.stability < 1e-13 if sheet else state.stability > 1e-3  # between two poles e^{-barrier}
            assert abs(state.rates.rotation) < 1e-10


def test_the_first_order_transition_of_maier_saupe():
    """Equal free energies, from the one integral: over nu they differ by k S^2/6 + k S/6 - log mean e^{a t^2}."""

    def excess(a):
        order, log = nematic(a)
        return strength_of(a) * (order**2 + order) / 6 - log

    a = brentq(excess, 2.0, 5.0, xtol=1e-13)
    branch = follow(MaierSaupe(1.0), 3, 1 / 20)
    assert abs(1 / branch.transition() - strength_of(a)) < 1e-8
    assert branch.transition(0) is None
    assert abs(1 / onset(MaierSaupe(1.0), 3)[1] - 15) < 1e-12
    at = branch.at(branch.transition())
    assert abs(at.free_energy - uniform_state(MaierSaupe(1.0), at.nu, 3).free_energy) < 1e-13
    other = follow(MaierSaupe(1.0), 3, 1 / 20, direction=-1)  # oblate: behind the onset, never stable
    assert other.sheets == 1
    assert other.at(1 / 14) is None
    oblate = other.at(1 / 18)
    assert oblate.stability > 0.01
    assert 0 < oblate.order_parameter < branch.at(1 / 18).order_parameter
    assert int(np.argmax(oblate.rates.by_order)) == 2


@pytest.mark.parametrize("d", [2, 3, 8])
@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_onset_of_unnormalised_attention(d, beta):
    """K_# = beta^{d/2}/(2^{d/2} Gamma(d/2) I_{d/2}(beta)) is K where 2 nu = 1, noise dB; else 2 nu times that."""
    published = beta ** (d / 2) / (2 ** (d / 2) * gamma(d / 2) * iv(d / 2, beta))
    degree, nu = onset(Exponential(beta), d)
    assert degree == 1
    assert abs(1 / (2 * nu) - published) < 1e-6 * published
    crossing = brentq(lambda k: uniform_state(Exponential(beta, k), 0.5, d).stability, 0.5 * published, 2 * published)
    assert abs(crossing - published) < 1e-6 * published


@pytest.mark.parametrize("d", [2, 3, 5])
def test_rates_of_the_uniform_law(d):
    """Degree l <= 8 grows as l(l + d - 2)(w_l/|S| - nu): the linearised operator has these eigenvalues."""
    for degree in range(1, 9):
        strength = 3.0 if degree < 3 else 30.0
        interaction = Legendre((0.2,) + (0.0,) * (degree - 1) + (strength,), d)
        rates = uniform_rates(interaction, 0.4, d, 8)
        dims = uniform_dims(degree, d)
        assert abs(rates[degree] - degree * (degree + d - 2) * (strength / dims - 0.4)) < 1e-10
        state = uniform_state(interaction, 0.4, d)
        assert abs(state.rates.by_order[0] - rates.max()) < 1e-6 or rates[degree] < -0.4 * (d - 1)
        assert math.isnan(state.rates.rotation)
    rates = uniform_rates(Exponential(2.5), 0.15, d, 8)
    found = uniform_state(Exponential(2.5), 0.15, d).rates.by_order
    assert np.abs(found[:2] - rates[1:].max()).max() < 1e-10
    if d > 2:
        assert abs(found[2] - rates[2:].max()) < 1e-10


def uniform_dims(degree, d):
    """Number of harmonics in closed form."""
    return 2 if d == 2 else round((2 * degree + d - 2) / (d - 2) * math.comb(degree + d - 3, d - 3))


@pytest.mark.parametrize(("d", "interaction"), [(2, Exponential(3.0)), (3, Exponential(4.0)), (3, OfOverlap(np.sinh))])
def test_a_state_is_stationary_and_its_numbers_are_integrals(d, interaction):
    """log rho - (w * rho)/nu is constant by direct quadrature; energies, moments and coefficients are those of rho."""
    nu = 0.4 * onset(interaction, d)[1]
    state = follow(interaction, d, 0.3 * onset(interaction, d)[1]).at(nu)
    n = 400
    theta = np.pi * (np.arange(n) + 0.5) / n
    t, edges = np.cos(theta), np.linspace(0, 2 * np.pi, 129)[:-1]
    if d == 2:
        ring, share = np.array([0.0, np.pi]), np.full(n, np.pi / n)
    else:
        t, share = np.polynomial.legendre.leggauss(n)
        ring, share = edges, 2 * np.pi / len(edges) * share
    rho = state.pdf(t)
    assert abs(len(ring) * share @ rho - 1) < 1e-11
    at = np.array([0.9, 0.3, -0.2, -0.95])
    sine = np.sqrt((1 - at**2)[:, None] * (1 - t**2))
    overlap = at[:, None, None] * t[:, None] + sine[..., None] * np.cos(ring)
    potential = interaction.value(overlap).sum(axis=2) @ (share * rho)
    left = np.log(state.pdf(at)) - potential / nu
    assert np.ptp(left) < 1e-10
    assert state.stability < 0
    area = len(ring) * share
    assert abs(state.entropy + area @ (rho * np.log(rho))) < 1e-10
    whole = np.sqrt((1 - t**2)[:, None] * (1 - t**2))
    pairs = sum(interaction.value(t[:, None] * t + whole * np.cos(angle)) for angle in ring)
    assert abs(state.energy + 0.5 * (area * rho) @ pairs @ (share * rho)) < 1e-9 * abs(state.energy)
    assert abs(state.free_energy - state.energy + nu * state.entropy) < 1e-12
    assert abs(state.mean - area @ (t * rho)) < 1e-11
    assert abs(state.coefficients(3)[0] - 1 / math.sqrt(sphere_area(d))) < 1e-12


def test_free_energies_slope_by_the_entropy():
    """dF/dnu = -entropy along a branch, as for any minimum of E - nu entropy."""
    branch = follow(Exponential(2.0), 3, 0.1)
    ahead, here, behind = (branch.at(nu) for nu in (0.3001, 0.3, 0.2999))
    assert abs((ahead.free_energy - behind.free_energy) / 0.0002 + here.entropy) < 1e-6
    assert here.free_energy < uniform_state(Exponential(2.0), 0.3, 3).free_energy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: follow(Dot(-1.0), 3, 0.1), "degree must attract"),
        (lambda: follow(Dot(1.0), 3, 0.1, direction=0), "direction must be 1 or -1"),
        (lambda: follow(Dot(1.0), 3, 0.0), "least must be positive"),
        (lambda: follow(Dot(1.0), 3, 0.1).at(0.01), "nu must be at least 0.1"),
        (lambda: follow("dot", 3, 0.1), "interaction must be an Interaction"),
        (lambda: onset(OfOverlap(np.abs, np.sign), 3), "interaction must be smooth"),
        (lambda: follow(Dot(1.0), 3, 1e-7), "nu must be larger"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
