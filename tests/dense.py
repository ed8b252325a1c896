"""Dense double-precision references in plain numpy: what everything else is measured against."""

import numpy as np


def nrm(v):
    """v / |v| along the last axis."""
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def barycenters(x, y, w, beta, form):
    """Softmax barycentres at x (N, d) of the measure sum_j w_j delta(y_j)."""
    scores = beta * (x @ form.T) @ y.T
    weights = w * np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights @ y / weights.sum(axis=1, keepdims=True)


def velocity(x, y, w, beta, mixing, forms):
    """U(x) = sum_m C_m m_m(x)."""
    return sum(barycenters(x, y, w, beta, a) @ c.T for c, a in zip(mixing, forms, strict=True))


def layer(x, w, beta, mixing, forms):
    """x <- nrm(x + U(x)) for all points at once."""
    return nrm(x + velocity(x, x, w, beta, mixing, forms))


def gauss_nodes(nlat, nphi):
    """Gauss nodes on S^2 and their weights, by numpy alone."""
    z, w = np.polynomial.legendre.leggauss(nlat)
    phi = 2 * np.pi * np.arange(nphi) / nphi
    s = np.sqrt(1 - z**2)
    points = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(z, np.ones(nphi))], axis=-1)
    return points.reshape(-1, 3), np.repeat(w * 2 * np.pi / nphi, nphi)


def moments(x, w):
    """Mean and upper triangle of the second moment, as one vector."""
    second = (x * w[:, None]).T @ x
    return np.concatenate([w @ x, second[np.triu_indices(x.shape[1])]])
