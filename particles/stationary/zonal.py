"""The self-consistency map of zonal laws on S^(d-1), in their moments.  mathematics, section 10.

With t = <x, e> and m_l = int P_l(t) rho, a law that is its own answer, rho = exp((w * rho)/nu)/Z, obeys

    m_l = int P_l e^U / int e^U,     U(t) = (1/nu) sum_l b_l m_l P_l(t),     b_l = w_l dim_l/|S|,

w_l the multipliers of Funk and Hecke: one equation for each degree l >= 1 with w_l != 0, by quadrature over t in any d.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array, ConvergenceError, check_count
from particles.equations.interactions import Interaction, harmonics_of_degree, multipliers, polynomials, quadrature
from particles.errors import ArgumentError
from particles.initial import sphere_area

Degrees = NDArray[np.int64]

TOLERANCE = 1e-14  # of the series of w
NEWTON_STEPS = 12
NEWTON_TOLERANCE = 1e-12  # of the last step, which is squared once more by then
MOST_NODES = 4096


def factors_of(interaction: Interaction, d: int) -> Array:
    """w_0 ... w_L; ArgumentError where no series up to degree 512 is w."""
    check_count(d, "d", 2)
    if not isinstance(interaction, Interaction):
        raise ArgumentError("interaction", interaction, "be an Interaction, such as Dot(1.0)")
    found = multipliers(interaction, d, TOLERANCE)
    if found is None:
        raise ArgumentError("interaction", interaction, "be smooth: no series up to degree 512 is good to 1e-14")
    return found


def legendre(t: Array, d: int, degree: int) -> Array:
    """P_0 ... P_degree at t, (degree + 1, n)."""
    return np.array([p for (p, _), _ in zip(polynomials(t, d), range(degree + 1), strict=False)])


@dataclass(frozen=True, eq=False)
class Moments:
    """The equations for the moments of the degrees that act.

    Attributes
    ----------
    d : dimension.   factors : w_0 ... w_L.   degrees : those l >= 1 with w_l != 0.   strengths : their b_l.
    nodes, weights : of the quadrature over the sphere, sum |S|.   values : P_l, (degrees, nodes).
    """

    d: int
    factors: Array
    degrees: Degrees
    strengths: Array
    nodes: Array
    weights: Array
    values: Array

    @classmethod
    def of(cls, interaction: Interaction, d: int, nu: float) -> "Moments":
        """For private noise of strength nu and more: the nodes resolve what is as narrow as e^U can be."""
        factors = factors_of(interaction, d)
        degrees = np.array([k for k in range(1, len(factors)) if factors[k] != 0.0], dtype=np.int64)
        dims = np.array([harmonics_of_degree(int(k), d) for k in degrees])
        strengths = factors[degrees] * dims / sphere_area(d)
        narrow = float(np.abs(strengths).sum()) / nu
        n = 64 + 2 * len(factors) + 8 * math.ceil(math.sqrt(narrow))  # degree l of e^{k t} falls as e^{-l^2/(2 k)}
        if n > MOST_NODES:
            raise ArgumentError("nu", nu, f"be larger: the law is narrower than {MOST_NODES} nodes resolve")
        nodes, weights = quadrature(32 * math.ceil(n / 32), d)
        values = legendre(nodes, d, len(factors) - 1)[degrees]
        return cls(d, factors, degrees, strengths, nodes, weights, values)

    def shares(self, moments: Array, nu: float) -> tuple[Array, float]:
        """Shares of the nodes in e^U, of sum 1, and log int e^U."""
        potential = (self.strengths * moments / nu) @ self.values
        top = float(potential.max(initial=0.0))
        found = self.weights * np.exp(potential - top)
        total = float(found.sum())
        return found / total, math.log(total) + top

    def equations(self, x: Array) -> tuple[Array, Array]:
        """What is left of the equations at x = (moments, -log nu), and its derivative (degrees, degrees + 1)."""
        moments, inverse = x[:-1], math.exp(x[-1])
        shares, _ = self.shares(moments, 1 / inverse)
        mean = self.values @ shares
        around = self.values - mean[:, None]
        slope = inverse * ((around * shares) @ around.T) * self.strengths
        return moments - mean, np.column_stack([np.eye(len(moments)) - slope, -slope @ moments])


def newton(equations: Callable[[Array], tuple[Array, Array]], start: Array) -> Array:
    """A root by Newton's method from close by; ConvergenceError where it is not close."""
    x = start
    for _ in range(NEWTON_STEPS):
        left, slope = equations(x)
        try:
            step = np.linalg.solve(slope, left)
        except np.linalg.LinAlgError:
            break
        x = x - step
        size = float(np.abs(step).max())
        if size <= NEWTON_TOLERANCE:
            return x
        if not size < 1:
            break
    raise ConvergenceError("Newton's method for a stationary law has not converged")
