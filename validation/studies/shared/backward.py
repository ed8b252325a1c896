"""Expectations of a diffusion of the overlap by its backward equation, in finite differences; no paths, no spectrum."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import solve_banded

from particles import Array
from particles.reduced import OverlapDiffusion

REACH = 18.0  # |artanh R| of the grid: 1 - |R| = 2e-16


def expectations(
    law: OverlapDiffusion, function: Callable[[Array], Array], start: float, times: Sequence[float],
    *, cells: int = 1200, step: float = 0.02,
) -> Array:
    """E f(R_t) from R_0 = start at increasing times, multiples of the step; f takes y = artanh R.

    Exponentially fitted differences in y, Crank and Nicolson in time after two steps of Euler in halves.
    """
    y = np.linspace(-REACH, REACH, cells + 1)
    width = y[1] - y[0]
    drift, variance = law.rates(y)
    rise = 2 * drift * width / variance
    small = np.abs(rise) < 1e-9
    ratio = np.where(small, 1 - 0.5 * rise, rise / np.expm1(np.where(small, 1.0, rise)))
    down = 0.5 * variance / width**2 * ratio
    up = down + drift / width
    up[-1] = down[0] = 0.0
    values, found, done = function(y), [], 0
    for time in times:
        for number in range(done, round(time / step)):
            for part in (0.5, 0.5) if number < 2 else (1.0,):
                implicit = part * step * (1.0 if number < 2 else 0.5)
                if number >= 2:
                    values = values + implicit * _applied(up, down, values)
                sides = (-implicit * np.roll(up, 1), -implicit * np.roll(down, -1))
                bands = np.stack([sides[0], 1 + implicit * (up + down), sides[1]])
                values = solve_banded((1, 1), bands, values)
        done = round(time / step)
        found.append(float(np.interp(np.arctanh(start), y, values)))
    return np.array(found)


def _applied(up: Array, down: Array, values: Array) -> Array:
    step = np.diff(values)
    found: Array = up * np.append(step, 0.0) - down * np.insert(step, 0, 0.0)
    return found
