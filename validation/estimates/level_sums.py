"""What is found on the levels of multilevel Monte Carlo, and what is believed of samples that were not seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

UNSEEN = 2  # samples that are thought of beside those that were drawn, as far from the mean as the farthest of these
FASTEST = 8  # how much a variance may fall from one level to the next to be believed


@dataclass(frozen=True)
class LevelSum:
    """What was found on one level.

    Attributes
    ----------
    samples : N_l.   mean, variance : of P_l - P_{l-1} (of P_0 at level 0).   fine_variance : of P_l.
    cost, fine_cost : of one difference, and of one P_l alone.
    pilots : samples that chose N_l: part of the cost, and of the variance, not of the mean.
    farthest : largest distance of a sample from the mean.
    alike : all samples were equal; `farthest` is that of another level then, infinite where there is none.

    What is said of the variance in an `Expectation` includes samples that were not seen, see `believed`.
    """

    samples: int
    mean: float
    variance: float
    fine_variance: float
    cost: float
    fine_cost: float
    pilots: int = 0
    farthest: float = 0.0
    alike: bool = False


def error_of(levels: Sequence[LevelSum]) -> float:
    """Standard error of the sum of the means."""
    return math.sqrt(sum(level.variance / level.samples for level in levels))


def believed(levels: Sequence[LevelSum]) -> tuple[LevelSum, ...]:
    """The levels with variances that count what may not have been seen.

    To the N samples two are thought of that lie as far from the mean as the farthest does, one on each side: of a
    smooth difference they add 2 (4/sqrt N)^2 of the variance or so, of one with heavy tails as much as these weigh, and
    of an event that was seen k times 2/k.  Where all samples are alike the farthest of the level below stands for their
    own: an event that was not seen in N samples has a probability of the order of 1/N (rule of three).  From level 2 on
    a variance is at least an eighth of the one below.
    """
    known = [level.farthest for level in levels if not level.alike]
    size, found = (known[0] if known else math.inf), list[LevelSum]()
    for level in levels:
        size = size if level.alike else level.farthest
        variance = level.variance + UNSEEN * size**2 / level.samples
        if len(found) > 1:
            variance = max(variance, found[-1].variance / FASTEST)
        found.append(replace(level, variance=variance, farthest=size))
    return tuple(found)


def allocation(levels: Sequence[LevelSum], variance: float) -> list[int]:
    """Samples of each level that bring the variance of the sum to `variance` at the least cost."""
    total = sum(math.sqrt(level.variance * level.cost) for level in levels)
    return [math.ceil(math.sqrt(level.variance / level.cost) * total / variance) for level in levels]


def bias_of(levels: Sequence[LevelSum], weak: float) -> float:
    """|E P - E P_L| from the last two differences, which fall like 2^(-weak l), and a sample that was not seen."""
    last, before = (abs(level.mean) + level.farthest / level.samples for level in (levels[-1], levels[-2]))
    return max(last, before / 2**weak if len(levels) > 2 else 0.0) / (2**weak - 1)
