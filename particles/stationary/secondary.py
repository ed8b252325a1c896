"""Branches of stationary laws that leave another branch, not the uniform law: found along it, and followed.

At a bifurcation the equations F(moments, -log nu) = 0 lose rank: the determinant of (dF, tangent), which folds keep,
changes its sign, as one growth rate of the laws with the same axis does (Keller 1977).  The new branch begins in the
other direction of the kernel of dF.  Laws without an axis are not looked for.

A rotation that takes the axis e to -e, on the circle to the angle pi j/k, takes m_l to m_l or -m_l: a branch and its
image are one.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebfit, chebval
from scipy.optimize import brentq

from particles.arrays import Array, ConvergenceError
from particles.stationary.branches import Branch, corrected, on_chord, tangent_at, trace, with_folds
from particles.stationary.zonal import Moments

STARTS = (1e-3, 3e-3, 1e-2)  # distances from a bifurcation to the first point of the new branch, tried in turn
NODES = (12, 13, 15)  # numbers of points that a bifurcation is read off, tried in turn
SAME = 1e-6  # moments as close as this are those of one law


def secondaries(branch: Branch) -> tuple[Branch, ...]:
    """The branches that leave a branch between its first point and its last, in their order along it.

    Each is followed until nu has fallen to `branch.least`, or the uniform law is met.  One of two branches that
    rotations turn into each other is left out.  Two bifurcations within one step of the branch, of length 0.2 at most
    in moments and log nu, are missed.  On the circle the branches of an even degree in both directions are rotations
    of each other, but not what leaves them with the same axis: ask for both.

    Raises
    ------
    ConvergenceError : as `follow` does.
    """
    equations = Moments.of(branch.interaction, branch.d, branch.least)
    found: list[Branch] = []
    for x, along in bifurcations(equations, branch.points, branch.tangents):
        across = _across(equations, x, along)
        ways = [_leaving(equations, x, direction) for direction in (across, -across)]
        if _images(equations, ways[0], ways[1]):
            ways = ways[:1]
        found += [_followed(branch, equations, x, way, sign) for way, sign in zip(ways, (1, -1), strict=False)]
    return tuple(found)


def bifurcations(equations: Moments, points: Array, tangents: Array) -> Iterator[tuple[Array, Array]]:
    """Points of a branch where another crosses it, beyond its first point, and its direction there."""
    signs = [_determinant(equations, x, tangent) for x, tangent in zip(points, tangents, strict=True)]
    for k in range(1, len(points) - 1):
        if signs[k] * signs[k + 1] < 0:
            yield _crossing(equations, points[k], points[k + 1])


def _crossing(equations: Moments, start: Array, end: Array) -> tuple[Array, Array]:
    """The bifurcation between two neighbours of a branch, and the direction there.

    Newton's method fails at the point itself, so it is read off polynomials through points on both sides.
    """
    chord = end - start
    normal = chord / np.linalg.norm(chord)
    fitted = _fitted(equations, start, chord, normal)
    share = float(brentq(lambda share: float(chebval(share, fitted[:, -1])), -1.0, 1.0, xtol=1e-15, rtol=1e-14))
    slope = np.asarray(chebval(share, chebder(fitted[:, :-1])))
    return np.asarray(chebval(share, fitted[:, :-1])), slope / np.linalg.norm(slope)


def _fitted(equations: Moments, start: Array, chord: Array, normal: Array) -> Array:
    """Chebyshev's coefficients of points and determinants over a chord, (count, degrees + 2)."""
    for count in NODES:
        places = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        try:
            points = [on_chord(equations, start, chord, normal, 0.5 + 0.5 * place) for place in places]
        except ConvergenceError:
            continue
        signs = [_determinant(equations, x, tangent_at(equations, x, normal)) for x in points]
        return np.asarray(chebfit(places, np.column_stack([points, signs]), count - 1))
    raise ConvergenceError(f"a bifurcation of stationary laws is lost near nu = {np.exp(-start[-1]):g}")


def _determinant(equations: Moments, x: Array, tangent: Array) -> float:
    """det (dF, tangent)."""
    return float(np.linalg.det(np.vstack([equations.equations(x)[1], tangent])))


def _across(equations: Moments, x: Array, along: Array) -> Array:
    """The direction of the kernel of dF at a bifurcation that is orthogonal to the tangent nearest to `along`."""
    kernel = np.linalg.svd(equations.equations(x)[1])[2][-2:]
    share = kernel @ along
    found: Array = np.array([-share[1], share[0]]) @ kernel / math.hypot(*share)
    return found


def _leaving(equations: Moments, x: Array, direction: Array) -> Array:
    """The first point of the branch that leaves x in a direction; ConvergenceError where none is found."""
    for distance in STARTS:
        try:
            found = corrected(equations, x + distance * direction, direction)
        except ConvergenceError:
            continue
        if np.linalg.norm(found - x) < 10 * distance:
            return found
    raise ConvergenceError(f"a branch that leaves another one at nu = {np.exp(-x[-1]):g} is lost")


def _mirrors(equations: Moments) -> list[Array]:
    """Factors of the moments under rotations that may keep the axis, 0 where a moment must vanish."""
    degrees = equations.degrees
    if equations.d > 2:
        return [np.where(degrees % 2, -1.0, 1.0)]
    angles = {j / k for k in map(int, degrees) for j in range(1, k + 1)}
    turns = np.outer(sorted(angles), degrees)
    kept = np.abs(turns - np.round(turns)) < 1e-9
    return list(np.where(kept, np.cos(np.pi * turns).round(), 0.0))


def _images(equations: Moments, one: Array, other: Array) -> bool:
    """Whether a rotation takes one law to the other."""
    return any(np.abs(factors * one[:-1] - other[:-1]).max() < SAME for factors in _mirrors(equations))


def _followed(branch: Branch, equations: Moments, x: Array, first: Array, sign: int) -> Branch:
    """The branch from the bifurcation x through its first point."""
    direction = (first - x) / np.linalg.norm(first - x)
    points, tangents = trace(equations, first, direction, -math.log(branch.least))
    points, tangents, folds = with_folds(equations, points, tangents)
    return replace(
        branch,
        direction=sign,
        points=np.array([x, *points]),
        tangents=np.array([tangents[0], *tangents]),
        folds=tuple(place + 1 for place in folds),
        leaves=float(np.exp(-x[-1])),
    )
