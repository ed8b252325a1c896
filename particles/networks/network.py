"""A network as it is deployed, at its initialisation: what there is to say before a matrix is drawn."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from particles.arrays import check_count, check_not_negative
from particles.errors import ArgumentError
from particles.flow import Progress
from particles.networks.chain import run
from particles.networks.heads import AttentionHeads
from particles.networks.parts import (
    MLP,
    Initialisation,
    Norm,
    Normal,
    Placement,
    PreNorm,
    RMSNorm,
    SelfAttention,
)
from particles.networks.starts import Start
from particles.networks.stream import Branch
from particles.networks.wide import Limit, Units

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Network:
    """A transformer with Gaussian matrices, fresh in each layer, without biases.

    Parameters
    ----------
    d : dimension of the tokens.   layers : number of layers, each an attention block and an MLP block, if there is one.
    attention, mlp : their shapes.   norm : RMSNorm(eps) or LayerNorm(eps).
    placement : PreNorm(), PostNorm(), PeriNorm() or NoNorm().
    parallel : both blocks of a layer read the same tokens (Wang and Komatsuzaki 2021).
    residual_scale, layer_scale : factors on every branch (the second: Touvron et al., arXiv 2103.17239, at its start).
    depth_scaled : output matrices of both blocks times (2 layers)^-1/2 (Radford et al. 2019).
    initialisation : Normal(std), Xavier(), LeCun(), PerMatrix(...).

    Examples
    --------
    >>> from particles.networks import MLP, Independent, RoPE
    >>> from particles import ACTIVATIONS
    >>> attention = SelfAttention(8, 32, causal=True, positions=RoPE())
    >>> small = Network(256, 4, attention, MLP(ACTIVATIONS["silu"], 683, gated=True))
    >>> found = small.chain(Independent(24), n_networks=4, gradients=True)
    >>> found.overlap.dims, bool(found.overlap[:, -1].mean() > found.overlap[:, 0].mean())
    (('network', 'layer'), True)
    """

    d: int
    layers: int
    attention: SelfAttention
    mlp: MLP | None = None
    norm: Norm = field(default_factory=RMSNorm)
    placement: Placement = field(default_factory=PreNorm)
    parallel: bool = False
    residual_scale: float = 1.0
    layer_scale: float = 1.0
    depth_scaled: bool = False
    initialisation: Initialisation = field(default_factory=Normal)

    def __post_init__(self) -> None:
        check_count(self.d, "d", 2)
        check_count(self.layers, "layers")
        for name in ("residual_scale", "layer_scale"):
            check_not_negative(getattr(self, name), name)
        if self.parallel and self.mlp is None:
            raise ArgumentError("parallel", True, "be False where there is no MLP")
        normed = self.placement.before or (self.placement.after and not self.parallel)
        if self.mlp is not None and self.mlp.width == math.inf and not normed:
            raise ArgumentError("width", math.inf, "be finite where no norm stands before the MLP")

    @staticmethod
    def from_config(config: Any, context: int | None = None) -> "Network":
        """The network that a library's configuration describes: `particles.networks.configured.network_of`."""
        from particles.networks import network_of

        return network_of(config, context)

    @cached_property
    def branches(self) -> tuple[Branch, ...]:
        """The branches of a layer, one behind the other."""
        scale = (2 * self.layers) ** -0.5 if self.depth_scaled else 1.0
        heads = AttentionHeads(self.attention, self.d, self.initialisation)
        blocks: list[tuple[AttentionHeads | Units | Limit, float]] = [(heads, scale * heads.deviation("output"))]
        if self.mlp is not None:
            blocks.append(self._units(self.mlp, scale))
        groups = [tuple(blocks)] if self.parallel else [(block,) for block in blocks]
        step = self.residual_scale * self.layer_scale
        return tuple(Branch(group, self.norm, self.placement, step, self.d) for group in groups)

    def _units(self, mlp: MLP, scale: float) -> tuple[Units | Limit, float]:
        """The hidden units and the deviation of the matrix behind them; of infinitely many, that of their sum."""
        if mlp.width != math.inf:
            units = Units(mlp, self.d, self.initialisation)
            return units, scale * units.deviation("down")
        usual = self.usual_width(mlp.gated)
        units = Units(MLP(mlp.activation, usual, mlp.gated), self.d, self.initialisation)
        length = math.sqrt(self.d)
        gain = length * units.deviation("gate" if mlp.gated else "up")
        gate = length * units.deviation("up") if mlp.gated else 0.0
        return Limit(mlp, gain, gate), scale * units.deviation("down") * math.sqrt(usual)

    def usual_width(self, gated: bool) -> int:
        """4 d, or 8 d/3 where gated: the width that sets the scale of an infinitely wide block."""
        return max(1, round(8 * self.d / 3)) if gated else 4 * self.d

    def chain(
        self,
        start: Start,
        n_networks: int = 8,
        seed: int = 0,
        gradients: bool = False,
        dtype: Any = np.float64,
        *,
        layers: int | None = None,
        first: int = 0,
        progress: Progress | None = None,
    ) -> "xr.Dataset":
        """Overlaps of the tokens by layer, over independent networks; exact in law: `particles.networks.chain.run`.

        layers : of this network to go through, more or fewer than it has; None for all.
        """
        layers = self.layers if layers is None else layers
        check_count(layers, "layers")
        return run(
            self.branches, layers, start, n_networks, seed, gradients, dtype, first=first, progress=progress
        )
