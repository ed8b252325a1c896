"""P1, propagation of chaos on S^2: tokens against the flow of the limit law, on one realization of the noise.

E |X_i - X_i'|^2 between tokens X and their twins X', which start together and are carried by the flow of the density,
has no sampling floor.  Beside it W_2 to an independent sample against its floor, and the H^-2 norm to the density.
"""

from dataclasses import dataclass

import numpy as np

from particles import Cloud, GaussianHeads, Homogenized, Noise, Softmax, Stream, Tokens, VonMisesFisherMixture
from particles.arrays import Array
from particles.attention import FieldFactory
from particles.harmonics import Coefficients
from particles.quadrature import gauss_grid
from particles.simulate import TokenFlow, TokenState
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere
from validation.distances import coefficients_of, sobolev
from validation.statistics import Slope, slope
from validation.verdict import Figure, Findings, Part, Series
from validation.wasserstein import w2_chordal

START = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])  # type: ignore[arg-type]
ATTENTION = Softmax(2.0)
LMAX, CARRIED = 63, (48, 96)
SOBOLEV_DEGREE = 40


@dataclass(frozen=True)
class Size:
    """How much is computed: token numbers with their replicas, steps, numbers for W_2."""

    counts: tuple[int, ...]
    replicas: tuple[int, ...]
    steps: tuple[int, ...]
    transport: tuple[int, ...]


QUICK = Size(tuple(2**k for k in range(5, 12)), (64, 64, 48, 32, 24, 16, 12), (10, 25, 50), (128, 512))
FULL = Size(
    tuple(2**k for k in range(5, 21)),
    (64,) * 6 + (48, 32, 24, 16, 12, 8, 6, 4, 4, 3),
    (10, 50, 100),
    (128, 512, 2048, 4096),
)


def law(seed: int) -> Homogenized:
    """Gaussian heads, the usual normalisation, dt = 0.02."""
    return Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), ATTENTION, dt=0.02, nodes=8, noise=Noise(seed))


def _field(n: int) -> FieldFactory:
    from particles import DirectField

    return SpectralField if n >= 512 else DirectField


@dataclass
class Limit:
    """The density's flow at the chosen steps, with points that ride on it."""

    flow: DensityFlow
    steps: tuple[int, ...]
    start: DensityState

    @classmethod
    def of(cls, seed: int, steps: tuple[int, ...]) -> "Limit":
        """Limit law of one realization."""
        density = Density.from_law(START, Sphere(LMAX), CARRIED)
        flow = DensityFlow(density.sphere, law(seed))
        return cls(flow, steps, DensityState(0, density.coefficients, density.nodes, np.zeros((0, 3))))

    def carry(self, points: Array) -> tuple[list[Array], list[Coefficients]]:
        """Points (N, 3) carried by the flow, and the density's coefficients, at each of the steps."""
        start = self.start
        state = DensityState(0, start.coefficients, start.nodes, points)
        carried, coefficients = [], []
        for step in self.steps:
            state = self.flow.advance(state, step)
            carried.append(state.passive)
            coefficients.append(self.flow.density(state).coefficients)
        return carried, coefficients


def push(tokens: Tokens, seed: int, steps: tuple[int, ...]) -> list[Array]:
    """Tokens on the same layers, at each of the steps."""
    state, found = TokenState(0, tokens.points, tokens.weights), []
    for step in steps:
        state = TokenFlow(law(seed), _field(len(tokens))).advance(state, step)
        found.append(state.points)
    return found


def sample(seed: int, n: int, replica: int) -> Array:
    """Independent tokens of one replica."""
    return START.sample(Noise(seed).generator(Stream.TOKENS, n, replica), n)


def quadrature_tokens(k: int) -> Tokens:
    """Gauss nodes k x 2k weighted by the start."""
    points, area = gauss_grid(k, 2 * k)
    return Tokens(points, area * START.pdf(points))


def coupled(limit: Limit, seed: int, size: Size) -> tuple[Array, Array, Array, Array]:
    """Root mean squares over replicas of the coupled distance and of the H^-2 norm, with errors: (steps, counts)."""
    shape = (len(size.steps), len(size.counts))
    rms, rms_error, norm, norm_error = (np.empty(shape) for _ in range(4))
    for column, (n, replicas) in enumerate(zip(size.counts, size.replicas, strict=True)):
        starts = [sample(seed, n, replica) for replica in range(replicas)]
        twins, densities = limit.carry(np.concatenate(starts))
        squares, norms = np.empty((len(size.steps), replicas)), np.empty((len(size.steps), replicas))
        for replica, points in enumerate(starts):
            moved = push(Tokens(points), seed, size.steps)
            for row, (now, carried, density) in enumerate(zip(moved, twins, densities, strict=True)):
                gap = now - carried[replica * n : (replica + 1) * n]
                squares[row, replica] = np.einsum("ij,ij->", gap, gap) / n
                empirical = coefficients_of(Cloud(now, np.full(n, 1 / n)), SOBOLEV_DEGREE)
                norms[row, replica] = sobolev(empirical, density) ** 2
        for value, error, data in ((rms, rms_error, squares), (norm, norm_error, norms)):
            value[:, column] = np.sqrt(data.mean(axis=1))
            error[:, column] = data.std(axis=1, ddof=1) / np.sqrt(replicas) / (2 * value[:, column])
    return rms, rms_error, norm, norm_error


def quadrature(limit: Limit, seed: int, steps: tuple[int, ...]) -> tuple[Array, Array]:
    """Numbers of quadrature tokens and their coupled distance at the last step."""
    found = []
    for k in (6, 8, 10, 12, 14):
        tokens = quadrature_tokens(k)
        twins, _ = limit.carry(tokens.points)
        gap = push(tokens, seed, steps)[-1] - twins[-1]
        found.append((2 * k * k, np.sqrt(tokens.weights @ np.einsum("ij,ij->i", gap, gap))))
    numbers, rms = np.array(found).T
    return numbers, rms


def excess(limit: Limit, seed: int, size: Size) -> tuple[Array, Array, list[float]]:
    """W_2^2 of tokens to an independent sample over W_2^2 of two independent samples, at the last step."""
    ratios, errors, floors = [], [], []
    for n in size.transport:
        rows = []
        for replica in range(4):
            points = [sample(seed, n, 1000 + 3 * replica + k) for k in range(3)]
            (*_, last), _ = limit.carry(np.concatenate(points[1:]))
            tokens = push(Tokens(points[0]), seed, size.steps)[-1]
            rows.append((w2_chordal(tokens, last[:n]) ** 2, w2_chordal(last[:n], last[n:]) ** 2))
        distance, floor = np.array(rows).T
        ratios.append(distance.mean() / floor.mean())
        errors.append(ratios[-1] * np.hypot(*(a.std(ddof=1) / a.mean() / 2 for a in (distance, floor))))
        floors.append(float(np.sqrt(floor.mean())))
    return np.array(ratios), np.array(errors), floors


def study(quick: bool, seed: int) -> Findings:
    """Slopes in n at three depths, random and quadrature tokens."""
    size = QUICK if quick else FULL
    limit = Limit.of(seed, size.steps)
    counts = np.array(size.counts)
    rms, rms_error, norm, norm_error = coupled(limit, seed, size)
    fits: list[Slope] = [slope(counts, row, error) for row, error in zip(rms, rms_error, strict=True)]
    numbers, quad = quadrature(limit, seed, size.steps)
    at_last = fits[-1].prefactor * numbers[-1] ** fits[-1].value
    smooth = slope(counts, norm[-1], norm_error[-1])
    ratios, ratio_errors, floors = excess(limit, seed, size)
    depths = [0.02 * step for step in size.steps]
    parts = {
        f"coupled_depth_{depth:g}": Part(
            f"slope of the coupled distance in n at depth time {depth:g}", fit.value, fit.error, -0.5, effect=0.2
        )
        for depth, fit in reversed(list(zip(depths, fits, strict=True)))
    }
    parts["sobolev"] = Part(
        "slope in n of the H^-2 norm between tokens and density", smooth.value, smooth.error, -0.5, effect=0.2
    )
    parts["quadrature"] = Part(
        f"log10 of the coupled distance of {numbers[-1]:.0f} quadrature tokens over that of as many random ones",
        float(np.log10(quad[-1] / at_last)),
        float(np.max(rms_error[-1] / rms[-1])) / np.log(10),
        -1.0,
        effect=1.0,
        at_most=True,
    )
    constants = ", ".join(f"{fit.prefactor:.3f} at {depth:g}" for depth, fit in zip(depths, fits, strict=True))
    shown = ", ".join(
        f"n = {n}: {ratio:.3f} +- {error:.3f} (floor {floor:.3f})"
        for n, ratio, error, floor in zip(size.transport, ratios, ratio_errors, floors, strict=True)
    )
    series = [
        Series(f"random tokens, depth {depth:g}", counts, row, error)
        for depth, row, error in zip(depths, rms, rms_error, strict=True)
    ]
    series += [
        Series("quadrature tokens", numbers, quad),
        Series("H^-2 norm", counts, norm[-1], norm_error[-1]),
        Series("n^-1/2", counts, rms[-1, 0] * (counts / counts[0]) ** -0.5, dashed=True),
    ]
    table = {"n": counts}
    for depth, row, error in zip(depths, rms, rms_error, strict=True):
        table |= {f"coupled_depth_{depth:g}": row, f"coupled_depth_{depth:g}_error": error}
    return Findings(
        parts,
        Figure("number of tokens n", "distance to the limit", tuple(series), x_log=True, y_log=True),
        table | {"sobolev": norm[-1], "sobolev_error": norm_error[-1]},
        (
            f"constants c of c n^slope by depth time: {constants}",
            f"W_2^2 of tokens to a sample over its floor: {shown}",
        ),
    )
