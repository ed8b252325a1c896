"""Drift and private noise of a density together, in its coefficients: an exponential scheme of order 4.

    da/dt = -nu l(l + d - 2) a + N(a),     N(a) = coefficients of -div(rho b[rho]),

b = grad(w * rho) + what does not depend on rho.  The heat is exact, N is made on the grid (3/2 rule), and a step has
the four stages of Cox and Matthews 2002, (26)-(29), whose quotients are means over circles (Kassam and Trefethen 2005).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from particles import ArgumentError, Array, Cloud, Coefficients
from particles.equations import Equation, Zonal, ZonalPush, multipliers
from spde.diffusion import FLOOR
from spde.domain.base import Domain, frame

SERIES = 1e-14  # tolerance of the multipliers of an interaction
CIRCLE = 32  # points of a mean over a circle, of which half are needed


@dataclass(frozen=True, eq=False)
class ExponentialStep:
    """One step of an equation whose scheme is `ExponentialRungeKutta4`, on the grid of a domain."""

    domain: Domain
    law: Equation

    def __call__(self, start: Coefficients) -> Coefficients:
        """Coefficients a step later; order 4 (tests/spde/test_exponential.py)."""
        whole, half, quarter, first, middle, last = self._tables
        still = self.rate(start)
        one = half * start + quarter * still
        at_one = self.rate(one)
        at_two = self.rate(half * start + quarter * at_one)
        at_end = self.rate(half * one + quarter * (2 * at_two - still))
        return whole * start + first * still + middle * (at_one + at_two) + last * at_end

    def rate(self, coefficients: Coefficients) -> Coefficients:
        """N(a), without the heat."""
        values = self.domain.synthesis(coefficients)
        velocity = self.domain.gradient(self._factors * coefficients)
        if self._given is not None:
            velocity = velocity + self._given
        return -self.domain.divergence(values[..., None] * velocity)

    def nodes(self, coefficients: Coefficients) -> Cloud:
        """The points of the grid with weights area times density, of sum 1 and positive, as `spde.diffusion` has."""
        values = self.domain.synthesis(coefficients).ravel()
        weights = self.domain.weights * np.maximum(values, FLOOR * values.max())
        return Cloud(self.domain.points, weights / weights.sum())

    @cached_property
    def _factors(self) -> Array:
        """Multipliers of Funk and Hecke of all interactions, by mode; those beyond lmax meet nothing."""
        by_degree = np.zeros(self.domain.lmax + 1)
        for term in self.law.drift:
            if isinstance(term, Zonal):
                found = multipliers(term.interaction, self.law.d, SERIES)
                if found is None:
                    raise ArgumentError("interaction", term.interaction, "be smooth, of degree 512 at most")
                size = min(len(found), len(by_degree))
                by_degree[:size] += found[:size]
        return by_degree[self.domain.degrees]

    @cached_property
    def _given(self) -> Array | None:
        """Tangent components on the grid, (*shape, d - 1), of what does not depend on the density."""
        pushes = [term.push(self.law.d, 1.0) for term in self.law.drift]
        points = np.ascontiguousarray(self.domain.points)
        nothing = Cloud(points, self.domain.weights / self.domain.volume)
        fields = [push.velocity(nothing)(points) for push in pushes if not isinstance(push, ZonalPush)]
        if not fields:
            return None
        found: Array = np.einsum("kni,ni->nk", frame(points), sum(fields))
        return found.reshape(*self.domain.shape, -1)

    @cached_property
    def _tables(self) -> tuple[Array, ...]:
        """Factors by mode: e^z, e^(z/2), and dt times the quotients of Cox and Matthews, z = -nu dt l(l + d - 2)."""
        dt, degrees = self.law.dt, self.domain.degrees
        z = -self.law.nu * dt * np.arange(self.domain.lmax + 1.0) * (np.arange(self.domain.lmax + 1.0) + self.law.d - 2)
        quotients = (
            lambda z: (np.exp(z / 2) - 1) / z,
            lambda z: (-4 - z + np.exp(z) * (4 - 3 * z + z * z)) / z**3,
            lambda z: 2 * (2 + z + np.exp(z) * (z - 2)) / z**3,
            lambda z: (-4 - 3 * z - z * z + np.exp(z) * (4 - z)) / z**3,
        )
        tables = np.exp(z), np.exp(z / 2), *(dt * _on_circles(quotient, z) for quotient in quotients)
        return tuple(table[degrees] for table in tables)


def _on_circles(function: Callable[[Array], Array], z: Array) -> Array:
    """An entire function at real z as its mean over circles of radius 1, where its quotients lose no digits."""
    turn = np.exp(1j * np.pi * (np.arange(CIRCLE) + 0.5) / CIRCLE)  # the other half is conjugate
    found: Array = function(z[:, None] + turn).real.mean(axis=1)
    return found
