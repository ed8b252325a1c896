"""Random numbers as a pure function of (seed, member, stream, step, replica).

A step's draws do not depend on what was drawn before, so a resumed run repeats them exactly and
density and tokens that share a seed share their common noise.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a random number is for."""

    HEADS = 0
    MIXING = 1
    MLP = 2
    TOKENS = 3
    PRIVATE = 4


@dataclass(frozen=True)
class Noise:
    """Source of all randomness of one realization.

    Parameters
    ----------
    seed : non-negative integer, the experiment.
    member : non-negative integer, the realization of the common noise within the experiment.
    """

    seed: int
    member: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "member"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise ValueError(f"{name} must be a non-negative integer, got {value!r}")

    def generator(self, stream: Stream, step: int = 0, replica: int = 0) -> np.random.Generator:
        """Return the generator of one stream at one step; always the same for the same arguments."""
        key = (int(self.member), int(stream), int(step), int(replica))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(self.seed), spawn_key=key)))
