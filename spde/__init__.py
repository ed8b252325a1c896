"""What a transformer becomes for infinitely many tokens: densities on S^2 and the equation they solve."""

from spde.annealed import anneal, two_point
from spde.density import Density, SeriesLaw
from spde.field import SpectralField
from spde.solver import DensityFlow, DensityState, default_field, solve, spectral_field
from spde.sphere import Sphere

__all__ = [
    "Density",
    "DensityFlow",
    "DensityState",
    "SeriesLaw",
    "SpectralField",
    "Sphere",
    "anneal",
    "default_field",
    "solve",
    "spectral_field",
    "two_point",
]
