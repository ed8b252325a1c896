"""Private noise seen by a density: the heat kernel on S^2, exact in the coefficients, and carried nodes made anew.

Carried nodes follow a flow, and a diffusion has none; so after each smoothing they are the Gauss nodes again, with
weights area times density.
"""

import numpy as np

from particles.arrays import Array
from particles.harmonics import Coefficients, degree_of, mode_numbers, synthesis_at
from particles.quadrature import gauss_grid
from particles.tokens import Cloud

ROUNDING = 1e-10  # share of the largest value below which a negative one is rounding of the coefficients
FLOOR = 1e-14  # share of the largest value that such a node is given, so that every weight is positive


def heat(coefficients: Coefficients, strength: float) -> Coefficients:
    """e^{strength Lap}: coefficients times exp(-strength l(l+1))."""
    degrees, _ = mode_numbers(degree_of(coefficients))
    decay: Array = np.exp(-strength * (degrees * (degrees + 1.0)))
    return coefficients * decay


def gauss_nodes(coefficients: Coefficients, carried: tuple[int, int]) -> Cloud:
    """Gauss nodes (latitudes, longitudes) weighted by a density; ValueError where it is negative."""
    points, area = gauss_grid(*carried)
    values = synthesis_at(coefficients, points)
    largest = values.max()
    if not values.min() >= -ROUNDING * largest:
        raise ValueError(
            f"the density is negative ({values.min():.3g}, its maximum {largest:.3g}) where private noise makes the "
            "carried nodes anew; raise lmax"
        )
    weights = area * np.maximum(values, FLOOR * largest)
    return Cloud(points, weights / weights.sum())
