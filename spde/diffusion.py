"""Private noise seen by a density: the heat kernel, exact in the coefficients, and carried nodes made anew.

Carried nodes follow a flow, and a diffusion has none; so after each smoothing they are quadrature nodes again, with
weights area times density.  Where the series is negative, which no density is, they get next to no weight.
"""

from collections.abc import Callable

import numpy as np

from particles.arrays import Array
from particles.harmonics import Coefficients
from particles.tokens import Cloud
from spde.domain import Domain

FLOOR = 1e-14  # share of the largest value that every node has at least, so that every weight is positive


def heat(sphere: Domain, coefficients: Coefficients, strength: float) -> Coefficients:
    """e^{strength Lap} on S^(d-1): coefficients up to sphere.lmax times exp(-strength l(l + d - 2))."""
    decay: Array = np.exp(-strength * (sphere.degrees * (sphere.degrees + sphere.d - 2.0)))
    return coefficients * decay


def nodes_anew(sphere: Domain, coefficients: Coefficients, carried: tuple[int, int]) -> Cloud:
    """Quadrature nodes of the size `carried`, weighted by a density."""
    return weighted(sphere, carried, lambda points: sphere.synthesis_at(coefficients, points))


def weighted(sphere: Domain, carried: tuple[int, int], pdf: Callable[[Array], Array]) -> Cloud:
    """Quadrature nodes of a size, all of them, with weights area times a density and of sum 1."""
    points, area = sphere.quadrature(carried)
    values = pdf(points)
    weights = area * np.maximum(values, FLOOR * values.max())
    return Cloud(points, weights / weights.sum())
