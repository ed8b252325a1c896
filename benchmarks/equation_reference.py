"""References of `equations.py`, solved by nothing that is measured there: dense tables or one FFT, and scipy's DOP853.

Weak form, in real coefficients c of orthonormal functions Y_k:

    dc_k/dt = int rho (grad(w * rho) + b) . grad Y_k - nu l(l + d - 2) c_k
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import i0e, sph_harm_y_all

TOLERANCE = {2: 1e-12, 3: 1e-10}  # by dimension


def start(parts, along_of):
    """A mixture of laws of von Mises and Fisher: (weight, kappa, mean); along_of(mean) is <x, mean> at the points."""
    total = 0.0
    for weight, kappa, mean in parts:
        along = along_of(mean)
        largest = kappa / (2 * np.pi * -np.expm1(-2 * kappa)) if len(mean) == 3 else 1 / (2 * np.pi * i0e(kappa))
        total = total + weight * largest * np.exp(kappa * (along - 1))
    return total


def tables(theta, phi, lmax):
    """Real harmonics up to lmax at points, their derivatives to the south and to the east, and their degrees."""
    found, gradient = sph_harm_y_all(lmax, lmax, theta, phi, diff_n=1)
    south, east = gradient[..., 0], gradient[..., 1] / np.sin(theta)
    columns, degrees = [], []
    for degree in range(lmax + 1):
        for order in range(degree + 1):
            for part in ("real", "imag") if order else ("real",):
                root = np.sqrt(2) if order else 1.0
                columns.append([root * getattr(table[degree, order], part) for table in (found, south, east)])
                degrees.append(degree)
    one, two, three = (np.array([column[k] for column in columns]).T for k in range(3))
    return one, two, three, np.array(degrees)


def sphere(factors, nu, t_end, parts, lmax=31):
    """The density at t_end on S^2, a function of theta and phi."""
    t, weights = np.polynomial.legendre.leggauss(3 * (lmax + 1) // 2)
    n_phi = 3 * (lmax + 1)
    theta, phi = np.repeat(np.arccos(t), n_phi), np.tile(2 * np.pi * np.arange(n_phi) / n_phi, len(t))
    area = np.repeat(weights, n_phi) * (2 * np.pi / n_phi)
    values, south, east, degrees = tables(theta, phi, lmax)
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    multiplier = np.zeros(lmax + 1)
    multiplier[: len(factors)] = factors
    multiplier, heat = multiplier[degrees], nu * degrees * (degrees + 1.0)

    def slope(_, c):
        rho, acting = area * (values @ c), multiplier * c
        return south.T @ (rho * (south @ acting)) + east.T @ (rho * (east @ acting)) - heat * c

    begin = values.T @ (area * start(parts, lambda mean: points @ mean))
    c = solve_ivp(slope, (0, t_end), begin, method="DOP853", rtol=TOLERANCE[3], atol=TOLERANCE[3]).y[:, -1]
    return lambda theta, phi: tables(theta, phi, lmax)[0] @ c


def circle(coupling, pull, nu, t_end, parts, degree=96):
    """The density at t_end on S^1, a function of the angle."""
    n, k = 3 * degree, np.arange(degree + 1)
    theta = 2 * np.pi * np.arange(n) / n

    def slope(_, c):
        series = c.view(np.complex128)
        rho = np.fft.irfft(series, n) * n
        mean = 2 * np.pi * np.conj(series[1])
        u = coupling * (mean.imag * np.cos(theta) - mean.real * np.sin(theta)) - pull * np.sin(theta)
        return (-1j * k * np.fft.rfft(rho * u)[: degree + 1] / n - nu * k * k * series).view(np.float64)

    begin = np.fft.rfft(start(parts, lambda mean: np.cos(theta) * mean[0] + np.sin(theta) * mean[1]))[: degree + 1] / n
    tolerance = {"rtol": TOLERANCE[2], "atol": TOLERANCE[2]}
    c = solve_ivp(slope, (0, t_end), begin.view(np.float64), method="DOP853", **tolerance).y[:, -1]
    both = np.where(k, 2, 1) * np.ascontiguousarray(c).view(np.complex128)
    return lambda angles: (np.exp(1j * np.outer(angles, k)) @ both).real
