"""Two tokens under Gaussian heads with the mean value matrix v I: their overlap R is a Markov chain, and a diffusion.

A head mixes x and y: m(x) = mu + omega_1 D, m(y) = mu + omega_2 D, mu = (x + y)/2, D = x - y, omega odd in the scores.
All laws turn with the tokens, so R is all that counts.  With p, q the moves of x and y, c = y - R x, c' = x - R y,

    R' = R + M + Q + O(|p|^3),     M = <c, p> + <c', q>,
    Q = <p, q> - (<x,q> + <y,p>)(<x,p> + <y,q>) + R (3 (<x,p>^2 + <y,q>^2) + 2 <x,p> <y,q> - |p|^2 - |q|^2)/2,

which gives the generator of the limit (mathematics (4), with `normalize`) and, one order further, what a layer does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from scipy.linalg import expm

from particles import Array
from particles.reduced import TwoTokens

NODES = 40  # Chebyshev nodes in R; tests/validation/studies/test_weak_error.py has what more of them change


@dataclass(frozen=True)
class Covariance:
    """Covariances of the moves (p_1, p_2) = (p, q): s_ij I + k_ij D D^T, and their mean g mu."""

    s: tuple[Array, Array]  # s_11 = s_22, s_12
    k: tuple[Array, Array]
    g: float

    def product(self, which: int, plain: Array | float, along: Array, mean: Array) -> Array:
        """E <u, p_i> <w, p_j>, from <u, w>, <u, D> <w, D> and <u, mu> <w, mu>; which = 0: i = j, 1: i != j."""
        found: Array = self.s[which] * plain + self.k[which] * along + self.g**2 * mean
        return found


def products(overlap: Array, moves: Covariance, d: int) -> tuple[Array, Array]:
    """E Q and E M^2."""
    below, above = 1 - overlap, 1 + overlap
    half = 0.5 * above  # <x, mu> = <y, mu>; <x, D> = below, <y, D> = -below
    far = (below**2, half**2)  # the two factors of k and g^2 in E <u, p_i> <w, p_j>
    length, both = (d * s + 2 * k * below + moves.g**2 * half for s, k in zip(moves.s, moves.k, strict=True))
    square, turned = moves.product(0, 1.0, *far), moves.product(1, 1.0, *far)
    own, shared = moves.product(0, overlap, -far[0], far[1]), moves.product(1, overlap, -far[0], far[1])
    turn = both - 2 * turned - 2 * own + overlap * (3 * square + shared - length)
    rest = below * above  # |c|^2; <c, D> = -rest, <c', D> = rest, <c, mu> = <c', mu> = rest/2
    line = moves.product(0, rest, rest**2, 0.25 * rest**2)
    return turn, 2 * (line + moves.product(1, -overlap * rest, -(rest**2), 0.25 * rest**2))


@dataclass(frozen=True)
class OverlapChain:
    """Two tokens, H heads in a layer of residual step eta.

    Attributes
    ----------
    d, beta, sigma_v, sigma_a, head_dim : of the heads.   v : their mean value matrix is v I.
    """

    d: int
    beta: float
    sigma_v: float
    sigma_a: float
    head_dim: int
    v: float = 0.0

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """Chebyshev coefficients in R of E omega_1^2 and E omega_1 omega_2."""
        law = TwoTokens(self.d, self.beta, self.sigma_a, self.head_dim)
        nodes = chebyshev.chebpts1(NODES)
        own, shared = law.overlaps_of_barycentres(nodes)
        found = [(s - 0.5 * (1 + nodes)) / (2 * (1 - nodes)) for s in (own, shared)]
        one, two = (np.asarray(chebyshev.chebfit(nodes, values, NODES - 1), dtype=np.float64) for values in found)
        return one, two

    def covariance(self, overlap: Array, scale: float, mean: float = 0.0) -> Covariance:
        """Of a layer's moves: scale times that of one head, and `mean` times v mu."""
        own, shared = (np.asarray(chebyshev.chebval(overlap, table), dtype=np.float64) for table in self._tables)
        s = [self.sigma_v**2 * scale * (0.5 * (1 + overlap) + 2 * (1 - overlap) * w) for w in (own, shared)]
        k = [self.v**2 * scale * w for w in (own, shared)]
        return Covariance((s[0], s[1]), (k[0], k[1]), mean * self.v)

    def generator(self, eps: float, radial: bool = True) -> Array:
        """(NODES, NODES), on values at Chebyshev nodes: per depth time; with v = 0 and eps = 1 per diffusive time.

        radial : whether the drift has the term -eps P K(x, x) x.
        """
        nodes = chebyshev.chebpts1(NODES)
        turn, square = products(nodes, self.covariance(nodes, eps), self.d)
        values = chebyshev.chebvander(nodes, NODES - 1)
        first, second = (
            np.stack([chebyshev.chebval(nodes, chebyshev.chebder(row, order)) for row in np.eye(NODES)], axis=1)
            for order in (1, 2)
        )
        drift = turn + self.v * (1 - nodes**2)
        if not radial:  # the term moves R by 2 eps v^2 E omega^2 (1 - R)^2 (1 + R)
            drift -= 2 * self.covariance(nodes, eps).k[0] * (1 - nodes) ** 2 * (1 + nodes)
        rates = drift[:, None] * first + 0.5 * square[:, None] * second  # of Chebyshev polynomials, at nodes
        return np.asarray(rates @ np.linalg.inv(values), dtype=np.float64)

    def backward(self, eps: float, time: float, steps: int, radial: bool = True) -> list[Array]:
        """Chebyshev coefficients of u_k(R) = E w at the end of k more steps, w = (1 + R)/2, k = 0 .. steps."""
        nodes = chebyshev.chebpts1(NODES)
        once = expm(time / steps * self.generator(eps, radial))
        to_coefficients = np.linalg.inv(chebyshev.chebvander(nodes, NODES - 1))
        values = [0.5 * (1 + nodes)]
        for _ in range(steps):
            values.append(once @ values[-1])
        return [to_coefficients @ row for row in values]

    def layer(self, rng: np.random.Generator, overlap: Array, eta: float, heads: int) -> tuple[Array, Array, Array]:
        """R', M and Q of one layer of each chain, (chains,)."""
        below, rest = 1 - overlap, np.sqrt(1 - overlap**2)
        one, two = rng.standard_normal((2, heads, len(overlap)))
        radius = np.sqrt(rng.chisquare(self.head_dim, (heads, len(overlap))))
        strength = 0.5 * self.beta * self.sigma_a**2 * np.sqrt(2 * below) * radius
        omega = 0.5 * np.tanh([strength * one, strength * (overlap * one + rest * two)])
        s_11, s_12, s_22 = (
            0.5 * (1 + overlap) + 2 * below * (omega[i] * omega[j]).mean(axis=0) for i, j in ((0, 0), (0, 1), (1, 1))
        )
        own = np.sqrt(s_11)
        along, across = s_12 / own, np.sqrt(np.maximum(s_22 - s_12**2 / s_11, 0.0))  # below zero by rounding only
        first, second = eta * heads**-0.5 * self.sigma_v * rng.standard_normal((2, self.d, len(overlap)))
        p, q = own * first, along * first + across * second  # in the basis x, across x towards y, all others
        for move, w in zip((p, q), omega.mean(axis=1), strict=True):
            move[0] += eta * self.v * (0.5 * (1 + overlap) + w * below)
            move[1] += eta * self.v * (0.5 - w) * rest
        return moved(overlap, rest, p, q)

    def weak_error(
        self, rng: np.random.Generator, start: float, eta: float, heads: int, layers: int, chains: int
    ) -> tuple[Array, Array]:
        """w at the end less E w of the limit (chains,), and controls (chains, 3) of mean zero.

        With v = 0 the limit's time is eta^2/H a layer, and its noise scale 1.
        """
        eps = eta / heads
        span, scale = (eta * eps, 1.0) if self.v == 0 else (eta, eps)
        course = self.backward(scale, span * layers, layers)
        overlap, controls = np.full(chains, start), np.zeros((3, chains))
        for after in course[-2::-1]:
            slope, bend = (chebyshev.chebval(overlap, chebyshev.chebder(after, order)) for order in (1, 2))
            turn, square = products(overlap, self.covariance(overlap, eta * eps, eta), self.d)
            overlap_after, line, curve = self.layer(rng, overlap, eta, heads)
            controls[0] += slope * (line - eta * self.v * (1 - overlap**2))
            controls[1] += slope * (curve - turn)
            controls[2] += bend * (line**2 - square)
            overlap = np.clip(overlap_after, -1.0, 1.0)  # beyond by rounding only
        return 0.5 * (1 + overlap) - float(chebyshev.chebval(start, course[-1])), controls.T


def moved(overlap: Array, rest: Array, p: Array, q: Array) -> tuple[Array, Array, Array]:
    """R', M and Q from moves (d, chains) in the basis x, across x towards y, all others."""
    xp, xq, yp, yq = p[0], q[0], overlap * p[0] + rest * p[1], overlap * q[0] + rest * q[1]
    pq, pp, qq = (np.einsum("ir,ir->r", u, w) for u, w in ((p, q), (p, p), (q, q)))
    line = xq + yp - overlap * (xp + yq)
    curve = pq - (xq + yp) * (xp + yq) + 0.5 * overlap * (3 * (xp**2 + yq**2) + 2 * xp * yq - pp - qq)
    return (overlap + xq + yp + pq) / np.sqrt((1 + 2 * xp + pp) * (1 + 2 * yq + qq)), line, curve
