"""Steps in depth by their own error: one step against two halves of it, for equations without common noise.

The two halves go on, whose error is estimated by gap/(2^p - 1), p the order of a step (Richardson).  It is at most
tolerance times the length of the step, so that errors add up to tolerance times depth time, times what the equation
makes of disturbances.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from particles.layers.base import Layer
from particles.measure import Cloud
from particles.pushes import MakeField, Riders

S = TypeVar("S")
SAFETY = 0.9  # of the step that the estimate asks for
LEAST, MOST = 0.2, 5.0  # what a step may be made of the last one
SHORTEST = 2.0**-30  # share of a layer
TINY = 1e-300


def in_steps(
    take: Callable[[S, float], S], gap: Callable[[S, S], float], start: S, length: float, order: float, tolerance: float
) -> S:
    """The state behind a length of depth time; FloatingPointError where no step keeps the tolerance.

    Parameters
    ----------
    take : a state behind one step of a length, of the order `order`.   gap : distance of two states.
    length : also of the first step tried.   tolerance : error of a step over its length.
    """
    state, done, step = start, 0.0, length
    while done < length * (1 - SHORTEST / 2):
        step = (length - done) / math.ceil((length - done) / step * (1 - 1e-12))
        if not step > SHORTEST * length:
            raise FloatingPointError(
                f"no step keeps the error at {tolerance:.1e} of its length; raise tolerance, or what resolves the state"
            )
        halves = take(take(state, step / 2), step / 2)
        error = gap(take(state, step), halves) / (2**order - 1)
        if error <= tolerance * step:
            state, done = halves, done + step
        wanted = 0.0 if not error < math.inf else SAFETY * (tolerance * step / max(error, TINY)) ** (1 / order)
        step *= min(max(wanted, LEAST), MOST)
    return state


def farthest(one: tuple[Cloud, Riders], two: tuple[Cloud, Riders]) -> float:
    """Largest distance between the points of two measures; riders do not act on the flow, nor on its steps."""
    return float(np.linalg.norm(one[0].points - two[0].points, axis=1).max())


@dataclass(frozen=True, eq=False)
class Controlled:
    """A layer of an equation in as many steps as its tolerance asks for.

    Without private noise the error is the largest displacement of a point of the measure.  With it, steps are those of
    the splitting of a density (`through`), and tokens have none: what they do is random.

    Attributes
    ----------
    step : the layer of a step of any length, of order `order`.   dt : length of the whole.
    tolerance : error of a step over its length.   diffuses : whether there is private noise.
    """

    step: Callable[[float], Layer]
    dt: float
    order: float
    tolerance: float
    diffuses: bool
    smooth: ClassVar[bool] = True

    def through(self, take: Callable[[S, Layer], S], gap: Callable[[S, S], float], start: S) -> S:
        """The state behind the layer; `take` applies a layer."""

        def step(state: S, length: float) -> S:
            return take(state, self.step(length))

        return in_steps(step, gap, start, self.dt, self.order, self.tolerance)

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """The points behind the layer; ValueError with private noise."""
        if self.diffuses:
            raise ValueError("points with private noise are random: the equation must have no tolerance")

        def take(at: tuple[Cloud, Riders], layer: Layer) -> tuple[Cloud, Riders]:
            for push in layer:
                at = push.move(*at, make)
            return at

        return self.through(take, farthest, (measure, riders))
