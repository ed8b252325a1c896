"""Distances for clouds too large for exact transport, and between laws of random measures; each named as what it is.

sliced_w2            W_2 of projections on random lines, averaged; at most W_2
sobolev              H^-s norm of the difference of two laws on S^2, from their harmonic coefficients; O(n)
sinkhorn_divergence  entropic transport, debiased
nested               W_2 between laws of random measures, ground cost W_2
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment

from particles.arrays import Array
from particles.harmonics import Coefficients, adjoint_at, degree_of, power, resize
from particles.tokens import Measure
from validation.wasserstein import TransportError, chordal, transport

Sampler = Callable[[np.random.Generator, int], Array]
PROJECTIONS_AT_ONCE = 8  # bounds the memory of sliced_w2 to that many copies of one coordinate


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error."""

    value: float
    error: float


def sliced_w2(x: Measure, y: Measure, *, n_projections: int = 128, seed: int = 0) -> Estimate:
    """Sliced Wasserstein distance SW_2, chordal: SW_2^2 = mean over directions u of W_2^2(<u, x>, <u, y>) <= W_2^2.

    Not multiplied by sqrt(d): for a translation by v it is |v|/sqrt(d).  Done by POT (Bonneel, Rabin, Peyre and
    Pfister 2015, Journal of Mathematical Imaging and Vision 51:22).

    Parameters
    ----------
    x, y : weighted points (n, d), (m, d) of any number.
    n_projections : random directions.   seed : of the directions.

    Returns
    -------
    Estimate: SW_2 and the standard error from the spread over directions.
    """
    rng, d = np.random.default_rng(seed), x.points.shape[1]
    if n_projections < 2:
        raise ValueError(f"n_projections must be at least 2, got {n_projections}")
    if y.points.shape[1] != d:
        raise ValueError(f"x and y must have the same dimension, got {d} and {y.points.shape[1]}")
    directions = rng.standard_normal((d, n_projections))
    directions /= np.linalg.norm(directions, axis=0)
    squares = np.concatenate([
        np.atleast_1d(ot.wasserstein_1d(x.points @ part, y.points @ part, x.weights, y.weights, p=2))
        for part in np.array_split(directions, max(1, n_projections // PROJECTIONS_AT_ONCE), axis=1)
    ])
    value = float(np.sqrt(squares.mean()))
    spread = float(squares.std(ddof=1) / np.sqrt(n_projections))
    return Estimate(value, spread / (2 * value) if value > 0 else 0.0)


def coefficients_of(measure: Measure, degree: int) -> Coefficients:
    """Harmonic coefficients of a weighted cloud on S^2 up to a degree, O(n)."""
    if measure.points.shape[1] != 3:
        raise ValueError(f"harmonic coefficients need points on S^2 (d = 3), got d = {measure.points.shape[1]}")
    return adjoint_at(measure.weights, measure.points, degree)


def sobolev(a: Coefficients, b: Coefficients, *, s: float = 2.0) -> float:
    """H^-s norm of the difference of two laws on S^2, summed over the degrees both have.

    |f|^2 = sum_{l >= 1} (1 + l(l+1))^-s sum_m |f_lm|^2.  For s > 1 it is finite for point masses, and what degrees
    beyond L add is at most `sobolev_tail(L, s)`.

    Parameters
    ----------
    a, b : (modes,) coefficients of laws of mass 1, from a density or from `coefficients_of`.
    """
    degree = min(degree_of(a), degree_of(b))
    square = power(resize(a, degree) - resize(b, degree))
    degrees = np.arange(degree + 1.0)
    return float(np.sqrt((square * (1 + degrees * (degrees + 1)) ** -s)[1:].sum()))


def sobolev_tail(degree: int, s: float = 2.0) -> float:
    """Bound on what degrees beyond `degree` add to `sobolev` for two laws of mass 1; s > 1.

    sum_m |f_lm|^2 <= 4 (2l+1)/(4 pi) for the difference of two laws, and the sum over l > L is below an integral.
    """
    if not s > 1:
        raise ValueError(f"s must be above 1, got {s}")
    edge = 1 + degree * (degree + 1.0)
    return float(np.sqrt(edge ** (1 - s) / (np.pi * (s - 1))))


def sinkhorn_divergence(
    x: Measure, y: Measure, regularisation: float, *, max_iterations: int = 20_000
) -> float:
    """Debiased cost of entropic transport, squared chordal ground cost, in the units of W_2^2; 0 for equal measures.

    <P_xy, c> - (<P_xx, c> + <P_yy, c>)/2 with entropic plans P (Genevay, Peyre and Cuturi 2018), by POT.

    Raises
    ------
    TransportError : the plans did not converge; a larger regularisation does.
    """
    if not regularisation > 0:
        raise ValueError(f"regularisation must be positive, got {regularisation}")
    cross, own, other = (_entropic_cost(a, b, regularisation, max_iterations) for a, b in ((x, y), (x, x), (y, y)))
    return cross - (own + other) / 2


def _entropic_cost(x: Measure, y: Measure, regularisation: float, max_iterations: int) -> float:
    costs = chordal(x.points, y.points) ** 2
    options = {"method": "sinkhorn_log", "numItermax": max_iterations, "stopThr": 1e-7}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            plan = ot.sinkhorn(x.weights, y.weights, costs, regularisation, **options)
        except UserWarning as error:
            raise TransportError(f"entropic transport with regularisation {regularisation:g}: {error}") from None
    return float(np.vdot(plan, costs))


def nested(first: Sequence[Array], second: Sequence[Array]) -> float:
    """W_2 between two laws of random measures: R samples of measures against R, W_2 between measures as ground cost.

    With common noise the limit of tokens is a random measure; this distance compares its law with that of the tokens'
    empirical measures.  The assignment of the R to the R is exact.

    Parameters
    ----------
    first, second : R arrays (n, d) of equally weighted points each, one array a replica.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"nested needs equally many replicas on both sides, got {len(first)} and {len(second)}")
    costs = np.array([[transport(x, y).cost for y in second] for x in first])
    rows, columns = linear_sum_assignment(costs)
    return float(np.sqrt(costs[rows, columns].mean()))


def sampling_floor(sample: Sampler, n: int, *, replicas: int = 8, seed: int = 0) -> Estimate:
    """W_2, chordal, between two independent samples of n points of one law: what W_2 shows when laws are equal."""
    if replicas < 2:
        raise ValueError(f"replicas must be at least 2, got {replicas}")
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(replicas)]
    found = np.array([transport(sample(rng, n), sample(rng, n)).distance for rng in rngs])
    return Estimate(float(found.mean()), float(found.std(ddof=1) / np.sqrt(replicas)))
