"""What one change at a time would do, each change forecast by the method that answers, with few networks."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from particles import ArgumentError, Array
from particles.networks import (
    Embedded,
    GivenTokens,
    Independent,
    Network,
    Normed,
    PostNorm,
    PreNorm,
    SelfAttention,
    Simplex,
    Start,
)
from tokenlaw.answers.forecast import chain, mean
from tokenlaw.answers.forecast.beginning import Beginning
from tokenlaw.answers.forecast.found import INDISTINGUISHABLE
from tokenlaw.answers.forecast.plan import Plan
from tokenlaw.answers.forecast.request import Request

MOST = 5  # pieces of advice: those that change the overlap most
NETWORKS, FEWEST, TOKENS = 12, 2, 24  # networks, at most and at least; tokens, at least
SECONDS, SHARE = 4.0, 0.25  # for all advice: this long, or this share of the forecast's own time
REALIZATIONS = 100

Change = tuple[str, Request]


@dataclass(frozen=True)
class Outcome:
    """What a network does: overlap by layer, exponent, gradient at the start (NaN where it was not asked for).

    error : standard error of the exponent; one below two of them is not told.
    """

    overlap: Array
    exponent: float
    gradient: float = math.nan
    error: float = 0.0

    @property
    def gap(self) -> float:
        """log(1 - overlap) at the end."""
        return float(np.log(max(1 - self.overlap[-1], 1e-15)))

    def __str__(self) -> str:
        above, layers = np.flatnonzero(self.overlap > INDISTINGUISHABLE), len(self.overlap) - 1
        course = f"overlap {self.overlap[-1]:.3g} after {layers} layers"
        course = f"collapse at layer {above[0]}" if above.size else course
        gradient = "" if math.isnan(self.gradient) else f", gradient {self.gradient:.3g} at the start"
        if self.error and not abs(self.exponent) > 2 * self.error:
            return f"{course}{gradient}"
        error = f" ± {self.error:.1g}" if self.error else ""
        return f"{course}, exponent {self.exponent + 0.0:+.2g}{error} per layer{gradient}"


def changes(request: Request) -> Iterator[Change]:
    """Networks that differ in one thing; what a network cannot be is passed over."""
    for words, what in (*of_blocks(request.network), *of_heads(request.network.attention)):
        with suppress(ArgumentError):
            network = replace(request.network, **what)
            yield words, replace(request, network=network)
    yield other_start(request)


def of_blocks(net: Network) -> Iterator[tuple[str, dict[str, Any]]]:
    """Scales and norms."""
    yield "half the residual scale", {"residual_scale": net.residual_scale / 2}
    if not net.depth_scaled and net.layers > 1:
        yield "output matrices times (2 layers)^-1/2", {"depth_scaled": True}
    if net.placement.before:
        yield "norms behind the blocks", {"placement": PostNorm()}
    else:
        yield "norms before the blocks", {"placement": PreNorm()}


def of_heads(a: SelfAttention) -> Iterator[tuple[str, dict[str, Any]]]:
    """Temperature, norm, sharing and size of the heads."""
    small = a.head_dim // 4
    size = f"{small} instead of {a.head_dim}"
    several: dict[str, dict[str, Any]] = {
        "a quarter of the temperature": {"score_scale": 4 * a.score_scale},
        "four times the temperature": {"score_scale": a.score_scale / 4},
    }  # fmt: skip
    several |= {} if a.qk_norm else {"QK-norm": {"qk_norm": True}}
    several |= {} if a.groups == a.heads else {"keys and values for each head": {"kv_heads": a.heads}}
    if small and a.whole_values:
        several[f"head dimension {size}"] = {"head_dim": small}
    elif small:  # as many values in all
        more = {"head_dim": small, "heads": 4 * a.heads, "kv_heads": 4 * a.groups}
        several[f"{4 * a.heads} heads of dimension {size}"] = more
    for words, what in several.items():
        with suppress(ArgumentError):
            yield words, {"attention": replace(a, **what)}


def other_start(request: Request) -> Change:
    """From other tokens."""
    start, n, d = request.start, request.start.tokens, request.network.d
    if start.overlap > 0.05:
        law: Start = Independent(n, start.std)
        return "independent tokens at the start", replace(request, start=Beginning(law, 0.0, True, start.std))
    law = chain.equal(d, n, 0.5, start.std)
    return "tokens that start at overlap 0.5", replace(request, start=Beginning(law, 0.5, n > d, start.std))


def by_mean(request: Request, seed: int) -> list[str]:
    """Advice of the mean."""

    def outcome(one: Request) -> Outcome:
        found = mean.averaged(one, seed, REALIZATIONS)
        return Outcome(found.overlap.mean, found.exponent)

    return _most(outcome(request), [(words, outcome(one)) for words, one in changes(request) if mean.possible(one)])


def by_chain(request: Request, plan: Plan, seed: int) -> list[str]:
    """Advice of the chain, of fewer networks; of fewer tokens and without gradients where these take too long."""
    wanted = list(changes(replace(request, network=plan.network)))
    n, networks, gradients = sized(request.start.tokens, plan, 1 + len(wanted))

    def outcome(one: Request) -> Outcome:
        law = one.start.law if n == request.start.tokens else first(one.start.law, n)
        short = replace(plan, network=one.network, networks=networks)
        data = chain.drawn(one.network, law, networks, seed, gradients=gradients, dtype=plan.dtype)
        radius = float(data["radius"][:, -1].mean())
        rates = chain.after(short, n, INDISTINGUISHABLE, radius, seed, max(chain.FEWEST, networks))
        error = float(rates.std(ddof=1)) / len(rates) ** 0.5
        gradient = float(data["gradient"][:, 0].mean()) if gradients else math.nan
        return Outcome(data["overlap"].values.mean(axis=0), float(rates.mean()), gradient, error)

    base = outcome(replace(request, network=plan.network))
    told = _most(base, [(words, outcome(one)) for words, one in wanted])
    if n == request.start.tokens:
        return told
    return [f"{n} tokens, nothing else: {base}", *(f"{n} tokens and {one}" for one in told)]


def sized(tokens: int, plan: Plan, count: int) -> tuple[int, int, bool]:
    """Tokens, networks and whether gradients too, for so many forecasts that together take no longer than allowed."""
    layers, allowed = plan.network.layers, max(SECONDS, SHARE * plan.seconds) / count
    for gradients in (True, False) if plan.gradients else (False,):
        n = tokens
        while True:
            left = allowed - plan.each(plan.network, n) * chain.FEWEST / layers
            networks = int(min(NETWORKS, left / plan.each(plan.network, n, gradients)))
            if networks >= FEWEST:
                return n, networks, gradients
            if n <= TOKENS:
                break
            n = max(TOKENS, n // 2)
    return n, FEWEST, False


def first(law: Start, n: int) -> Start:
    """The law of the first n tokens."""
    if isinstance(law, Normed):
        return Normed(first(law.start, n), law.norm)
    if isinstance(law, GivenTokens):
        return GivenTokens(law.points[:n])
    if isinstance(law, Embedded):
        return replace(law, n=n, fixed=None if law.fixed is None else law.fixed[:, :n])
    assert isinstance(law, Independent | Simplex)
    return replace(law, n=n)


def _most(base: Outcome, outcomes: list[tuple[str, Outcome]]) -> list[str]:
    """The changes with the largest effect on log(1 - overlap) at the end, in the order in which they were made."""
    effects = sorted((abs(one.gap - base.gap) for _, one in outcomes), reverse=True)
    least = effects[MOST - 1] if len(effects) > MOST else 0.0
    return [f"{words}: {one}" for words, one in outcomes if abs(one.gap - base.gap) >= least][:MOST]
