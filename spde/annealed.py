"""Annealed laws: averages over realizations of the noise that tell common from private noise.

One token sees E rho_t only, and the same E rho_t comes from noise that all tokens share or from noise of each token's
own.  Two tokens see E mu x mu, through

    C_l = E int int P_l(<x, y>) mu(dx) mu(dy) = 4 pi/(2l+1) sum_m E |rho_lm|^2,    P_l the Legendre polynomial.

Without common noise it is that of (E mu) x (E mu), which is estimated beside it from different realizations.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from particles import Array, Coefficients, degree_of, power
from particles.files import AXIS, DEPTH_TIME_ATTRS
from spde.domain.sphere import Sphere
from spde.files.records import by_degree


class Estimate(NamedTuple):
    """An estimate and its standard error, of the same shape."""

    value: Array
    error: Array


class Annealed(NamedTuple):
    """Averages over independent realizations.

    Attributes
    ----------
    mean, mean_error : (..., modes), E rho_lm and the standard errors of real and imaginary part.
    two_point : (..., degree + 1), C_l of E mu x mu.
    apart : C_l of (E mu) x (E mu), without bias.
    excess : two_point - apart, the share of common noise, without bias; zero without common noise.
    """

    mean: Coefficients
    mean_error: Coefficients
    two_point: Estimate
    apart: Estimate
    excess: Estimate


def two_point(coefficients: Coefficients) -> Array:
    """int int P_l(<x, y>) mu(dx) mu(dy) for l = 0 ... degree, (..., degree + 1), of coefficients (..., modes)."""
    degrees = np.arange(degree_of(coefficients) + 1)
    return power(coefficients) * 4 * math.pi / (2 * degrees + 1)


def average(members: Coefficients) -> Annealed:
    """Averages over coefficients (members, ..., modes) of independent realizations, at least two.

    Standard errors are those of the mean, and by the jackknife where a product of means is estimated.
    """
    n = len(members)
    if n < 2:
        raise ValueError(f"averages over the noise need at least 2 realizations, got {n}")
    mean, own = members.mean(axis=0), two_point(members)
    spread = np.empty_like(mean)
    spread.real = members.real.std(axis=0, ddof=1) / math.sqrt(n)
    spread.imag = members.imag.std(axis=0, ddof=1) / math.sqrt(n)
    together = own.mean(axis=0)
    apart = _apart(n * mean, own.sum(axis=0), n)
    two = Estimate(together, own.std(axis=0, ddof=1) / math.sqrt(n))
    if n < 3:
        unknown = np.full_like(together, np.nan)
        return Annealed(mean, spread, two, Estimate(apart, unknown), Estimate(together - apart, unknown))
    rest = np.array([_apart(n * mean - one, own.sum(axis=0) - c, n - 1) for one, c in zip(members, own, strict=True)])
    left = (n * together - own) / (n - 1) - rest
    return Annealed(
        mean, spread, two, Estimate(apart, _jackknife(rest)), Estimate(together - apart, _jackknife(left))
    )


def _apart(total: Coefficients, squares: Array, n: int) -> Array:
    """Mean over ordered pairs of different realizations, from the sums of coefficients and of their own C_l."""
    return (two_point(total) - squares) / (n * (n - 1))


def _jackknife(rest: Array) -> Array:
    error: Array = np.sqrt((len(rest) - 1) * rest.var(axis=0))
    return error


def anneal(runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """Averages over density runs (`solve`, or files) that differ in their realization of the noise alone.

    Returns
    -------
    xarray.Dataset over depth_time: coefficients and coefficients_error (mode, part), numbered as in density files;
    two_point, apart, excess (degree), each with its standard error in a variable with the ending _error.
    """
    if any("lat" not in run.dims for run in runs):
        raise ValueError("annealed laws need density runs on S^2 (d = 3)")
    members = np.stack([_coefficients(run) for run in runs]) if len(runs) else np.zeros((0, 1, 1), dtype=np.complex128)
    if any(not np.array_equal(run[AXIS].values, runs[0][AXIS].values) for run in runs):
        raise ValueError("the runs must have the same records in depth_time")
    found = average(members)
    order = by_degree(Sphere(degree_of(found.mean)))
    pairs = {
        name: np.stack([array.real[:, order], array.imag[:, order]], axis=-1)
        for name, array in (("coefficients", found.mean), ("coefficients_error", found.mean_error))
    }
    texts = {
        "two_point": "C_l of the law of two tokens",
        "apart": "C_l of two tokens of different realizations",
        "excess": "C_l of two tokens beyond that of different realizations",
    }
    data: dict[str, tuple[tuple[str, ...], Array, dict[str, str]]] = {
        name: ((AXIS, "mode", "part"), pair, {"long_name": "coefficients of the annealed density", "units": "1"})
        for name, pair in pairs.items()
    }
    for name, text in texts.items():
        estimate: Estimate = getattr(found, name)
        data[name] = ((AXIS, "degree"), estimate.value, {"long_name": text, "units": "1"})
        about = {"long_name": f"standard error: {text}", "units": "1"}
        data[f"{name}_error"] = ((AXIS, "degree"), estimate.error, about)
    coords = {name: runs[0][name] for name in ("sh_degree", "sh_order", "part")}
    axis = (AXIS, runs[0][AXIS].values, DEPTH_TIME_ATTRS)
    degree = ("degree", np.arange(degree_of(found.mean) + 1), {"long_name": "degree l", "units": "1"})
    return xr.Dataset(data, {**coords, AXIS: axis, "degree": degree}, {"members": len(runs)})


def _coefficients(run: xr.Dataset) -> Coefficients:
    """Coefficients (depth_time, modes) of a density run, order by order."""
    pair = run["coefficients"].transpose(AXIS, "mode", "part").values
    found = np.empty(pair.shape[:-1], dtype=np.complex128)
    order = by_degree(Sphere(int(run["sh_degree"].max())))
    found[:, order] = pair[..., 0] + 1j * pair[..., 1]
    return found
