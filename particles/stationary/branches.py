"""Branches of stationary laws, followed from the uniform law through folds as nu changes (pseudo-arclength).

x = (moments, -log nu).  A branch leaves the uniform law in degree l at nu = w_l/|S|, with a positive or a negative m_l;
its first point is found by solving for nu at a small m_l.  Keller 1977; folds are where -log nu turns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq

from particles.arrays import Array, ConvergenceError, check_positive
from particles.equations.interactions import Interaction
from particles.errors import ArgumentError
from particles.stationary.state import StationaryState, onset, uniform_state
from particles.stationary.zonal import Moments, newton

FIRST = 1e-4  # m_l of the first point of a branch
LONGEST, SHORTEST = 0.2, 1e-7  # steps in x
TURN = 0.3  # angle between tangents above which a step is taken again, shorter
MOST_POINTS = 5000
SAME = 1e-13  # of log nu: at the end of a sheet


@dataclass(frozen=True, eq=False)
class Branch:
    """A branch of ordered laws that leaves the uniform law in one degree.

    Attributes
    ----------
    interaction, d : of the equation.   degree : in which it leaves.   direction : sign of its moment there.
    least : nu to which it has been followed.   points : (n, degrees + 1), moments and -log nu, folds among them.
    tangents : of unit length, as points.   folds : places of folds among the points.
    leaves : nu at which it leaves another branch (`secondaries`), its first point there; None: the uniform law.
    """

    interaction: Interaction
    d: int
    degree: int
    direction: int
    least: float
    points: Array
    tangents: Array
    folds: tuple[int, ...]
    leaves: float | None = None

    @property
    def sheets(self) -> int:
        """Number of parts between folds."""
        return len(self.folds) + 1

    @property
    def turning(self) -> tuple[StationaryState, ...]:
        """The laws at the folds."""
        return tuple(self._state(self.points[place]) for place in self.folds)

    def at(self, nu: float, sheet: int = -1) -> StationaryState | None:
        """The law at nu on a sheet, sheets counted from the uniform law (-1: the last); None where there is none."""
        check_positive(nu, "nu")
        if nu < self.least:
            raise ArgumentError("nu", nu, f"be at least {self.least:g}, to which the branch has been followed")
        target, places = -np.log(nu), np.array(self._places(sheet))
        for place in places[[0, -1]]:
            if abs(self.points[place, -1] - target) < SAME:
                return self._state(self.points[place])
        above = self.points[places, -1] >= target
        crossing = np.flatnonzero(above[:-1] != above[1:])
        if not len(crossing):
            return None
        equations = Moments.of(self.interaction, self.d, self.least)
        start, end = places[crossing[0]], places[crossing[0] + 1]
        found = between(equations, self.points[start], self.points[end], lambda x, _: float(x[-1] - target))
        found[-1] = target
        return self._state(found)

    def _places(self, sheet: int) -> range:
        ends = (0, *self.folds, len(self.points) - 1)
        sheet = range(self.sheets)[sheet]
        return range(ends[sheet], ends[sheet + 1] + 1)

    def _state(self, x: Array) -> StationaryState:
        return StationaryState(self.interaction, float(np.exp(-x[-1])), self.d, x[:-1].copy())

    def transition(self, sheet: int = -1) -> float | None:
        """nu at which a sheet and the uniform law have equal free energies; None where they have not."""
        places = self._places(sheet)
        excess = [_excess(self._state(self.points[place])) for place in places]
        for k in range(1 if places[0] == 0 else 0, len(places) - 1):  # the first point is all but uniform
            if excess[k] * excess[k + 1] < 0:
                low, high = (float(np.exp(-self.points[places[k + one], -1])) for one in (0, 1))
                return float(brentq(lambda nu: self._excess_at(nu, sheet), low, high, xtol=1e-14, rtol=1e-13))
        return None

    def _excess_at(self, nu: float, sheet: int) -> float:
        state = self.at(nu, sheet)
        if state is None:  # rounding at an end of the sheet
            raise ConvergenceError(f"no law at nu = {nu:g}")
        return _excess(state)


def _excess(state: StationaryState) -> float:
    return state.free_energy - uniform_state(state.interaction, state.nu, state.d).free_energy


def follow(interaction: Interaction, d: int, least: float, degree: int | None = None, direction: int = 1) -> Branch:
    """The branch that leaves the uniform law in a degree (None: the first), followed until nu has fallen to `least`.

    For odd degrees, and for all on the circle, the two directions are turned into each other by a rotation.

    Raises
    ------
    ArgumentError : the uniform law is never lost in that degree.
    ConvergenceError : a step of length 1e-7 is too long, or 5000 are too few.
    """
    check_positive(least, "least")
    degree, leaves = onset(interaction, d, degree)
    if not leaves > 0:
        raise ArgumentError("degree", degree, "attract, w_l > 0: the uniform law is never lost in it")
    if direction not in (1, -1):
        raise ArgumentError("direction", direction, "be 1 or -1")
    least = min(least, 0.9 * leaves)
    equations = Moments.of(interaction, d, least)
    place = int(np.flatnonzero(equations.degrees == degree)[0])
    axis = direction * np.eye(len(equations.degrees) + 1)[place]
    uniform = np.append(np.zeros(len(equations.degrees)), -np.log(leaves))
    first = corrected(equations, uniform + FIRST * axis, axis)
    points, tangents = trace(equations, first, axis, -np.log(least))
    points, tangents, folds = with_folds(equations, points, tangents)
    return Branch(interaction, d, degree, direction, least, np.array(points), np.array(tangents), folds)


def trace(equations: Moments, first: Array, along: Array, end: float) -> tuple[list[Array], list[Array]]:
    """Points and tangents from a first point on, until -log nu is `end`, or the uniform law is met again."""
    points, tangents, step = [first], [tangent_at(equations, first, along)], 0.02
    while len(points) < MOST_POINTS:
        x, along = points[-1], tangents[-1]
        try:
            new = corrected(equations, x + step * along, along)
            tangent = tangent_at(equations, new, along)
            good = float(tangent @ along) > np.cos(TURN) and np.abs(new - x - step * along).max() < 0.5 * step
        except ConvergenceError:
            good = False
        if not good:
            step *= 0.5
            if step < SHORTEST:
                raise ConvergenceError(f"a branch of stationary laws is lost at nu = {np.exp(-x[-1]):g}")
            continue
        points.append(new)
        tangents.append(tangent)
        if new[-1] > end or np.abs(new[:-1]).max() < 0.5 * FIRST:
            return points, tangents
        step = min(1.4 * step, LONGEST)
    raise ConvergenceError(f"a branch of stationary laws has more than {MOST_POINTS} points")


def with_folds(
    equations: Moments, points: list[Array], tangents: list[Array]
) -> tuple[list[Array], list[Array], tuple[int, ...]]:
    """Points with the folds put among them."""
    found, along, folds = [points[0]], [tangents[0]], []
    for k in range(1, len(points)):
        if tangents[k - 1][-1] * tangents[k][-1] < 0:
            fold = between(equations, points[k - 1], points[k], lambda _, tangent: float(tangent[-1]))
            folds.append(len(found))
            found.append(fold)
            along.append(tangent_at(equations, fold, tangents[k - 1]))
        found.append(points[k])
        along.append(tangents[k])
    return found, along, tuple(folds)


def corrected(equations: Moments, guess: Array, normal: Array) -> Array:
    """The point of the branch in the plane through `guess` with this normal."""

    def both(x: Array) -> tuple[Array, Array]:
        left, slope = equations.equations(x)
        return np.append(left, normal @ (x - guess)), np.vstack([slope, normal])

    return newton(both, guess)


def tangent_at(equations: Moments, x: Array, like: Array) -> Array:
    """The unit tangent at a point, on the side of `like`."""
    _, slope = equations.equations(x)
    kernel: Array = np.linalg.svd(slope)[2][-1]
    return kernel if kernel @ like > 0 else -kernel


def between(equations: Moments, start: Array, end: Array, level: Callable[[Array, Array], float]) -> Array:
    """The point between two neighbours of a branch where level(x, tangent) is 0."""
    chord = end - start
    normal = chord / np.linalg.norm(chord)
    at = partial(on_chord, equations, start, chord, normal)

    def value(share: float) -> float:
        x = at(share)
        return float(level(x, tangent_at(equations, x, normal)))

    first, last = value(0.0), value(1.0)
    if first * last >= 0:  # rounding: one of the ends is the point
        return at(0.0) if abs(first) < abs(last) else at(1.0)
    return at(float(brentq(value, 0.0, 1.0, xtol=1e-15, rtol=1e-14)))


def on_chord(equations: Moments, start: Array, chord: Array, normal: Array, share: float) -> Array:
    """The point of a branch over a share of the chord between two of its points, whose direction is `normal`."""
    return corrected(equations, start + share * chord, normal)
