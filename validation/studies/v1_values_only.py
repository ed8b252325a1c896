"""V1, values only: two tokens under heads with A = I and random values end opposite each other or together.

As reported (Fedorov et al.) antipodal pairs attract iff cosh(2 beta) > d - 2.  Measured on actual tokens: the
probability to end opposite each other, from paths with steps h and 2h on the same values, extrapolated in h; and the
exponent of log(1 + R) next to opposite points, from one layer, whose zero in beta is the critical beta.
"""

import numpy as np

from particles import Array
from particles.reduced import ValuesOnly
from validation.estimates import Estimate, Fitted, LinearFit, columns, replica_mean
from validation.studies.shared.cold import STEP, Sample, means
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "antipodal pairs with random values only",
    "two tokens under heads with A = I and random values end opposite each other with positive probability iff "
    "cosh(2 beta) > d - 2",
    "Fedorov et al. 2601.21942, as reported",
    "",
    "closed form: the drift next to opposite points, zero at cosh(2 beta) = d - 2",
)

START = {"d4": ValuesOnly(4, 1.5), "d3": ValuesOnly(3, 1.0)}  # orthogonal tokens
FINE_STEP, PATIENCE = 0.05, 40  # h; steps 2h between two looks at who has arrived
ARRIVED = np.exp(-18.0)  # 1 - |R| of a path that has arrived: artanh |R| = 9.3
RETURN = 3e-4  # of those some turn back: exp(-0.7 * 9.3) of the opposite pairs, by drift and variance of artanh R there
LONGEST = 1000.0  # diffusive time after which a path is given up
FACTORS = np.array([0.8, 1.0, 1.25])  # of the critical beta
NEAR = 1e-4  # distance from opposite points: squares of it are neglected


def averages(x: Array, y: Array, beta: float) -> tuple[Array, Array]:
    """Barycentres m(x), m(y) of two tokens (d, R) each under softmax with A = I."""
    own = 1 / (1 + np.exp(-0.5 * beta * np.sum((x - y) ** 2, axis=0)))  # weight e^(beta (1 - R)) to e^0
    return y + own * (x - y), x + own * (y - x)


def pushed(x: Array, y: Array, value: Array, beta: float, step: float) -> tuple[Array, Array]:
    """One layer nrm(x + sqrt(h) V m(x)); value (d, d, R)."""
    moved = []
    for token, mean in zip((x, y), averages(x, y, beta), strict=True):
        after = token + np.sqrt(step) * np.einsum("ijr,jr->ir", value, mean)
        moved.append(after / np.sqrt(np.sum(after**2, axis=0)))
    return moved[0], moved[1]


def gaps(x: Array, y: Array) -> tuple[Array, Array]:
    """1 - R and 1 + R without cancellation."""
    return 0.5 * np.sum((x - y) ** 2, axis=0), 0.5 * np.sum((x + y) ** 2, axis=0)


def endings(rng: np.random.Generator, law: ValuesOnly, replicas: int) -> tuple[Array, Array]:
    """Whether paths with steps h and 2h end opposite each other: 1, 0, NaN where not arrived; (R,) each."""
    d, h = law.d, FINE_STEP
    x, y = (np.repeat(np.eye(d)[:, k, None], replicas, axis=1) for k in (0, 1))
    levels = [(x, y), (x, y)]
    found, active = np.full((2, replicas), np.nan), np.arange(replicas)
    for number in range(1, int(LONGEST / (2 * h)) + 1):
        first, second = rng.standard_normal((2, d, d, len(active))) / np.sqrt(d)
        fine = pushed(*pushed(*levels[0], first, law.beta, h), second, law.beta, h)
        coarse = pushed(*levels[1], (first + second) / np.sqrt(2), law.beta, 2 * h)
        levels = [fine, coarse]
        if number % PATIENCE:
            continue
        together, opposite = np.array([gaps(*level) for level in levels]).transpose(1, 0, 2)
        ended = np.minimum(together, opposite) < ARRIVED
        found[:, active] = np.where(ended, opposite < together, np.nan)
        keep = ~ended.all(axis=0)
        active = active[keep]
        levels = [(x[:, keep], y[:, keep]) for x, y in levels]
        if not len(active):
            break
    return found[0], found[1]


def antipodal(rng: np.random.Generator, law: ValuesOnly, replicas: int) -> tuple[Estimate, float]:
    """Probability to end opposite each other, extrapolated in h, and a bound on what is left of the step."""
    block = 10_000
    drawn = [endings(rng, law, min(block, replicas - start)) for start in range(0, replicas, block)]
    fine, coarse = np.concatenate(drawn, axis=1)
    lost = float(np.isnan(fine + coarse).mean())
    fine, coarse = np.nan_to_num(fine, nan=0.5), np.nan_to_num(coarse, nan=0.5)
    change = replica_mean(fine - coarse)
    # terms in h^2 are a fraction of those in h; paths given up may have ended anywhere
    bias = 0.5 * (abs(change.value) + change.error) + 1.5 * lost + RETURN
    return replica_mean(2 * fine - coarse), bias


def one_layer(rng: np.random.Generator, law: ValuesOnly, size: int) -> Sample:
    """d log(1 + R)/h of one layer next to opposite points, averaged over V and -V."""
    d = law.d
    x = np.repeat(np.eye(d)[:, :1], size, axis=1)
    y = -np.cos(NEAR) * x + np.sin(NEAR) * np.eye(d)[:, 1:2]
    value = rng.standard_normal((d, d, size)) / np.sqrt(d)
    before, rate = gaps(x, y)[1], np.zeros(size)
    for sign in (1, -1):
        rate += 0.5 * np.log(gaps(*pushed(x, y, sign * value, law.beta, STEP))[1] / before) / STEP
    controls = [np.sum(value[:, k] ** 2, axis=0) - 1 for k in (0, 1)]  # |V x|^2, and for the direction of x + y
    return Sample(rate[:, None], np.stack(controls, axis=1))


def exponent(rng: np.random.Generator, law: ValuesOnly, size: int) -> Estimate:
    """Exponent of log(1 + R) next to opposite points."""
    return means(lambda count: one_layer(rng, law, count), size, 4 * law.d**2)[0]


def zero(x: Array, y: Array, errors: Array) -> Fitted:
    """The zero of the parabola through points (N,), N >= 3, next to their middle; a term in x^3 is the bias."""
    middle, scale = x.mean(), np.ptp(x)
    u = (x - middle) / scale
    fit = LinearFit.of([np.ones(len(u)), u, u**2], y, errors)
    c, b, a = fit.coefficients
    root = -2 * c / (b + np.copysign(np.sqrt(max(b * b - 4 * a * c, 0.0)), b))
    slope, powers = b + 2 * a * root, np.array([1.0, root, root**2])
    third = min(1.0, fit.size(2) / fit.size(1)) * fit.size(2)
    cubic = third * float(abs(root) ** 3 + np.abs(powers @ fit.response) @ np.abs(u) ** 3)
    error = float(np.sqrt(powers @ fit.covariance @ powers))
    return Fitted(float(middle + scale * root), scale * error / abs(slope), scale * cubic / abs(slope), np.inf, 1.0)


def critical(rng: np.random.Generator, d: int, size: int) -> tuple[Part, Array, Array, Array]:
    """Zero of the exponent in beta, and the exponents: beta, values, errors."""
    wanted = ValuesOnly(d, 0.0).critical_beta
    betas = wanted * FACTORS
    values, errors = columns(exponent(rng, ValuesOnly(d, beta), size) for beta in betas)
    return Part.of(
        f"beta at which opposite points stop to repel, d = {d}: zero of the exponent of log(1 + R)",
        zero(betas, values, errors), wanted,
        excludes={f"cosh(2 beta) = d - {k}": 0.5 * float(np.arccosh(d - k)) for k in (1, 3)},
    ), betas, values, errors  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Probabilities at two (d, beta), and critical beta at two d."""
    replicas, size = (30_000, 300_000) if quick else (500_000, 5_000_000)
    rng = np.random.default_rng([seed, 6])
    parts: dict[str, Part] = {}
    series: list[Series] = []
    rows: list[tuple[float, ...]] = []
    for d in (5, 4):
        parts[f"critical_d{d}"], betas, values, errors = critical(rng, d, size)
        series.append(Series(f"one layer, d = {d}", betas, values, errors, line=False))
        fine = np.linspace(betas[0], betas[-1], 40)
        series.append(Series("exact", fine, [ValuesOnly(d, b).antipodal_exponent for b in fine], dashed=True))
        rows += zip([float(d)] * len(betas), betas, values, errors, strict=True)
    for name, law in START.items():
        measured, bias = antipodal(rng, law, replicas)
        parts[f"probability_{name}"] = Part(
            f"probability to end opposite each other, d = {law.d}, beta = {law.beta:g}, from orthogonal tokens",
            measured.value, measured.error, law.antipodal_probability(0.0),
            bias=bias, excludes={"never": 0.0},
        )  # fmt: skip
    table = dict(zip(("d", "beta", "exponent", "error"), zip(*rows, strict=True), strict=True))
    figure = Figure("beta", "exponent of log(1 + R)", tuple(series))
    return Findings(parts, figure, table, second=Second(ValuesOnly(5, 0.0).critical_beta))
