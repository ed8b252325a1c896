"""MLP blocks of a network: hidden units drawn one by one, or infinitely many by their kernel.  mathematics, section 9.

The hidden units of tokens with Gram matrix G are independent rows act(N(0, s^2 G)).  Infinitely many of them have the
Gram matrix m k(G): of tokens of one length, k(1) on the diagonal and k(1) - D(1 - cosine) off it, with

    D(gap) = E[(act(s X) - act(s Y))^2]/2,     X, Y standard normal with correlation 1 - gap,

which is held by itself because it keeps its digits where tokens meet.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.polynomial import chebyshev

from particles.arrays import Array
from particles.errors import ArgumentError
from particles.layers.mlp.kernels import WIDEST, Activation, normal_nodes
from particles.networks.parts import MLP, Initialisation
from particles.networks.vectors import draw, gaps, times

KNOTS = 65  # of the table of D over gap^1/2
FINEST = 1e-3  # least gap^1/2 of the table: differences lose digits below, where the series goes on


@dataclass(frozen=True, eq=False)
class Hidden:
    """Hidden units (width, n), and what their gradient needs."""

    out: Array
    projections: tuple[Array, ...]
    inputs: tuple[Array, ...]


@dataclass(frozen=True)
class Units:
    """The hidden units of an `MLP` on tokens of dimension d."""

    shape: MLP
    d: int
    initialisation: Initialisation

    def deviation(self, name: str) -> float:
        """Standard deviation of the entries of a matrix: "up", "gate" or "down"."""
        width = self.d if self.shape.width == math.inf else int(self.shape.width)
        rows, columns = (self.d, width) if name == "down" else (width, self.d)
        return self.initialisation.deviation(name, rows, columns)

    def forward(self, z: Array, rng: np.random.Generator, taped: bool = False) -> Hidden:
        """Units drawn for tokens z (m, n), in their precision; `taped`: for `backward` to follow."""
        projections, inputs = [], []
        for name in ("gate", "up") if self.shape.gated else ("up",):
            rows = draw(rng, int(self.shape.width), len(z), z.dtype)
            rows *= self.deviation(name)
            projections += [rows.copy()] if taped else []
            inputs.append(times(rows, z))
        out = self.shape.activation.function(inputs[0])
        return Hidden(out * inputs[1] if self.shape.gated else out, tuple(projections), tuple(inputs))

    def backward(self, seen: Hidden, gradient: Array) -> tuple[Array, Array]:
        """Gradient at z along its axes, (m, n), and the factor (r, n) of what it gets beyond them."""
        act, names = self.shape.activation, ("gate", "up") if self.shape.gated else ("up",)
        first = gradient * act.derivative(seen.inputs[0])
        if self.shape.gated:
            parts = [first * seen.inputs[1], gradient * act.function(seen.inputs[0])]
        else:
            parts = [first]
        along = sum(rows.T @ part for rows, part in zip(seen.projections, parts, strict=True))
        beyond = [self.deviation(name) * part for name, part in zip(names, parts, strict=True)]
        return np.asarray(along), np.concatenate(beyond)


@dataclass(frozen=True)
class Limit:
    """Infinitely many hidden units, of tokens at mean square 1: an epsilon of the norm before them is left out.

    Parameters
    ----------
    shape : `MLP` of infinite width.   gain : standard deviation of an input of the activation, s d^1/2 for tokens of
        length d^1/2.   gate : that of the other factor of a gated block, 0 where there is none.
    """

    shape: MLP
    gain: float
    gate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.gain <= WIDEST:
            raise ArgumentError("width", self.shape.width, f"be finite where its inputs deviate by {self.gain:.3g}")

    def factor(self, z: Array) -> Array:
        """T (n, n), T^T T the covariance of the units (their mean square over units) at tokens z of one length, (m, n).

        Tokens are written as their mean and deviations from it (a reflection that takes (1, ..., 1) to an axis), in
        which the covariance is graded where tokens meet, and Cholesky's factor of a graded matrix keeps its digits.
        """
        apart, n = gaps(z), z.shape[1]
        one, drop = self.table.square, self.table.drop(apart)
        if self.shape.gated:  # k(1) - k(1 - gap) of a product of independent factors
            one, drop = one * self.gate**2, self.gate**2 * (one * apart + drop * (1 - apart))
        axis = np.full(n, n**-0.5)
        axis[0] += 1
        axis /= np.linalg.norm(axis)
        turned = -(_reflected(_reflected(drop, axis).T, axis))
        turned[0, 0] += one * n
        diagonal = np.sqrt(np.maximum(np.diag(turned), 0))
        scale = np.where(diagonal > 0, diagonal, 1)
        return _reflected((_cholesky(turned / scale[:, None] / scale) * scale).T, axis).T

    @cached_property
    def table(self) -> "Drop":
        """k(1) and D of the activation."""
        return Drop.of(self.shape.activation, self.gain)


def _reflected(rows: Array, axis: Array) -> Array:
    """(1 - 2 axis axis^T) rows."""
    return rows - 2 * np.outer(axis, axis @ rows)


def _cholesky(scaled: Array) -> Array:
    """Upper factor of a matrix with ones on its diagonal; of one that rounding leaves indefinite, of its nearest."""
    factor, failed = scipy.linalg.lapack.dpotrf(scaled, lower=0, clean=1)
    if failed == 0:
        return np.asarray(factor)
    values, vectors = np.linalg.eigh(scaled)
    found: Array = (vectors * np.sqrt(np.maximum(values, 0))).T
    return found


@dataclass(frozen=True, eq=False)
class Drop:
    """k(1) = E act(s X)^2 and D(gap), from a Chebyshev series of D/gap in gap^1/2.

    Accuracy: 1e-7 of D (tests/particles/networks/test_wide.py).
    """

    square: float
    series: Array

    @classmethod
    def of(cls, activation: Activation, gain: float) -> "Drop":
        """By the activation's dual where it has one, else by quadrature."""
        place = chebyshev.chebpts1(KNOTS)
        knots = (FINEST + (math.sqrt(2) - FINEST) * (place + 1) / 2) ** 2
        if activation.dual is not None:
            square = float(activation.dual(np.array(gain**2), gain**2)) if gain > 0 else 0.0
            drops = square - activation.dual(gain**2 * (1 - knots), gain**2) if gain > 0 else np.zeros(KNOTS)
        else:
            x, weight = normal_nodes(gain)
            square = float(weight @ activation.function(gain * x) ** 2)
            drops = np.array([_half_square(activation, gain, float(gap), x, weight) for gap in knots])
        series = chebyshev.chebfit(place, drops / knots, KNOTS - 1)
        return cls(square, np.asarray(chebyshev.chebtrim(series, 1e-11 * np.abs(series).max()), dtype=np.float64))

    def drop(self, gap: Array) -> Array:
        """D(gap), gap in [0, 2], any shape."""
        place = 2 * (np.sqrt(np.clip(gap, 0, 2)) - FINEST) / (math.sqrt(2) - FINEST) - 1
        found: Array = gap * chebyshev.chebval(place, self.series)
        return found


def _half_square(activation: Activation, gain: float, gap: float, x: Array, weight: Array) -> float:
    """E[(act(s X) - act(s Y))^2]/2 with X, Y = c U -+ r V, U, V independent, r^2 = gap/2, c^2 = 1 - r^2."""
    c, r = gain * math.sqrt(max(1 - gap / 2, 0)), gain * math.sqrt(gap / 2)
    difference = activation.function(c * x[:, None] + r * x) - activation.function(c * x[:, None] - r * x)
    return float(weight @ (difference * difference) @ weight) / 2
