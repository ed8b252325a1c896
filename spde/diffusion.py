"""Private noise seen by a density: the heat kernel, exact in the coefficients, and carried nodes made anew.

Carried nodes follow a flow, and a diffusion has none; so after each smoothing they are quadrature nodes again, with
weights area times density.  Where the series is negative, which no density is, they get next to no weight.
"""

from collections.abc import Callable

import numpy as np

from particles import Array, Cloud, Coefficients
from spde.carried import coarser
from spde.density import Density
from spde.domain.base import Domain
from spde.second import SecondNodes

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


def first_nodes(density: Density, carried: tuple[int, int]) -> tuple[Cloud, SecondNodes | None]:
    """Both sets of nodes at depth 0: they stand on grids from the start, where they stay."""
    carrying = density.carrying
    if carrying is None:
        return density.nodes, None
    sphere, pdf = density.sphere, carrying.law.pdf
    same = carrying.sizes == [carried] and density.level is None
    nodes = density.nodes if same else weighted(sphere, carried, pdf)
    return nodes, SecondNodes.start(weighted(sphere, coarser(carried), pdf), np.zeros_like(density.coefficients))


def smoothed(
    sphere: Domain, coefficients: Coefficients, strength: float, carried: tuple[int, int], second: SecondNodes | None
) -> tuple[Coefficients, Cloud, SecondNodes | None]:
    """Coefficients behind the heat kernel, and both sets of nodes made anew from them."""

    def smooth(rough: Coefficients) -> Coefficients:
        return heat(sphere, rough, strength)

    warmed = smooth(coefficients)
    if second is not None:
        second = second.anew(coefficients, sphere, nodes_anew(sphere, warmed, coarser(carried)), smooth)
    return warmed, nodes_anew(sphere, warmed, carried), second
