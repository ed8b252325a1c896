"""M2, odd kernels: under blocks with an odd activation and no biases two tokens end together or opposite each other.

k is odd, so R and -R have one law and both ends hold what reaches them.  Measured in blocks of finite width: the
fraction of pairs that have arrived at |R| = 1, and of those opposite, against the scale function of the diffusion of R.
Starts beyond a right angle end opposite more often than not, but not always.
"""

import numpy as np

from particles import Array
from particles.reduced import IsotropicNoise
from validation.estimates import Estimate, columns, share
from validation.studies.shared.mlp_pairs import Block
from validation.studies.shared.sources import BLOCKS
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "odd kernels",
    "under blocks with an odd activation and no biases tokens end in two clusters opposite each other: "
    "|R| -> 1, R -> -1 with a probability that the scale function gives",
    BLOCKS,
)

CASES = {"tanh": Block("tanh", 4), "erf": Block("erf", 4)}
STARTS = (-0.6, 0.0, 0.3)
STEP, HORIZON = 0.05, 80.0
ARRIVED = 1e-2  # 1 - |R|


def endings(rng: np.random.Generator, block: Block, start: float, pairs: int, step: float = STEP) -> Array:
    """1 - R of pairs at HORIZON, (pairs,)."""
    gap = np.full(pairs, 1.0 - start)
    for _ in range(round(HORIZON / step)):
        gap = block.layer(rng, gap, step)[0]
    return gap


def fractions(gap: Array) -> tuple[Estimate, Estimate]:
    """Arrived at |R| = 1, and nearer to the opposite end."""
    arrived = np.minimum(gap, 2 - gap) < ARRIVED
    return share(arrived), share(gap > 1)


def study(quick: bool, seed: int) -> Findings:
    """Fractions for several starts."""
    pairs = 2500 if quick else 100_000
    rng = np.random.default_rng([seed, 13])
    parts: dict[str, Part] = {}
    series: list[Series] = []
    table: dict[str, object] = {"start": STARTS}
    for name, block in CASES.items():
        law = IsotropicNoise(block.kernel)
        found = [fractions(endings(rng, block, start, pairs)) for start in STARTS]
        exact = np.array([law.antipodal_probability(start) for start in STARTS])
        for start, (arrived, opposite), value in zip(STARTS, found, exact, strict=True):
            if start in (STARTS[0], 0.0):
                parts[f"opposite_{name}_{start:+g}"] = Part(
                    f"fraction of pairs opposite each other from R = {start:g}, {name}, d = {block.d}",
                    opposite.value, opposite.error, float(value), bias=0.01, effect=0.1,  # bias: the step
                )  # fmt: skip
            if start == 0.0:
                parts[f"arrived_{name}"] = Part(
                    f"fraction of pairs with |R| > {1 - ARRIVED:g} at time {HORIZON:g}, {name}",
                    arrived.value, arrived.error, 1.0, bias=0.02, effect=0.1,  # bias: those on the way
                )  # fmt: skip
        values, errors = columns(opposite for _, opposite in found)
        series.append(Series(name, STARTS, values, errors, line=False))
        series.append(Series(f"{name}, exact", STARTS, exact, dashed=True))
        table |= {f"{name}_opposite": values, f"{name}_error": errors, f"{name}_exact": exact}
    return Findings(parts, Figure("R at the start", "fraction that ends opposite", tuple(series)), table)
