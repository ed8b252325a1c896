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
    freedom, fit : as in `Fitted`.
    """

    coefficients: Array
    covariance: Array
    response: Array
    freedom: float
    fit: float

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
        found = response @ ys
        misfit = float(np.sum(np.linalg.solve(root, ys - design @ found) ** 2))
        widen = 1.0 if known else misfit / (n - k)
        fit = float(chi2.sf(misfit, n - k)) if known and n > k else 1.0
        return cls(found, widen * response @ covariance @ response.T, response, np.inf if known else n - k, fit)

    def number(self, k: int, beyond: ArrayLike | None = None) -> Fitted:
        """Coefficient k; `beyond` (N,) is a term left out, whose part in it is the bias."""
        bias = 0.0 if beyond is None else float(abs(self.response[k] @ np.asarray(beyond)))
        return Fitted(
            float(self.coefficients[k]), float(np.sqrt(self.covariance[k, k])), bias, self.freedom, self.fit
        )  # fmt: skip

    def size(self, k: int) -> float:
        """Absolute value of a coefficient, with its error."""
        return float(abs(self.coefficients[k]) + np.sqrt(self.covariance[k, k]))


def exponent(x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None, *, order: float = 1.0) -> Fitted:
    """p of y = c x^p (1 + O(x^order)), the next order fitted.

    Parameters
    ----------
    x, y : (N,) positive, N >= 3, or 4 without errors.   y_error : standard errors (N,).
    order : of the next term; negative where the limit is x -> infinity.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not (np.all(xs > 0) and np.all(ys > 0)):
        raise ValueError("an exponent needs positive x and y")
    small = xs**order / np.max(xs**order)
    fit = LinearFit.of(
        [np.ones(len(xs)), np.log(xs), small], np.log(ys), None if y_error is None else np.asarray(y_error) / ys
    )
    return fit.number(1, (fit.size(2) * small) ** 2)


def limit(x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None) -> Fitted:
    """y at x = 0 of y = y_0 + b x + c x^2 + O(x^3), through at least three points (N,), or 4 without errors."""
    small = np.asarray(x, dtype=np.float64) / np.max(x)
    fit = LinearFit.of([np.ones(len(small)), small, small**2], y, y_error)
    ratio = min(1.0, fit.size(2) / fit.size(1)) if fit.size(1) else 0.0
    return fit.number(0, ratio * fit.size(2) * small**3)
