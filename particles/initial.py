"""Initial laws of the tokens: sampled in any dimension, with a density where there is one."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy

from particles.arrays import Array, as_array, unit
from particles.errors import ArgumentError
from particles.measure import AnyTokens
from particles.retraction import flow


class InitialLaw(Protocol):
    """A law on S^(d-1) one can sample."""

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        ...


class InitialDensity(InitialLaw, Protocol):
    """A law on S^(d-1) with a density."""

    def pdf(self, points: Array) -> Array:
        """Density with respect to surface measure at points (N, d); shape (N,)."""
        ...


def sphere_area(d: int) -> float:
    """Surface |S^(d-1)| = 2 pi^(d/2) / Gamma(d/2)."""
    return float(2 * math.pi ** (d / 2) / math.gamma(d / 2))


@dataclass(frozen=True)
class Uniform:
    """The uniform law on S^(d-1)."""

    d: int

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        return unit(rng.standard_normal((n, self.d)))

    def pdf(self, points: Array) -> Array:
        """1/|S^(d-1)| at every point."""
        return np.full(points.shape[0], 1.0 / sphere_area(self.d))


@dataclass(frozen=True, eq=False)
class VonMisesFisherMixture:
    """Mixture of von Mises-Fisher laws, density sum_c w_c c_d(kappa_c) exp(kappa_c <mean_c, x>).

    Parameters
    ----------
    weights : (C,) positive, normalised here.   means : (C, d) non-zero, normalised here.   kappas : (C,) >= 0.
    """

    weights: Array
    means: Array
    kappas: Array

    def __post_init__(self) -> None:
        weights = as_array(self.weights, "weight", (None,))
        means = as_array(self.means, "mean", (len(weights), None))
        kappas = as_array(self.kappas, "kappa", (len(weights),))
        if len(weights) < 1 or not weights.min() > 0:
            raise ArgumentError("weight", weights.tolist(), "be positive for every component")
        if not kappas.min() >= 0:
            raise ArgumentError("kappa", kappas.tolist(), "be >= 0 for every component")
        if not np.linalg.norm(means, axis=1).min() > 0:
            raise ArgumentError("mean", means.tolist(), "not be the zero vector")
        object.__setattr__(self, "weights", weights / weights.sum())
        object.__setattr__(self, "means", unit(means))
        object.__setattr__(self, "kappas", kappas)

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.means.shape[1])

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        d = self.d
        which = rng.choice(len(self.weights), size=n, p=self.weights)
        points = np.empty((n, d))
        for c, (mean, kappa) in enumerate(zip(self.means, self.kappas, strict=True)):
            chosen = which == c
            count = int(chosen.sum())
            if count == 0:
                continue
            if kappa > 0:
                drawn = scipy.stats.vonmises_fisher(mean, kappa).rvs(count, random_state=rng)
                points[chosen] = np.reshape(drawn, (count, d))
            else:
                points[chosen] = Uniform(d).sample(rng, count)
        return unit(points)

    def pdf(self, points: Array) -> Array:
        """Density at points (N, d); shape (N,)."""
        total = np.zeros(points.shape[0])
        for weight, mean, kappa in zip(self.weights, self.means, self.kappas, strict=True):
            constant = math.exp(_log_constant(points.shape[1], float(kappa)))
            total += weight * constant * np.exp(kappa * (points @ mean - 1.0))
        return total


def _log_constant(d: int, kappa: float) -> float:
    """log of c_d(kappa) e^kappa, c_d = kappa^(d/2-1) / ((2 pi)^(d/2) I_(d/2-1)(kappa))."""
    order = d / 2 - 1
    if d == 3:
        return math.log(kappa / (-2 * math.pi * math.expm1(-2 * kappa))) if kappa > 1e-300 else -math.log(4 * math.pi)
    if kappa < 1e-8:
        return kappa - math.log(sphere_area(d))
    scaled = float(scipy.special.ive(order, kappa))
    if scaled <= 0:  # the Bessel function underflows: leading term of its series
        scaled = math.exp(order * math.log(kappa / 2) - math.lgamma(d / 2) - kappa)
    return order * math.log(kappa) - d / 2 * math.log(2 * math.pi) - math.log(scaled)


@dataclass(frozen=True, eq=False)
class Conformal:
    """rho_a(x) = |S|^-1 ((1-|a|^2)/|x-a|^2)^(d-1), a in the open ball: the family of E1, mathematics section 5."""

    a: Array

    def __post_init__(self) -> None:
        a = as_array(self.a, "a", (None,))
        if not np.linalg.norm(a) < 1:
            raise ArgumentError("a", a.tolist(), "have a length below 1")
        object.__setattr__(self, "a", a)

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return len(self.a)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens: uniform ones moved by the conformal map that takes 0 to a."""
        d = len(self.a)
        radius = float(np.linalg.norm(self.a))
        points = Uniform(d).sample(rng, n)
        if radius == 0:
            return points
        strength = 2 * math.atanh(radius) * self.a / radius
        return flow(points, np.broadcast_to(strength, points.shape))

    def pdf(self, points: Array) -> Array:
        """Density at points (N, d); shape (N,)."""
        gap = points - self.a
        square = np.einsum("ij,ij->i", gap, gap)
        d = len(self.a)
        density: Array = ((1 - self.a @ self.a) / square) ** (d - 1) / sphere_area(d)
        return density


@dataclass(frozen=True)
class Simplex:
    """n tokens of equal overlap g0 = <x_i, x_j>, in a random orientation; -1/(n-1) <= g0 < 1, n <= d."""

    d: int
    overlap: float

    def check(self, n: int) -> None:
        """Refuse a number of tokens for which there is no simplex."""
        if n > self.d:
            raise ArgumentError("tokens", n, f"be at most d = {self.d} for a simplex")
        if not (-1.0 / (n - 1) if n > 1 else -1.0) <= self.overlap < 1:
            raise ArgumentError("overlap", self.overlap, f"lie in [-1/(n-1), 1) for n = {n} tokens")

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d): Gram matrix (1 - g0) I + g0 11^T."""
        self.check(n)
        frame, _ = np.linalg.qr(rng.standard_normal((self.d, n)))
        centre = np.full((n, n), 1.0 / n)
        across, along = math.sqrt(1 - self.overlap), math.sqrt(max(0.0, 1 + (n - 1) * self.overlap))
        root = across * (np.eye(n) - centre) + along * centre
        return unit(root @ frame.T)


@dataclass(frozen=True, eq=False)
class Empirical:
    """The law of given weighted tokens: sampling draws among them with replacement."""

    tokens: AnyTokens

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.tokens.d

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        return self.tokens.points[rng.choice(len(self.tokens), size=n, p=self.tokens.weights)]


ROUNDING = 1e-12  # relative asymmetry, or negative part, of a covariance that passes for rounding


def symmetric_root(covariance: Array, name: str = "covariance") -> Array:
    """S^{1/2} of a symmetric positive semidefinite (d, d) matrix of any rank; ValueError for any other."""
    size = float(np.abs(covariance).max(initial=0.0))
    if not np.abs(covariance - covariance.T).max(initial=0.0) <= ROUNDING * size:
        raise ArgumentError(name, covariance.tolist(), "be symmetric")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if not values.min(initial=0.0) >= -ROUNDING * size * len(values):
        raise ArgumentError(name, covariance.tolist(), f"have no eigenvalue below 0, and has {values.min():.3g}")
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # below zero by rounding only
    return root


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, covariance) on R^d; the covariance may have any rank.

    Parameters
    ----------
    mean : (d,).   covariance : (d, d), symmetric positive semidefinite.
    """

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        mean = as_array(self.mean, "mean", (None,))
        covariance = as_array(self.covariance, "covariance", (len(mean), len(mean)))
        if len(mean) < 1:
            raise ArgumentError("mean", mean.shape, "have at least one entry")
        symmetric_root(covariance)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", (covariance + covariance.T) / 2)

    @property
    def d(self) -> int:
        """Dimension of the space."""
        return len(self.mean)

    @property
    def root(self) -> Array:
        """Symmetric root S^{1/2} of the covariance, (d, d)."""
        return symmetric_root(self.covariance)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Draw n tokens, shape (n, d)."""
        return self.mean + rng.standard_normal((n, self.d)) @ self.root
