"""What a forecast says: one JSON object, or a table of a dozen layers and what it means."""

import json
import math

import numpy as np

from particles import Array
from particles.networks import ALiBi, LayerNorm, Network, RoPE
from tokenlaw.answers.forecast.found import Found, Seen
from tokenlaw.answers.forecast.request import Request
from tokenlaw.tables import Table, finite

ROWS = 12  # layers of the table
MEANING = {
    "collapsing": "and rising; no collapse within the layers", "spreading": "and falling", "arrested": "",
    "constant": "constant: no layer moves a token",
}  # fmt: skip


def as_json(found: Found) -> str:
    """One JSON object, as docs/forecast.md explains it; null for what the method does not know."""
    seen = found.seen
    return json.dumps(finite({
        "method": found.method, "overlap": found.overlap.as_json(),
        "quantiles": seen and {share: values.tolist() for share, values in seen.quantiles.items()},
        "by_position": seen.by_position.tolist() if seen and seen.causal else None,
        "radius": found.radius.tolist(),
        "attention": seen and {"score_std": seen.score_std.tolist(), "entropy": seen.entropy.tolist(),
                               "effective_keys": seen.effective_keys.tolist()},
        "gradient": seen.gradient.as_json() if seen and seen.gradient else None,
        "stable_rank": seen and seen.stable_rank.tolist(), "collapse_layer": found.collapse_layer,
        "regime": found.regime, "exponent": found.exponent, "resting_overlap": found.resting_overlap,
        "advice": list(found.advice), "not_included": list(found.not_included),
    }))  # fmt: skip


def headline(request: Request) -> str:
    """What is forecast."""
    net, a = request.network, request.network.attention
    kind = "layer norm" if isinstance(net.norm, LayerNorm) else "RMS norm"
    parts = [
        f"d = {net.d}, {a.heads} heads of dimension {a.head_dim}",
        *([f"{a.groups} keys"] if a.groups < a.heads else []),
        f"{request.start.tokens:,} tokens", f"{net.layers} layers", f"{kind} {placed(net)}",
        *(["causal"] if a.causal else []),
        *(["RoPE"] if isinstance(a.positions, RoPE) else ["ALiBi"] if isinstance(a.positions, ALiBi) else []),
        *(["QK-norm"] if a.qk_norm else []), *block(net), *(["parallel blocks"] if net.parallel else []),
    ]  # fmt: skip
    named = "" if request.title.startswith("d = ") else f"{request.title}: "
    return f"{named}{', '.join(parts)}{'' if request.deployed else '; on the sphere'}"


def placed(net: Network) -> str:
    """Where norms stand."""
    place = net.placement
    where = "before and behind the blocks" if place.behind else "before the blocks" if place.before else ""
    return where or ("after them" if place.after else "nowhere")


def block(net: Network) -> list[str]:
    """The MLP block."""
    if net.mlp is None:
        return []
    width = "infinite width" if net.mlp.width == math.inf else f"width {int(net.mlp.width):,}"
    return [f"{'gated ' * net.mlp.gated}{net.mlp.activation.name} of {width}"]


def as_text(found: Found, request: Request, beside: Found | None = None) -> list[str | Table]:
    """A table of at most a dozen layers, then what it means; `beside`: the mean's answer, to compare with."""
    lines: list[str | Table] = [method(found), table(found), meaning(found), of_exponent(found)]
    if found.seen is not None:
        lines += of_seen(found, found.seen, request.start.tokens)
    if beside is not None:
        lines.append(compared(found, beside))
    lines += found.notes
    if found.not_included:
        lines.append(f"not in this forecast: {', '.join(found.not_included)}")
    return [*lines, *(f"  with {words}" for words in found.advice)]


def method(found: Found) -> str:
    """Which way, and of how many networks."""
    if found.method == "mean":
        return "method mean: one overlap for all pairs of tokens"
    return f"method chain: {found.networks} networks, exact in law; the band holds 90 percent of all networks"


def table(found: Found) -> Table:
    """At most a dozen layers."""
    columns: dict[str, tuple[Array, str]] = {
        "overlap": (found.overlap.mean, ".4f"), "5 %": (found.overlap.low, ".4f"), "95 %": (found.overlap.high, ".4f"),
    }  # fmt: skip
    if found.seen is not None:
        pairs = found.seen.quantiles
        columns |= {"pairs 5 %": (pairs["0.05"], ".4f"), "pairs 95 %": (pairs["0.95"], ".4f")}
        columns["eff. keys"] = (found.seen.effective_keys, ".1f")
    columns["radius"] = (found.radius, ".4g")
    if found.seen is not None and found.seen.gradient is not None:
        columns["gradient"] = (found.seen.gradient.mean, ".4g")
    layers = sorted({round(x * found.layers / (ROWS - 1)) for x in range(ROWS)})
    rows = tuple(
        (f"{k}", *("" if np.isnan(values[k]) else f"{values[k]:{form}}" for values, form in columns.values()))
        for k in layers
    )
    return Table((">5", *(">11" for _ in columns)), rows, ("layer", *columns))


def meaning(found: Found) -> str:
    """The regime in a sentence."""
    kind, end = found.regime, found.overlap.mean[-1]
    if kind == "collapse":
        return f"collapse: tokens are indistinguishable (overlap above 0.99) from layer {found.collapse_layer} on"
    if kind == "arrested":
        rest = found.resting_overlap
        where = f"at about {rest:.3g}" if rest is not None else "below 0.99, where close tokens part"
        return f"arrested: the overlap settles {where}; {end:.3g} at the end"
    return MEANING[kind] if kind == "constant" else f"{kind}: overlap {end:.3g} at the end, {MEANING[kind]}"


def of_exponent(found: Found) -> str:
    """The rate at which close tokens meet."""
    exponent = found.exponent + 0.0  # not -0
    close = "stay as close as they are" if exponent == 0 else "stay close" if exponent < 0 else "part"
    error = f" ± {found.error:.1g}" if found.error else ""
    return f"exponent of log(1 - overlap) at 0.99: {exponent:+.3g}{error} per layer (tokens that are close {close})"


def of_seen(found: Found, seen: Seen, n: int) -> list[str]:
    """Attention and gradients in sentences."""
    critical = math.sqrt(2 * math.log(n))
    first, last = seen.score_std[1], seen.score_std[-1]
    cold = "below" if max(first, last) < critical else "above"
    read = f"{(n + 1) / 2:,g} keys that it may read on average" if seen.causal else f"{n:,} keys"
    lines = [
        f"scores deviate by {first:.3g} in the first layer and {last:.3g} in the last, {cold} the value "
        f"sqrt(2 log n) = {critical:.3g} beyond which single keys win; a token reads {seen.effective_keys[-1]:.3g} of "
        f"the {read} (1/sum of squared weights), stable rank {seen.stable_rank[-1]:.3g}"
    ]
    if seen.causal:
        early = max(1, n // 8)
        lines.append(
            f"by position: token {early + 1:,} has overlap {seen.by_position[-1][early]:.3g} with those before it, the "
            f"last one {seen.by_position[-1][-1]:.3g}"
        )
    if seen.gradient is not None and (slope := found.gradient_exponent) is not None:
        lines.append(
            f"gradient: mean square {seen.gradient.mean[0]:.4g} at the start over that at the last layer, "
            f"{slope + 0.0:+.3g} of its logarithm per layer going back, over the later half"
        )
    return lines


def compared(found: Found, beside: Found) -> str:
    """How far the mean is off."""
    one, other = found.overlap.mean[-1], beside.overlap.mean[-1]
    missing = [words for words in beside.not_included if words not in found.not_included]
    leaves = f"; it leaves out: {', '.join(missing)}" if missing else ""
    return f"one overlap for all pairs (--method mean) ends at {other:.4f}, {other - one:+.4f} beside this{leaves}"


def promised(seconds: float, networks: int) -> str:
    """How long a chain takes."""
    return f"the chain of {networks} networks takes about {duration(seconds)}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    unit, size = next((one for one in (("h", 3600), ("min", 60)) if seconds > 1.5 * one[1]), ("s", 1))
    return f"{seconds / size:.2g} {unit}"
