"""Schemes: a measure, and what rides on it, moved for one step along a velocity that depends on the measure.

X' = P_X U[mu_t](X), mu_t the law of X.  The step size is inside U, so a step is a flow of unit time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from particles.arrays import Array
from particles.measure import Cloud
from particles.pushes import Riders
from particles.retraction import Retraction, known

Velocity = Callable[[Cloud, Riders], tuple[Array, Riders]]
"""U at the points of a measure and at riders, step size inside; it need not be tangent."""


class Scheme(Protocol):
    """How a flow of unit time is approximated."""

    @property
    def order(self) -> int:
        """Global order in the step size."""
        ...

    def step(
        self, velocity: Velocity, measure: Cloud, riders: Riders, retraction: Retraction
    ) -> tuple[Cloud, Riders]:
        """Move a measure and its riders."""
        ...


@dataclass(frozen=True)
class Euler:
    """One move by the velocity at the start, through the retraction; order 1 (tests/particles/layers/test_drift.py)."""

    order: ClassVar[int] = 1

    def step(
        self, velocity: Velocity, measure: Cloud, riders: Riders, retraction: Retraction
    ) -> tuple[Cloud, Riders]:
        """T(x) = retraction(x, U(x))."""
        moves, rides = velocity(measure, riders)
        moved = Cloud(retraction(measure.points, moves), measure.weights)
        return moved, tuple(retraction(points, ride) for points, ride in zip(riders, rides, strict=True))


@dataclass(frozen=True)
class RungeKutta4:
    """The classical scheme in ambient space, order 4 (tests/particles/layers/test_drift.py).

    The tangent field is continued to |y| != 1 by its value at nrm(y); its flow keeps |y|, so the stages see points and
    measures on the sphere and normalising the result costs no order.  With the retraction `translate` the space is R^d
    and the field is taken as it is; no other retraction plays a part.
    """

    order: ClassVar[int] = 4

    def step(
        self, velocity: Velocity, measure: Cloud, riders: Riders, retraction: Retraction
    ) -> tuple[Cloud, Riders]:
        """Four stages; the measure of a stage is that of its points, and riders have stages of their own."""
        retraction, start = known(retraction), (measure.points, *riders)
        slopes: list[tuple[Array, ...]] = []
        for share in (0.0, 0.5, 0.5, 1.0):
            stage = start
            if share:
                stage = tuple(retraction.settle(x + share * k) for x, k in zip(start, slopes[-1], strict=True))
            moves, rides = velocity(Cloud(stage[0], measure.weights), stage[1:])
            slopes.append(tuple(retraction.tangent_part(x, u) for x, u in zip(stage, (moves, *rides), strict=True)))
        moved = [
            retraction.settle(x + (first + 2 * second + 2 * third + fourth) / 6)
            for x, first, second, third, fourth in zip(start, *slopes, strict=True)
        ]
        return Cloud(moved[0], measure.weights), tuple(moved[1:])


@dataclass(frozen=True)
class Heun:
    """The trapezoidal rule with Euler's step inside, in ambient space; order 2, half the fields of `RungeKutta4`.

    Order 2: tests/particles/equations/test_steps.py.
    """

    order: ClassVar[int] = 2

    def step(
        self, velocity: Velocity, measure: Cloud, riders: Riders, retraction: Retraction
    ) -> tuple[Cloud, Riders]:
        """Two stages, as those of `RungeKutta4`."""
        retraction, start = known(retraction), (measure.points, *riders)
        moves, rides = velocity(measure, riders)
        first = [retraction.tangent_part(x, u) for x, u in zip(start, (moves, *rides), strict=True)]
        stage = [retraction.settle(x + k) for x, k in zip(start, first, strict=True)]
        moves, rides = velocity(Cloud(stage[0], measure.weights), tuple(stage[1:]))
        second = [retraction.tangent_part(x, u) for x, u in zip(stage, (moves, *rides), strict=True)]
        moved = [retraction.settle(x + (k + q) / 2) for x, k, q in zip(start, first, second, strict=True)]
        return Cloud(moved[0], measure.weights), tuple(moved[1:])


@dataclass(frozen=True)
class ExponentialRungeKutta4(RungeKutta4):
    """Tokens move as under `RungeKutta4`; a density moves in its coefficients, with private noise and drift together.

    For equations without common noise (`particles.equations.Equation`): the law of the tokens itself is solved to order
    4 in the step (`spde.exponential`), where halves of private noise around the drift leave order 2.
    """


SCHEMES: dict[str, Scheme] = {"euler": Euler(), "rk4": RungeKutta4()}
"""Schemes by name."""
