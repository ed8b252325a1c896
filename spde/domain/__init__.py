"""Grids and transforms on the circle and the sphere."""

from spde.domain.base import check_degree
from spde.domain.choose import SPHERES

__all__ = [
    "SPHERES", "check_degree",
]  # fmt: skip
