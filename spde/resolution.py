"""What is known of the error of a density at a point, and of its low moments: estimates, none of them a bound.

Errors at a point are shares of the largest value of the density.
"""

import math
from dataclasses import dataclass

import numpy as np

from spde.density import Density, top_degrees
from spde.state import DensityState

LOCAL_LIMIT = 5e-2  # estimated error at a point above which the pointwise density is called unresolved
NEGATIVE_LIMIT = 1e-2  # likewise when the density falls below minus this share of its maximum
NEGATIVE_MASS_LIMIT = 1e-3  # likewise when so much of the mass is negative
DEFECT_LIMIT = 1e-4  # likewise when carried nodes and coefficients differ by this much in the low moments
SLOWEST = 0.95  # ratio of two bands of degrees above which the rest of the series is not estimated


@dataclass(frozen=True)
class Resolution:
    """What is known of the errors of a density.

    Attributes
    ----------
    truncation : error at a point by the cut at lmax.   field : by the quadrature of the carried nodes, through the
        field; NaN without a second set of nodes.
    negative : depth of the negative values, as a share of the maximum.   negative_mass : mass of the negative part.
    defect : largest difference of the low moments, carried nodes to coefficients.
    nodes : estimated error of mean and second moment by the carried nodes; NaN without a second set.
    clipped : mass of the negative part where nodes are made from the coefficients, which leaves it out; else 0.
    """

    truncation: float
    field: float
    negative: float
    negative_mass: float
    defect: float
    nodes: float
    clipped: float

    @classmethod
    def of(cls, density: Density, state: DensityState) -> "Resolution":
        """The estimates for a state and its density."""
        second, sphere, largest = state.second, density.sphere, max(density.maximum, 1e-300)
        negative, local, nodes, clipped = density.negative_mass, math.nan, math.nan, 0.0
        if second is not None:
            local = second.local_error(density.coefficients, sphere) / largest
            nodes = second.moment_error(state.nodes, sphere)
            clipped = 0.0 if second.drift is None else negative
        low = -min(density.minimum, 0.0) / largest
        return cls(truncation(density), local, low, negative, density.moment_defect, nodes, clipped)

    @property
    def moments(self) -> float:
        """Estimated error of mean and second moment of the carried nodes; NaN without a second set."""
        return self.nodes + self.clipped

    @property
    def local(self) -> float:
        """Error at a point: the larger one of the two estimates."""
        return self.truncation if math.isnan(self.field) else max(self.truncation, self.field)

    @property
    def lost(self) -> bool:
        """Whether values at a point should not be used."""
        return (
            not self.local <= LOCAL_LIMIT
            or not self.negative <= NEGATIVE_LIMIT
            or not self.negative_mass <= NEGATIVE_MASS_LIMIT
            or not self.defect <= DEFECT_LIMIT
        )


def truncation(density: Density) -> float:
    """Largest error of the density on the grid by the cut at lmax, as a share of its largest value.

    The top tenth of the degrees, summed on the grid, and what follows it if the degrees go on to decay as they did over
    the tenth before: a narrow peak shows at its place, however small its mass.
    """
    sphere, largest = density.sphere, max(density.maximum, 1e-300)
    width, degrees = top_degrees(sphere.lmax), sphere.degrees
    edges = sphere.lmax - width, sphere.lmax - 2 * width
    last = np.where(degrees > edges[0], density.coefficients, 0)
    before = np.where((degrees > edges[1]) & (degrees <= edges[0]), density.coefficients, 0)
    size, earlier = (float(np.abs(sphere.synthesis(band)).max()) for band in (last, before))
    ratio = min(size / earlier, SLOWEST) if earlier > 0 else SLOWEST
    return size / (1 - ratio) / largest
