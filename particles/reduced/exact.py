"""Exact flows of a measure: E1 conformal, E2 linear, and equiangular tokens.  mathematics, section 5."""

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike

from particles.arrays import Array, check_not_negative

SERIES_BELOW = 0.1  # |a| below which the closed form of the conformal mean cancels


def conformal_mean(a: Array) -> Array:
    """Mean of the conformal density rho_a on S^2, a (3,) in the open unit ball; parallel to a."""
    r = float(np.linalg.norm(a))
    if np.shape(a) != (3,) or not r < 1:
        raise ValueError(f"a must be a vector of 3 entries shorter than 1, got {np.asarray(a).tolist()}")
    if r < SERIES_BELOW:
        tail = sum(4 * r ** (2 * j - 2) / ((2 * j + 1) * (2 * j - 1) * (2 * j - 3)) for j in range(2, 12))
        return (4 / 3 - tail) * np.asarray(a)
    size = (1 + r**2) / (2 * r) - (1 - r**2) ** 2 / (4 * r**2) * math.log((1 + r) / (1 - r))
    return size / r * np.asarray(a)


def conformal_step(a: Array, h: Array) -> Array:
    """Parameter after the unit-time flow of x' = P_x h: b (+) a with b = tanh(|h|/2) h/|h|.  E1, any d.

    rho_a is carried to rho of this parameter exactly; h = (sum C_m) mean(rho_a) for a layer with beta = 0.
    """
    size = float(np.linalg.norm(h))
    b = 0.5 * (np.tanh(0.5 * size) / (0.5 * size) if size > 0 else 1.0) * np.asarray(h)
    ab, aa, bb = a @ b, a @ a, b @ b
    moved: Array = ((1 + 2 * ab + aa) * b + (1 - bb) * np.asarray(a)) / (1 + 2 * ab + aa * bb)
    return moved


def angular_gaussian(points: Array, q: Array) -> Array:
    """Angular central Gaussian density |S|^-1 det(Q)^-1/2 (x^T Q^-1 x)^(-d/2) at points (N, d), Q (d, d)."""
    d = len(q)
    square = np.einsum("ij,jk,ik->i", points, np.linalg.inv(q), points)
    log_area = math.log(2) + 0.5 * d * math.log(math.pi) - scipy.special.gammaln(0.5 * d)
    density: Array = square ** (-0.5 * d) / math.sqrt(np.linalg.det(q)) / math.exp(log_area)
    return density


def linear_step(q: Array, c: Array) -> Array:
    """Parameter Q of the angular central Gaussian after x -> nrm(x + C x): (I + C) Q (I + C)^T.  E2, any d."""
    g = np.eye(len(c)) + c
    moved: Array = g @ q @ g.T
    return moved


def angular_gaussian_second_moment(q: Array) -> Array:
    """Second moment int x x^T of the angular central Gaussian on S^2, Q (3, 3); it drives linear attention.

    In the eigenbasis of Q, with a_i the inverse eigenvalues: sqrt(a_1 a_2 a_3) R_D(a_j, a_k, a_i)/3, Carlson's R_D.
    """
    if np.shape(q) != (3, 3):
        raise ValueError(f"q must have shape (3, 3), got {np.shape(q)}")
    values, basis = np.linalg.eigh(q)
    if not values.min() > 0:
        raise ValueError(f"q must be positive definite, got the eigenvalue {values.min():g}")
    a = values.mean() / values  # the density does not change with the size of Q
    moments = [math.sqrt(a.prod()) / 3 * scipy.special.elliprd(a[i - 2], a[i - 1], a[i]) for i in range(3)]
    return np.asarray((basis * moments) @ basis.T)


def equiangular_rate(overlap: ArrayLike, n: int, beta: float) -> Array:
    """d rho/dt of n tokens of equal overlaps rho under dX = P_X m(X) dt, A = V = I, depth time.

    rho' = 2 e^{beta rho} (1 - rho) ((n - 1) rho + 1)/(e^beta + (n - 1) e^{beta rho}).
    """
    rho = np.asarray(overlap, dtype=np.float64)
    fall = np.exp(-beta * (1 - rho))
    rate: Array = 2 * fall * (1 - rho) * ((n - 1) * rho + 1) / (1 + (n - 1) * fall)
    return rate


def averaged_length(overlap: float, n: int, beta: float) -> float:
    """Length of the softmax average of n tokens of equal overlaps rho, A = V = I.

    Own weight a, that of others b, a + (n - 1) b = 1: the square is rho + (1 - rho)(a^2 + (n - 1) b^2).
    """
    fall = math.exp(-beta * (1 - overlap))
    return math.sqrt(overlap + (1 - overlap) * (1 + (n - 1) * fall**2) / (1 + (n - 1) * fall) ** 2)


def equiangular_overlap(time: ArrayLike, start: float, n: int, beta: float) -> Array:
    """Overlap of equiangular tokens at depth times `time` >= 0 (any shape), from `start` at time 0.

    Accuracy: 1e-10 (tests/particles/reduced/test_exact.py).
    """
    if not n >= 2:  # written so that NaN is caught
        raise ValueError(f"n must be at least 2, got {n}")
    check_not_negative(beta, "beta")
    if not -1 / (n - 1) <= start <= 1:
        raise ValueError(f"start must lie between -1/(n - 1) = {-1 / (n - 1):g} and 1, got {start}")
    t = np.asarray(time, dtype=np.float64)
    if not np.all((t >= 0) & (t < math.inf)):
        raise ValueError("time must be finite and >= 0")
    order, inverse = np.unique(t.ravel(), return_inverse=True)
    run = scipy.integrate.solve_ivp(
        lambda _, rho: equiangular_rate(rho, n, beta), (0.0, max(1.0, float(order.max(initial=0.0)))), [start],
        method="DOP853", t_eval=order, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return np.asarray(run.y[0][inverse].reshape(t.shape))
