"""The unit sphere of a dimension."""

from particles import ArgumentError
from spde.domain.base import Domain
from spde.domain.circle import Circle
from spde.domain.sphere import Sphere

SPHERES: dict[int, type[Circle] | type[Sphere]] = {2: Circle, 3: Sphere}
"""By dimension d of the space: where densities can live."""


def unit_sphere(d: int, lmax: int, backend: str | None = None) -> Domain:
    """Grid and transforms up to lmax on S^(d-1), d = 2 or 3.

    Examples
    --------
    >>> unit_sphere(2, 31).shape, unit_sphere(3, 31).shape
    ((96,), (48, 96))
    """
    if d not in SPHERES:
        raise ArgumentError("d", d, "be 2 or 3 for densities; tokens may have any d")
    return SPHERES[d](lmax, backend)
