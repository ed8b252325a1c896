"""M2, odd kernels: under blocks with an odd activation and no biases two tokens end together or opposite each other.

k is odd, so R and -R have one law and both ends hold what reaches them.  Measured in blocks of finite width: the
fraction of pairs that have arrived at |R| = 1, and of those opposite, against the scale function of the diffusion of R.
Starts beyond a right angle end opposite more often than not, but not always.
"""

import numpy as np

from particles import Array
from particles.reduced import IsotropicNoise
from validation.estimates import Fitted, columns, share
from validation.studies.shared.mlp_pairs import Block
from validation.studies.shared.sources import BLOCKS
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "odd kernels",
    "under blocks with an odd activation and no biases tokens end in two clusters opposite each other: "
    "|R| -> 1, R -> -1 with a probability that the scale function gives",
    BLOCKS,
    "",
    "none: the claim is itself the closed form, and the blocks are the one other way",
)

CASES = {"tanh": Block("tanh", 4), "erf": Block("erf", 4)}
STARTS = (-0.6, 0.0, 0.3)
STEP, HORIZON = 0.05, 80.0
LOOKS = (2 / 3, 5 / 6, 1.0)  # of the horizon: from those not yet arrived their limit
ARRIVED = 1e-2  # 1 - |R|


def endings(rng: np.random.Generator, block: Block, start: float, pairs: int, step: float = STEP) -> Array:
    """1 - R of pairs at LOOKS, (3, pairs)."""
    gap, found = np.full(pairs, 1.0 - start), []
    for number in range(1, round(HORIZON / step) + 1):
        gap = block.layer(rng, gap, step)[0]
        if number in {round(look * HORIZON / step) for look in LOOKS}:
            found.append(gap)
    return np.array(found)


def arrived(gaps: Array, blocks: int = 25) -> Fitted:
    """Share that arrives at |R| = 1 in the end: those on the way, at three times, taken for a geometric series.

    The error is that of a jackknife over blocks of pairs; what the series adds to the last time is the bias.
    """
    away = (np.minimum(gaps, 2 - gaps) >= ARRIVED).reshape(len(LOOKS), blocks, -1).mean(axis=2)
    left = np.column_stack([away.mean(axis=1), (away.sum(axis=1, keepdims=True) - away) / (blocks - 1)])
    first, second, third = left
    bent = first + third - 2 * second
    limits = np.where(bent > 0, (first * third - second**2) / np.where(bent > 0, bent, 1.0), third)
    spread = float(np.sqrt((blocks - 1) / blocks * np.sum((limits[1:] - limits[1:].mean()) ** 2)))
    return Fitted(float(1 - limits[0]), spread, float(abs(third[0] - limits[0])), np.inf, 1.0)


def study(quick: bool, seed: int) -> Findings:
    """Fractions for several starts."""
    pairs = 5000 if quick else 100_000
    rng = np.random.default_rng([seed, 13])
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, object] = {"start": STARTS}
    for name, block in CASES.items():
        law = IsotropicNoise(block.kernel)
        ends = [endings(rng, block, start, pairs) for start in STARTS]
        found = [share(gaps[-1] > 1) for gaps in ends]
        coarse = [share(endings(rng, block, start, pairs, 2 * STEP)[-1] > 1) for start in STARTS]
        exact = np.array([law.antipodal_probability(start) for start in STARTS])
        for start, opposite, other, value in zip(STARTS, found, coarse, exact, strict=True):
            if start < 0.3:
                rival = {"a martingale: (1 - R)/2": 0.5 * (1 - start)} if start else {"all end together": 0.0}
                parts[f"opposite_{name}_{start:+g}"] = Part.of(
                    f"fraction of pairs opposite each other from R = {start:g}, {name}, d = {block.d}",
                    opposite, float(value), excludes=rival, bias=abs(opposite.value - other.value),  # half the step
                )  # fmt: skip
        parts[f"arrived_{name}"] = Part.of(
            f"fraction of pairs that reach |R| > {1 - ARRIVED:g}, from orthogonal ones up to time {HORIZON:g}, {name}",
            arrived(ends[STARTS.index(0.0)]), 1.0, excludes={"one of the two ends holds nothing": 0.5},
        )  # fmt: skip
        values, errors = columns(found)
        series.append(Series(name, STARTS, values, errors, line=False))
        series.append(Series(f"{name}, exact", STARTS, exact, dashed=True))
        table |= {f"{name}_opposite": values, f"{name}_error": errors, f"{name}_exact": exact}
    return Findings(parts, Figure("R at the start", "fraction that ends opposite", tuple(series)), table)
