"""What multilevel Monte Carlo says of itself, over repetitions on ladders with known answers: docs/ensembles.md.

    OMP_NUM_THREADS=1 python docs/measure_multilevel.py [RUNS]        default 300, some minutes

For each ladder: share of runs that say they reached the error asked for, root mean square of what they missed by over
that error, spread of the values over the standard errors told, share within two of these and the bias told, and cost.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from validation.estimates import Expectation, multilevel

BLOCK = 256
RARE = float(norm.isf(0.0118))


@dataclass(frozen=True)
class Ladder:
    """Values of two normal numbers at each level; numbers are drawn for blocks of members, for speed."""

    value: Callable[..., np.ndarray]
    seed: int
    drawn: dict = field(default_factory=dict)

    def pairs(self, level, members):
        """Fine and coarse values."""
        numbers = np.array(members)
        z = np.empty((len(numbers), 2))
        for block in np.unique(numbers // BLOCK):
            if (level, block) not in self.drawn:
                rng = np.random.default_rng((self.seed, level, int(block)))
                self.drawn[level, block] = rng.standard_normal((BLOCK, 2))
            here = numbers // BLOCK == block
            z[here] = self.drawn[level, block][numbers[here] % BLOCK]
        fine, coarse = (self.value(*z.T, k) for k in (level, level - 1))
        return np.stack([fine, coarse if level else 0 * z[:, 0]], axis=1).astype(float)

    def cost(self, level):
        """Twice as much on each level."""
        return 2.0**level, 2.0 ** (level - 1)


LADDERS = {  # value of level l, truth, errors asked for
    "1{Z + .3 2^-l Y > c}, P = .0118": (lambda z, y, k: z + 0.3 * 2.0**-k * y > RARE, 0.0118, 0.003),
    "1{Z > c}, the same at every level": (lambda z, y, k: z > RARE, 0.0118, 0.003),
    "1{Z > c_l}, P_l = .0118 (1 - 2^-(l+1))": (
        lambda z, y, k: z > norm.isf(0.0118 * (1 - 2.0 ** -(k + 1))), 0.0118, 0.003,
    ),
    "e^(Z + 2^-l Y/2)": (lambda z, y, k: np.exp(z + 0.5 * 2.0**-k * y), math.exp(0.5), 0.05),
    "e^(1.5 (Z + 2^-l Y/2))": (lambda z, y, k: np.exp(1.5 * (z + 0.5 * 2.0**-k * y)), math.exp(1.125), 0.5),
    "e^(2 (Z + 2^-l Y/2))": (lambda z, y, k: np.exp(2 * (z + 0.5 * 2.0**-k * y)), math.exp(2), 3.0),
    "3 + 2^-l + Z + 2^-(l/2) Y": (lambda z, y, k: 3 + 2.0**-k + z + 2.0 ** (-k / 2) * y, 3.0, 0.06),
}  # fmt: skip


def row(runs: list[Expectation], truth: float, error: float) -> str:
    """One line of the table."""
    misses, errors, bias = (np.array([getattr(run, name) for run in runs]) for name in ("value", "error", "bias"))
    misses = misses - truth
    inside = np.mean(np.abs(misses) <= 2 * errors + bias)
    spread = misses.std() / np.sqrt(np.mean(errors**2))
    return (
        f"{np.mean([run.reached for run in runs]):8.2f} {np.sqrt(np.mean(misses**2)) / error:9.2f} {spread:9.2f} "
        f"{inside:9.3f} {np.mean([run.cost for run in runs]):9.2g}"
    )


def main() -> None:
    """Print the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{'value of a level':40s} {'reached':>8s} {'rms/error':>9s} {'spread':>9s} {'covered':>9s} {'cost':>9s}")
    for name, (value, truth, error) in LADDERS.items():
        runs = [multilevel(Ladder(value, seed), error) for seed in range(n)]
        print(f"{name:40s} {row(runs, truth, error)}", flush=True)


if __name__ == "__main__":
    main()
