"""Random numbers as a pure function of (seed, member, stream, step, replica).

A step's draws do not depend on what was drawn before, so a resumed run repeats them exactly and
density and tokens that share a seed share their common noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np

from particles.arrays import check_count
from particles.errors import ArgumentError

Normals = TypeVar("Normals", bound=np.ndarray[Any, Any])


class Stream(IntEnum):
    """What a random number is for."""

    HEADS = 0
    MIXING = 1
    MLP = 2
    TOKENS = 3
    PRIVATE = 4
    BRIDGE = 5
    USER = 6  # laws of layers of one's own
    COMMON = 7  # common noise of an equation of one's own


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
            check_count(getattr(self, name), name, least=0)

    def generator(self, stream: Stream, step: int = 0, replica: int = 0) -> np.random.Generator:
        """Return the generator of one stream at one step; always the same for the same arguments."""
        key = (int(self.member), int(stream), int(step), int(replica))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(self.seed), spawn_key=key)))

    def bridge(self, stream: Stream, step: int, node: int, replica: int = 0) -> np.random.Generator:
        """Return the generator of what splits the numbers of one stream at one step: node 1 the whole step, 2 and 3 its
        halves, 2k and 2k + 1 those of k."""
        key = (int(self.member), int(Stream.BRIDGE), int(step), int(node), int(stream), int(replica))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(self.seed), spawn_key=key)))


def refined(
    draw: Callable[[np.random.Generator], Normals],
    noise: Noise,
    stream: Stream,
    fine: int,
    splits: int,
    replica: int = 0,
) -> Normals:
    """Numbers of the fine step `fine` on the path whose steps `splits` times as long have the numbers of the stream.

    By Brownian bridges: an increment sqrt(h) z of a step h has the halves sqrt(h/2) (z + y)/sqrt(2) and
    sqrt(h/2) (z - y)/sqrt(2) with new numbers y, (z, y) -> (z + y, z - y)/sqrt(2) being a rotation.  So the fine
    numbers are independent of each other, sum to the coarse ones, and do not depend on how far they are split further
    (tests/particles/layers/test_refine.py).

    Parameters
    ----------
    draw : standard normal numbers, or a linear image of them, always as many.
    splits : a power of two; with 1 the numbers are those of the stream as they are.
    """
    step, place = divmod(fine, splits)
    numbers = draw(noise.generator(stream, step, replica))
    node, width = 1, splits
    while width > 1:
        width //= 2
        second, place = divmod(place, width)
        bridge = draw(noise.bridge(stream, step, node, replica))
        numbers = math.sqrt(0.5) * (numbers - bridge if second else numbers + bridge)
        node = 2 * node + second
    return numbers


def check_splits(splits: int, name: str = "refine") -> None:
    """Refuse what is not a power of two: steps are refined by halving."""
    check_count(splits, name)
    if splits & (splits - 1):
        raise ArgumentError(name, splits, "be a power of two (1, 2, 4, ...)")
