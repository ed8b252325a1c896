"""The circle whose free points are reached by direct sums: what the non-uniform FFT is held against."""

import numpy as np

from spde import Circle
from spde.domain.circle import ROOT

BLOCK = 1 << 18  # complex exponentials at once: 4 MB


def sums_at(coefficients, points):
    """`synthesis_at` of one function by direct sums."""
    weights = np.where(np.arange(len(coefficients)) == 0, 1.0, 2.0) / ROOT * coefficients
    return np.concatenate([(phases @ weights).real for _, phases in _phases(points, len(coefficients))])


def adjoint_sums_at(values, points, degree):
    """`adjoint_at` of one measure by direct sums."""
    total = np.zeros(degree + 1, dtype=np.complex128)
    for part, phases in _phases(points, degree + 1):
        total += values[part] @ phases.conj() / ROOT
    total[0] = values.sum() / ROOT
    return total


def _phases(points, n_modes):
    """Blocks of points, and e^{i k theta} at them for k < n_modes."""
    angle, height = np.arctan2(points[:, 1], points[:, 0]), max(1, BLOCK // n_modes)
    for begin in range(0, max(len(angle), 1), height):
        part = slice(begin, begin + height)
        yield part, np.exp(1j * np.outer(angle[part], np.arange(n_modes)))


class SummedCircle(Circle):
    """A circle without non-uniform FFT."""

    def synthesis_at(self, coefficients, points):
        return sums_at(coefficients, points)

    def adjoint_at(self, values, points):
        return adjoint_sums_at(values, points, self.lmax)
