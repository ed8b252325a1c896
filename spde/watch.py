"""What a density run watches: states that stop being finite, steps too long, resolution, and what the field leaves out.

Everything that is wrong with the numbers of a run stops it or is said once, with advice; nothing is clipped.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial

import numpy as np

from particles.arrays import Array, SolverError
from particles.attention import Attention
from particles.characteristics import jacobian
from particles.pushes import AttentionPush, Field, FieldPush
from particles.schemes import tangent
from particles.tokens import Cloud
from spde.circle_field import CircleField
from spde.density import Density
from spde.domain import Domain
from spde.field import SpectralField
from spde.field_choice import GridField
from spde.state import DensityState

TAIL_LIMIT = 1e-2  # above it the pointwise density is called unresolved: relative errors of a few percent
NEGATIVE_LIMIT = 1e-2  # likewise when the density falls below minus this share of its maximum
DEFECT_LIMIT = 1e-4  # likewise when the two representations differ by this much in the low moments
DEFECT_HINT = 1e-5  # above it more carried nodes, or a smaller field_tol, are advised
EVERY = 64  # layers from one layer whose field is evaluated a second time to the next
FINER = 0.1  # tolerance of the second evaluation over that of the first


def unresolved(density: Density) -> bool:
    """Whether the pointwise density is lost: tail, negative values or moment_defect beyond their limits."""
    return (
        not density.tail <= TAIL_LIMIT
        or not density.minimum >= -NEGATIVE_LIMIT * density.maximum
        or not density.moment_defect <= DEFECT_LIMIT
    )


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
        self.degree, self.longest, self.defect = inner.degree, 0.0, np.nan

    def at(self, points: Array) -> Array:
        """U at points (N, d)."""
        if points is self._sphere.points and isinstance(self._inner, GridField):
            return self._inner.on_grid(self._sphere)
        velocity = self._inner.at(points)
        if points is self._measure.points:
            self.longest = float(np.sqrt(np.einsum("ij,ij->i", velocity, velocity).max()))
            if self._second is not None and np.isfinite(self.longest):
                self.defect = moment_change(self._measure, velocity - self._second().at(points))
                self._second = None
        return velocity

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d)."""
        return jacobian(self._inner, points)


def watched(
    field: Field, sphere: Domain, attention: Attention, push: AttentionPush | FieldPush, measure: Cloud, n_targets: int,
    step: int,
) -> WatchedField:
    """The field of a step; in every `EVERY`-th, from the first, a series is evaluated at a finer tolerance, too."""
    second = None
    if step % EVERY == 0 and isinstance(field, SpectralField | CircleField) and isinstance(push, AttentionPush):
        second = partial(type(field), attention, push, measure, n_targets, FINER * field.tol)
    return WatchedField(field, sphere, measure, second)


@dataclass(eq=False)
class Watch:
    """The warnings of one run, each said once."""

    said: set[str] = dataclass_field(default_factory=set)

    def warn(self, kind: str, text: str) -> None:
        """Warn once per run and kind."""
        if kind not in self.said:
            self.said.add(kind)
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def step(self, fields: Sequence[WatchedField], step: int) -> None:
        """Look at the fields of a layer."""
        if any(one.longest > 1 for one in fields):
            self.warn(
                "long",
                f"layer {step} moves points by more than 1 (|U| > 1): the map may fold, and then no "
                "representation converges; lower dt (of transformer layers: eta)",
            )

    def folds(self, folded: int, step: int) -> None:
        """Look at how many carried nodes a layer folds the sphere at."""
        if folded:
            self.warn(
                "fold",
                f"layer {step} folds the sphere at {folded} carried nodes (det DT <= 0): the density there "
                "is a sum over branches, of which node_log_density has one; lower dt",
            )

    def density(self, density: Density, depth_time: float, lost: bool, diffuses: bool) -> None:
        """Look at a density that is recorded."""
        if lost:
            still = "come from the carried nodes and stay right; raise lmax for pointwise values"
            if diffuses:
                still = "are those of the same coefficients; raise lmax"
            self.warn(
                "unresolved",
                f"the pointwise density is not resolved at depth time {depth_time:g} "
                f"(tail {density.tail:.1e}, minimum {density.minimum:.2g}); the moments {still}",
            )
        if density.moment_defect > DEFECT_HINT and density.tail <= TAIL_LIMIT:
            self.warn(
                "nodes",
                f"the carried nodes lose digits at depth time {depth_time:g} (moment defect "
                f"{density.moment_defect:.1e}); raise carried_nodes",
            )

    def field(self, error: float, depth_time: float) -> None:
        """Look at the estimate of what the errors of the field have done to the low moments."""
        if error > DEFECT_HINT:
            self.warn(
                "field",
                f"the field loses digits at depth time {depth_time:g} (moments, estimate {error:.1e}); lower field_tol",
            )


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
