"""What is asked for, as objects: a network, the law of its tokens, and what no method knows of either."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from particles.networks import (
    MLP,
    ALiBi,
    Initialisation,
    LayerNorm,
    LeCun,
    Network,
    NoNorm,
    Norm,
    Normal,
    PeriNorm,
    PerMatrix,
    PostNorm,
    PreNorm,
    RMSNorm,
    RoPE,
    SelfAttention,
    Xavier,
)
from tokenlaw.answers.forecast.beginning import Beginning, beginning, check_memory, given_tokens, read
from tokenlaw.answers.forecast.options import activation_of, deployed, settings_of, told
from tokenlaw.answers.forecast.presets import Embedding, Preset

NORMS: Mapping[str, Callable[[float], Norm]] = {"rms": RMSNorm, "layer": LayerNorm}
PLACEMENTS = {"pre": PreNorm, "post": PostNorm, "peri": PeriNorm, "none": NoNorm}


@dataclass(frozen=True, eq=False)
class Request:
    """What a forecast is of.

    Attributes
    ----------
    title : a few words.   network, start : what is forecast.
    not_included : what of the architecture asked for no method has.
    own_width : whether the width of the MLP was asked for, and is not to be taken as infinite.
    deployed : whether the matrices have a stated initialisation.
    """

    title: str
    network: Network
    start: Beginning
    not_included: tuple[str, ...] = ()
    own_width: bool = False
    deployed: bool = True

    @property
    def normed(self) -> bool:
        """Whether the MLP reads tokens behind a norm."""
        place = self.network.placement
        return place.before or (place.after and not self.network.parallel)

    @property
    def moves(self) -> bool:
        """Whether any layer moves a token."""
        return any(branch.step * deviation > 0 for branch in self.network.branches for _, deviation in branch.blocks)


def request_of(preset: str | None, given: Mapping[str, Any]) -> Request:
    """The request of a set of options (None where not given); ValueError of one line for what cannot be."""
    published, settings = settings_of(preset, given)
    points = read(settings["tokens"]) if settings.get("tokens") is not None else None
    if points is not None:
        changes = {name: value for name, value in given.items() if value is not None}
        changes |= {"d_model": points.shape[1], "context": points.shape[0]}
        settings = changes if published is None else published.settings(changes)
    with told():
        network = network_of(settings)
    embedding = Embedding() if published is None else published.embedding
    on_sphere = not deployed(settings) and "embedding_std" not in settings
    check_memory(settings, embedding)
    with told(std="embedding_std"):
        if points is None:
            start = beginning(settings, embedding, network, on_sphere)
        else:
            start = given_tokens(math.sqrt(network.d) * points if on_sphere else points)
    return Request(
        title_of(published, network), network, start, (*left_out(published, settings), *without_epsilon(network)),
        own_width=given.get("mlp_width") is not None, deployed=deployed(settings),
    )  # fmt: skip


def left_out(published: Preset | None, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a preset no method has."""
    if published is None:
        return ()
    own = "overlap0" in settings or "tokens" in settings
    window = published.window
    narrow = () if window is None or settings["context"] <= window else (f"window of {window:,} tokens",)
    return (*published.not_included, *narrow, *(() if own else published.start_not_included))


def without_epsilon(network: Network) -> tuple[str, ...]:
    """What an infinitely wide MLP leaves out."""
    wide = network.mlp is not None and network.mlp.width == math.inf
    return ("epsilon of the norm before the infinitely wide MLP",) if wide and network.norm.eps > 0 else ()


def title_of(published: Preset | None, network: Network) -> str:
    """A few words."""
    if published is not None:
        return published.title
    return f"d = {network.d}, {network.attention.heads} heads"


# --- the network


def network_of(settings: Mapping[str, Any]) -> Network:
    """The network of a set of options, as docs/forecast.md explains them."""
    d, heads, head_dim = settings["d_model"], settings["heads"], settings.get("head_dim")
    if head_dim is None and d % heads:
        raise ValueError(f"--head-dim: must be given where d-model = {d} is no multiple of heads = {heads}")
    head_dim = head_dim or d // heads
    placement = settings.get("norm") or ("pre" if settings.get("pre_norm", deployed(settings)) else "post")
    attention = SelfAttention(
        heads, head_dim, settings.get("kv_heads"), bool(settings.get("causal")), positions_of(settings),
        bool(settings.get("qk_norm")), settings.get("score_scale", 1.0),
    )  # fmt: skip
    norm = NORMS[settings.get("norm_kind", "rms")](settings.get("norm_eps", 0.0))
    network = Network(
        d, settings["layers"], attention, mlp_of(settings), norm,
        PLACEMENTS[placement](), bool(settings.get("parallel_blocks")), settings.get("residual_scale", 1.0),
        settings.get("layer_scale", 1.0), bool(settings.get("depth_scaled")), Normal(),
    )  # fmt: skip
    if deployed(settings):
        network = replace(network, initialisation=stated(settings))
        return endless(network) if settings.get("mlp_width") == math.inf else network
    beta = settings.get("beta", head_dim**-0.5) * math.sqrt(head_dim)
    attention = replace(attention, whole_values=True, score_scale=beta * attention.score_scale)
    scales = on_the_sphere(network, settings)
    return replace(network, attention=attention, residual_scale=1.0, initialisation=scales)


def positions_of(settings: Mapping[str, Any]) -> RoPE | ALiBi | None:
    """What tells the places of tokens apart in the scores."""
    kind = settings.get("positions", "none")
    return RoPE(settings.get("rope_base", 10_000.0)) if kind == "rope" else ALiBi() if kind == "alibi" else None


def mlp_of(settings: Mapping[str, Any]) -> MLP | None:
    """The MLP block, if there is one; 4 d wide, 8 d/3 where gated."""
    activation, gated = activation_of(settings.get("mlp", "none"))
    if activation is None:
        return None
    d = settings["d_model"]
    width = settings.get("mlp_width", max(1, round(8 * d / 3)) if gated else 4 * d)
    return MLP(activation, settings.get("own_width", width) if width == math.inf else width, gated)


def stated(settings: Mapping[str, Any]) -> Initialisation:
    """The initialisation of a deployed network."""
    if "init_std" in settings:
        return Normal(settings["init_std"])
    return Xavier() if settings["init"] == "xavier" else LeCun()


def on_the_sphere(network: Network, settings: Mapping[str, Any]) -> PerMatrix:
    """Deviations of x + (eta/H) sum_h V_h m_h(x) on the unit sphere, at tokens of length d^1/2.

    V is whole, its entries of deviation sigma_v; A = W W'^T, entries sigma_a; the inputs of an activation deviate by
    mlp_gain at a unit token, and mlp_scale stands before the block, whose hidden units are averaged.
    """
    length, heads = math.sqrt(network.d), network.attention.heads
    sigma_a, gain = settings.get("sigma_a", 1.0) / length, settings.get("mlp_gain", 1.0) / length
    output = settings.get("sigma_v", 1 / length) * settings.get("residual_scale", 1.0) / heads
    mlp, down = network.mlp, 0.0
    if mlp is not None:
        width = network.usual_width(mlp.gated) if mlp.width == math.inf else mlp.width
        down = settings.get("mlp_scale", 1.0) * math.sqrt(network.d / width)
    return PerMatrix(sigma_a, sigma_a, 0.0, output, gain, gain, down)


def deviations(network: Network) -> PerMatrix:
    """Standard deviations of the entries of its matrices, those behind the blocks before they are scaled by depth."""
    a, d, mlp = network.attention, network.d, network.mlp
    rows, shared = a.heads * a.head_dim, a.groups * a.head_dim
    shapes = {"query": (rows, d), "key": (shared, d), "value": (shared, d)}
    shapes["output"] = (d, d if a.whole_values else rows)
    if mlp is not None:
        width = network.usual_width(mlp.gated) if mlp.width == math.inf else int(mlp.width)
        shapes |= {"up": (width, d), "gate": (width, d), "down": (d, width)}
    return PerMatrix(**{name: network.initialisation.deviation(name, *shape) for name, shape in shapes.items()})


def endless(network: Network) -> Network:
    """The same with infinitely many hidden units that together weigh as much."""
    mlp, scales = network.mlp, deviations(network)
    if mlp is None or mlp.width == math.inf:
        return network
    scales = replace(scales, down=scales.down * math.sqrt(mlp.width / network.usual_width(mlp.gated)))
    return replace(network, mlp=replace(mlp, width=math.inf), initialisation=scales)
