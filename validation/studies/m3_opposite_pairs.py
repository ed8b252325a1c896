"""M3, lifetime of opposite pairs: a random quadratic form holds them, a shift of strength gamma parts them.

dX = P_X o dQ X + gamma P_X o dW.  As reported pairs meet at the rate 2 gamma^2 (d - 1)/(gamma^2 + 4), quadratic in
gamma.  Derived here: that is a lower bound, from the moment (1 - R)^p; those that have not met die out at the spectral
gap, which is linear in small gamma and equals the bound at gamma^2 (d - 1) = 4 only.  Measured on tokens with all
matrices drawn; the gap itself is tested against finite volumes (tests/particles/reduced/test_spectrum.py).
Random MLP blocks with an odd kernel and an outer bias of variance eps do the same: opposite pairs last like
eps^{-|lambda_1|/(k0 + k0')}, so the two clusters of M2 are metastable.
"""

from typing import NamedTuple

import numpy as np

from particles import Array
from particles.reduced import IsotropicNoise, OverlapDiffusion, QuadraticForm, angle_exponent, spectral_gap
from validation.estimates import Estimate, columns, replica_mean, slope
from validation.studies.shared.backward import expectations
from validation.studies.shared.mlp_pairs import Block
from validation.studies.shared.sources import QUADRATIC
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "lifetime of opposite pairs",
    "under one random quadratic form and a shift of strength gamma two tokens meet at the rate "
    "2 gamma^2 (d - 1)/(gamma^2 + 4)",
    QUADRATIC,
    "a lower bound, sharp at gamma^2 (d - 1) = 4; the rate is the spectral gap of the overlap, "
    "4 gamma/(pi B((d-1)/2, 1/2)) for small gamma: linear",
    "the backward equation of the overlap in finite volumes, without tokens and spectrum",
)

D = 3
GAMMAS = (0.05, 0.1, 0.2, 0.4)
MAIN = 2  # 0.2
STEP = 0.05
SETTLED = 5.0  # time after which those that are left have the profile of the gap
MET = 1e-7  # 1 - R of pairs that are let go: they come back to R < 0 with a probability of about MET
SHARP = QuadraticForm(10, 2 / 3)  # gamma^2 (d - 1) = 4
BIASES = (1e-2, 1e-3, 1e-4)
BLOCK_STEP = 0.1


class Noise(NamedTuple):
    """Increments over a time h: of Q (pairs, d, d) and of gamma W (pairs, d), and areas (pairs, d, d, d).

    areas : [i, j, k], antisymmetric parts of double integrals of Q_ij and gamma W_k, in their variance.
    """

    form: Array
    shift: Array
    areas: Array


def noises(rng: np.random.Generator, law: QuadraticForm, pairs: int, step: float) -> Noise:
    """Draw them."""
    b, a = rng.standard_normal((pairs, law.d, law.d)), rng.standard_normal((pairs, law.d, law.d, law.d))
    form, areas = ((z + np.swapaxes(z, 1, 2)) / np.sqrt(2) for z in (b, a))
    shift = law.gamma * rng.standard_normal((pairs, law.d))
    return Noise(np.sqrt(step) * form, np.sqrt(step) * shift, 0.5 * step * law.gamma * areas)


def joined(one: Noise, two: Noise) -> Noise:
    """The increments of both steps in one, whose areas are drawn alike."""
    return Noise(one.form + two.form, one.shift + two.shift, np.sqrt(2) * (one.areas + two.areas))


def moved(tokens: Array, noise: Noise, square: float) -> Array:
    """A step of weak order 2 of tokens (pairs, 2, d) of length 1: of dX = dQ X + |X| dW (Ito), then nrm.

    Areas of Q with itself turn all tokens alike and are left out.  square : E(Q Q x + <x, w> w) = square x.
    """
    form, shift, areas = noise
    first = tokens @ form + shift[:, None]  # Q is symmetric
    second = first @ form + np.einsum("pid,pid->pi", tokens, first)[..., None] * shift[:, None]
    bracket = np.einsum("pdkk->pd", areas)[:, None]
    bracket = bracket - np.einsum("pia,pabk,pib->pik", tokens, areas, tokens, optimize=True)
    after: Array = (1 - 0.5 * square) * tokens + first + 0.5 * second + bracket
    after /= np.sqrt(np.einsum("pid,pid->pi", after, after))[..., None]
    return after


def gaps(tokens: Array) -> Array:
    """1 - R of tokens (pairs, 2, d) without cancellation."""
    gap: Array = 0.5 * np.sum((tokens[:, 0] - tokens[:, 1]) ** 2, axis=1)
    return gap


def start(law: QuadraticForm, overlap: float, pairs: int) -> Array:
    """Pairs of a given overlap, (pairs, 2, d)."""
    tokens = np.zeros((pairs, 2, law.d))
    tokens[:, 0, 0] = 1.0
    tokens[:, 1, :2] = overlap, np.sqrt(1 - overlap**2)
    return tokens


def apart(rng: np.random.Generator, law: QuadraticForm, pairs: int, times: tuple[float, float]) -> Array:
    """Whether R < 0 at two times, pairs that start opposite, by steps h and 2 h: (2 steps, 2 times, pairs)."""
    levels = [start(law, -1.0, pairs) for _ in range(2)]
    found, active = np.zeros((2, 2, pairs)), np.arange(pairs)
    square = STEP * (law.d + 1 + law.gamma**2)
    marks = [round(time / (2 * STEP)) for time in times]
    for number in range(1, marks[1] + 1):
        one, two = (noises(rng, law, len(active), STEP) for _ in range(2))
        levels[0] = moved(moved(levels[0], one, square), two, square)
        levels[1] = moved(levels[1], joined(one, two), 2 * square)
        distance = np.array([gaps(level) for level in levels])
        for mark in (k for k in (0, 1) if number == marks[k]):
            found[:, mark, active] = distance > 1
        keep = (distance > MET).any(axis=0)
        active, levels = active[keep], [level[keep] for level in levels]
    return found


def death_rate(rng: np.random.Generator, law: QuadraticForm, pairs: int) -> Estimate:
    """Rate at which the share of pairs with R < 0 falls, extrapolated in the step."""
    times = (SETTLED, SETTLED + min(12.0, 1.0 / spectral_gap(law).gap))
    found = np.concatenate([apart(rng, law, min(20_000, pairs - k), times) for k in range(0, pairs, 20_000)], axis=2)
    shares = found.mean(axis=2)
    rates = np.log(shares[:, 0] / shares[:, 1]) / (times[1] - times[0])
    influence = (found[:, 0] / shares[:, :1] - found[:, 1] / shares[:, 1:]) / (times[1] - times[0])
    error = replica_mean((4 * influence[0] - influence[1]) / 3).error
    return Estimate(float(4 * rates[0] - rates[1]) / 3, error)


def moment_rate(rng: np.random.Generator, law: QuadraticForm, pairs: int) -> Estimate:
    """Rate at which E(1 - R)^p falls from R = 0 over unit time, p = 2/(4 + gamma^2), by steps of 1/100."""
    tokens, step = start(law, 0.0, pairs), 0.01
    for _ in range(100):
        tokens = moved(tokens, noises(rng, law, pairs, step), step * (law.d + 1 + law.gamma**2))
    moment = replica_mean(gaps(tokens) ** (2 / (4 + law.gamma**2)))
    return Estimate(-float(np.log(moment.value)), moment.error / moment.value)


def by_volumes(law: QuadraticForm) -> float:
    """The same rate by the backward equation."""
    late = SETTLED + 10.0
    early, last = expectations(law, lambda y: (y < 0).astype(np.float64), -0.9, (SETTLED, late), step=0.05)
    return float(np.log(early / last)) / (late - SETTLED)


def mean_passage(law: OverlapDiffusion) -> float:
    """Mean time from R = -1 to R = 0: scale times speed, by the trapezoidal rule in y = artanh R."""
    y = np.linspace(-20.0, 0.0, 8001)
    drift, variance = law.rates(y)

    def summed(values: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum(0.5 * (y[1] - y[0]) * (values[1:] + values[:-1]))])

    exponent = summed(2 * drift / variance)
    return float(summed(np.exp(-exponent) * summed(2 / variance * np.exp(exponent)))[-1])


def lifetime(rng: np.random.Generator, block: Block, pairs: int) -> Estimate:
    """Mean time of opposite pairs until R > 0, in blocks of finite width."""
    gap, times = np.full(pairs, 2.0), np.zeros(pairs)
    active, time = np.arange(pairs), 0.0
    while len(active):
        gap = block.layer(rng, gap, BLOCK_STEP)[0]
        time += BLOCK_STEP
        times[active[gap < 1]] = time
        active, gap = active[gap >= 1], gap[gap >= 1]
    return replica_mean(times)


def blocks(bias: float) -> Block:
    """erf, d = 4, with an outer bias of this variance."""
    return Block("erf", 4, 0.0, float(np.sqrt(bias)))


def dying(rng: np.random.Generator, pairs: int) -> tuple[dict[str, Part], tuple[Array, ...]]:
    """Parts on quadratic forms; rates, their errors, gaps and printed rates over GAMMAS."""
    laws = [QuadraticForm(D, gamma) for gamma in GAMMAS]
    rates, errors = columns(death_rate(rng, law, pairs) for law in laws)
    exact = np.array([spectral_gap(law).gap for law in laws])
    printed = np.array([law.moment_rate for law in laws])
    fit, main = slope(GAMMAS, rates, errors), laws[MAIN]
    rate, error, gap = float(rates[MAIN]), float(errors[MAIN]), float(exact[MAIN])
    moment = moment_rate(rng, SHARP, pairs // 8)
    parts = {
        "slope": Part(
            f"slope in gamma of the rate at which pairs die out, d = {D}, gamma = {GAMMAS[0]:g} to {GAMMAS[-1]:g}",
            fit.value, fit.error, slope(GAMMAS, printed).value, slope(GAMMAS, exact).value,
            bias=0.02,  # the step, a percent of each
        ),
        "rate": Part(
            f"that rate at gamma = {main.gamma:g}", rate, error, main.moment_rate, gap, bias=0.02 * gap,
        ),
        "bound": Part(
            f"the same as a bound: log of their share falls at least as reported, gamma = {main.gamma:g}",
            -rate, error, -main.moment_rate, at_most=True, bias=0.02 * gap,
            excludes={"pairs stay opposite": 0.0},
        ),
        "moment": Part(
            f"log E(1 - R)^p after unit time, d = {SHARP.d}, gamma = 2/3, where the bound is sharp",
            -moment.value, moment.error, -SHARP.moment_rate, at_most=True, bias=0.02,
            excludes={"it stays": 0.0},
        ),
    }  # fmt: skip
    return parts, (rates, errors, exact, printed)


def lasting(rng: np.random.Generator, pairs: int) -> tuple[Part, str]:
    """The part on blocks, and its numbers."""
    found = [lifetime(rng, blocks(bias), pairs) for bias in BIASES]
    wanted = [mean_passage(IsotropicNoise(blocks(bias).kernel)) for bias in BIASES]
    fit, odd = slope(BIASES, *columns(found)), blocks(0.0).kernel
    power = angle_exponent(odd) / float(odd.value(1.0) + odd.derivative(1.0))
    pairs_of = zip(found, wanted, strict=True)
    return Part(
        "slope of the lifetime of opposite pairs in the variance of the outer bias, erf blocks, d = 4, against "
        f"quadrature at the same variances; {power:.3f} as they vanish",
        fit.value, fit.error, slope(BIASES, wanted).value, bias=0.02,  # bias: the step
        excludes={"as long at any variance": 0.0, "like 1/variance": -1.0},
    ), (
        "lifetimes under erf blocks, measured and by quadrature: "
        + ", ".join(f"{life.value:.1f} ± {life.error:.1f} and {exact:.1f}" for life, exact in pairs_of)
        + f" at variances {', '.join(f'{bias:g}' for bias in BIASES)}; steps of {BLOCK_STEP:g} make them longer"
    )  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Death rates over gamma, the moment where it is sharp, lifetimes over the bias."""
    pairs, few = (12_000, 700) if quick else (120_000, 5_000)
    rng = np.random.default_rng([seed, 31])
    parts, (rates, errors, exact, printed) = dying(rng, pairs)
    parts["lifetime"], note = lasting(rng, few)
    fine = np.geomspace(GAMMAS[0], GAMMAS[-1], 30)
    curves = [QuadraticForm(D, float(gamma)) for gamma in fine]
    series = (
        Series("tokens", GAMMAS, rates, errors, line=False),
        Series("spectral gap", fine, [spectral_gap(q).gap for q in curves], dashed=True),
        Series("as reported", fine, [q.moment_rate for q in curves], dashed=True),
    )
    table = {"gamma": GAMMAS, "rate": rates, "error": errors, "gap": exact, "printed": printed}
    second = Second(slope(GAMMAS, [by_volumes(QuadraticForm(D, gamma)) for gamma in GAMMAS]).value)
    figure = Figure("gamma", "rate", series, x_log=True, y_log=True)
    return Findings(parts, figure, table, (note,), second)
