"""What a transformer becomes for infinitely many tokens: densities on S^2 and S^1, and the equation they solve."""

import spde.own  # noqa: F401
from particles.layers import diffuses
from spde.annealed import anneal, two_point
from spde.carried import SHARED, auto_size
from spde.density import FIRST_SIZE, Density, SeriesLaw
from spde.domain.base import Domain
from spde.domain.choose import unit_sphere
from spde.domain.circle import Circle
from spde.domain.sphere import Sphere
from spde.energies import energies_of_tokens
from spde.field.choice import default_field, spectral_field
from spde.field.circle import CircleField
from spde.field.sphere import SpectralField
from spde.flow import DensityFlow
from spde.solve import solve
from spde.state import DensityState

__all__ = [
    "FIRST_SIZE",
    "SHARED",
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
    "auto_size",
    "default_field",
    "diffuses",
    "energies_of_tokens",
    "solve",
    "spectral_field",
    "two_point",
    "unit_sphere",
]  # fmt: skip
