"""Variance of softmax weights under Gaussian scores: two closed forms, and how wrong they are found to be.

n scores of variance sigma^2 and correlation r; softmax does not see what they share, so only s^2 = (1 - r) sigma^2
acts.  The forms under test, s'^2 = s^2 n/(n - 1):

    simple   (e^{s^2} - 1)/n^2          full   (e^{s'^2} - 1) e^{2 s'^2}/((n - 1) e^{s^2} + 1)^2

Exactly, sum pi^2 = int_0^inf t (sum e^{2x}) e^{-t sum e^x} dt, so that E sum pi^2 is one integral of powers of
phi(t) = E e^{-t e^x}.  What others print are percentiles of relative errors over a grid of (sigma, r, n), against a
sample of 10,000 rows: part of it is the sample's.
"""

import numpy as np

from particles import Array
from validation.reproductions.row import Reproduction, Row

SIGMAS = np.logspace(-2, 0, 5)
CORRELATIONS = np.linspace(0, 1, 5, endpoint=False)
COUNTS = tuple(int(n) for n in np.logspace(np.log10(300), 4, 5))
REPEATS, SAMPLE = 5, 10_000  # each setting stands five times in their grid, for a parameter that does not act
PERCENTILES = (50, 90, 99)
THEIRS = {"full": ("0.2", "0.9", "4.0"), "simple": ("0.1", "0.5", "2.6")}
NOISE = (
    "theirs includes the scatter of a sample of 10,000 rows; ours is the error of the formula against an exact integral"
)

Setting = tuple[int, float]
"""n and s."""


def simple(n: int, s: float) -> float:
    """(e^{s^2} - 1)/n^2."""
    return float(np.expm1(s * s)) / n**2


def full(n: int, s: float) -> float:
    """The form that keeps terms in 1/n."""
    wide = s * s * n / (n - 1)
    return float(np.expm1(wide) * np.exp(2 * wide) / ((n - 1) * np.exp(s * s) + 1) ** 2)


FORMS = {"full": full, "simple": simple}


def exact(n: int, s: float) -> float:
    """Var pi = E sum pi^2/n - 1/n^2, by quadrature in log t and in the score; relative error below 1e-6 for s <= 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    log_t = np.linspace(-np.log(n) - 12.0, -np.log(n) + 8.0, 4001)
    grown = np.exp(log_t)[:, None] * np.exp(s * nodes)
    phi, square = np.exp(-grown) @ weights, (grown**2 * np.exp(-grown)) @ weights
    step = float(log_t[1] - log_t[0])
    sum_of_squares = n * step * float(np.sum(square * phi ** (n - 1)))  # t^2 e^{2x} dlog t = t e^{2x} dt
    return (sum_of_squares - 1 / n) / n


def noise(rng: np.random.Generator, n: int, s: float, rows: int) -> float:
    """Relative standard deviation of the variance found in a sample of SAMPLE rows, from a smaller one."""
    x = np.exp(np.float32(s) * rng.standard_normal((rows, n), dtype=np.float32))
    x /= x.sum(axis=1, keepdims=True)
    squares = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    return float(squares.std(ddof=1) / np.sqrt(SAMPLE) / (squares.mean() - 1 / n))


def percentiles(errors: Array) -> Array:
    """In per cent, at the places where they take them: entry int(size p/100) of the sorted errors."""
    found = 100 * np.sort(errors.ravel())
    return found[[int(found.size * p / 100) for p in PERCENTILES]]


def ratios(form: str, truth: dict[Setting, float]) -> Array:
    """A form over the exact variance, one for each setting (n, s)."""
    return np.array([FORMS[form](n, s) / value for (n, s), value in truth.items()])


def found_by_sampling(rng: np.random.Generator, ratio: Array, deviation: Array) -> tuple[Array, Array]:
    """Mean and standard deviation, over samples like theirs, of the percentiles of |1 - form/variance found|."""
    draws = deviation[:, None] * rng.standard_normal((400, len(ratio), REPEATS))
    drawn = np.array([percentiles(np.abs(1 - ratio[:, None] / (1 + draw))) for draw in draws])
    return drawn.mean(axis=0), drawn.std(axis=0)


def rows(quick: bool, seed: int) -> tuple[Row, ...]:
    """Percentiles of both forms' errors, against the exact variance and against samples of the size of theirs."""
    grid: list[Setting] = [(n, float(sigma * np.sqrt(1 - r))) for n in COUNTS for sigma in SIGMAS for r in CORRELATIONS]
    rng = np.random.default_rng([seed, 41])
    truth = {setting: exact(*setting) for setting in grid}
    deviation = np.array([noise(rng, n, s, 30 if quick else 1000) for n, s in grid])
    found = []
    for form, printed in THEIRS.items():
        ratio = ratios(form, truth)
        way, spread = found_by_sampling(rng, ratio, deviation)
        for p, theirs, ours, mean, sd in zip(
            PERCENTILES, printed, percentiles(np.repeat(np.abs(1 - ratio), REPEATS)), way, spread, strict=True
        ):
            text = f"error of the {form} form, percentile {p}, in %"
            found.append(Row(text, theirs, float(ours), bias=1e-3, reason=NOISE, their_way=float(mean),
                             way_error=float(sd)))  # fmt: skip
    return tuple(found)


SOFTMAX = Reproduction(
    "Variance of softmax weights",
    "Kedia, Zaidi, Khyalia, Jung, Goka and Lee, arXiv 2403.09635, repository akhilkedia/TranformersGetStable",
    "simulations/expected_output.txt at 7f48e64, its lines on softmax",
    "The grid of simulations/softmax.py: sigma 0.01 to 1, r 0 to 0.8, n 300 to 10,000; rounding in their single "
    "precision is left out",
    rows,
)
