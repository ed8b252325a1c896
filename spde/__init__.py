"""What a transformer becomes for infinitely many tokens: densities on S^2 and S^1, and the equation they solve."""

import spde.own  # noqa: F401
from spde.annealed import anneal, two_point
from spde.domain.choose import unit_sphere
from spde.domain.circle import Circle
from spde.field.circle import CircleField
from spde.density import Density, SeriesLaw
from spde.domain.base import Domain
from spde.field.sphere import SpectralField
from spde.field.spectral import default_field, spectral_field
from spde.flow import DensityFlow, solve
from spde.domain.sphere import Sphere
from spde.state import DensityState

__all__ = [
    "Circle",
    "CircleField",
    "Density",
    "DensityFlow",
    "DensityState",
    "Domain",
    "SeriesLaw",
    "SpectralField",
    "Sphere",
    "anneal",
    "default_field",
    "solve",
    "spectral_field",
    "two_point",
    "unit_sphere",
]
