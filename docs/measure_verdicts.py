"""How often the rule of verdicts errs: simulated claims whose truth is known.

    python docs/measure_verdicts.py [TRIALS]

prints the table of docs/validation.md.  A claim predicts 1; the truth is 1, the corrected value 2, or 1.5, which is
neither.  Data are drawn as studies draw them, then as they should not be: heavy tails, correlation, curvature.
"""

import sys
from collections.abc import Callable

import numpy as np

from validation import Part, Verdict
from validation.estimates import Estimate, Fitted, exponent, replica_mean, slope

Draw = Callable[[np.random.Generator, float], Estimate | Fitted]
PREDICTED, NEITHER, CORRECTED = 1.0, 1.5, 2.0
SAMPLES, SPREAD = 400, 1.0  # of a mean: its standard error is 0.05
STEPS = 1 / np.array([16, 23, 32, 45, 64, 91, 128, 181])
RELATIVE = 0.01  # error of a point of a fit


def normal(rng: np.random.Generator, truth: float) -> Estimate:
    """A mean of independent normal numbers."""
    return replica_mean(truth + SPREAD * rng.standard_normal(SAMPLES))


def heavy(rng: np.random.Generator, truth: float) -> Estimate:
    """Of Student's t with 3 degrees of freedom, whose fourth moment is infinite."""
    return replica_mean(truth + SPREAD * rng.standard_t(3, SAMPLES) / 3**0.5)


def skewed(rng: np.random.Generator, truth: float) -> Estimate:
    """Of lognormal numbers, sigma = 1."""
    drawn = np.exp(rng.standard_normal(SAMPLES))
    return replica_mean(truth + SPREAD * (drawn - np.exp(0.5)) / np.sqrt(np.e * (np.e - 1)))


def correlated(rng: np.random.Generator, truth: float) -> Estimate:
    """Pairs of equal numbers, taken for independent: the standard error is too small by the root of 2."""
    return replica_mean(truth + SPREAD * np.repeat(rng.standard_normal(SAMPLES // 2), 2))


def few(rng: np.random.Generator, truth: float) -> Fitted:
    """Of 6 numbers, with t quantiles."""
    found = replica_mean(truth + 0.03 * rng.standard_normal(6))
    return Fitted(found.value, found.error, 0.0, 5, 1.0)


def few_as_many(rng: np.random.Generator, truth: float) -> Estimate:
    """Of 6 numbers, with normal quantiles."""
    return replica_mean(truth + 0.12 * rng.standard_normal(6))


def points(rng: np.random.Generator, truth: float, relative: float) -> np.ndarray:
    """Points of a power law whose next terms are up to half of it at the coarsest value."""
    first, second = rng.uniform(-0.5, 0.5, 2) / [STEPS[0], STEPS[0] ** 2 / 0.5]
    y = STEPS**truth * (1 + first * STEPS + second * STEPS**2)
    return np.asarray(y * (1 + relative * rng.standard_normal(len(STEPS))))


def bent(rng: np.random.Generator, truth: float) -> Fitted:
    """An exponent, its next order fitted."""
    y = points(rng, truth, RELATIVE)
    return exponent(STEPS, y, RELATIVE * y)


def bent_exact(rng: np.random.Generator, truth: float) -> Fitted:
    """The same from points without errors, with t quantiles."""
    return exponent(STEPS, points(rng, truth, 0.0))


def widened(rng: np.random.Generator, truth: float) -> Fitted:
    """A straight line, widened by its misfit: what was done before, less a bias by hand."""
    y = points(rng, truth, RELATIVE)
    found = slope(STEPS, y, RELATIVE * y)
    return Fitted(found.value, found.error, 0.0, np.inf, 1.0)


KINDS: dict[str, Draw] = {
    "mean of 400 normal numbers": normal,
    "mean of 400 of Student's t, 3 degrees of freedom": heavy,
    "mean of 400 lognormal numbers": skewed,
    "mean of 200 pairs of equal numbers, taken for 400": correlated,
    "mean of 6 numbers, t quantiles": few,
    "mean of 6 numbers, normal quantiles (not done)": few_as_many,
    "exponent of 8 bent points, next order fitted": bent,
    "exponent of 8 exact bent points, t quantiles": bent_exact,
    "exponent of 8 bent points, straight line (not done)": widened,
}


def rates(draw: Draw, trials: int, seed: int = 0) -> dict[float, dict[Verdict, float]]:
    """Truth -> verdict -> how often."""
    found = {}
    for truth in (PREDICTED, NEITHER, CORRECTED):
        rng = np.random.default_rng([seed, round(10 * truth)])
        verdicts = [Part.of("", draw(rng, truth), PREDICTED, CORRECTED).verdict for _ in range(trials)]
        found[truth] = {verdict: verdicts.count(verdict) / trials for verdict in Verdict}
    return found


def wrong(found: dict[float, dict[Verdict, float]]) -> tuple[float, float, float]:
    """False holds, false corrected, false fails: the worst over the truths under which they are false."""
    return (
        max(found[NEITHER][Verdict.HOLDS], found[CORRECTED][Verdict.HOLDS]),
        max(found[PREDICTED][Verdict.CORRECTED], found[NEITHER][Verdict.CORRECTED]),
        max(found[PREDICTED][Verdict.FAILS], found[CORRECTED][Verdict.FAILS]),
    )


def main(trials: int) -> None:
    """The table."""
    columns = ("data", "false holds", "false corrected", "false fails", "holds if so", "corrected if so", "fails if so")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name, draw in KINDS.items():
        found = rates(draw, trials)
        right = (found[PREDICTED][Verdict.HOLDS], found[CORRECTED][Verdict.CORRECTED], found[NEITHER][Verdict.FAILS])
        print(f"| {name} | " + " | ".join(f"{rate:.4f}" for rate in (*wrong(found), *right)) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
