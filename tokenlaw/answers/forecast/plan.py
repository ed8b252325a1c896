"""Which method answers, with how many networks, how exactly: what fits into half a minute, and what it takes else.

Half a minute of one core: the answer does not depend on how many there are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from particles.machine import available, size
from particles.networks import GivenTokens, Network
from tokenlaw.answers.forecast import cost, mean
from tokenlaw.answers.forecast.request import Request, endless

BUDGET = 17.0  # seconds for networks; the rest of half a minute is for exponents, advice and the start
SOON = 7.0  # seconds in which as many networks as fit are drawn without being asked for
MOST, ENOUGH, LEAST = 200, 16, 4  # networks: at most, without a coarser way, and for a chain at all


@dataclass(frozen=True, eq=False)
class Plan:
    """How a request is answered.

    Attributes
    ----------
    method : "chain" or "mean".   network : that of the request, perhaps with an MLP of infinite width.
    networks : how many.   dtype : of their blocks.   gradients : whether they are wanted.
    seconds : of the whole chain on one core, about; also where the mean answers.   notes : what a reader should know.
    """

    method: str
    network: Network
    networks: int = 0
    dtype: Any = np.float64
    gradients: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """Whether blocks compute in single precision."""
        return bool(self.dtype == np.float32)

    def each(self, network: Network, n: int, gradients: bool = False) -> float:
        """Seconds of a network like it, of n tokens."""
        return cost.seconds(network, n, gradients, self.single)


def plan(request: Request, method: str | None, count: int | None, gradients: bool) -> Plan:
    """The first way, from the most exact, in which enough networks fit; else the fastest, or the mean.

    Whoever gives the number of networks, or asks for gradients, asks for the chain.
    """
    if method == "mean":
        mean.architecture(request)  # its rules
        return Plan("mean", request.network)
    ways = list(_ways(request, gradients))
    fits = [math.floor(BUDGET / way.seconds) for way in ways]
    enough = ENOUGH if count is None else count
    way, fit = next(((way, fit) for way, fit in zip(ways, fits, strict=True) if fit >= enough), (ways[-1], fits[-1]))
    soon = math.floor(SOON / way.seconds)
    networks = max(LEAST, min(MOST, fit, max(soon, ENOUGH))) if count is None else count
    fitted = replace(way, networks=networks, seconds=networks * way.seconds, notes=_notes(request, way))
    within = fit >= (LEAST if count is None else count) and _memory(way.network, request) < available()
    if method is None and count is None and not within and not gradients and mean.possible(request):
        return replace(fitted, method="mean", network=request.network, notes=())
    if _memory(way.network, request) > available():
        need = size(_memory(way.network, request))
        instead = ", or --method mean" * (mean.possible(request) and not gradients)
        raise ValueError(
            f"{'--tokens' if isinstance(request.start.law, GivenTokens) else '--context'}: {request.start.tokens:,} "
            f"tokens need about {need} of memory for the chain, {size(available())} are available; take fewer{instead}"
        )
    return fitted


def _ways(request: Request, gradients: bool) -> Iterator[Plan]:
    """Plans of one network, with its seconds: double precision, single, an MLP of infinite width."""
    net, n, mlp = request.network, request.start.tokens, request.network.mlp
    for single in (False,) if gradients else (False, True):
        seconds = cost.seconds(net, n, gradients, single)
        yield Plan("chain", net, 1, np.float32 if single else np.float64, gradients, seconds)
    if mlp is not None and mlp.width < math.inf and request.normed and not request.own_width and not gradients:
        wide = endless(net)
        yield Plan("chain", wide, 1, np.float32, False, cost.seconds(wide, n, False, True))


def _notes(request: Request, way: Plan) -> tuple[str, ...]:
    wide = way.network is not request.network
    bare = ", without the epsilon of the norm before it" * (way.network.norm.eps > 0)
    return (
        *(("blocks compute in single precision: overlaps to four digits",) if way.single else ()),
        *((f"the MLP is taken as infinitely wide{bare} (--mlp-width W for its own)",) if wide else ()),
    )


def _memory(network: Network, request: Request) -> float:
    return cost.memory(network, request.start.tokens)
