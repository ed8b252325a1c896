"""Statistics of studies: replica means with standard errors, variance reduction, lines and slopes, stopping."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from particles import Array, check_positive


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error."""

    value: float
    error: float


def half_unit(printed: str) -> float:
    """Half a unit of the last digit of a number as printed."""
    exponent = Decimal(printed).as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a printed number must be finite, got {printed}")
    return 0.5 * 10.0**exponent


def columns(estimates: Iterable[Estimate]) -> tuple[Array, Array]:
    """Values and standard errors of estimates."""
    values, errors = np.array([(found.value, found.error) for found in estimates]).T
    return values, errors


def replica_mean(samples: ArrayLike) -> Estimate:
    """Mean of independent samples (R,) with its standard error."""
    array = _samples(samples)
    return Estimate(float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))))


def share(hits: ArrayLike) -> Estimate:
    """Share of hits among (R,) trues and falses, with a standard error that is not 0 where none or all are hits.

    The error is that of two hits and two misses more (Agresti and Coull 1998, The American Statistician 52:119).
    """
    array = _samples(hits)
    n = len(array) + 4
    believed = float(array.sum() + 2) / n
    return Estimate(float(array.mean()), float(np.sqrt(believed * (1 - believed) / n)))


def control_mean(samples: ArrayLike, controls: ArrayLike, exact: ArrayLike) -> Estimate:
    """Mean of samples (R,) with control variates (R,) or (R, K) of known mean `exact`, coefficients by regression.

    The standard error is that of the residuals with R - K - 1 degrees of freedom.
    """
    array = _samples(samples)
    table = np.asarray(controls, dtype=np.float64).reshape(len(array), -1) - np.asarray(exact, dtype=np.float64)
    if len(array) < table.shape[1] + 3:
        raise ValueError(f"{table.shape[1]} control variates need at least {table.shape[1] + 3} samples")
    design = np.column_stack([np.ones(len(array)), table])
    solution, *_ = np.linalg.lstsq(design, array, rcond=None)
    residual = array - design @ solution
    variance = residual @ residual / (len(array) - design.shape[1])
    spread = np.linalg.pinv(design.T @ design)[0, 0]
    return Estimate(float(solution[0]), float(np.sqrt(variance * spread)))


def root_mean(squares: ArrayLike) -> Estimate:
    """Root of the mean of independent squares (R,), its error to first order."""
    mean = replica_mean(squares)
    root = float(np.sqrt(mean.value))
    return Estimate(root, mean.error / (2 * root))


@dataclass(frozen=True, eq=False)
class Line:
    """y = intercept + slope x, by weighted least squares.

    Attributes
    ----------
    coefficients : (intercept, slope).
    covariance : (2, 2), widened by chi^2 per degree of freedom where points miss the line by more than their errors.
    misfit : chi^2 per degree of freedom; NaN where no errors were given.
    """

    coefficients: Array
    covariance: Array
    misfit: float

    @classmethod
    def through(cls, x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None) -> "Line":
        """The line through at least three points (N,); without standard errors all weigh alike."""
        xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        errors = np.ones(xs.shape) if y_error is None else np.asarray(y_error, dtype=np.float64)
        if xs.ndim != 1 or not xs.shape == ys.shape == errors.shape or len(xs) < 3:
            raise ValueError(f"a line needs at least 3 points, got shapes {xs.shape}, {ys.shape} and {errors.shape}")
        if not errors.min() > 0:  # written so that NaN is caught
            raise ValueError("a line needs positive standard errors")
        design = np.column_stack([np.ones(len(xs)), xs]) / errors[:, None]
        covariance = np.linalg.inv(design.T @ design)
        coefficients = covariance @ design.T @ (ys / errors)
        chi = float(np.sum((ys / errors - design @ coefficients) ** 2)) / (len(xs) - 2)
        widened = np.asarray(covariance * (chi if y_error is None else max(chi, 1.0)))
        return cls(coefficients, widened, float("nan") if y_error is None else chi)


@dataclass(frozen=True)
class Slope:
    """Power law y = c x^value.

    Attributes
    ----------
    value, error : slope and its standard error, widened by the misfit where the fit is worse than the errors allow.
    low, high : 95 percent interval (Student's t).
    prefactor : c.
    misfit : chi^2 per degree of freedom; NaN where no errors were given.
    """

    value: float
    error: float
    low: float
    high: float
    prefactor: float
    misfit: float


def slope(x: ArrayLike, y: ArrayLike, y_error: ArrayLike | None = None) -> Slope:
    """Weighted least squares of log y against log x.

    Parameters
    ----------
    x, y : (N,) positive, N >= 3.
    y_error : (N,) standard errors of y; None weighs all points alike.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not (np.all(xs > 0) and np.all(ys > 0)):
        raise ValueError("slope needs positive x and y")
    line = Line.through(np.log(xs), np.log(ys), None if y_error is None else np.asarray(y_error) / ys)
    (intercept, value), error = line.coefficients, float(np.sqrt(line.covariance[1, 1]))
    half = error * float(stats.t.ppf(0.975, len(xs) - 2))
    return Slope(
        float(value), error, float(value - half), float(value + half), float(np.exp(intercept)), line.misfit
    )


def until(
    draw: Callable[[int], Array], *, target: float, batch: int = 32, most: int = 4096
) -> tuple[Estimate, bool]:
    """Draw batches until the standard error of the mean is below `target` or `most` samples are drawn.

    Parameters
    ----------
    draw : function of the number of the batch that returns independent samples.

    Returns
    -------
    The estimate, and whether the target was reached.  At least two batches are drawn, so that a lucky first one does
    not end it.  Samples that are all alike say nothing of their spread: drawing goes on then, and ends unreached.
    """
    check_positive(target, "target")
    drawn = np.concatenate([draw(0), draw(1)])
    number = 2
    while ((found := replica_mean(drawn)).error > target or not np.ptp(drawn)) and len(drawn) + batch <= most:
        drawn = np.concatenate([drawn, draw(number)])
        number += 1
    return found, bool(found.error <= target and np.ptp(drawn))


def _samples(samples: ArrayLike) -> Array:
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"samples must be at least two numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("samples must be finite")
    return array
