"""What a field by series has in common on S^2 and S^1: heads whose series would cost more are summed directly."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from particles import Array, AttentionPush, Cloud, Coefficients, DirectField, Measure, check_tolerance
from particles.attention import Spectral
from spde.domain.base import Domain
from spde.field.cost import GUARD


class SeriesField(ABC):
    """Field of one attention push and one measure on S^(d-1).

    Parameters
    ----------
    push : mixing (M, d, d), query and key (M, head_dim, d); of the kernel `Softmax`, or `L2`, whose heads are softmax
        of a reweighted measure each.
    measure : positive weighted points on the sphere.
    n_targets : at how many points the field will be wanted; a head for which direct sums at that many points are
        cheaper than its grid is summed directly, so the field is right for every head.
    tol : bound on the error of a barycentre.

    Attributes
    ----------
    degree : largest degree among the heads, 0 if all are summed directly.
    tail : largest estimate of a head's truncation error.
    degrees : degree of each head, 0 where it is summed directly.
    tol : the tolerance it was made for.
    """

    domain: ClassVar[type[Domain]]
    tail = 0.0

    def __init__(self, push: AttentionPush, measure: Measure, n_targets: int, tol: float = 1e-6) -> None:
        name, d = type(self).__name__, self.domain.d
        if not isinstance(push.kernel, Spectral):
            raise TypeError(f"{name} needs softmax or L2 attention, got {type(push.kernel).__name__}")
        if push.mixing.shape[-1] != d:
            raise ValueError(f"{name} lives on S^{d - 1} (d = {d}), got d = {push.mixing.shape[-1]}")
        check_tolerance(tol, "tol")
        self._measure, self.tol = Cloud(measure.points, measure.weights), tol
        self._coefficients, self.degrees = self._series(push, push.kernel, measure, n_targets, GUARD * tol)
        self.degree = self.domain.degree_of(self._coefficients)
        direct = self.degrees == 0
        self._direct = DirectField(push.only(direct), self._measure) if direct.any() else None

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, d)."""
        velocity = np.ascontiguousarray(self._values(points).T)
        return velocity if self._direct is None else velocity + self._direct(points)

    def jacobian(self, points: Array) -> Array:
        """DU on tangent vectors at unit vectors (N, d), shape (N, d, d); errors are about `degree` times `tol`."""
        slopes = self._slopes(points)
        return slopes if self._direct is None else slopes + self._direct.jacobian(points)

    def on_grid(self, sphere: Domain) -> Array:
        """U at the grid points of a sphere, (N, d)."""
        velocity = sphere.vectors(self._coefficients)
        return velocity if self._direct is None else velocity + self._direct(sphere.points)

    @abstractmethod
    def _series(
        self, push: AttentionPush, kernel: Spectral, measure: Measure, n_targets: int, tolerance: float
    ) -> tuple[Coefficients, NDArray[np.int64]]:
        """Coefficients (d, modes) of the heads that are no direct sums, and the degree of each head; sets `tail`."""

    @abstractmethod
    def _values(self, points: Array) -> Array:
        """Of the series, (d, N)."""

    @abstractmethod
    def _slopes(self, points: Array) -> Array:
        """Of the series, (N, d, d)."""
