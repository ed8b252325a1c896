"""Fits that bend: exponents and limits from points that have not reached their limit, x -> 0.

    exponent    y = c x^p exp(a x^q)             p, with the next order fitted
    limit       y = y_0 + b x + c x^2            y_0, the same

What lies beyond the fitted next order is bounded by a geometric series: a term as much smaller than the fitted one as
that is smaller than the leading one, at the coarsest value; what it would do to the result is the bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from particles import Array


@dataclass(frozen=True)
class Fitted:
    """A number from a fit.

    Attributes
    ----------
    value, error : with its standard error.
    bias : what orders beyond the fitted ones may add.
    freedom : degrees of freedom of the error; infinite where the points have errors of their own.
    fit : probability of a misfit at least as large as the one found (chi^2); 1 where nothing is left to judge by.
    """

    value: float
    error: float
    bias: float
    freedom: float
    fit: float


@dataclass(frozen=True, eq=False)
class LinearFit:
    """y = sum_k coefficients_k terms_k by generalised least squares.

    Attributes
    ----------
    coefficients : (K,).   covariance : (K, K), never widened.
    response : (K, N), what the coefficients make of y; `response @ y` are the coefficients.
    residual : (N,), y less the fit.   errors : covariance (N, N) of y, None where it was found from the residual.
    """

    coefficients: Array
    covariance: Array
    response: Array
    residual: Array
    errors: Array | None

    @classmethod
    def of(cls, terms: Sequence[ArrayLike], y: ArrayLike, y_error: ArrayLike | None = None) -> "LinearFit":
        """Fit of terms (K, N) to y (N,).

        Parameters
        ----------
        y_error : standard errors (N,), or their covariance (N, N); None finds one error for all from the scatter.
        """
        design, ys = np.asarray(terms, dtype=np.float64).T, np.asarray(y, dtype=np.float64)
        (n, k), known = design.shape, y_error is not None
        spread = np.ones(n) if y_error is None else np.asarray(y_error, dtype=np.float64)
        covariance = np.diag(spread**2) if spread.ndim == 1 else spread
        if ys.shape != (n,) or covariance.shape != (n, n) or n < k + (not known):
            least = k + (not known)
            raise ValueError(f"{k} terms need {least} points with their errors, got {ys.shape}, {spread.shape}")
        if not (np.isfinite(design).all() and np.isfinite(ys).all() and np.linalg.eigvalsh(covariance)[0] > 0):
            raise ValueError("a fit needs finite points and positive standard errors")
        root = np.linalg.cholesky(covariance)
        response = np.linalg.pinv(np.linalg.solve(root, design)) @ np.linalg.inv(root)
        residual = ys - design @ (response @ ys)
        widen = 1.0 if known else float(residual @ residual) / (n - k)
        found = widen * response @ covariance @ response.T
        return cls(response @ ys, found, response, residual, covariance if known else None)

    def number(self, k: int, beyond: ArrayLike = 0.0) -> Fitted:
        """Coefficient k; `beyond` (N,) bounds what was left out: the most that it does to the number is the bias.

        A misfit of this size refuses nothing.
        """
        rest = np.broadcast_to(np.asarray(beyond, dtype=np.float64), self.residual.shape)
        bias, free = float(np.abs(self.response[k]) @ np.abs(rest)), len(self.residual) - len(self.coefficients)
        value, error = float(self.coefficients[k]), float(np.sqrt(self.covariance[k, k]))
        if self.errors is None:
            return Fitted(value, error, bias, free, 1.0)
        misfit = float(self.residual @ np.linalg.solve(self.errors + np.diag(rest**2), self.residual))
        return Fitted(value, error, bias, np.inf, float(chi2.sf(misfit, free)) if free else 1.0)

    def size(self, k: int) -> float:
        """Absolute value of a coefficient, with its error."""
        return float(abs(self.coefficients[k]) + np.sqrt(self.covariance[k, k]))


def exponent(x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None, *, order: float = 1.0) -> Fitted:
    """p of y = c x^p (1 + O(x^order)), the next order fitted.

    Parameters
    ----------
    x, y : (N,) positive, N >= 3, or 4 without errors.   y_error : standard errors (N,), or covariance (N, N).
    order : of the next term; negative where the limit is x -> infinity.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not (np.all(xs > 0) and np.all(ys > 0)):
        raise ValueError("an exponent needs positive x and y")
    small = xs**order / np.max(xs**order)
    errors = None if y_error is None else np.asarray(y_error, dtype=np.float64) / ys
    if errors is not None and errors.ndim == 2:
        errors = errors / ys[:, None]
    fit = LinearFit.of([np.ones(len(xs)), np.log(xs), small], np.log(ys), errors)
    return fit.number(1, (fit.size(2) * small) ** 2)


def limit(x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None) -> Fitted:
    """y at x = 0 of y = y_0 + b x + c x^2 + O(x^3), through at least three points (N,), or 4 without errors."""
    small = np.asarray(x, dtype=np.float64) / np.max(x)
    fit = LinearFit.of([np.ones(len(small)), small, small**2], y, y_error)
    top, first, second = float(np.abs(y).max()), fit.size(1), fit.size(2)
    steps = (second / first if first else 0.0, first / top if top else 0.0)  # from order to order, two ways
    beyond = min(second * min(1.0, steps[0]), top * min(1.0, steps[1]) ** 3)
    return fit.number(0, beyond * small**3)
