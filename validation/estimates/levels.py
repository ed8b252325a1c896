"""Levels of an expectation over tokens, for `multilevel`: half the step, twice the tokens, or both.

Coarse paths are the sums of fine ones, dW_coarse = dW_1 + dW_2, on nodes A_m that stay fixed (mathematics (6)).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from particles import (
    Array,
    Cloud,
    DirectField,
    FieldFactory,
    Homogenized,
    InitialLaw,
    Noise,
    Stream,
    TokenFlow,
    TokenState,
    check_count,
)
from validation.estimates.multilevel import MOST_LEVELS


@dataclass(frozen=True)
class TokenLevels:
    """Levels of an expectation over tokens in homogenized layers with fixed nodes.

    Level l takes steps of dt 2^(-l) and, with `more_tokens`, n 2^l tokens.  The coarse partner takes the sums of two
    fine increments (`Homogenized.coarsen`); of twice the tokens it averages over both halves, on the same layers, which
    cancels the first order of their difference.

    Parameters
    ----------
    law : the coarsest layers; its seed is that of all samples.   initial : law of a token.
    observable : function of the cloud at depth time t_end.   t_end : a whole number of coarsest steps.
    tokens : n at level 0, of equal weight.   finer_steps, more_tokens : what is refined.   factory : of the field.
    """

    law: Homogenized
    initial: InitialLaw
    observable: Callable[[Cloud], float]
    t_end: float
    tokens: int
    finer_steps: bool = True
    more_tokens: bool = False
    factory: FieldFactory = DirectField

    def __post_init__(self) -> None:
        if not self.law.fixed:
            raise ValueError("levels need layers with fixed nodes; set fixed=True")
        if not (self.finer_steps or self.more_tokens):
            raise ValueError("levels must differ: set finer_steps or more_tokens")
        check_count(self.tokens, "tokens")
        if not self.t_end >= 0 or abs(self.t_end / self.law.dt - round(self.t_end / self.law.dt)) > 1e-9:
            raise ValueError(f"t_end must be a whole number of steps of {self.law.dt:g}, got {self.t_end:g}")

    def size(self, level: int) -> tuple[int, int]:
        """Steps and tokens of a level."""
        steps = round(self.t_end / self.law.dt)
        return steps * (2**level if self.finer_steps else 1), self.tokens * (2**level if self.more_tokens else 1)

    def cost(self, level: int) -> tuple[float, float]:
        """Pairs of tokens in all heads of all layers, n^2 nodes steps."""
        steps, n = self.size(level)
        halves = (2 if self.finer_steps else 1) * (2 if self.more_tokens else 1)
        fine = float(steps * self.law.nodes * n**2)
        return fine, fine / halves

    def pairs(self, level: int, members: range) -> Array:
        """Values of the observable, fine and coarse."""
        return np.array([self._pair(level, member) for member in members], dtype=np.float64).reshape(-1, 2)

    def _pair(self, level: int, member: int) -> tuple[float, float]:
        law, points = self._drawn(level, member)
        steps, n = self.size(level)
        fine = self._end(law, points, steps)
        if level == 0:
            return fine, 0.0
        coarse, fewer = (law.coarsen(2), steps // 2) if self.finer_steps else (law, steps)
        parts = (points[: n // 2], points[n // 2 :]) if self.more_tokens else (points,)
        return fine, sum(self._end(coarse, part, fewer) for part in parts) / len(parts)

    def _drawn(self, level: int, member: int) -> tuple[Homogenized, Array]:
        """Layers and tokens of a sample; no two samples share noise, on whatever levels they are."""
        law, steps = self.law, 2**level if self.finer_steps else 1
        noise = Noise(law.noise.seed, member * MOST_LEVELS + level)
        fresh = replace(law, dt=law.dt / steps, noise=noise, substeps=1)
        return fresh, self.initial.sample(noise.generator(Stream.TOKENS), self.size(level)[1])

    def _end(self, law: Homogenized, points: Array, steps: int) -> float:
        state = TokenState(0, points, np.full(len(points), 1 / len(points)))
        end = TokenFlow(law, self.factory).advance(state, steps)
        return float(self.observable(Cloud(end.points, end.weights)))
