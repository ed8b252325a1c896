"""Densities on S^2: coefficients beside carried nodes, two representations that certify each other.

mathematics, section 7.  The carried nodes are positive weighted points; moments and the field come from them.  The
coefficients give the pointwise density as long as lmax resolves it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from particles.arrays import Array
from particles.harmonics import Coefficients, adjoint_at, degree_of, power, resize, synthesis_at
from particles.initial import InitialDensity
from particles.quadrature import gauss_grid
from particles.tokens import Cloud, Tokens, mean_token, second_moment
from spde.sphere import DuccTransforms, Sphere

FINEST_QUADRATURE = 1024  # latitudes beyond which an initial density counts as not integrable
MASS_TOLERANCE = 1e-13
NODE_MASS_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Density:
    """A law on S^2.

    Attributes
    ----------
    sphere : grid and transforms.
    coefficients : (modes,) of the density with respect to surface measure, degree <= sphere.lmax.
    nodes : carried nodes with positive weights of sum 1.
    """

    sphere: Sphere
    coefficients: Coefficients
    nodes: Cloud

    @classmethod
    def from_law(
        cls, law: InitialDensity, sphere: Sphere, carried: tuple[int, int] = (24, 48)
    ) -> "Density":
        """Density of an initial law, with Gauss nodes (latitudes, longitudes) carried beside it.

        Raises ValueError where the carried nodes do not integrate the density to 1e-6.
        """
        nlat = max(64, 2 * carried[0], sphere.nlat)
        while True:
            points, area = gauss_grid(nlat, 2 * nlat)
            values = law.pdf(points)
            mass = float(area @ values)
            if abs(mass - 1) <= MASS_TOLERANCE:
                break
            nlat *= 2
            if nlat > FINEST_QUADRATURE:
                raise ValueError(f"the initial density is too concentrated: {nlat // 2} latitudes give mass {mass:.6g}")
        degree = min(sphere.lmax, nlat - 1)
        coefficients = DuccTransforms(degree, nlat, 2 * nlat).analysis(values.reshape(nlat, 2 * nlat))
        coefficients[0] = 1 / math.sqrt(4 * math.pi)
        return cls(sphere, resize(coefficients, sphere.lmax), _carry(law, carried, nlat))

    @classmethod
    def from_tokens(cls, tokens: Tokens, sphere: Sphere) -> "Density":
        """The measure of weighted tokens on S^2: they are the carried nodes, and lmax truncates the rest."""
        if tokens.d != 3:
            raise ValueError(f"densities on S^2 need tokens with d = 3, got d = {tokens.d}")
        cloud = Cloud(tokens.points, tokens.weights)
        return cls(sphere, adjoint_at(cloud.weights, cloud.points, sphere.lmax), cloud)

    @classmethod
    def from_coefficients(
        cls, coefficients: Coefficients, sphere: Sphere, carried: tuple[int, int] = (24, 48)
    ) -> "Density":
        """Density given by coefficients of any degree; it must be positive where the carried nodes are."""
        return cls(
            sphere,
            resize(coefficients / (coefficients[0].real * math.sqrt(4 * math.pi)), sphere.lmax),
            _carry(SeriesLaw(coefficients), carried, 2 * carried[0]),
        )

    @cached_property
    def grid_values(self) -> Array:
        """Values on the grid, (nlat, nphi)."""
        return self.sphere.synthesis(self.coefficients)

    def at(self, points: Array) -> Array:
        """Values at unit vectors (N, 3)."""
        return self.sphere.synthesis_at(self.coefficients, points)

    @property
    def mass(self) -> float:
        """Integral of the coefficients' density."""
        return float(self.coefficients[0].real) * math.sqrt(4 * math.pi)

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
        mean, second = low_moments(self.coefficients)
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
    def tail(self) -> float:
        """Norm of the top tenth of the degrees over the norm of all."""
        square = power(self.coefficients)
        top = max(1, round(0.1 * self.sphere.lmax))
        return float(math.sqrt(square[-top:].sum() / square.sum()))


@dataclass(frozen=True, eq=False)
class SeriesLaw:
    """An initial law given by coefficients."""

    coefficients: Coefficients

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens by rejection from the uniform law, shape (n, 3)."""
        sphere = Sphere(max(2, min(1023, 2 * degree_of(self.coefficients))))
        bound = 1.05 * float(sphere.synthesis(self.coefficients).max())
        drawn: list[Array] = []
        count = 0
        while count < n:
            proposal = rng.standard_normal((4 * n, 3))
            proposal /= np.linalg.norm(proposal, axis=1)[:, None]
            kept = proposal[rng.random(4 * n) * bound < self.pdf(proposal)]
            drawn.append(kept)
            count += len(kept)
        return np.concatenate(drawn)[:n]

    def pdf(self, points: Array) -> Array:
        """Density at points (N, 3), normalised to mass 1."""
        mass = float(self.coefficients[0].real) * math.sqrt(4 * math.pi)
        return synthesis_at(self.coefficients / mass, points)


def _carry(law: InitialDensity, carried: tuple[int, int], enough: int) -> Cloud:
    points, area = gauss_grid(*carried)
    values = law.pdf(points)
    if not values.min() >= -1e-10 * values.max():
        raise ValueError(f"the initial density is negative ({values.min():.3g}) where a carried node is")
    weights = area * values
    mass = float(weights.sum())
    if abs(mass - 1) > NODE_MASS_TOLERANCE:
        raise ValueError(
            f"carried_nodes = [{carried[0]}, {carried[1]}] give the initial density the mass {mass:.6g}; "
            f"[{enough}, {2 * enough}] are enough"
        )
    kept = weights > 0
    return Cloud(np.ascontiguousarray(points[kept]), weights[kept] / weights[kept].sum())


def low_moments(coefficients: Coefficients) -> tuple[Array, Array]:
    """Mean (3,) and second moment (3, 3) of a density, from its coefficients of degree <= 2.

    x = sqrt(2 pi/3) (Y_1^-1 - Y_1^1), z = sqrt(4 pi/3) Y_1^0; the products follow from degree 2.
    """
    first = resize(coefficients, 2)
    a00, a10, a20, a11, a21, a22 = first[0].real, first[1].real, first[2].real, first[3], first[4], first[5]
    mean = np.array([-math.sqrt(8 * math.pi / 3) * a11.real, math.sqrt(8 * math.pi / 3) * a11.imag, 0.0])
    mean[2] = math.sqrt(4 * math.pi / 3) * a10
    mass = a00 * math.sqrt(4 * math.pi)
    zz = (mass + 2 * math.sqrt(4 * math.pi / 5) * a20) / 3
    difference = 2 * math.sqrt(8 * math.pi / 15) * a22.real  # xx - yy
    xy = -math.sqrt(8 * math.pi / 15) * a22.imag
    xz = -math.sqrt(8 * math.pi / 15) * a21.real
    yz = math.sqrt(8 * math.pi / 15) * a21.imag
    xx, yy = (mass - zz + difference) / 2, (mass - zz - difference) / 2
    return mean, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])

