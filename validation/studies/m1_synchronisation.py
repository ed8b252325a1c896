"""M1, synchronisation by random MLP blocks: exponents of two close tokens, and what the sign of lambda_bar says.

lambda_1 = (d-3)/2 k'(1) - (d-1)/2 k(1) of the angle, lambda_bar = (d-1) k'(1) - (d-3) k(1) of E(1 - R), each measured
in one layer of blocks of finite width.  lambda_bar < 0 is sufficient for synchronisation but not necessary: relu
without biases at d = 5 has lambda_bar = +0.2 and lambda_1 = -0.1, and pairs that start orthogonal meet at that rate.
"""

import numpy as np

from particles import Array
from particles.reduced import angle_exponent, mean_exponent
from validation.estimates import Estimate, columns, half_unit, replica_mean
from validation.studies.shared.cold import STEP, Sample, means
from validation.studies.shared.mlp_pairs import REPORTED, Block
from validation.studies.shared.sources import BLOCKS
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "synchronisation by random MLP blocks",
    "two close tokens have the exponents lambda_1 = (d-3)/2 k'(1) - (d-1)/2 k(1) of the angle and "
    "lambda_bar = (d-1) k'(1) - (d-3) k(1) of E(1 - R), with the values of the table; lambda_bar < 0 is "
    "sufficient for synchronisation, and not necessary",
    BLOCKS,
    "",
    "closed form: k(1) and k'(1) of the kernel",
)

CLOSE = 1e-8  # 1 - R of close tokens
BARE = Block("relu", 5)
LONG_STEP, HORIZON = 0.05, 80.0


def exponents(rng: np.random.Generator, block: Block, size: int) -> tuple[Estimate, Estimate]:
    """lambda_1 and lambda_bar, from one layer."""

    def draw(count: int) -> Sample:
        gap = np.full(count, CLOSE)
        ratios = np.array(block.layer(rng, gap, STEP)) / CLOSE
        rates = np.column_stack([0.5 * np.log(ratios).mean(axis=0), ratios.mean(axis=0) - 1]) / STEP
        return Sample(rates, np.zeros((count, 0)))

    first, mean = means(draw, size, 8 * (block.d + block.width))
    return first, mean


def courses(rng: np.random.Generator, block: Block, start: float, pairs: int, step: float = LONG_STEP) -> Array:
    """log(1 - R)/2, the logarithm of the angle up to a constant, at each of 5 times up to HORIZON: (5, pairs)."""
    gap, found = np.full(pairs, 1 - start), []
    for number in range(1, round(HORIZON / step) + 1):
        gap = block.layer(rng, gap, step)[0]
        if number % round(HORIZON / step / 5) == 0:
            found.append(0.5 * np.log(gap))
    return np.array(found)


def study(quick: bool, seed: int) -> Findings:
    """Exponents of the table, and synchronisation where lambda_bar > 0."""
    size, pairs = (60_000, 1200) if quick else (2_000_000, 20_000)
    rng = np.random.default_rng([seed, 12])
    parts: dict[str, Part] = {}
    firsts, barred = [], []
    for block, printed in REPORTED.items():
        name, (first, mean), half = block.activation, map(float, printed), half_unit(printed[0])
        found, found_mean = exponents(rng, block, size)
        firsts.append(found)
        barred.append(found_mean)
        rivals = {"lambda_1": {"lambda_bar/2": 0.5 * mean}, "lambda_bar": {"2 lambda_1": 2 * first}}
        for key, measured, value in (("lambda_1", found, first), ("lambda_bar", found_mean, mean)):
            parts[f"{key}_{name}"] = Part.of(
                f"{key} of {name}, d = {block.d}, sigma_r = sigma_w = {block.sigma_r:g}, blocks of width {block.width}",
                measured, value, bias=half + 1e-4 * abs(value), excludes=rivals[key],  # bias: digits; 1 - R = 1e-8, h
            )  # fmt: skip
    paths, coarse = (courses(rng, BARE, 0.0, pairs, step) for step in (LONG_STEP, 2 * LONG_STEP))
    rate, other = (replica_mean((course[-1] - course[0]) / (0.8 * HORIZON)) for course in (paths, coarse))
    parts["not_necessary"] = Part.of(
        f"rate of log angle of pairs under relu without biases, d = 5, where lambda_bar = "
        f"{mean_exponent(BARE.kernel):+.2f}: synchronised although positive",
        rate, angle_exponent(BARE.kernel), bias=abs(rate.value - other.value) + other.error,  # what half the step did
        excludes={"not synchronised": 0.0, "lambda_bar/2": 0.5 * mean_exponent(BARE.kernel)},
    )  # fmt: skip
    values, errors = columns(firsts)
    means_, mean_errors = columns(barred)
    times = HORIZON * np.arange(1, 6) / 5
    line = paths[0].mean() + angle_exponent(BARE.kernel) * (times - times[0])
    series = (
        Series("mean log angle, relu", times, paths.mean(axis=1), paths.std(axis=1) / np.sqrt(pairs), line=False),
        Series("lambda_1 t", times, line, dashed=True),
    )
    return Findings(
        parts,
        Figure("depth time", "log angle", series),
        {"activation": [block.activation for block in REPORTED], "lambda_1": values, "lambda_1_error": errors,
         "lambda_bar": means_, "lambda_bar_error": mean_errors},
        second=Second(angle_exponent(next(iter(REPORTED)).kernel)),
    )  # fmt: skip
