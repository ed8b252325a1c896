"""Whether fields commute: [v_j, v_k] = D_{v_j} v_k - D_{v_k} v_j = 0, on points and on the measure that they move.

Steps that take a common noise by its increments alone have strong order 1 then, and 1/2 else (Clark and Cameron 1980).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from particles.arrays import Array, unit
from particles.equations.common import SHIFT, CommonNoise
from particles.measure import Cloud
from particles.pushes import Push, velocity_at
from particles.retraction import tangent

N_POINTS = 5  # all but the last are those of a measure
TINY = 1e-6  # of a bracket over its two terms: central differences leave 1e-9


def commute(common: Sequence[CommonNoise], d: int) -> bool:
    """Whether all fields of all terms commute in dimension d, by central differences at a few points."""
    rng = np.random.default_rng(0)
    points, weights = unit(rng.standard_normal((N_POINTS, d))), rng.dirichlet(np.ones(N_POINTS - 1))
    return not any(_bracket(one, two, points, weights) for one, two in combinations(_fields(common, d), 2))


def _fields(common: Sequence[CommonNoise], d: int) -> Iterator[Push]:
    """The pushes by s_k of all terms, one for each number they draw."""
    for term in common:
        numbers = term.draw(np.random.default_rng(0), d)
        for place in range(numbers.size):
            one = np.zeros(numbers.size)
            one[place] = 1.0
            yield term.push(one.reshape(numbers.shape), d)


def _bracket(one: Push, two: Push, points: Array, weights: Array) -> bool:
    """Whether the bracket of two fields is more than what differences leave."""

    def value(push: Push, at: Array) -> Array:
        return tangent(at, velocity_at(push.velocity(Cloud(at[:-1], weights)), at))

    def along(first: Push, second: Push) -> Array:
        step = SHIFT * value(first, points)
        there, back = (value(second, unit(points + sign * step)) for sign in (1, -1))
        found: Array = (there - back) / (2 * SHIFT)
        return found

    there, back = along(one, two), along(two, one)
    size = np.abs(value(one, points)).max() * np.abs(value(two, points)).max()
    return bool(np.abs(there - back).max() > TINY * max(size, np.abs(there).max(), np.abs(back).max()))
