"""Growth rates of small disturbances of a stationary zonal law rho = e^U/Z, by azimuthal order.

A disturbance h = rho g obeys dh/dt = div(rho grad(nu g - w * (rho g))): a descent, so all rates are real.  With
g = (1 - t^2)^{m/2} p(t) Y_m(angles about e) and polynomials p_k that are orthonormal for rho (1 - t^2)^m,

    dc/dt = A (T^T w T - nu) c,     A_jk = int rho grad g_j . grad g_k,     T_lk = int Y_l rho g_k,

Y_l the normalised harmonics of order m, which the g_k span; with A = C C^T the rates are the eigenvalues of the
symmetric matrix C^T (T^T w T - nu) C.  On S^1 order 0 is even, order 1 odd.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from particles.arrays import Array
from particles.stationary.zonal import Moments, legendre

MORE = 40  # polynomials beyond the degree of w
UNIFORM = 1e-10  # moments below: the uniform law, which rotations do not change


@dataclass(frozen=True, eq=False)
class Rates:
    """Growth rates of a stationary law.

    Attributes
    ----------
    by_order : the largest rate in azimuthal order m = 0, 1, ...; of the orders in which it can be positive, at least
        0, 1, 2 (0, 1 on the circle).  The rotation is left out.
    rotation : the rate of the rotation of the law, 0 but for rounding; NaN of the uniform law.
    """

    by_order: Array
    rotation: float

    @property
    def largest(self) -> float:
        """Over all orders."""
        return float(self.by_order.max())


def growth_rates(moments: Moments, acting: Array, nu: float) -> Rates:
    """Rates of the law with the moments `acting`; they converge as a series does (tests/particles/stationary)."""
    rho = moments.shares(acting, nu)[0] / moments.weights
    ordered = bool(np.abs(acting).max(initial=0.0) > UNIFORM)
    slope = _turned(moments, acting, nu) if ordered else None
    found, rotation = [], math.nan
    for order in range(_orders(moments, float(rho.max()), nu)):
        operator, factor, basis = _operator(moments, rho, nu, order)
        values, vectors = scipy.linalg.eigh(operator)
        if order == 1 and slope is not None:
            # h = d rho/d theta, g = dU/d theta = -(1 - t^2)^{1/2} U'(t)
            turned = basis @ (moments.weights * rho * slope)
            turned = scipy.linalg.solve_triangular(factor, turned, lower=True)
            place = int(np.argmax(np.abs(turned @ vectors)))
            rotation, values = float(values[place]), np.delete(values, place)
        found.append(float(values[-1]))
    return Rates(np.array(found), rotation)


def _turned(moments: Moments, acting: Array, nu: float) -> Array:
    """(1 - t^2) U'(t) at the nodes: (1 - t^2) P_l' = l (l + d - 2) (P_{l-1} - P_{l+1})/(2 l + d - 2)."""
    d, top = moments.d, int(moments.degrees.max())
    p = legendre(moments.nodes, d, top + 1)
    k = moments.degrees
    share = moments.strengths * acting / nu * (k * (k + d - 2) / (2 * k + d - 2))
    found: Array = share @ (p[k - 1] - p[k + 1])
    return found


def _orders(moments: Moments, peak: float, nu: float) -> int:
    """Number of orders to look at: w * in order m is at most max rho times the largest w_l, l >= m."""
    if moments.d == 2:
        return 2
    alive = np.flatnonzero(moments.factors * peak > nu)
    return max(3, int(alive.max(initial=0)) + 1)


def _operator(moments: Moments, rho: Array, nu: float, order: int) -> tuple[Array, Array, Array]:
    """The symmetric matrix, the factor C, and the polynomials p_k at the nodes (k, nodes)."""
    d, t = moments.d, moments.nodes
    sine = 1 - t * t
    area = moments.weights * rho
    top = len(moments.factors) - 1
    p, slopes = _orthonormal(t, area * sine**order, max(top - order, 0) + MORE)
    if order == 0:
        p, slopes = p[1:], slopes[1:]
    along = sine * slopes - order * t * p  # (1 - t^2)^{1 - m/2} dg/dt
    stiff = (along * (area * sine ** (order - 1.0))) @ along.T
    if order:
        stiff += order * (order + d - 3) * (p * (area * sine ** (order - 1.0))) @ p.T
    factor = _lower(stiff)
    inner = -nu * np.eye(len(p))
    if order <= top:
        harmonics = legendre(t, d + 2 * order, top - order)
        measure = moments.weights * sine**order
        harmonics /= np.sqrt(harmonics**2 @ measure)[:, None]
        overlaps = (harmonics * (measure * rho)) @ p.T
        inner += (overlaps.T * moments.factors[order:]) @ overlaps
    operator = factor.T @ inner @ factor
    return 0.5 * (operator + operator.T), factor, p


def _lower(matrix: Array) -> Array:
    """C, lower triangular, with C C^T = A; exchange of wells that is below rounding has rounding in its place."""
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        root = np.sqrt(np.maximum(values, np.finfo(np.float64).eps * values[-1]))
        return np.asarray(np.linalg.qr((vectors * root).T)[1].T, dtype=np.float64)


def _orthonormal(t: Array, weights: Array, degree: int) -> tuple[Array, Array]:
    """Polynomials p_0 ... p_degree, orthonormal for the weights, and their derivatives, by Lanczos' recurrence."""
    p, slopes = [np.full(len(t), 1 / math.sqrt(weights.sum()))], [np.zeros(len(t))]
    for _ in range(degree):
        new, slope = t * p[-1], p[-1] + t * slopes[-1]
        for _again in range(2):
            shares = np.array(p) @ (weights * new)
            new, slope = new - shares @ np.array(p), slope - shares @ np.array(slopes)
        size = math.sqrt(weights @ new**2)
        p.append(new / size)
        slopes.append(slope / size)
    return np.array(p), np.array(slopes)
