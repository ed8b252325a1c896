"""Straight lines through measured points: limits at x = 0 and zeros, with standard errors."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from particles.arrays import Array
from validation.distances import Estimate


def columns(estimates: Iterable[Estimate]) -> tuple[Array, Array]:
    """Values and standard errors of estimates."""
    values, errors = np.array([(found.value, found.error) for found in estimates]).T
    return values, errors


@dataclass(frozen=True, eq=False)
class Line:
    """y = intercept + slope x.

    Attributes
    ----------
    coefficients : (intercept, slope).
    covariance : (2, 2), widened by chi^2 per degree of freedom where points miss the line by more than their errors.
    """

    coefficients: Array
    covariance: Array

    @classmethod
    def through(cls, x: ArrayLike, y: ArrayLike, y_error: ArrayLike) -> "Line":
        """Weighted least squares through at least three points."""
        xs, ys, errors = (np.asarray(values, dtype=np.float64) for values in (x, y, y_error))
        if xs.ndim != 1 or not xs.shape == ys.shape == errors.shape or len(xs) < 3:
            raise ValueError(f"a line needs at least 3 points, got shapes {xs.shape}, {ys.shape} and {errors.shape}")
        if not errors.min() > 0:  # written so that NaN is caught
            raise ValueError("a line needs positive standard errors")
        design = np.column_stack([np.ones(len(xs)), xs]) / errors[:, None]
        covariance = np.linalg.inv(design.T @ design)
        coefficients = covariance @ design.T @ (ys / errors)
        chi = float(np.sum((ys / errors - design @ coefficients) ** 2)) / (len(xs) - 2)
        return cls(coefficients, np.asarray(covariance * max(chi, 1.0)))

    def at(self, x: float) -> Estimate:
        """Value at x; at(0) extrapolates points in 1/d to d = infinity."""
        direction = np.array([1.0, x])
        error = np.sqrt(direction @ self.covariance @ direction)
        return Estimate(float(direction @ self.coefficients), float(error))

    @property
    def zero(self) -> Estimate:
        """Where the line crosses y = 0, error to first order."""
        intercept, slope = self.coefficients
        direction = np.array([-1 / slope, intercept / slope**2])
        return Estimate(float(-intercept / slope), float(np.sqrt(direction @ self.covariance @ direction)))


def parabola_zero(x: ArrayLike, y: ArrayLike, near: float) -> float:
    """The zero next to `near` of the parabola through three points; NaN where there is none on the real line."""
    roots = np.roots(np.polyfit(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), 2))
    real = roots.real[np.abs(roots.imag) < 1e-12 * (1 + np.abs(roots.real))]
    return float(real[np.argmin(np.abs(real - near))]) if len(real) else float("nan")
