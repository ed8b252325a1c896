"""Distances for clouds too large for exact transport, and between laws of random measures; each named as what it is.

sliced_w2            W_2 of projections on random lines, averaged; at most W_2
sobolev              H^-s norm of the difference of two laws on S^2, from their harmonic coefficients; O(n)
sinkhorn_divergence  entropic transport, debiased
nested               W_2 between laws of random measures, ground cost W_2

All of them are above 0 between samples of equal laws: by `sampling_floor`, `sobolev_floor`, `Nested.floor`.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment

from particles import Array, Coefficients, Measure, adjoint_at, check_count, check_positive, degree_of, power, resize
from validation.distances.exact import chordal, transport, w2_chordal
from validation.distances.simplex import TransportError
from validation.estimates import Estimate, replica_mean

Sampler = Callable[[np.random.Generator, int], Array]
Distance = Callable[[Array, Array], float]
PROJECTIONS_AT_ONCE = 8  # bounds the memory of sliced_w2 to that many copies of one coordinate


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
    Estimate: SW_2 and the standard error from the spread over directions.  The error is not that of sampling x and y,
    for which see `sampling_floor`.
    """
    rng, d = np.random.default_rng(seed), x.points.shape[1]
    check_count(n_projections, "n_projections", 2)
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

    |f|^2 = sum_{l >= 1} (1 + l(l+1))^-s sum_m |f_lm|^2.  For s > 1 it is finite for point masses: |f_l|^2 is at most
    4 (2l+1)/(4 pi), so degrees beyond L add at most ((1 + L(L+1))^(1-s)/(pi (s-1)))^(1/2).

    Parameters
    ----------
    a, b : (modes,) coefficients of laws of mass 1, from a density or from `coefficients_of`.
    """
    degree = min(degree_of(a), degree_of(b))
    square = power(resize(a, degree) - resize(b, degree))
    degrees = np.arange(degree + 1.0)
    return float(np.sqrt((square * (1 + degrees * (degrees + 1)) ** -s)[1:].sum()))


def sobolev_floor(coefficients: Coefficients, n: int, *, s: float = 2.0) -> float:
    """Root mean square of `sobolev` between a law and n independent points of it, in closed form.

    sum_{l >= 1} (1 + l(l+1))^-s ((2l+1)/(4 pi) - sum_m |f_lm|^2)/n; between two samples of n points twice the square.

    Parameters
    ----------
    coefficients : (modes,) of the law, of mass 1; its degrees are those that are summed.
    """
    check_count(n, "n")
    degrees = np.arange(degree_of(coefficients) + 1.0)
    spread = (2 * degrees + 1) / (4 * np.pi) - power(coefficients)
    return float(np.sqrt((spread * (1 + degrees * (degrees + 1)) ** -s)[1:].sum() / n))


def sinkhorn_divergence(
    x: Measure, y: Measure, regularisation: float, *, max_iterations: int = 20_000
) -> float:
    """Debiased cost of entropic transport, squared chordal ground cost, in the units of W_2^2; 0 for equal measures.

    <P_xy, c> - (<P_xx, c> + <P_yy, c>)/2 with entropic plans P (Genevay, Peyre and Cuturi 2018), by POT.

    Raises
    ------
    TransportError : the plans did not converge; a larger regularisation does.
    """
    check_positive(regularisation, "regularisation")
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


@dataclass(frozen=True)
class Nested:
    """A distance between two laws of random measures, with what equal laws would show.

    Attributes
    ----------
    value : root mean cost of the best assignment of replicas to replicas; above 0 for equal laws.
    floor : the same, root mean square over random relabellings of all replicas: what `value` is for equal laws.
    p_value : share of the relabellings with at least this value; exact, small where the laws differ.
    """

    value: float
    floor: float
    p_value: float

    @property
    def excess(self) -> float:
        """value^2 - floor^2, in the units of W_2^2: of mean 0 for equal laws, so it may be negative."""
        return self.value**2 - self.floor**2


def nested(
    first: Sequence[Array], second: Sequence[Array], *, relabellings: int = 200, seed: int = 0
) -> Nested:
    """W_2 between two laws of random measures: R samples of measures against R, W_2 between measures as ground cost.

    With common noise the limit of tokens is a random measure; this distance compares its law with that of the tokens'
    empirical measures.  The assignment of the R to the R is exact.  Samples of equal laws are apart too, for want of
    replicas and of points; the floor beside it is that of the same measures dealt to both sides at random.

    Parameters
    ----------
    first, second : R arrays (n, d) of equally weighted points each, one array a replica.
    relabellings : random ones for the floor.   seed : of these.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"nested needs equally many replicas on both sides, got {len(first)} and {len(second)}")
    check_count(relabellings, "relabellings")
    every, r = [*first, *second], len(first)
    costs = np.zeros((2 * r, 2 * r))
    for k, x in enumerate(every):
        for j in range(k):
            costs[j, k] = costs[k, j] = transport(x, every[j]).cost

    def cost(order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        table = costs[np.ix_(order[:r], order[r:])]
        return float(table[linear_sum_assignment(table)].mean())

    rng = np.random.default_rng(seed)
    found = cost(np.arange(2 * r))
    others = np.array([cost(rng.permutation(2 * r)) for _ in range(relabellings)])
    as_far = int(np.sum(others >= found * (1 - 1e-12)))
    return Nested(float(np.sqrt(found)), float(np.sqrt(others.mean())), (1 + as_far) / (1 + relabellings))


def sampling_floor(
    sample: Sampler, n: int, *, replicas: int = 8, seed: int = 0, distance: Distance = w2_chordal
) -> Estimate:
    """What a distance shows between two independent samples of n points of one law: its bias where laws are equal.

    Parameters
    ----------
    sample : generator, n -> n points of the law.   n : points of a sample.   replicas : pairs of samples.
    distance : W_2, chordal, unless another one of two point sets (n, d) is given.
    """
    check_count(replicas, "replicas", 2)
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(replicas)]
    return replica_mean([distance(sample(rng, n), sample(rng, n)) for rng in rngs])
