"""Initial laws and passive points as they are given: values checked, and what is wrong with a density named."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from particles import Array, WeightedPoints, as_array, unit_lengths

ROUNDING: Final = 1e-10  # of the mass of a narrow density: its exponent is as large as its concentration
SINGLE: Final = 1e-6  # the same of values in single precision
KNOWN: Final = 0.1  # share by which the masses of three quadratures differ at most where the last is believed


def density_at(law: Any, points: Array) -> tuple[Array, float]:
    """Values of a law at points (N, d), in double precision, and how far its mass may be from 1 by their rounding.

    Raises
    ------
    TypeError, ValueError : they are no finite numbers, one for each point.
    """
    name, n = type(law).__name__, len(points)
    if not hasattr(law, "pdf"):
        raise TypeError(f"an initial law needs pdf(points), its density at points (N, d); {name} has none")
    asked = f"pdf of the initial law must give ({n},) values for points {points.shape}"
    one = "; it seems to take one point at a time: write points[:, 0], not points[0]"
    try:
        found = np.asarray(law.pdf(points))
    except Exception as error:
        raise ValueError(f"{asked}, and fails ({type(error).__name__}: {error}){one}") from error
    if found.dtype.kind not in "fiu" or found.dtype.itemsize < 4:
        raise TypeError(f"pdf of the initial law must give numbers in double or single precision, got {found.dtype}")
    if found.shape != (n,):
        column = "; take [:, 0] of it" if found.shape == (n, 1) else "" if found.ndim == 0 else one
        raise ValueError(f"{asked}, got shape {found.shape}{column}")
    if not np.isfinite(found).all():
        at = int(np.argmin(np.isfinite(found)))
        where = ", ".join(f"{x:.4g}" for x in points[at])
        raise ValueError(f"the initial density is {found[at]} at the point ({where}); it must be finite everywhere")
    return found.astype(np.float64), SINGLE if found.dtype == np.float32 else ROUNDING


def refuse_mass(masses: Sequence[float], n_nodes: int, volume: float) -> None:
    """ValueError for a density whose mass on finer and finer quadratures, the last of n_nodes, is not 1."""
    mass = masses[-1]
    change = max((abs(mass - before) for before in masses[-3:-1]), default=abs(mass))
    if not change <= KNOWN * abs(mass):
        raise ValueError(f"the initial density is too concentrated: {n_nodes} nodes give mass {mass:.6g}")
    if abs(mass - 1) > 3 * change:
        raise ValueError(
            f"the initial density has the mass {mass:.6g} and must have 1: divide it by that (it is a density with "
            f"respect to surface measure, of {volume:.4g} in all)"
        )
    raise ValueError(
        f"the initial density has jumps or is too concentrated: its mass is {mass:.9g} with {n_nodes} nodes and "
        f"{masses[-2]:.9g} with a quarter of them, and must settle at 1; make it smooth, or give tokens"
    )


def passive_points(passive: ArrayLike, d: int) -> Array:
    """Unit vectors (P, d) that are to ride on a flow; TypeError, ValueError where they are none."""
    if isinstance(passive, WeightedPoints):
        raise TypeError("passive points have no weights: give their positions, passive = tokens.points")
    points = as_array(passive, "passive", (None, d))
    if len(points):
        unit_lengths(points, "passive point")
    return points
