"""What a transformer becomes for infinitely many tokens: densities on S^2 and S^1, and the equation they solve."""

import spde.own  # noqa: F401
from spde.annealed import anneal, two_point
from spde.choose import unit_sphere
from spde.circle import Circle
from spde.circle_field import CircleField
from spde.density import Density, SeriesLaw
from spde.domain import Domain
from spde.field import SpectralField
from spde.field_choice import default_field, spectral_field
from spde.solver import DensityFlow, solve
from spde.sphere import Sphere
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
