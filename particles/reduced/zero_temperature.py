"""Fixed heads at large beta (Alcalde, Bungert, Riedl and Roith, arXiv 2605.10931).  mathematics, section 8.

For a smooth positive density m_A[mu](x) -> nrm(Ax) as beta -> infinity, with an error of order 1/beta, so that
dX = P_X V m_A[mu](X) dt becomes a flow of single points.  (n tokens become a hard maximum over them instead.)
"""

import numpy as np
import scipy

from particles.arrays import Array, as_array, unit
from particles.reduced.frozen import mean_of_von_mises_fisher
from particles.retraction import tangent

SMALLEST = 1e-100  # z below which L(z)/z is 1/d to rounding, as it is at 0


def zero_temperature_velocity(points: Array, value: Array, form: Array) -> Array:
    """P_x V nrm(Ax) at unit vectors (N, d); V and A (d, d), Ax != 0."""
    return tangent(points, unit(points @ form.T) @ value.T)


def zero_temperature_flow(points: Array, value: Array, time: float) -> Array:
    """nrm(e^{tV} x), the flow of `zero_temperature_velocity` for A = I; points (N, d), V (d, d), any time."""
    matrix = time * as_array(value, "value", (points.shape[1], points.shape[1]))
    growth = float(np.linalg.eigvals(matrix).real.max())  # taken out: it does not change the direction
    return unit(points @ scipy.linalg.expm(matrix - growth * np.eye(len(matrix))).T)


def top_projection(points: Array, value: Array, tolerance: float = 1e-10) -> Array:
    """The end of `zero_temperature_flow`: nrm(Pi x), Pi the projection on the top eigenspace of symmetric V.

    Eigenvalues within `tolerance` |V| of the largest count as equal.  ValueError where Pi x vanishes.
    """
    matrix = as_array(value, "value", (points.shape[1], points.shape[1]))
    if not np.abs(matrix - matrix.T).max() <= 1e-12 * np.abs(matrix).max():
        raise ValueError("value must be symmetric: the flow of another one need not end on an eigenspace")
    strengths, axes = np.linalg.eigh(matrix)
    top = axes[:, strengths >= strengths[-1] - tolerance * np.abs(strengths).max()]
    shadow: Array = points @ top @ top.T
    lost = np.linalg.norm(shadow, axis=1) < 1e-12
    if lost.any():
        raise ValueError(f"{int(lost.sum())} of {len(points)} points are orthogonal to the top eigenspace of V")
    return unit(shadow)


def uniform_barycenter(points: Array, form: Array, beta: float) -> Array:
    """m_A(x) for the uniform law on S^(d-1): L(z) nrm(Ax), z = beta |Ax|, L(z) = coth z - 1/z on S^2.

    points (N, d), A (d, d).  Accuracy: 1e-12 (tests/particles/reduced/test_zero_temperature.py).
    """
    d = points.shape[1]
    image = points @ as_array(form, "form", (d, d)).T
    z = np.maximum(beta * np.linalg.norm(image, axis=1), SMALLEST)
    _, over, _ = mean_of_von_mises_fisher(z, d)
    result: Array = beta * over[:, None] * image
    return result
