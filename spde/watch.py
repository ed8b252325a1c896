"""What a density run watches: states that stop being finite, steps too long, resolution, and what the field leaves out.

Everything that is wrong with the numbers of a run stops it or is said once, with advice (`spde.words`).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from particles import Array, AttentionPush, Cloud, Field, Push, SolverError, field_degree, tangent, velocity_at
from particles.derivatives import jacobian
from spde.domain.base import Domain
from spde.field.choice import GridField
from spde.field.circle import CircleField
from spde.field.sphere import SpectralField
from spde.state import DensityState

FIELD_HINT = 1e-5  # estimated loss of the low moments above which a smaller field_tol is advised
DEFECT_HINT = 1e-5  # difference of two representations of a resolved density that is told
EVERY = 64  # layers from one layer whose field is evaluated a second time to the next
FINER = 0.1  # tolerance of the second evaluation over that of the first


def moment_change(measure: Cloud, velocity: Array) -> float:
    """Largest change, to first order, of mean and second moment under small displacements (N, d) of the points."""
    change = measure.weights[:, None] * tangent(measure.points, velocity)
    second = change.T @ measure.points
    return float(max(np.abs(change.sum(axis=0)).max(), np.abs(second + second.T).max()))


class WatchedField:
    """A field inside a step: takes the fast way to grid points, and remembers what it did to the measure's points.

    Attributes
    ----------
    longest : largest |U| at the points of the measure.
    defect : what the error of U changes in the low moments, by a second field; NaN where there is none.
    """

    def __init__(self, inner: Field, sphere: Domain, measure: Cloud, second: Callable[[], Field] | None = None) -> None:
        self._inner, self._sphere, self._measure, self._second = inner, sphere, measure, second
        self.degree, self.longest, self.defect = field_degree(inner), 0.0, np.nan

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        if points is self._sphere.points and isinstance(self._inner, GridField):
            return self._inner.on_grid(self._sphere)
        velocity = velocity_at(self._inner, points)
        if points is self._measure.points:
            self.longest = float(np.sqrt(np.einsum("ij,ij->i", velocity, velocity).max()))
            if self._second is not None and np.isfinite(self.longest):
                self.defect = moment_change(self._measure, velocity - self._second()(points))
                self._second = None
        return velocity

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d)."""
        return jacobian(self._inner, points)


def watched(
    field: Field, sphere: Domain, push: Push, measure: Cloud, n_targets: int, step: int
) -> WatchedField:
    """The field of a step; in every `EVERY`-th, from the first, a series is evaluated at a finer tolerance, too."""
    second = None
    if step % EVERY == 0 and isinstance(field, SpectralField | CircleField) and isinstance(push, AttentionPush):
        second = partial(type(field), push, measure, n_targets, FINER * field.tol)
    return WatchedField(field, sphere, measure, second)


@contextmanager
def stopping(state: DensityState, dt: float) -> Iterator[None]:
    """Arithmetic that comes to an end inside, as SolverError with the state before the step; numpy says nothing."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise SolverError(str(error), step=state.step, depth_time=state.step * dt, state=state) from None


def must_be_finite(arrays: Iterable[Array]) -> None:
    """FloatingPointError where a number is none."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise FloatingPointError("the state is no longer finite")
