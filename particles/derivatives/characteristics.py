"""Density along the trajectories of points: rho_t(x_t) = rho_0(x_0) / prod J, J = det DT.  mathematics, section 8.

    W = DT(x) E,  W = E' R by QR,  log J = sum_k log R_kk,  E' the tangent frame at T(x)

Nothing has to be resolved: it holds through a collapse of any degree.  Where J <= 0 the map folds, the density is a sum
over branches, and what stands here is the branch of the point.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array, unit
from particles.initial import sphere_area
from particles.measure import Cloud
from particles.pushes import DifferentiableField, Field, MakeField, Move, Push, Riders
from particles.retraction import Retraction, tangent

STEP = 1e-30  # of the complex step: its error is of relative order STEP^2, so it only has to stay clear of underflow
SHIFT = 1e-5  # of central differences: their error, SHIFT^2 and the rounding of fields over SHIFT, is 1e-8 of a step

Variables = dict[str, tuple[tuple[str, ...], Any, str]]


def jacobian(field: Field, points: Array) -> Array:
    """DU of a field at points (N, d), shape (N, d, d); TypeError where the field does not know it."""
    if not isinstance(field, DifferentiableField):
        raise TypeError(f"characteristics need a field with a jacobian; {type(field).__name__} has none")
    return field.jacobian(points)


def differential(retraction: Retraction, points: Array, velocity: Array, slope: Array, vectors: Array) -> Array:
    """DT(x) v of T(x) = retraction(x, U(x)), by a complex step x + ihv: exact to rounding.

    Parameters
    ----------
    retraction : analytic in both arguments (no absolute values, no conjugation).
    points, velocity : x and U(x), (N, d).   slope : DU(x), (N, d, d).   vectors : K tangent vectors, (N, d, K).

    Returns
    -------
    (N, d, K), tangent vectors at T(x).
    """
    continued: Callable[[Any, Any], Any] = retraction
    change, result = slope @ vectors, np.empty_like(vectors)
    with np.errstate(invalid="ignore"):  # NaN goes on to where the run is stopped
        for k in range(vectors.shape[2]):
            moved = continued(points + 1j * STEP * vectors[..., k], velocity + 1j * STEP * change[..., k])
            result[..., k] = moved.imag / STEP
    return result


def tangent_frame(points: Array) -> Array:
    """An orthonormal basis of the tangent space at each of the unit vectors (N, d); shape (N, d, d - 1)."""
    basis = np.linalg.qr(points[:, :, None], mode="complete")[0]
    return np.ascontiguousarray(basis[:, :, 1:])


def _orientation(frame: Array, points: Array) -> Array:
    """Sign of det [E, x] for each point, (N,)."""
    with np.errstate(invalid="ignore"):
        sign: Array = np.sign(np.linalg.det(np.concatenate([frame, points[:, :, None]], axis=2)))
    return sign


@dataclass(frozen=True, eq=False)
class Characteristics:
    """What is known along the trajectories of N points on S^(d-1).

    Attributes
    ----------
    log_start : (N,) log rho_0(x_0).
    frame : (N, d, d - 1) orthonormal tangent vectors, carried by DT and made orthonormal again after each layer.
    growth : (N, d - 1) logarithms of their growth so far; growth / depth time are finite-time Lyapunov exponents.
    folds : (N,) number of layers that turned the orientation at the point (J <= 0).
    """

    log_start: Array
    frame: Array
    growth: Array
    folds: NDArray[np.int64]

    @classmethod
    def start(cls, points: Array, log_density: Array) -> "Characteristics":
        """At depth 0: unit vectors (N, d) and the log of the density there, (N,)."""
        n, d = points.shape
        if np.shape(log_density) != (n,):
            raise ValueError(f"log_density must have shape ({n},), got {np.shape(log_density)}")
        return cls(log_density, tangent_frame(points), np.zeros((n, d - 1)), np.zeros(n, dtype=np.int64))

    @property
    def log_jacobian(self) -> Array:
        """log |det DT| of the whole flow, (N,)."""
        total: Array = self.growth.sum(axis=1)
        return total

    @property
    def log_density(self) -> Array:
        """log rho_t(x_t), (N,)."""
        return self.log_start - self.log_jacobian

    def entropy(self, weights: Array) -> float:
        """-int log rho dmu = sum_j w_j (-log rho_0(x_j) + log J_j); log |S| for the uniform law, the largest."""
        return -float(weights @ self.log_density)

    def area_defect(self, weights: Array) -> float:
        """|sum_j w_j / rho_t(x_j) - |S|| / |S|: the areas that the points stand for fill the sphere.

        What the entropy misses by quadrature shows here first; folds show too, where the image is covered thrice.
        """
        area = sphere_area(self.frame.shape[1])
        return abs(float(weights @ np.exp(-self.log_density)) - area) / area

    def pushed(self, carried: Array, points: Array, moved: Array) -> "Characteristics":
        """After a map that takes points to `moved`, both (N, d), and the frame to `carried`, (N, d, d - 1)."""
        frame, triangle = np.linalg.qr(carried)
        stretch = np.einsum("nkk->nk", triangle)
        frame = frame * np.where(stretch < 0, -1.0, 1.0)[:, None, :]
        turned = _orientation(frame, moved) * _orientation(self.frame, points) <= 0
        with np.errstate(divide="ignore"):  # a singular DT has J = 0 and an infinite density
            growth = self.growth + np.log(np.abs(stretch))
        return Characteristics(self.log_start, frame, growth, self.folds + (turned | (stretch == 0).any(axis=1)))

    def folded_since(self, before: "Characteristics | None") -> int:
        """Number of points at which a layer has folded since."""
        return 0 if before is None else int((self.folds > before.folds).sum())

    def arrays(self) -> dict[str, Any]:
        """The state by name."""
        return {
            "node_log_start": self.log_start,
            "node_frame": self.frame,
            "node_growth": self.growth,
            "node_folds": self.folds,
        }

    def variables(self, nodes: Cloud, depth_time: float) -> Variables:
        """What a record says of the points and their density."""
        none: tuple[str, ...] = ()
        mean_growth = nodes.weights @ self.growth
        exponents = mean_growth / depth_time if depth_time > 0 else np.full_like(mean_growth, np.nan)
        return {
            "node": (("node", "component"), nodes.points, "carried nodes of the density"),
            "node_log_density": (("node",), self.log_density, "log of the density at the carried nodes"),
            "entropy": (none, self.entropy(nodes.weights), "entropy, minus the mean of the log of the density"),
            "area_defect": (none, self.area_defect(nodes.weights), "defect of the area that the carried nodes cover"),
            "lyapunov": (("exponent",), exponents, "finite-time Lyapunov exponents, mean over the mass"),
            "folds": (none, np.int32(np.count_nonzero(self.folds)), "carried nodes at which a layer folded"),
        }


def characteristics_of(arrays: dict[str, Any]) -> Characteristics | None:
    """Inverse of `Characteristics.arrays`; None where the state has none."""
    if "node_growth" not in arrays:
        return None
    return Characteristics(*(arrays[f"node_{name}"] for name in ("log_start", "frame", "growth", "folds")))


def tangent_move(
    push: Move, measure: Cloud, riders: Riders, make: MakeField, along: Characteristics
) -> tuple[Cloud, Riders, Characteristics]:
    """`push.move`, bitwise, with the characteristics of the measure's points beside it.

    Moves of several stages that say they are `smooth` carry neighbours of the points, SHIFT away along the frame.

    Raises
    ------
    TypeError : the push has not one velocity and one retraction and is not smooth, or its field has no jacobian.
    """
    if getattr(push, "smooth", False):
        return _beside_neighbours(push, measure, riders, make, along)
    if not isinstance(push, Push):
        raise TypeError(f"characteristics need pushes with one velocity; {type(push).__name__} has not")
    field = make(push, measure)
    points, velocity = measure.points, field(measure.points)
    moved = Cloud(push.retraction(points, velocity), measure.weights)
    carried = differential(push.retraction, points, velocity, jacobian(field, points), along.frame)
    return moved, push.ride(field, riders), along.pushed(carried, points, moved.points)


def _beside_neighbours(
    push: Move, measure: Cloud, riders: Riders, make: MakeField, along: Characteristics
) -> tuple[Cloud, Riders, Characteristics]:
    n, d, k = along.frame.shape
    shifts = SHIFT * np.moveaxis(along.frame, 2, 0)
    beside = unit(np.concatenate([measure.points + shifts, measure.points - shifts]).reshape(2 * k * n, d))
    moved, rode = push.move(measure, (*riders, beside), make)
    ahead, behind = rode[-1].reshape(2, k, n, d)
    slope = (ahead - behind) / (2 * SHIFT)
    carried = np.stack([tangent(moved.points, one) for one in slope], axis=2)
    return moved, rode[:-1], along.pushed(carried, measure.points, moved.points)
