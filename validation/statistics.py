"""Statistics of studies: replica means with standard errors, variance reduction, slopes with intervals, stopping."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from particles.arrays import Array
from validation.distances import Estimate


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


def antithetic_mean(samples: ArrayLike, mirrored: ArrayLike) -> Estimate:
    """Mean over pairs (f(W) + f(-W))/2: samples and their mirrored partners, both (R,)."""
    return replica_mean((_samples(samples) + _samples(mirrored)) / 2)


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
    if xs.ndim != 1 or xs.shape != ys.shape or len(xs) < 3:
        raise ValueError(f"slope needs at least 3 points (x, y), got shapes {xs.shape} and {ys.shape}")
    if not (xs.min() > 0 and ys.min() > 0):
        raise ValueError("slope needs positive x and y")
    relative = np.ones(len(xs)) if y_error is None else np.asarray(y_error, dtype=np.float64) / ys
    if not relative.min() > 0:
        raise ValueError("slope needs positive standard errors")
    design = np.column_stack([np.ones(len(xs)), np.log(xs)]) / relative[:, None]
    target = np.log(ys) / relative
    covariance = np.linalg.inv(design.T @ design)
    coefficients = covariance @ design.T @ target
    freedom = len(xs) - 2
    chi = float(np.sum((target - design @ coefficients) ** 2)) / freedom
    error = float(np.sqrt(covariance[1, 1] * (chi if y_error is None else max(chi, 1.0))))
    half = error * float(stats.t.ppf(0.975, freedom))
    value = float(coefficients[1])
    misfit = float("nan") if y_error is None else chi
    return Slope(value, error, value - half, value + half, float(np.exp(coefficients[0])), misfit)


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
    if not target > 0:
        raise ValueError(f"target must be positive, got {target}")
    drawn = np.concatenate([draw(0), draw(1)])
    number = 2
    while ((found := replica_mean(drawn)).error > target or not np.ptp(drawn)) and len(drawn) + batch <= most:
        drawn = np.concatenate([drawn, draw(number)])
        number += 1
    return found, bool(found.error <= target and np.ptp(drawn))


def same_law(samples: ArrayLike, other: ArrayLike | Callable[[Array], Array]) -> float:
    """p-value of the Kolmogorov-Smirnov test: samples against other samples, or against a distribution function."""
    array = _samples(samples)
    test = stats.ks_1samp(array, other) if callable(other) else stats.ks_2samp(array, _samples(other))
    return float(test.pvalue)


def _samples(samples: ArrayLike) -> Array:
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"samples must be at least two numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("samples must be finite")
    return array
