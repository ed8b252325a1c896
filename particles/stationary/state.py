"""A stationary law rho = exp((w * rho)/nu)/Z, zonal about an axis e: its density, energies, order, growth rates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from particles.arrays import Array, check_positive
from particles.equations.interactions import Interaction, harmonics_of_degree
from particles.initial import sphere_area
from particles.stationary.stability import Rates, growth_rates
from particles.stationary.zonal import Moments, factors_of, legendre


@dataclass(frozen=True, eq=False)
class StationaryState:
    """A stationary law of dX = grad_x int w(<X, y>) rho(dy) dt + sqrt(2 nu) dB.

    Parameters
    ----------
    interaction : w.   nu : strength of the private noise.   d : dimension.
    acting : moments m_l = int P_l(<x, e>) rho of the degrees l >= 1 with w_l != 0, in their order.
    """

    interaction: Interaction
    nu: float
    d: int
    acting: Array

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self.interaction, self.d, self.nu)

    @cached_property
    def _shares(self) -> tuple[Array, float]:
        return self._moments.shares(self.acting, self.nu)

    def moments(self, degree: int) -> Array:
        """m_0 = 1, m_1 ... m_degree."""
        found: Array = legendre(self._moments.nodes, self.d, degree) @ self._shares[0]
        return found

    def coefficients(self, degree: int) -> Array:
        """As in the files of densities, order 0, e along z: m_l (dim_l/|S|)^(1/2); m_l/(2 pi)^(1/2) on the circle."""
        dims = [1 if self.d == 2 else harmonics_of_degree(k, self.d) for k in range(degree + 1)]
        found: Array = self.moments(degree) * np.sqrt(np.array(dims) / sphere_area(self.d))
        return found

    def pdf(self, t: Array) -> Array:
        """rho at points with <x, e> = t."""
        t = np.asarray(t, dtype=np.float64)
        top = int(self._moments.degrees.max(initial=0))
        values = legendre(t.ravel(), self.d, top)[self._moments.degrees]
        potential = (self._moments.strengths * self.acting / self.nu) @ values
        found: Array = np.exp(potential - self._shares[1]).reshape(t.shape)
        return found

    @property
    def energy(self) -> float:
        """E = -(1/2) int int w rho rho."""
        m = self._moments
        return -0.5 * (float(m.factors[0]) / sphere_area(self.d) + float(m.strengths @ self.acting**2))

    @property
    def entropy(self) -> float:
        """-int rho log rho."""
        return self._shares[1] - float(self._moments.strengths @ self.acting**2) / self.nu

    @property
    def free_energy(self) -> float:
        """F = E + nu int rho log rho, which falls along every solution without common noise."""
        return self.energy - self.nu * self.entropy

    @property
    def mean(self) -> float:
        """<int x rho, e>."""
        return float(self.moments(1)[1])

    @property
    def alignment(self) -> float:
        """(d lambda - 1)/(d - 1), lambda the largest eigenvalue of the second moment; (3 lambda - 1)/2 in d = 3."""
        along = float(self.moments(2)[2])
        return max(along, -along / (self.d - 1))

    @property
    def order_parameter(self) -> float:
        """|mean|; the alignment where w does not tell x from -x."""
        return abs(self.mean) if (self._moments.degrees % 2).any() else self.alignment

    @cached_property
    def rates(self) -> Rates:
        """Growth rates of small disturbances."""
        return growth_rates(self._moments, self.acting, self.nu)

    @property
    def stability(self) -> float:
        """The largest growth rate, rotations of the law apart; negative where it is stable."""
        return self.rates.largest


def uniform_state(interaction: Interaction, nu: float, d: int) -> StationaryState:
    """The uniform law, which is stationary for every zonal interaction."""
    check_positive(nu, "nu")
    return StationaryState(interaction, nu, d, np.zeros(np.count_nonzero(factors_of(interaction, d)[1:])))


def uniform_rates(interaction: Interaction, nu: float, d: int, degree: int) -> Array:
    """l(l + d - 2)(w_l/|S| - nu), l = 0 ... degree: growth rates of the uniform law."""
    factors, degrees = np.zeros(degree + 1), np.arange(degree + 1)
    known = factors_of(interaction, d)[: degree + 1]
    factors[: len(known)] = known
    found: Array = degrees * (degrees + d - 2) * (factors / sphere_area(d) - nu)
    return found


def onset(interaction: Interaction, d: int, degree: int | None = None) -> tuple[int, float]:
    """The degree in which the uniform law is first lost as nu falls, and that nu = w_l/|S|.

    Of a given degree: that degree, and its nu.  nu is 0 where the uniform law is never lost.
    """
    factors = factors_of(interaction, d)
    if degree is None:
        degree = int(np.argmax(factors[1:])) + 1 if len(factors) > 1 else 1
    value = float(factors[degree]) if degree < len(factors) else 0.0
    return degree, max(value, 0.0) / sphere_area(d)
