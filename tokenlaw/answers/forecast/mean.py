"""--method mean: one overlap for all pairs (`particles.reduced.forecast`), at once and at any size.

It knows a network by a few deviations: those of the scores, of what attention and MLP add to a token, of its length.
"""

import math
from dataclasses import replace

from particles.networks import MLP as Block
from particles.networks import ALiBi, Network, PerMatrix
from particles.reduced import Architecture, Forecast, MLPKernel, forecast
from tokenlaw.answers.forecast.found import Curve, Found
from tokenlaw.answers.forecast.request import Request, deviations

REALIZATIONS = 2000  # with 400 the share of networks within the band is off by 0.03


def architecture(request: Request) -> Architecture:
    """The network as one overlap sees it; ValueError of one line where it cannot."""
    net, a = request.network, request.network.attention
    if net.placement.behind or not (net.placement.before or net.placement.after):
        raise ValueError("--method mean: knows --norm pre and post only, see --method chain")
    scales, d, pre = deviations(net), net.d, net.placement.before
    step = net.residual_scale * net.layer_scale * ((2 * net.layers) ** -0.5 if net.depth_scaled else 1.0)
    step /= request.start.std if pre else 1.0  # in the length of the tokens at the start
    if not a.head_dim <= d:
        raise ValueError(f"--head-dim: must be at most d-model = {d} for --method mean, got {a.head_dim}")
    kernel, scale = (None, 0.0) if net.mlp is None else block(net, net.mlp, scales)
    return Architecture(
        d, a.heads, a.head_dim, request.start.tokens, net.layers,
        eta=float(a.heads),  # heads are added, they are not averaged
        sigma_v=step * scales.output * (1.0 if a.whole_values else scales.value * math.sqrt(a.head_dim)),
        sigma_a=1.0 if a.qk_norm else math.sqrt(scales.query * scales.key * d), beta=abs(a.factor),
        mlp=kernel, mlp_scale=step * scale, pre_norm=pre, factored=not a.whole_values,
    )  # fmt: skip


def block(net: Network, mlp: Block, scales: PerMatrix) -> tuple[MLPKernel, float]:
    """Kernel of a wide MLP block at unit tokens, and the scale before it."""
    width = net.usual_width(mlp.gated) if mlp.width == math.inf else int(mlp.width)
    up, gate = scales.up * math.sqrt(net.d), scales.gate * math.sqrt(net.d)
    kernel = MLPKernel(mlp.activation, gate, up) if mlp.gated else MLPKernel(mlp.activation, up)
    return kernel, scales.down * math.sqrt(width / net.d)


def missing(request: Request) -> tuple[str, ...]:
    """What of the network asked for one overlap leaves out."""
    net, a = request.network, request.network.attention
    kind = "ALiBi" if isinstance(a.positions, ALiBi) else "RoPE"
    parts = {
        "causal mask": a.causal,
        f"positions ({kind})": a.positions is not None,
        "shared keys" + ("" if a.whole_values else " and values"): a.groups < a.heads,
        "QK-norm, but for the scale of the scores": a.qk_norm,
        "parallel blocks (here one behind the other)": net.parallel,
        "finite width of the MLP": request.own_width and net.mlp is not None and net.mlp.width < math.inf,
        "epsilon of the norms": net.norm.eps > 0,
        "length of the tokens before the first layer": net.placement.after and abs(request.start.std - 1) > 1e-9,
    }
    return (*(words for words, there in parts.items() if there), *request.start.beside, *request.not_included)


def possible(request: Request) -> bool:
    """Whether one overlap can stand for the network at all."""
    try:
        architecture(request)
    except ValueError:
        return False
    return True


def averaged(request: Request, seed: int, realizations: int = REALIZATIONS, samples: int | None = None) -> Found:
    """The forecast of one overlap.

    samples : heads for each overlap of its table; None for as many as it wants.
    """
    base, start = architecture(request), request.start
    found = forecast(base, start.overlap, realizations=realizations, seed=seed, samples=samples, drawn=start.drawn)
    low, high = found.band
    scale, rest = start.std if base.pre_norm else 1.0, found.resting_overlap()
    rising = found.drift(found.mean[-1:])[0] > 0
    course = "arrested" if rest is not None else "collapsing" if rising else "spreading"
    return Found(
        "mean", realizations, Curve(found.mean, low, high), scale * found.radius, found.exponent(), 0.0, request.moves,
        course, rest,
        not_included=missing(request), notes=start.notes,
    )  # fmt: skip


def until_collapse(request: Request, seed: int, deepest: int) -> Forecast:
    """The course to the collapse, of fewer realizations, in networks of so many layers like the one asked for."""
    base, start = replace(architecture(request), layers=deepest), request.start
    return forecast(base, start.overlap, realizations=50, seed=seed, samples=32, until_collapse=True, drawn=start.drawn)
