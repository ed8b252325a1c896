"""What a layer of an equation of one's own is made of: a flow in unit time, and halves of private noise."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from particles.arrays import Array
from particles.layers.private import Diffusion
from particles.layers.schemes import ExponentialRungeKutta4, RungeKutta4, Scheme
from particles.measure import Cloud
from particles.pushes import Field, MakeField, Push, Riders, SumPush
from particles.retraction import Retraction, geodesic


@dataclass(frozen=True)
class Ito:
    """The common noise has no drift of its own: generator (1/2) sum_k Hess f(v_k, v_k), as in mathematics (4)."""

    def __str__(self) -> str:
        return "ito"


@dataclass(frozen=True)
class Stratonovich:
    """The common noise is the limit of smooth ones: generator (1/2) sum_k v_k(v_k(f))."""

    def __str__(self) -> str:
        return "stratonovich"


ito, stratonovich = Ito(), Stratonovich()
INTERPRETATIONS: dict[str, Ito | Stratonovich] = {"ito": ito, "stratonovich": stratonovich}
"""Interpretations by name."""
STEPPINGS: dict[str, Scheme] = {"halves": RungeKutta4(), "exponential": ExponentialRungeKutta4()}
"""How private noise and drift go together in a step, by name."""


@dataclass(frozen=True, eq=False)
class EquationPush:
    """The flow in unit time of X' = P_X U[mu_t](X), mu_t the law of X, by a scheme; step size and noise inside U.

    With U = dt b + sum_k s_k Delta W_k this is the Stratonovich equation with W replaced by straight lines (Wong and
    Zakai 1965): strong order 1 where the fields of the noise commute, 1/2 else.
    """

    push: SumPush
    scheme: Scheme
    retraction: Retraction = geodesic
    smooth: ClassVar[bool] = True

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """One step; the scheme decides how many fields it takes."""
        return self.scheme.step(partial(self._velocity, make), measure, riders, self.retraction)

    def _velocity(self, make: MakeField, measure: Cloud, riders: Riders) -> tuple[Array, Riders]:
        field = make(self.push, measure)
        return field(measure.points), tuple(field(points) if len(points) else points for points in riders)


@dataclass(frozen=True, eq=False)
class ScaledPush(Push):
    """The move by a factor times the velocity of a push."""

    push: Push
    factor: float

    def velocity(self, measure: Cloud) -> Field:
        field = self.push.velocity(measure)
        return lambda points: self.factor * field(points)


@dataclass(frozen=True, eq=False)
class Heat(Diffusion):
    """A geodesic step of weak order 2: the variance 2 s of each tangent direction is divided by 1 + (d - 2) s/3.

    With n = d - 1, L = l(l + n - 1) and r^2 = 2 s chi^2_n, a zonal eigenfunction, which at the angle r is
    1 - L r^2/(2 n) + (L^2 - 2 (n - 1) L/3) r^4/(8 n (n + 2)), has the mean 1 - L s + (L^2/2 - (n - 1) L/3) s^2 + O(s^3)
    behind a step, and e^{-L s} + O(s^3) once r^2 is multiplied by 1 - (n - 1) s/3 + O(s^2).  On S^1 the step is exact.
    """

    retraction: Retraction = geodesic

    def increments(self, points: Array) -> Array:
        return super().increments(points) / math.sqrt(1 + (points.shape[1] - 2) * self.strength / 3)
