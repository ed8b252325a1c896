"""M4, sharp rates of synchronisation by random MLP blocks: how fast E(1 - R) falls from tokens that are not near.

As reported E(1 - R) has the exponent lambda_bar.  Derived here: that holds in the end where lambda_1 <= -2 c,
c = k(1) + k'(1); for -2 c < lambda_1 < 0 the mean is borne by pairs that stay apart and falls at the spectral gap,
also where lambda_bar > 0.  The gap is at most lambda_1^2/(2 c), and less where nearly opposite pairs last.  Measured in
blocks of finite width; the second way is the backward equation in finite differences, the third shooting.
"""

from collections.abc import Callable

import numpy as np

from particles import ACTIVATIONS, Array, DualKernel
from particles.reduced import IsotropicNoise, angle_exponent, decay_rate, mean_exponent, overlap_energy_rate
from validation.estimates import Estimate, replica_mean
from validation.studies.shared.backward import expectations
from validation.studies.shared.mlp_pairs import Block
from validation.studies.shared.sources import BLOCKS
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "sharp rates of synchronisation",
    "E(1 - R) under random MLP blocks has the exponent lambda_bar = (d - 1) k'(1) - (d - 3) k(1); energies fall where "
    "it is negative",
    BLOCKS,
    "the exponent is lambda_bar only where lambda_1 <= -2 c, c = k(1) + k'(1); for -2 c < lambda_1 < 0 it is minus the "
    "spectral gap, lambda_1^2/(2 c) or less, and tokens synchronise in the mean although lambda_bar may be positive",
    "the backward equation of the overlap in finite differences, without blocks and paths",
)

RELU, ERF, SIGMOID = Block("relu", 5), Block("erf", 4, 0.0, 0.03), Block("sigmoid", 64)
ROWS = [(name, d, sigma) for name in ("relu", "silu", "sigmoid", "tanh") for d in (5, 64, 128) for sigma in (0.0, 0.1)]
BETAS = (0.0, 1.0, 4.0)
LATE = (120.0, 160.0, 200.0)


def distance(gap: Array) -> Array:
    """1 - R."""
    return gap


def opposite(gap: Array) -> Array:
    """Whether R < 0."""
    return (gap > 1).astype(np.float64)


def gap_of(y: Array) -> Array:
    """1 - R at y = artanh R."""
    gap: Array = 2 / (1 + np.exp(2 * y))
    return gap


def exponent(
    rng: np.random.Generator, block: Block, function: Callable[[Array], Array], times: tuple[float, float], pairs: int,
    step: float,
) -> Estimate:
    """d log E f/dt between two times from orthogonal pairs, in blocks of finite width."""
    gap, kept = np.ones(pairs), []
    for number in range(1, round(times[1] / step) + 1):
        gap = block.layer(rng, gap, step)[0]
        if number in (round(times[0] / step), round(times[1] / step)):
            kept.append(function(gap))
    early, late = (values.mean() for values in kept)
    influence = replica_mean((kept[1] / late - kept[0] / early) / (times[1] - times[0]))
    return Estimate(float(np.log(late / early)) / (times[1] - times[0]), influence.error)


def backward(block: Block, function: Callable[[Array], Array], times: tuple[float, ...]) -> Array:
    """E f from orthogonal pairs by the backward equation."""
    return expectations(IsotropicNoise(block.kernel), lambda y: function(gap_of(y)), 0.0, times, step=0.05)


def edge(kernel: DualKernel) -> float:
    """lambda_1^2/(2 c)."""
    return angle_exponent(kernel) ** 2 / (2 * float(kernel.value(1.0) + kernel.derivative(1.0)))


def growing() -> int:
    """Rows of the table and beta with lambda_bar < 0 where the energy of some overlap grows."""
    kernels = [DualKernel(ACTIVATIONS[name], d, sigma, sigma) for name, d, sigma in ROWS]
    synchronised = [kernel for kernel in kernels if mean_exponent(kernel) < 0]
    return sum(overlap_energy_rate(kernel, beta) < 0 for kernel in synchronised for beta in BETAS)


def measured(rng: np.random.Generator, pairs: int) -> dict[str, Part]:
    """Parts by blocks."""
    relu, erf, sigmoid = (block.kernel for block in (RELU, ERF, SIGMOID))
    mean = exponent(rng, RELU, distance, (30.0, 60.0), pairs, 0.1)
    early, late = backward(RELU, distance, (30.0, 60.0))
    lasting = exponent(rng, ERF, opposite, (20.0, 60.0), pairs // 2, 0.1)
    fast = exponent(rng, SIGMOID, distance, (0.2, 0.5), pairs // 10, 0.001)
    return {
        "relu": Part(
            "d log E(1 - R)/dt between t = 30 and 60 from orthogonal pairs, relu without biases, d = 5, where "
            f"lambda_bar = {mean_exponent(relu):+.2f}",
            mean.value, mean.error, mean_exponent(relu), float(np.log(late / early)) / 30, bias=0.003,  # bias: the step
        ),
        "erf": Part(
            f"d log P(R < 0)/dt between t = 20 and 60, erf, d = {ERF.d}, sigma_w = {ERF.sigma_w:g}: opposite pairs "
            "last, so the rate is not lambda_1^2/(2 c)",
            lasting.value, lasting.error, -edge(erf), -decay_rate(erf), bias=0.0015,  # the step, what is not settled
        ),
        "sigmoid": Part(
            "d log E(1 - R)/dt between t = 0.2 and 0.5, sigmoid without biases, d = 64, where lambda_1 < -2 c",
            fast.value, fast.error, mean_exponent(sigmoid), bias=0.02 * abs(mean_exponent(sigmoid)),
            excludes={"lambda_1": angle_exponent(sigmoid), "-lambda_1^2/(2 c)": -edge(sigmoid)},
            # bias: log(1 + h lambda_bar)/h
        ),
    }  # fmt: skip


def late_rate() -> Part:
    """The rate at the edge of the spectrum: E(1 - R) ~ t^(-3/2) e^(-edge t), with an error of order t^-2."""
    times = np.array(LATE)
    tail = np.log(backward(RELU, distance, LATE)) + 1.5 * np.log(times)
    (first, last), squares = np.diff(tail) / np.diff(times), times[1:] * times[:-1]
    limit = float((last * squares[1] - first * squares[0]) / (squares[1] - squares[0]))
    return Part(
        f"exponent of t^(3/2) E(1 - R) by the backward equation, t = {LATE[0]:g} to {LATE[-1]:g}, relu without biases, "
        "d = 5, against -lambda_1^2/(2 c)",
        limit, 0.0, -edge(RELU.kernel), bias=0.3 * abs(limit - float(last)),
        excludes={"lambda_bar": mean_exponent(RELU.kernel), "2 lambda_1": 2 * angle_exponent(RELU.kernel), "none": 0.0},
    )  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Exponents in blocks, the late rate by the backward equation, and the table's energies."""
    pairs = 10_000 if quick else 100_000
    rng = np.random.default_rng([seed, 32])
    parts = measured(rng, pairs)
    parts["limit"] = late_rate()
    parts["energies"] = Part(
        f"rows of the table (four activations, d = 5, 64, 128, with and without biases) and beta in {BETAS} with "
        "lambda_bar < 0 where the energy of some pair grows",
        float(growing()), 0.0, 0.0, excludes={"one such row": 1.0},
    )  # fmt: skip
    times = np.arange(5.0, 101.0, 5.0)
    curve = backward(RELU, distance, tuple(times))
    series = (
        Series("E(1 - R), relu, d = 5, backward equation", times, curve),
        Series("lambda_bar", times[:4], curve[0] * np.exp(mean_exponent(RELU.kernel) * (times[:4] - 5.0)), dashed=True),
        Series("t^(-3/2) exp(-lambda_1^2 t/(2 c))", times,
               curve[-1] * (times / times[-1]) ** -1.5 * np.exp(-edge(RELU.kernel) * (times - times[-1])), dashed=True),
    )  # fmt: skip
    early, late = backward(RELU, distance, (30.0, 60.0))
    return Findings(
        parts, Figure("time", "E(1 - R)", series, y_log=True), {"time": times, "mean_gap": curve},
        second=Second(float(np.log(late / early)) / 30),
    )  # fmt: skip
