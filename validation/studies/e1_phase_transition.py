"""E1, phase transition of unnormalised attention with private noise: continuous below beta*, first order above.

w = K e^{beta t}/beta, noise sqrt(2 nu) dB.  As reported the uniform law is lost at
K_#/nu = 2 beta^(d/2)/(2^(d/2) Gamma(d/2) I_{d/2}(beta)); continuously for beta <= beta*, where
I_{d/2+1}(beta*)/I_{d/2}(beta*) = 1/d, else at a smaller K, with a jump.  Measured with the kernel averaged over azimuth
on a grid of t = <x, e>, no harmonics: K as a function of the order parameter.  `particles.stationary` (branches in
moments) is the second way, the nematic of Maier and Saupe the control.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import gamma, ive

from particles import Array
from particles.equations import Exponential, MaierSaupe
from particles.stationary import follow, onset
from validation.studies.shared.sources import PHASES
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "phase transition with private noise",
    "under w = K e^(beta t)/beta and private noise dB the uniform law is lost at K_# = beta^(d/2)/(2^(d/2) Gamma(d/2) "
    "I_{d/2}(beta)), continuously iff beta <= beta*, I_{d/2+1}(beta*)/I_{d/2}(beta*) = 1/d",
    PHASES,
    "",
    "branches in moments: beta at which they leave the uniform law to the other side",
)

SMALL = (0.04, 0.08)  # order parameters of the expansion at the uniform law
NEMATIC, NEMATIC_ORDER = 0.22019, 0.4290  # k T/A and S at the transition of Maier and Saupe, as in the textbooks


class Direct:
    """Laws on S^(d-1) that are zonal, d = 2 or 3, on nodes of t = <x, e>."""

    def __init__(self, d: int, beta: float, nodes: int = 120) -> None:
        self.beta = beta
        if d == 2:
            angle = np.pi * (np.arange(nodes) + 0.5) / nodes
            self.t, self.weights = np.cos(angle), np.full(nodes, 1 / nodes)
        else:
            self.t, weights = np.polynomial.legendre.leggauss(nodes)
            self.weights = 0.5 * weights
        s = np.sqrt(1 - self.t**2)
        inner, across = beta * np.outer(self.t, self.t), beta * np.outer(s, s)
        azimuth = 0.5 * (1 + np.exp(-2 * across)) if d == 2 else ive(0, across)
        self.kernel = np.exp(inner + across - beta) * azimuth * np.exp(beta) / beta

    def strength(self, order: float) -> float:
        """K/nu of the stationary law of this order parameter <t>, by iteration."""
        rho = 1 + order * self.t  # density against the uniform law
        rho /= self.weights @ rho
        strength = 0.0
        for _ in range(2000):
            potential = self.kernel @ (self.weights * rho)
            potential -= potential.max()
            fitted = float(brentq(lambda k, u=potential: self._mean(k * u) - order, 1e-6, 1e4))
            rho = np.exp(fitted * potential)
            rho /= self.weights @ rho
            if abs(fitted - strength) < 1e-13 * fitted:
                return fitted
            strength = fitted
        raise ArithmeticError(f"no law of order parameter {order:g}")

    def _mean(self, exponent: Array) -> float:
        density = self.weights * np.exp(exponent)
        return float(density @ self.t / density.sum())


def lost(d: int, beta: float) -> float:
    """K_#/nu as printed, for noise sqrt(2 nu) dB."""
    bessel = float(ive(d / 2, beta)) * np.exp(beta)
    return float(2 * beta ** (d / 2) / (2 ** (d / 2) * gamma(d / 2) * bessel))


def star(d: int) -> float:
    """beta* as printed."""
    return float(brentq(lambda b: ive(d / 2 + 1, b) / ive(d / 2, b) - 1 / d, 0.1, 20.0))


def curvature(d: int, beta: float, size: float = 1.0) -> tuple[float, float]:
    """K at the order parameter 0 over K_#, and the coefficient of its square in K/K_#, from SMALL times `size`."""
    direct = Direct(d, beta)
    first, second = (direct.strength(size * order) / lost(d, beta) for order in SMALL)
    low, high = ((size * order) ** 2 for order in SMALL)
    bend = (second - first) / (high - low)
    return first - bend * low, bend


def turning(d: int) -> tuple[float, float]:
    """beta at which that coefficient changes its sign, extrapolated to small order, and a bound on the rest."""
    near = (0.8 * star(d), 1.2 * star(d))
    whole, half = (float(brentq(lambda b, s=s: curvature(d, b, s)[1], *near, xtol=1e-6)) for s in (1.0, 0.5))
    return (4 * half - whole) / 3, 0.1 * abs(half - whole)


def leaving(d: int) -> tuple[float, float]:
    """The same from branches in moments: zero of log(K/K_#)/a^2 at a = 0, a the first moment; and a bound on the rest.

    The rest is what a polynomial of one degree more does.
    """

    def bend(beta: float, degree: int) -> float:
        leaves = onset(Exponential(beta), d)[1]
        points = follow(Exponential(beta), d, 0.9 * leaves).points[1:]
        square, rise = points[:, 0] ** 2, points[:, -1] + np.log(leaves)
        keep = square < 0.25 * square.max()
        return float(np.polyfit(square[keep], rise[keep] / square[keep], degree)[-1])

    roots = [float(brentq(bend, 0.8 * star(d), 1.2 * star(d), args=(k,), xtol=1e-6)) for k in (2, 3)]
    return roots[1], abs(roots[1] - roots[0])


def thresholds() -> dict[str, Part]:
    """beta* in d = 3 and 2, and the onset."""
    parts = {}
    for d in (3, 2):
        found, bias = turning(d)
        parts[f"beta_star_d{d}"] = Part(
            f"beta at which the transition turns discontinuous, d = {d}: zero of the coefficient of m^2 in K(m)",
            found, 0.0, star(d), bias=bias, excludes={f"beta* of d = {k}": star(k) for k in (2, 3, 4) if k != d},
        )  # fmt: skip
    start, _ = curvature(3, 1.0)
    parts["onset"] = Part(
        "K(m) at m = 0 over the printed K_#, d = 3, beta = 1", start, 0.0, 1.0, bias=1e-4,
        excludes={"noise dB for (2 nu)^1/2 dB": 0.5, "K_# of d = 2": lost(2, 1.0) / lost(3, 1.0)},
    )  # fmt: skip
    return parts


def controls() -> dict[str, Part]:
    """The transition of Maier and Saupe."""
    nematic = follow(MaierSaupe(1.0), 3, 1 / 20)
    nu, fold = nematic.transition() or np.nan, nematic.turning[0]
    state = nematic.at(nu)
    return {
        "nematic": Part(
            "k T/A at the transition of Maier and Saupe, A = K/3", 3 * nu, 0.0, NEMATIC, bias=1e-5,
            excludes={"where the uniform law is lost": 3 * onset(MaierSaupe(1.0), 3)[1],
                      "where the ordered law is lost": 3 * fold.nu},
        ),
        "nematic_order": Part(
            "order parameter there", np.nan if state is None else state.order_parameter, 0.0, NEMATIC_ORDER, bias=2e-4,
            excludes={"continuous": 0.0, "where the ordered law is lost": fold.order_parameter},
        ),
    }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Onset, beta* in d = 2 and 3, the jump beyond; nothing here is random."""
    parts = thresholds()
    orders = np.linspace(0.04, 0.92, 23 if quick else 89)
    curves = {factor: np.array([Direct(3, factor * star(3)).strength(m) for m in orders]) for factor in (0.95, 1.5)}
    ratios = {factor: curve / lost(3, factor * star(3)) for factor, curve in curves.items()}
    branch = follow(Exponential(1.5 * star(3)), 3, 0.7 * onset(Exponential(1.5 * star(3)), 3)[1])
    fold = 1 / (branch.turning[0].nu * lost(3, 1.5 * star(3)))
    parts["continuous"] = Part(
        "least K(m)/K_# at 0.95 beta*, d = 3: no ordered law before the uniform one is lost",
        float(ratios[0.95].min()), 0.0, 1.0, bias=2e-3, excludes={"with a jump, as at 1.5 beta*": fold},
    )  # fmt: skip
    parts["discontinuous"] = Part(
        "least K(m)/K_# at 1.5 beta*, d = 3, against the fold of the branch in moments", float(ratios[1.5].min()), 0.0,
        fold, bias=1e-3, excludes={"continuous, K_#": 1.0},
    )  # fmt: skip
    parts |= controls()
    series = tuple(Series(f"{factor:g} beta*", ratio, orders) for factor, ratio in ratios.items())
    table = {"order_parameter": orders, **{f"strength_{factor:g}": curve for factor, curve in curves.items()}}
    other, rest = leaving(3)
    figure = Figure("K/K_#", "order parameter, d = 3", series)
    return Findings(parts, figure, table, second=Second(other, bias=rest))
