"""Phase transitions under private noise: where the uniform law is lost, where it is no longer the best, and to what.

Everything comes from `particles.stationary`: multipliers by quadrature, branches by Newton and continuation.  In its
units, dX = grad w * mu dt + sqrt(2 nu) dB, others' conventions are

    Maier and Saupe:            potential -U S P_2(t) at temperature T:  w = K t^2/2, K = 3 U, nu = k T
    Liu, Zhang and Zhang:       alpha |x cross y|^2 at nu = 1:           K = 2 alpha
    Mun and Rosenzweig:         noise dB, so nu = 1/2;                   w = K (cos + m cos 2),  K e^{beta t}/beta
    Onsager, c = b rho:         (8/pi) c |sin| at nu = 1;                w = -(8/pi) sqrt(1 - t^2) at nu = 1/c
"""

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import dawsn, gamma, iv

from particles import ConvergenceError
from particles.equations import Exponential, Legendre, MaierSaupe
from particles.stationary import Branch, StationaryState, follow, onset
from validation.reproductions.row import Reproduction, Row

SHARP = 1e-9  # numerical error of what Newton's method and quadrature leave
HALF = 0.5  # nu of a Brownian motion dB
BELOW = (
    "theirs is below the least eta/S(eta), at which no ordered law exists; Dawson's integral gives the 6.731486 of the "
    "branch in closed form: the last three digits of theirs are not those of the fold"
)
DEGREES = 40  # of |sin|, of which degree l enters with the moment m_l, which falls like e^{-l^2/(2 kappa)}


def nematic() -> Branch:
    """The ordered branch of w = t^2/2, d = 3."""
    return follow(MaierSaupe(1.0), 3, 0.02)


def maier_saupe(quick: bool, seed: int) -> tuple[Row, ...]:
    """Fold, loss of the uniform law, transition and the order there."""
    branch = nematic()
    (fold,) = branch.turning
    _, lost = onset(MaierSaupe(1.0), 3)
    equal = branch.transition()
    state = None if equal is None else branch.at(equal)
    if equal is None or state is None:
        raise ConvergenceError("the nematic branch has no transition")
    return (
        Row("alpha at which ordered laws appear", "6.731393", 0.5 / fold.nu, bias=SHARP, reason=BELOW),
        Row("alpha at which the uniform law is lost", "7.5", 0.5 / lost, bias=SHARP),
        Row("temperature k T/U of the transition", "0.22019", 3 * equal, bias=SHARP, seen=False),
        Row("order parameter S at the transition", "0.4290", state.order_parameter, bias=SHARP, seen=False),
    )


def least_alpha() -> float:
    """min over eta of eta/S(eta), S = (3/2) E t^2 - 1/2 under e^{eta t^2}: alpha of the fold, by Dawson's integral."""

    def alpha(eta: float) -> float:
        total = float(dawsn(math.sqrt(eta))) / math.sqrt(eta)  # e^-eta int_0^1 e^{eta t^2} dt
        return eta / (1.5 * (1 / total - 1) / (2 * eta) - 0.5)

    return float(minimize_scalar(alpha, bracket=(1.0, 2.0, 4.0), tol=1e-12).fun)


def kuramoto_daido(m: float) -> Legendre:
    """cos + m cos 2 on the circle."""
    return Legendre((0.0, 1.0, m), 2)


def kuramoto(quick: bool, seed: int) -> tuple[Row, ...]:
    """K_# and K_c of W = cos + m cos 2; the noisy Kuramoto model is m = 0."""
    rows = []
    for m, lost, best in ((0.0, "1", "1"), (0.5, "1", "1"), (2.0, "0.5", "0.5"), (4.0, "0.25", "0.25")):
        w = kuramoto_daido(m)
        rows.append(Row(f"K_# at m = {m:g}", lost, HALF / onset(w, 2)[1], bias=SHARP))
        rows.append(Row(f"K_c at m = {m:g}", best, critical(w), bias=1e-6))
    d = kuramoto_daido(0.0)
    rows.append(Row("K_c/D of the Kuramoto model with noise of strength D", "2", 1 / onset(d, 2)[1], bias=SHARP,
                    seen=False))  # fmt: skip
    return tuple(rows)


def critical(w: Legendre) -> float:
    """Smallest K at which some ordered law is at least as good as the uniform one, on the branches of all degrees."""
    found = []
    for degree in range(1, len(w.coefficients)):
        leaves = onset(w, 2, degree)[1]
        if leaves > 0:
            branch = follow(w, 2, 0.8 * leaves, degree)
            equal = [branch.transition(sheet) for sheet in range(branch.sheets)]
            found += [leaves, *(nu for nu in equal if nu is not None)]
    return HALF / max(found)


def threshold(d: int, beta: float) -> float:
    """K_# = beta^{d/2}/(2^{d/2} Gamma(d/2) I_{d/2}(beta)), the formula of theirs."""
    return float((beta / 2) ** (d / 2) / (gamma(d / 2) * iv(d / 2, beta)))


@lru_cache(maxsize=8)
def their_beta(d: int) -> float:
    """The root of I_{d/2+1}/I_{d/2} = 1/d."""
    return float(brentq(lambda b: iv(d / 2 + 1, b) / iv(d / 2, b) - 1 / d, 0.1, 20.0, xtol=1e-12))


def turning_beta(d: int) -> float:
    """beta at which the ordered laws next to the uniform one begin to lie on its stable side: no Bessel function."""

    def side(beta: float) -> float:
        w = Exponential(beta)
        leaves = onset(w, d)[1]
        squares, sides = [], []
        for point in follow(w, d, 0.97 * leaves).points[1:3]:
            squares.append(float(point[0]) ** 2)
            sides.append((math.exp(-float(point[-1])) / leaves - 1) / squares[-1])
        return (sides[0] * squares[1] - sides[1] * squares[0]) / (squares[1] - squares[0])  # at m_1 = 0

    return float(brentq(side, 0.7 * their_beta(d), 1.3 * their_beta(d), xtol=1e-7))


def attention(quick: bool, seed: int) -> tuple[Row, ...]:
    """K_# by quadrature against their formula, and the beta at which the transition stops to be continuous."""
    rows = []
    for d, beta in ((2, 1.0), (3, 2.0), (8, 5.0), (64, 10.0)):
        ours = HALF / onset(Exponential(beta), d)[1]
        text = f"K_# at d = {d}, beta = {beta:g}: value of their formula"
        rows.append(Row(text, f"{threshold(d, beta):.10g}", ours, bias=1e-10 * ours))
    for d in (2, 3) if quick else (2, 3, 8):
        text = f"beta_* at d = {d}: root of their equation"
        rows.append(Row(text, f"{their_beta(d):.5f}", turning_beta(d), bias=1e-5))
    return tuple(rows)


@lru_cache(maxsize=1)
def excluded() -> Legendre:
    """-(8/pi) |sin| in Legendre polynomials: degree l = 2k of sqrt(1 - t^2) by Gauss quadrature in the angle."""
    angle = np.pi * (np.arange(4000) + 0.5) / 4000
    basis = np.polynomial.legendre.legvander(np.cos(angle), DEGREES)
    weights = np.sin(angle) ** 2 * np.pi / 4000
    found = (2 * np.arange(DEGREES + 1) + 1) / 2 * (weights @ basis)
    found[1::2] = 0.0
    return Legendre(tuple((-8 / np.pi * found).tolist()), 3)


def coexistence() -> tuple[float, float, StationaryState]:
    """Concentrations of the isotropic and the nematic law of equal pressure and chemical potential; the latter."""
    branch, area = follow(excluded(), 3, 0.1), 4 * np.pi

    def nematic(c: float) -> StationaryState:
        state = branch.at(1 / c)
        if state is None:
            raise ConvergenceError(f"no nematic law at c = {c:g}")
        return state

    def isotropic(c: float) -> float:
        """The isotropic concentration of the same pressure, c + c^2 r with r = 1."""
        return 0.5 * (math.sqrt(1 + 4 * (c + c * c * nematic(c).energy)) - 1)

    def excess(c: float) -> float:
        """Of the chemical potential log c + s + 2 c r, s = int f log(4 pi f)."""
        state, other = nematic(c), isotropic(c)
        return math.log(c / other) + math.log(area) - state.entropy + 2 * c * state.energy - 2 * other

    ordered = float(brentq(excess, 3.7, 6.0, xtol=1e-12))
    return isotropic(ordered), ordered, nematic(ordered)


def onsager(quick: bool, seed: int) -> tuple[Row, ...]:
    """Spinodal of the isotropic law, and the two laws that coexist."""
    isotropic, ordered, state = coexistence()
    return (
        Row("loss of the isotropic law", "4", 1 / onset(excluded(), 3)[1], bias=SHARP, seen=False),
        Row("isotropic concentration at coexistence", "3.290", isotropic, bias=1e-5, seen=False),
        Row("nematic concentration at coexistence", "4.191", ordered, bias=1e-5, seen=False),
        Row("order parameter at coexistence", "0.7922", state.order_parameter, bias=1e-5, seen=False),
    )


MAIER_SAUPE = Reproduction(
    "Maier-Saupe transition",
    "Liu, Zhang and Zhang, Communications in Mathematical Sciences 3(2), 2005 (alpha); Maier and Saupe 1959 (the rest)",
    "the abstract of the first; the last two rows are the values usually quoted, not seen in print",
    "`particles.stationary.follow(MaierSaupe(1), 3, ...)`: fold, onset, transition of the ordered branch",
    maier_saupe,
)
KURAMOTO = Reproduction(
    "Kuramoto and Kuramoto-Daido models with noise",
    "Mun and Rosenzweig, arXiv 2602.14954; Sakaguchi 1988 (last row)",
    "the abstract of the first: K_# = min(1, 1/m), K_c = 1 for m <= 1/2 and 1/m for m >= 2; not the last row",
    "Their noise is dB, nu = 1/2 here: K_c = 2 nu = 1, which is K_c = 2 D",
    kuramoto,
)
ATTENTION = Reproduction(
    "Unnormalised self-attention with noise",
    "Mun and Rosenzweig, arXiv 2606.05140",
    "the abstract: formula of K_# and equation of beta_*; it prints no numbers, so theirs are values of both",
    "K_# by quadrature of the kernel, beta_* from where the branch bends; neither uses a Bessel function. Their noise "
    "is dB (nu = 1/2): at nu = 1 K_# is twice as large",
    attention,
)
ONSAGER = Reproduction(
    "Onsager's hard rods",
    "Onsager 1949; numbers as quoted from Vroege and Lekkerkerker 1992",
    "nothing in print; these are the values usually quoted",
    "The kernel |sin| to degree 40, c = b rho; equal pressure c + c^2 r and chemical potential log c + s + 2 c r",
    onsager,
)
