"""The field of a zonal interaction on S^1 and S^2 by the formula of Funk and Hecke: O(n) for n points of a measure.

grad_x int w(<x, y>) mu(dy) = grad sum_lm w_l mu_lm Y_lm: an adjoint transform of the measure, a product with the
multipliers w_l, and the gradient of a synthesis.  mathematics, section 10.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from particles import Array, Coefficients, Measure, adjoint_at, gradient_at, mode_numbers
from particles.equations import ZonalPush, multipliers
from spde.domain import circle


@dataclass(frozen=True, eq=False)
class ConvolutionField:
    """The velocity of a `ZonalPush` for one measure, tangent to the sphere.

    Accuracy: the tolerance it was made for, times the bound sum_l l |w_l| dim_l/|S| of the field
    (tests/spde/field/test_convolution.py).

    Attributes
    ----------
    coefficients : of the potential, (modes,) on S^2, (degree + 1,) on S^1.   degree : of the series.
    """

    coefficients: Coefficients
    degree: int

    @classmethod
    def of(cls, push: ZonalPush, measure: Measure, tol: float) -> Self | None:
        """The field on S^1 (d = 2) or S^2 (d = 3); None where no series up to degree 512 is that good."""
        factors = multipliers(push.interaction, push.d, tol)
        if factors is None:
            return None
        degree = len(factors) - 1
        factors = push.scale * factors
        if push.d == 2:
            return cls(factors * circle.adjoint_at(measure.weights, measure.points, degree), degree)
        return cls(factors[mode_numbers(degree)[0]] * adjoint_at(measure.weights, measure.points, degree), degree)

    def __call__(self, points: Array) -> Array:
        """U at unit vectors (N, d)."""
        if points.shape[1] == 3:
            return gradient_at(self.coefficients, points)
        along = circle.synthesis_at(1j * np.arange(self.degree + 1) * self.coefficients, points)
        return along[:, None] * np.stack([-points[:, 1], points[:, 0]], axis=1)
