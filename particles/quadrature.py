"""Gauss product quadrature on S^2."""

import ducc0
import numpy as np

from particles.arrays import Array


def gauss_grid(nlat: int, nphi: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes in cos(theta), equidistant in phi, north to south.

    Exact for spherical harmonics of degree < min(2 nlat, nphi).

    Returns
    -------
    points (nlat * nphi, 3) unit vectors, latitude slowest; weights (nlat * nphi,) of sum 4 pi.
    """
    theta = np.asarray(ducc0.misc.GL_thetas(nlat))
    ring = np.asarray(ducc0.misc.GL_weights(nlat, nphi))
    phi = 2 * np.pi * np.arange(nphi) / nphi
    points = np.empty((nlat, nphi, 3))
    points[..., 0] = np.sin(theta)[:, None] * np.cos(phi)
    points[..., 1] = np.sin(theta)[:, None] * np.sin(phi)
    points[..., 2] = np.cos(theta)[:, None]
    return points.reshape(-1, 3), np.repeat(ring, nphi)
