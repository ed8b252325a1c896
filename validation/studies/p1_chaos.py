"""P1, propagation of chaos on S^2: tokens against the flow of the limit law, on one realization of the noise.

E |X_i - X_i'|^2 between tokens X and their twins X', which start together and are carried by the flow of the density,
has no sampling floor.  Beside it W_2 to an independent sample against its floor, and the H^-2 norm to the density.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from particles import (
    Array,
    Cloud,
    Coefficients,
    DirectField,
    FieldFactory,
    GaussianHeads,
    Homogenized,
    Noise,
    Softmax,
    Stream,
    TokenFlow,
    Tokens,
    TokenState,
    VonMisesFisherMixture,
    gauss_grid,
)
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere
from validation.distances import coefficients_of, sobolev, w2_chordal
from validation.estimates import Fitted, LinearFit, columns, exponent, root_mean, slope
from validation.studies.shared.sources import HOMOGENIZED
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "propagation of chaos",
    "n random tokens stay within C n^(-1/2) of the flow of the limit law, in root mean square, at every fixed "
    "depth time",
    HOMOGENIZED,
    "the rate holds; a bound by (C_T/n) sum_i E|x_i(0) - xbar_i(0)|^2, as others restate it, does not: tokens that "
    "start on their copies part, a sampling term C_T/n is missing",
    "the H^-2 norm between tokens and density, from coefficients and without twins",
)

START = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1.0], [1.0, 0, 0]], [2.0, 3.0])  # type: ignore[arg-type]
ATTENTION = Softmax(2.0)
LMAX, CARRIED = 63, (48, 96)
SOBOLEV_DEGREE = 40
ENDS = ((0, ""), (1, "_error"))  # of the names of columns


@dataclass(frozen=True)
class Size:
    """How much is computed: token numbers with their replicas, steps, numbers for W_2."""

    counts: tuple[int, ...]
    replicas: tuple[int, ...]
    steps: tuple[int, ...]
    transport: tuple[int, ...]


QUICK = Size(tuple(2**k for k in range(5, 12)), (256, 256, 192, 128, 64, 32, 24), (10, 25, 50), (128, 512))
FULL = Size(
    tuple(2**k for k in range(5, 21)),
    (64,) * 6 + (48, 32, 24, 16, 12, 8, 6, 4, 4, 3),
    (10, 50, 100),
    (128, 512, 2048, 4096),
)


def law(seed: int) -> Homogenized:
    """Gaussian heads, the usual normalisation, dt = 0.02."""
    return Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), ATTENTION, dt=0.02, nodes=8, noise=Noise(seed))


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
    field: FieldFactory = SpectralField if len(tokens) >= 512 else DirectField
    flow = TokenFlow(law(seed), field)
    for step in steps:
        state = flow.advance(state, step)
        found.append(state.points)
    return found


def sample(seed: int, n: int, replica: int) -> Array:
    """Independent tokens of one replica."""
    return START.sample(Noise(seed).generator(Stream.TOKENS, n, replica), n)


def quadrature_tokens(k: int) -> Tokens:
    """Gauss nodes k x 2k weighted by the start."""
    points, area = gauss_grid(k, 2 * k)
    return Tokens(points, area * START.pdf(points))


def coupled(limit: Limit, seed: int, size: Size) -> Array:
    """Root mean squares over replicas of coupled distance and H^-2 norm, with errors: (2, steps, 2, counts)."""
    found = []
    for n, replicas in zip(size.counts, size.replicas, strict=True):
        starts = [sample(seed, n, replica) for replica in range(replicas)]
        twins, densities = limit.carry(np.concatenate(starts))
        squares = np.empty((2, len(size.steps), replicas))
        for replica, points in enumerate(starts):
            moved = push(Tokens(points), seed, size.steps)
            for row, (now, carried, density) in enumerate(zip(moved, twins, densities, strict=True)):
                gap = now - carried[replica * n : (replica + 1) * n]
                empirical = coefficients_of(Cloud(now, np.full(n, 1 / n)), SOBOLEV_DEGREE)
                squares[:, row, replica] = np.einsum("ij,ij->", gap, gap) / n, sobolev(empirical, density) ** 2
        found.append([np.transpose(columns(map(root_mean, rows))) for rows in squares])
    return np.moveaxis(np.array(found), 0, -1)


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


def excess(limit: Limit, seed: int, size: Size) -> str:
    """W_2^2 of tokens to an independent sample over W_2^2 of two independent samples, at the last step."""
    shown = []
    for n in size.transport:
        rows = []
        for replica in range(4):
            points = [sample(seed, n, 1000 + 3 * replica + k) for k in range(3)]
            (*_, last), _ = limit.carry(np.concatenate(points[1:]))
            tokens = push(Tokens(points[0]), seed, size.steps)[-1]
            rows.append((w2_chordal(tokens, last[:n]) ** 2, w2_chordal(last[:n], last[n:]) ** 2))
        distance, floor = np.array(rows).T
        ratio = distance.mean() / floor.mean()
        error = ratio * np.hypot(*(a.std(ddof=1) / a.mean() / 2 for a in (distance, floor)))
        shown.append(f"n = {n}: {ratio:.3f} +- {error:.3f} (floor {np.sqrt(floor.mean()):.3f})")
    return ", ".join(shown)


def of_twins(counts: Array, rms: Array, errors: Array) -> Fitted:
    """n times the mean square distance, n -> infinity."""
    return leading(counts, counts * rms**2, 2 * counts * rms * errors)


def leading(counts: Array, values: Array, errors: Array) -> Fitted:
    """c of c (1 + O(1/n)), the next term fitted."""
    small = counts.min() / counts
    fit = LinearFit.of([np.ones(len(small)), small], values, errors)
    return fit.number(0, min(1.0, fit.size(1) / np.abs(values).max()) * fit.size(1) * small**2)


def nested(seed: int, size: Size, quick: bool) -> Fitted:
    """The same without a density: E |x^n - x^N|^2 = c (1/n - 1/N) (1 + O(1/n)) of n among N = 2048 tokens."""
    few, whole = (32, 64, 128, 256), 2048
    found = np.empty((12 if quick else 96, len(few)))
    for replica, row in enumerate(found):
        points = sample(seed, whole, 2000 + replica)
        end = push(Tokens(points), seed, size.steps)[-1]
        for place, n in enumerate(few):
            subsets = [slice(k * n, (k + 1) * n) for k in range(4)]
            gaps = [push(Tokens(points[s]), seed, size.steps)[-1] - end[s] for s in subsets]
            row[place] = np.mean(np.square(gaps)) * 3 / (1 / n - 1 / whole)
    values = found.mean(axis=0)
    return leading(np.array(few), values, np.cov(found.T) / len(found))


def exponents(found: Mapping[str, Fitted]) -> dict[str, Part]:
    """Parts of the exponents of n by depth time, the last depth first."""
    parts = {
        f"coupled_depth_{depth}": Part.of(
            f"exponent of n in the coupled distance at depth time {depth}; a bound", fit, -0.5, at_most=True,
            excludes={"n^-1/4": -0.25},
        )
        for depth, fit in reversed(list(found.items()))
    }  # fmt: skip
    depth, fit = list(found.items())[-1]
    parts["sharp"] = Part.of(
        f"exponent of n in the coupled distance at depth time {depth}: how sharp the bound is", fit, -0.5,
        excludes={"1/n": -1.0, "n^-1/4": -0.25}, aside=True,
    )  # fmt: skip
    return parts


def study(quick: bool, seed: int) -> Findings:
    """Exponents of n at three depths, random and quadrature tokens."""
    size = QUICK if quick else FULL
    limit, counts = Limit.of(seed, size.steps), np.array(size.counts)
    distances, norms = coupled(limit, seed, size)
    by_depth = {f"{0.02 * step:g}": found for step, found in zip(size.steps, distances, strict=True)}
    fits = {depth: slope(counts, *found) for depth, found in by_depth.items()}
    bent = {depth: exponent(counts, *found, order=-1) for depth, found in by_depth.items()}
    (rms, error), last, smooth = distances[-1], list(fits.values())[-1], exponent(counts, *norms[-1], order=-1)
    numbers, quad = quadrature(limit, seed, size.steps)
    parts = exponents(bent)
    apart, other = of_twins(counts, *distances[-1]), nested(seed, size, quick)
    parts["twins"] = Part(
        f"n times the mean square distance at depth time {list(bent)[-1]} of tokens that start on their twins, n -> "
        "infinity, a bound by distances at the start",
        apart.value, apart.error, 0.0, None, apart.bias, at_most=True, fit=apart.fit, aside=True,
        excludes={"of n tokens to themselves among 2048": other.value},
    )  # fmt: skip
    parts["quadrature"] = Part(
        f"log10 of the coupled distance of {numbers[-1]:.0f} quadrature tokens over that of as many random ones",
        float(np.log10(quad[-1] / (last.prefactor * numbers[-1] ** last.value))),
        float(np.max(error / rms)) / np.log(10), -1.0, at_most=True, excludes={"no nearer": 0.0}, aside=True,
    )  # fmt: skip
    series = [
        *(Series(f"random tokens, depth {depth}", counts, *found) for depth, found in by_depth.items()),
        Series("quadrature tokens", numbers, quad),
        Series("H^-2 norm", counts, *norms[-1]),
        Series("n^-1/2", counts, rms[0] * (counts / counts[0]) ** -0.5, dashed=True),
    ]
    table = {f"coupled_depth_{depth}{end}": found[k] for depth, found in by_depth.items() for k, end in ENDS}
    constants = ", ".join(f"{fit.prefactor:.3f} at {depth}" for depth, fit in fits.items())
    return Findings(
        parts,
        Figure("number of tokens n", "distance to the limit", tuple(series), x_log=True, y_log=True),
        {"n": counts, **table, "sobolev": norms[-1, 0], "sobolev_error": norms[-1, 1]},
        (
            f"constants c of c n^slope by depth time: {constants}",
            f"W_2^2 of tokens to a sample over its floor: {excess(limit, seed, size)}",
        ),
        Second(smooth.value, smooth.error, smooth.bias),
    )
