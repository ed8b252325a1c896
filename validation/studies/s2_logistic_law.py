"""S2, the logistic law: at beta = 0 the mean overlap w = |mean token|^2 follows w' = w (1 - w) as d -> infinity.

Every token gets the same push sqrt(h) V m, m the mean token.  Measured: E w at diffusive time 2 leaves the logistic
law by O(1/d), single paths by d^-1/2.  The step has an effect of its own, of order h at every d; so paths are held
against the same chain at d = infinity, where |V m|^2 = w and everything else averages out:
w -> w + h w (1 - w)/(1 + h w), which tends to the logistic law as h -> 0.  At d = 6 the drift of actual layers is held
against the exact one.
"""

import numpy as np

from particles import Array, Cloud, unit
from particles.reduced import logistic_overlap, mean_overlap_drift
from validation.estimates import Estimate, columns, control_mean, exponent
from validation.studies.shared.chains import equiangular, mean_overlap
from validation.studies.shared.cold import STEP, Sample, means
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "logistic law of the mean overlap",
    "at beta = 0 the mean overlap follows w' = w (1 - w) as d -> infinity: its mean within O(1/d), single "
    "paths within O(d^-1/2)",
    HOMOGENIZED,
    "",
    "closed form: the exact drift of w differs from w (1 - w) by terms of order 1/d",
)

N, TIME, STEPS = 4, 2.0, 64
DIMENSIONS = (16, 32, 64, 128, 256)
BLOCK = 500
FEW = unit(np.random.default_rng(6).standard_normal((5, 6)) + 0.4)  # tokens of one layer


def limit_chain(start: float, step: float, steps: int) -> Array:
    """The chain's w at d = infinity, (steps + 1,)."""
    w = [start]
    for _ in range(steps):
        w.append(w[-1] + step * w[-1] * (1 - w[-1]) / (1 + step * w[-1]))
    return np.array(w)


def paths(rng: np.random.Generator, d: int, size: int) -> tuple[Array, Array]:
    """Mean overlap at the end less that of the chain at d = infinity (S,), and a control of mean zero (S,).

    V m is drawn as |m| d^-1/2 times a Gaussian vector.  The control adds up the linear parts of all moves, each
    grown to the end by the logistic flow, by w (1 - w) at the end over that at the move.
    """
    step = TIME / STEPS
    state = np.broadcast_to(equiangular(N, d, 0.0), (size, N, d)).copy()
    course = limit_chain(1 / N, step, STEPS)
    control = np.zeros(size)
    for w in course[:-1]:
        mean = state.mean(axis=1)
        length = np.sqrt(np.einsum("sd,sd->s", mean, mean) * step / d)
        move = length[:, None] * rng.standard_normal((size, d))
        along = (state @ move[:, :, None])[:, :, 0]  # <x_i, U>
        linear = np.einsum("sd,sd->s", mean, move)
        linear -= ((state @ mean[:, :, None])[:, :, 0] * along).mean(axis=1)
        control += 2 * linear / (w * (1 - w))
        state += move[:, None, :]
        state /= np.linalg.norm(state, axis=2, keepdims=True)
    return mean_overlap(state) - course[-1], control


def deviation(rng: np.random.Generator, d: int, size: int) -> tuple[Estimate, Estimate]:
    """Mean deviation of w from the law, and the standard deviation of paths about it."""
    drawn = [paths(rng, d, min(BLOCK, size - start)) for start in range(0, size, BLOCK)]
    gaps, controls = np.concatenate(drawn, axis=1)
    spread = float(gaps.std(ddof=1))
    fourth = float(np.mean((gaps - gaps.mean()) ** 4)) / spread**4
    return control_mean(gaps, controls, 0.0), Estimate(spread, spread * float(np.sqrt((fourth - 1) / (4 * size))))


def one_layer(rng: np.random.Generator, start: Array, size: int) -> Sample:
    """dw/h of tokens (n, d) in one layer with V drawn whole, averaged over V and -V."""
    d, mean = start.shape[1], start.mean(axis=0)
    w, found = float(mean @ mean), np.zeros(size)
    push = rng.standard_normal((size, d, d)) @ mean / np.sqrt(d)
    for sign in (1.0, -1.0):
        moved = start + sign * np.sqrt(STEP) * push[:, None, :]
        moved /= np.linalg.norm(moved, axis=2, keepdims=True)
        found += 0.5 * mean_overlap(moved)
    control = np.einsum("sd,sd->s", push, push) - w
    return Sample((found - w)[:, None] / STEP, control[:, None])


def first_step(rng: np.random.Generator, start: Array, size: int) -> Estimate:
    """Drift of w from tokens (n, d)."""
    n, d = start.shape
    return means(lambda count: one_layer(rng, start, count), size, 2 * d * (d + n))[0]


def study(quick: bool, seed: int) -> Findings:
    """Slopes of deviation and spread in d, and the drift at d = 6."""
    size, few = (4000, 300_000) if quick else (60_000, 6_000_000)
    rng = np.random.default_rng([seed, 5])
    found = [deviation(rng, d, size) for d in DIMENSIONS]
    dimensions = np.array(DIMENSIONS)
    gaps, gap_errors = columns(gap for gap, _ in found)
    spreads, spread_errors = columns(spread for _, spread in found)
    measured = first_step(rng, FEW, few)
    exact, w = mean_overlap_drift(Cloud(FEW, np.full(5, 0.2))), float(np.sum(FEW.mean(axis=0) ** 2))
    parts = {
        "mean": Part.of(
            f"exponent of d in the logistic law less E w at diffusive time {TIME:g}, from {N} orthogonal tokens",
            exponent(dimensions, -gaps, gap_errors, order=-1), -1.0, excludes={"as single paths": -0.5},
        ),
        "spread": Part.of(
            "exponent of d in the standard deviation of paths about it",
            exponent(dimensions, spreads, spread_errors, order=-1), -0.5,
            excludes={"as the mean": -1.0, "it stays": 0.0},
        ),
        "drift": Part(
            f"drift of w of 5 tokens at d = 6 over its exact value; the logistic law gives {w * (1 - w) / exact:.3f}",
            measured.value / exact, measured.error / exact, 1.0, bias=1e-4,  # the step; terms of order h, 1e-6
            excludes={"the logistic law": w * (1 - w) / exact},
        ),
    }  # fmt: skip
    series = (
        Series("logistic law - E w", dimensions, -gaps, gap_errors, line=False),
        Series("standard deviation of w", dimensions, spreads, spread_errors, line=False),
        Series("1/d", dimensions, -gaps[-1] * dimensions[-1] / dimensions, dashed=True),
        Series("d^-1/2", dimensions, spreads[-1] * (dimensions[-1] / dimensions) ** 0.5, dashed=True),
    )
    rest = limit_chain(1 / N, TIME / STEPS, STEPS)[-1] - float(logistic_overlap(TIME, 1 / N))
    return Findings(
        parts,
        Figure("d", "mean overlap", series, x_log=True, y_log=True),
        {"d": dimensions, "deviation": -gaps, "deviation_error": gap_errors, "spread": spreads,
         "spread_error": spread_errors},
        (f"the chain at d = infinity ends {rest:+.4f} from the logistic law by its step, which is taken out",),
        Second(-1.0),
    )  # fmt: skip
