"""Private noise seen by a density: the heat kernel, exact in the coefficients, and carried nodes made anew.

Carried nodes follow a flow, and a diffusion has none; so after each smoothing they are quadrature nodes again, with
weights area times density.
"""

import numpy as np

from particles.arrays import Array
from particles.harmonics import Coefficients
from particles.tokens import Cloud
from spde.domain import Domain

ROUNDING = 1e-10  # share of the largest value below which a negative one is rounding of the coefficients
FLOOR = 1e-14  # share of the largest value that such a node is given, so that every weight is positive


def heat(sphere: Domain, coefficients: Coefficients, strength: float) -> Coefficients:
    """e^{strength Lap} on S^(d-1): coefficients up to sphere.lmax times exp(-strength l(l + d - 2))."""
    decay: Array = np.exp(-strength * (sphere.degrees * (sphere.degrees + sphere.d - 2.0)))
    return coefficients * decay


def nodes_anew(sphere: Domain, coefficients: Coefficients, carried: tuple[int, int]) -> Cloud:
    """Quadrature nodes of the size `carried`, weighted by a density; ValueError where it is negative."""
    points, area = sphere.quadrature(carried)
    values = sphere.synthesis_at(coefficients, points)
    largest = values.max()
    if not values.min() >= -ROUNDING * largest:
        raise ValueError(
            f"the density is negative ({values.min():.3g}, its maximum {largest:.3g}) where private noise makes the "
            "carried nodes anew; raise lmax"
        )
    weights = area * np.maximum(values, FLOOR * largest)
    return Cloud(points, weights / weights.sum())
