"""Densities on S^2 and S^1: coefficients beside carried nodes, two representations that certify each other.

mathematics, section 7.  The carried nodes are positive weighted points; moments and the field come from them.  The
coefficients give the pointwise density as long as lmax resolves it.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from particles import Array, Cloud, Coefficients, InitialDensity, Tokens, mean_token, second_moment
from spde.carried import Carrying
from spde.domain.base import MAX_DEGREE, MIN_DEGREE, Domain
from spde.given import ROUNDING, density_at, refuse_mass
from spde.panels import Panels

MASS_TOLERANCE = 1e-13
FIRST_SIZE = (24, 48)  # of carried nodes, from which on quadratures of the initial density are tried
NEGATIVE = 1e-2  # a series below minus this share of its maximum is no density cut off at its degree


@dataclass(frozen=True, eq=False)
class Density:
    """A law on S^2 or S^1.

    Attributes
    ----------
    sphere : grid and transforms, a `Sphere` or a `Circle`.
    coefficients : (modes,) of the density with respect to surface measure, degree <= sphere.lmax.
    nodes : carried nodes with positive weights of sum 1.
    node_log_density : log of the initial density at the carried nodes, (nodes,); None where there is none.
    carrying : how the carried nodes were chosen; None for tokens, which are the law itself.
    """

    sphere: Domain
    coefficients: Coefficients
    nodes: Cloud
    node_log_density: Array | None = None
    carrying: Carrying | None = None

    @classmethod
    def from_law(
        cls, law: InitialDensity, sphere: Domain, carried: tuple[int, int] | None = None
    ) -> "Density":
        """Density of an initial law, with quadrature nodes carried beside it.

        carried: None for nodes that stand where the mass is, which `solve` makes finer as far as needed; or latitudes
        and longitudes of Gauss nodes, on the circle the factors of the number of equispaced nodes.
        Raises ValueError where the carried nodes do not integrate the density to 1e-6 (chosen ones: 1e-9), and
        TypeError or ValueError, which name the cause, for a law without a density of mass 1 (tests/spde/test_given.py).
        """
        masses = [math.inf]
        for size in sphere.sizes(carried or FIRST_SIZE):
            points, area = sphere.quadrature(size)
            values, rounding = density_at(law, points)
            masses.append(float(area @ values))
            single = rounding > ROUNDING and abs(masses[-1] - 1) <= rounding
            settled = abs(masses[-1] - masses[-2]) <= MASS_TOLERANCE and abs(masses[-1] - 1) <= ROUNDING
            if abs(masses[-1] - 1) <= MASS_TOLERANCE or settled or single:
                break
        if not abs(masses[-1] - 1) <= rounding:
            refuse_mass(masses[1:], len(area), sphere.volume)
        coefficients = sphere.project(values, size)
        coefficients[0] = 1 / math.sqrt(sphere.volume)
        mean, _ = sphere.low_moments(coefficients)
        return cls._carried_by(Carrying.of(law, sphere, mean, carried, size, rounding), coefficients)

    @classmethod
    def _carried_by(cls, carrying: Carrying, coefficients: Coefficients) -> "Density":
        return cls(carrying.sphere, coefficients, *carrying.nodes(), carrying)

    @property
    def level(self) -> int | None:
        """How often nodes that are chosen were made finer; None for nodes that are given."""
        return None if self.carrying is None else self.carrying.level

    @property
    def boxes(self) -> Array | None:
        """The boxes of panels, (P, 2 d); None where nodes stand on grids or were given."""
        panels = None if self.carrying is None else self.carrying.panels
        return None if panels is None else panels.boxes

    def finer(self, levels: int = 1) -> "Density | None":
        """The same density with carried nodes on finer grids; None where they were given, or would be too many."""
        carrying = None if self.carrying is None else self.carrying.finer(levels)
        return None if carrying is None else self._with(carrying)

    def split(self, moved: Array, ridden: Array) -> "Density | None":
        """The same density with nodes where a run needs them, see `Carrying.split`; None where there are none."""
        carrying = None if self.carrying is None else self.carrying.split(moved, ridden)
        return None if carrying is None else self._with(carrying)

    def may_refine(self, grids: bool) -> bool:
        """Whether there are finer nodes: on grids (`finer`), or in panels (`split`)."""
        if grids:
            return self.finer() is not None
        return self.carrying is not None and self.carrying.may_split

    def at_level(self, level: int, boxes: Array | None = None) -> "Density":
        """The same density with the carried nodes of another level, or in panels; ValueError where they were given."""
        if self.carrying is None or self.carrying.level is None:
            raise ValueError("the carried nodes were given, and have no level")
        return self._with(self.carrying.at(level, None if boxes is None else Panels(boxes)))

    def _with(self, carrying: Carrying) -> "Density":
        nodes, log_density = carrying.nodes()
        return replace(self, nodes=nodes, node_log_density=log_density, carrying=carrying)

    @property
    def nodes_text(self) -> str:
        """The carried nodes in words, for files."""
        return "tokens" if self.carrying is None else self.carrying.text

    @classmethod
    def from_tokens(cls, tokens: Tokens, sphere: Domain) -> "Density":
        """The measure of weighted tokens: they are the carried nodes, and lmax truncates the rest."""
        if tokens.d != sphere.d:
            raise ValueError(
                f"densities on S^{sphere.d - 1} need tokens with d = {sphere.d}, got d = {tokens.d}"
            )
        cloud = Cloud(tokens.points, tokens.weights)
        return cls(sphere, sphere.adjoint_at(cloud.weights, cloud.points), cloud)

    @classmethod
    def from_coefficients(
        cls, coefficients: Coefficients, sphere: Domain, carried: tuple[int, int] | None = None
    ) -> "Density":
        """Density given by coefficients of any degree; it must be positive where the carried nodes are."""
        law = SeriesLaw(_series(coefficients), sphere)
        enough = sphere.exact_size(sphere.degree_of(law.coefficients))  # refuses what is no number of coefficients
        if not 0 < law.mass < math.inf:
            raise ValueError(f"the mass of the density must be positive and finite, got {law.mass:g}")
        own = sphere.resized(law.coefficients / law.mass)
        return cls._carried_by(Carrying.of(law, sphere, sphere.low_moments(own)[0], carried, enough), own)

    @cached_property
    def grid_values(self) -> Array:
        """Values on the grid, (nlat, nphi) or (nphi,)."""
        return self.sphere.synthesis(self.coefficients)

    def at(self, points: Array) -> Array:
        """Values at unit vectors (N, d)."""
        return self.sphere.synthesis_at(self.coefficients, points)

    @property
    def mass(self) -> float:
        """Integral of the coefficients' density."""
        return float(self.coefficients[0].real) * math.sqrt(self.sphere.volume)

    @property
    def mean(self) -> Array:
        """Mean token, from the carried nodes."""
        return mean_token(self.nodes)

    @property
    def second_moment(self) -> Array:
        """Second moment, from the carried nodes."""
        return second_moment(self.nodes)

    @property
    def moment_defect(self) -> float:
        """Largest difference of mean and second moment between carried nodes and coefficients."""
        mean, second = self.sphere.low_moments(self.coefficients)
        return float(max(np.abs(mean - self.mean).max(), np.abs(second - self.second_moment).max()))

    @property
    def minimum(self) -> float:
        """Smallest value on the grid; negative where lmax no longer resolves the density."""
        return float(self.grid_values.min())

    @property
    def maximum(self) -> float:
        """Largest value on the grid."""
        return float(self.grid_values.max())

    @property
    def spectral_tail(self) -> float:
        """Norm of the top tenth of the degrees, at least of two, over the norm of all: what the cut at lmax leaves."""
        square = self.sphere.power(self.coefficients)
        return float(math.sqrt(square[-top_degrees(self.sphere.lmax) :].sum() / square.sum()))

    @property
    def negative_mass(self) -> float:
        """Mass of the negative part of the series on the grid, >= 0."""
        return float(self.sphere.weights @ np.maximum(-self.grid_values.ravel(), 0.0))


def top_degrees(lmax: int) -> int:
    """How many degrees the top tenth has: at least two, one of either parity."""
    return max(2, round(0.1 * lmax))


@dataclass(frozen=True, eq=False)
class SeriesLaw:
    """An initial law given by coefficients of any degree on a sphere."""

    coefficients: Coefficients
    sphere: Domain

    def check(self) -> None:
        """ValueError unless the mass is positive and the density not negative beyond what truncation does."""
        if not 0 < self.mass < math.inf:
            raise ValueError(f"the mass of the density must be positive and finite, got {self.mass:g}")
        values = self._fine_values
        _, orders = self.sphere.mode_numbers(self.sphere.degree_of(self.coefficients))
        # No density is larger than the kernel of its degree: (L + 1)^2 / 4 pi on S^2, (2 L + 1) / 2 pi on S^1.
        largest = np.where(orders == 0, 1, 2).sum() / self.sphere.volume
        if not (values.min() >= -NEGATIVE * values.max() and values.max() <= (1 + NEGATIVE) * largest):
            raise ValueError(
                f"the density is negative somewhere: it runs from {values.min():.3g} to {values.max():.3g} on a grid"
            )

    @cached_property
    def _fine_values(self) -> Array:
        """Values, of mass 1, on a grid of twice the degree."""
        degree = self.sphere.degree_of(self.coefficients)
        sphere = self.sphere.with_degree(max(MIN_DEGREE, min(MAX_DEGREE, 2 * degree)))
        return sphere.synthesis(self.coefficients / self.mass)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens by rejection from the uniform law, shape (n, d)."""
        self.check()
        bound = 1.05 * float(self._fine_values.max())
        drawn: list[Array] = []
        count = 0
        while count < n:
            proposal = rng.standard_normal((4 * n, self.sphere.d))
            proposal /= np.linalg.norm(proposal, axis=1)[:, None]
            kept = proposal[rng.random(4 * n) * bound < self.pdf(proposal)]
            drawn.append(kept)
            count += len(kept)
        return np.concatenate(drawn)[:n]

    @property
    def mass(self) -> float:
        """Integral of the series."""
        return float(self.coefficients[0].real) * math.sqrt(self.sphere.volume)

    def pdf(self, points: Array) -> Array:
        """Density at points (N, d), normalised to mass 1."""
        return self.sphere.synthesis_at(self.coefficients / self.mass, points)


def _series(coefficients: Coefficients) -> Coefficients:
    """Coefficients as complex numbers; they may be given as real ones, or in a list."""
    found = np.asarray(coefficients)
    if found.dtype.kind not in "fiuc" or found.ndim != 1:
        raise TypeError(f"coefficients must be numbers of shape (modes,), got {found.dtype} of shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("coefficients must be finite, got NaN or infinity")
    return found.astype(np.complex128)
