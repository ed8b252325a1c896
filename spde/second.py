"""A second set of carried nodes: what it says otherwise is the error of the first.

The second set is a rule of the same law with fewer nodes.  It rides on the flow of the first, and in every STRIDE-th
layer it is moved by the field of its own measure as well; the difference, taken STRIDE times, is added.  So it follows
the flow that its own field would drive, up to first order in the difference of the fields, at a small part of the cost.
A copy rides on without being kicked: the displacement between the two is what the quadrature does to the flow, and the
difference of the two as measures, cut where so few nodes say nothing, what it does to the density.

Private noise makes both sets anew in each step, from the same coefficients.  There the difference that each step made
to the coefficients is kept instead, and smoothed like them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from particles import Array, Cloud, Coefficients, Layer, MakeField, mean_token, second_moment
from spde.domain.base import Domain

STRIDE = 5  # layers from one whose field is made for both sets to the next
WRONG = 1.0  # error of the coefficients of a degree, as a share of their norm, from which on it is not spoken of
CAUTION = 3.0  # factor of an estimated error at a point: without it a fifth to ten times the error was seen


@dataclass(frozen=True, eq=False)
class SecondNodes:
    """The second set, and its copy.

    Attributes
    ----------
    own : nodes moved as by their own field, with weights.   ridden : (n, d) the same carried by the field of the first.
    drift : (modes,) estimated error of the coefficients, with private noise; None without.
    """

    own: Cloud
    ridden: Array
    drift: Coefficients | None = None

    @classmethod
    def start(cls, cloud: Cloud, drift: Coefficients | None = None) -> "SecondNodes":
        """At depth 0; with private noise the drift is zero there."""
        return cls(cloud, cloud.points, drift)

    @property
    def riders(self) -> Array:
        """The points that ride on the flow of the first set, (2 n, d): both copies at once."""
        return np.concatenate([self.own.points, self.ridden])

    def after(self, riders: Array, pushes: Layer, make: MakeField, step: int) -> "SecondNodes":
        """After the pushes of a layer, with what became of `riders` in it; `make` makes the field of a measure."""
        n = len(self.ridden)
        own = Cloud(riders[:n], self.own.weights)
        if step % STRIDE == 0:
            alone = self.own
            for push in pushes:
                alone, _ = push.move(alone, (), make)
            kicked = own.points + STRIDE * (alone.points - own.points)
            own = Cloud(kicked / np.linalg.norm(kicked, axis=1)[:, None], own.weights)
        return replace(self, own=own, ridden=riders[n:])

    def anew(
        self, coefficients: Coefficients, sphere: Domain, nodes: Cloud, smooth: Callable[[Coefficients], Coefficients]
    ) -> "SecondNodes":
        """With private noise: nodes made from smoothed coefficients; what these had found is kept in the drift."""
        found = self.difference(coefficients, sphere)
        return SecondNodes(nodes, nodes.points, smooth(found if self.drift is None else self.drift + found))

    def difference(self, coefficients: Coefficients, sphere: Domain) -> Coefficients:
        """Coefficients of the density under its own field minus those under the field of the first set.

        Only up to the first degree at which the copy, as a quadrature of the density with these coefficients, is wrong
        by more than WRONG of their norm: beyond it nodes are too few to say anything.
        """
        ridden = sphere.adjoint_at(self.own.weights, self.ridden)
        norm, wrong = np.sqrt(sphere.power(coefficients)), np.sqrt(sphere.power(ridden - coefficients))
        near = np.maximum(norm, np.append(norm[1:], 0.0))  # an even density has no odd degrees
        seen = np.append(wrong > WRONG * near, True)
        known = sphere.degrees < np.argmax(seen)
        difference: Coefficients = np.where(known, sphere.adjoint_at(self.own.weights, self.own.points) - ridden, 0)
        return difference

    def moment_error(self, nodes: Cloud, sphere: Domain) -> float:
        """Largest difference of mean and second moment to those of the first set, with the drift of both."""
        second = np.abs(second_moment(self.own) - second_moment(nodes)).max()
        error = max(np.abs(mean_token(self.own) - mean_token(nodes)).max(), second)
        if self.drift is not None:
            error += max(np.abs(moment).max() for moment in sphere.low_moments(self.drift))
        return float(error)

    def local_error(self, coefficients: Coefficients, sphere: Domain) -> float:
        """CAUTION times the largest difference of the two densities on the grid."""
        found = self.difference(coefficients, sphere) if self.drift is None else self.drift
        return CAUTION * float(np.abs(sphere.synthesis(found)).max())

    def arrays(self) -> dict[str, Array]:
        """The set by name, real arrays only."""
        arrays = {
            "second_node": self.own.points,
            "second_weight": self.own.weights,
            "second_ridden": self.ridden,
        }
        if self.drift is not None:
            arrays |= {"second_drift_real": self.drift.real, "second_drift_imag": self.drift.imag}
        return arrays


def second_of(arrays: dict[str, Array]) -> SecondNodes | None:
    """Inverse of `SecondNodes.arrays`; None where a state has none."""
    if "second_node" not in arrays:
        return None
    drift = None
    if "second_drift_real" in arrays:
        drift = np.empty(arrays["second_drift_real"].shape, dtype=np.complex128)
        drift.real, drift.imag = arrays["second_drift_real"], arrays["second_drift_imag"]
    return SecondNodes(Cloud(arrays["second_node"], arrays["second_weight"]), arrays["second_ridden"], drift)
