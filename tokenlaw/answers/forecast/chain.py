"""--method chain: networks drawn from the exact law of their overlaps (`particles.networks`), bands, whole layers."""

import math
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from particles import Array
from particles.machine import available, side_by_side
from particles.networks import Embedded, Network, Simplex, Start
from tokenlaw.answers.forecast import cost
from tokenlaw.answers.forecast.bands import of_overlap, of_positive
from tokenlaw.answers.forecast.found import INDISTINGUISHABLE, Found, Seen
from tokenlaw.answers.forecast.plan import Plan
from tokenlaw.answers.forecast.request import Request

if TYPE_CHECKING:
    import xarray as xr

ATTENTION = ("stable_rank", "score_std", "entropy", "effective_keys")
GRID = 9  # overlaps at which the drift is asked for
EXPONENT, RESTING = 0.25, 0.3  # layers gone through for these, over those of the chain itself
FEWEST, MOST = 16, 400  # networks of which a whole layer is applied
KNOWN = 0.05  # standard error of a resting overlap that is told
Tell = Callable[[int], None]
Layers = tuple[float, float, bool, str, float | None]


def nobody(_: int) -> None:
    """Who does not want to know how far a chain is."""


def drawn(
    network: Network, start: Start, networks: int, seed: int, *, tell: Tell = nobody, **more: Any
) -> "xr.Dataset":
    """`Network.chain`, networks side by side; the number of threads changes no bit."""
    import xarray as xr

    behind = count(1)

    def one(number: int) -> "xr.Dataset":
        return network.chain(start, 1, seed, first=number, progress=lambda _: tell(next(behind)), **more)

    room = int(available() / cost.memory(network, start.tokens))
    return xr.concat(side_by_side(one, range(networks), max(1, room)), "network")


def passes(plan: Plan) -> int:
    """Layers that `chained` goes through, there and back: the last number that it tells."""
    return plan.networks * plan.network.layers * (1 + plan.gradients)


def chained(request: Request, plan: Plan, seed: int, tell: Tell = nobody) -> Found:
    """The forecast of the chain."""
    data = drawn(plan.network, request.start.law, plan.networks, seed, gradients=plan.gradients, dtype=plan.dtype,
                 tell=tell)  # fmt: skip
    mean = data.mean("network")
    return Found(
        "chain", plan.networks, of_overlap(data["gap"].values), mean["radius"].values,
        *of_layers(plan, request, data, seed), seen_in(data, mean, request.network.attention.causal),
        not_included=request.not_included, notes=(*plan.notes, *request.start.notes),
    )  # fmt: skip


def seen_in(data: "xr.Dataset", mean: "xr.Dataset", causal: bool) -> Seen:
    """What the chain sees beside the overlap."""
    shares = [f"{share:g}" for share in data["quantile"].values]
    quantiles = dict(zip(shares, mean["cosine_quantile"].values.T, strict=True))
    gradient = of_positive(data["gradient"].values) if "gradient" in data else None
    names = {"by_position": "overlap_at"} | {name: name for name in ATTENTION}
    curves = {name: mean[other].values for name, other in names.items()}
    return Seen(quantiles, causal=causal, gradient=gradient, **curves)


# --- whole layers at given overlaps


def of_layers(plan: Plan, request: Request, data: "xr.Dataset", seed: int) -> Layers:
    """Exponent and its standard error, whether layers move tokens, course and resting overlap, as in `Found`.

    Where tokens that are close part, what rises comes to rest: where a layer at equal overlaps changes their mean no
    more.  Behind a mask overlaps are not equal, and a resting overlap that has been passed is none.
    """
    if not request.moves:
        return 0.0, 0.0, False, "constant", None
    n, radius = request.start.tokens, float(data["radius"][:, -1].mean())
    layers = plan.networks * plan.network.layers  # that the chain has gone through
    rate = after(plan, n, INDISTINGUISHABLE, radius, seed, share(EXPONENT * layers))
    exponent, error = float(rate.mean()), float(rate.std(ddof=1) / len(rate) ** 0.5)
    overlap = 1 - data["gap"].values.mean(axis=0)
    if overlap.max() > INDISTINGUISHABLE or exponent < 2 * error:  # whether close tokens part must be known
        rises = overlap.max() > INDISTINGUISHABLE or overlap[-1] > overlap[-2]
        return exponent, error, True, "collapsing" if rises else "spreading", None

    def rates(at: float, number: int) -> Array:
        return np.asarray(-np.expm1(after(plan, n, at, radius, seed + number, share(RESTING * layers / GRID))))

    rest, known = resting(rates, max(0.0, float(overlap[0])))
    passed = plan.network.attention.causal and rest is not None and rest < overlap[-1]
    arrested = rest is not None or overlap[-1] > overlap[0]
    return exponent, error, True, "arrested" if arrested else "spreading", None if passed or not known else rest


def share(count: float) -> int:
    """Networks for a whole layer, of so many that may be gone through."""
    return int(min(MOST, max(FEWEST, count)))


def resting(rates: Callable[[float, int], Array], start: float) -> tuple[float | None, bool]:
    """Least overlap above the start at which the drift changes from rising to falling, and whether it is known well.

    rates : of an overlap and a number of random numbers, the drift over 1 - overlap of several networks.  A parabola is
    laid through their means.
    """
    grid = np.linspace(start, INDISTINGUISHABLE, GRID)
    values = [rates(float(at), number) for number, at in enumerate(grid, start=1)]
    means = np.array([one.mean() for one in values])
    errors = np.array([one.std(ddof=1) / len(one) ** 0.5 for one in values]) + 1e-12
    curve, covariance = np.polyfit(grid, means, 2, w=1 / errors, cov="unscaled")
    slope = np.polyder(curve)
    turns = [x.real for x in np.roots(curve) if x.imag == 0 and start <= x.real <= INDISTINGUISHABLE]
    falling = [x for x in turns if np.polyval(slope, x) < 0]
    if not falling:
        return None, True
    powers = np.array([falling[0] ** 2, falling[0], 1])
    error = math.sqrt(powers @ covariance @ powers) / abs(np.polyval(slope, falling[0]))
    return float(falling[0]), bool(error < KNOWN)


def after(plan: Plan, n: int, overlap: float, radius: float, seed: int, networks: int) -> Array:
    """Change of log(1 - overlap) in one layer, from tokens of one overlap and length, by network."""
    network = plan.network
    start = equal(network.d, n, overlap, radius)
    data = drawn(network, start, networks, seed, layers=1, dtype=plan.dtype)
    gap: Array = data["gap"].values
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(gap[:, 1] / gap[:, 0]))


def equal(d: int, n: int, overlap: float, radius: float) -> Start:
    """Tokens of equal overlaps; of more than d tokens, drawn ones that share a part."""
    if n <= d:
        return Simplex(n, overlap, radius)
    return Embedded(n, words=radius * (1 - overlap) ** 0.5, shared=radius * overlap**0.5)
