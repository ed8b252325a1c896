"""Finite random transformers: heads drawn anew in every layer.  mathematics (3)."""

from dataclasses import dataclass

from particles.arrays import check_count, check_positive
from particles.attention.base import AttentionPush, Kernel
from particles.errors import made
from particles.given import check_heads, must_average
from particles.heads import HeadLaw
from particles.layers.base import Layer, OfHeads
from particles.noise import Noise, Stream
from particles.retraction import Retraction, normalize


@made("the kernel is behind the heads: RandomTransformer(heads, Softmax(beta), eta=..., n_heads=..., noise=...)")
@dataclass(frozen=True, eq=False)
class RandomTransformer(OfHeads):
    """The finite transformer: fresh heads in each layer, C_m = (eta/H) V_m, depth time dt = eta.

    Parameters
    ----------
    heads : law of one head.   kernel : how it averages.
    eta : residual step.
    n_heads : heads per layer.
    noise : source of randomness.
    """

    heads: HeadLaw
    kernel: Kernel
    eta: float
    n_heads: int
    noise: Noise
    retraction: Retraction = normalize

    def __post_init__(self) -> None:
        must_average(self.kernel)
        check_positive(self.eta, "eta")
        check_count(self.n_heads, "heads")
        check_heads(self.heads, self.n_heads)

    @property
    def dt(self) -> float:
        """Depth time of a layer, eta."""
        return self.eta

    @property
    def noise_scale(self) -> float:
        """eps = eta/H; diffusive time is eps times depth time."""
        return self.eta / self.n_heads

    def layer(self, step: int) -> Layer:
        heads = self.heads.sample(self.noise.generator(Stream.HEADS, step), self.n_heads)
        out = self.noise_scale * heads.out
        push = AttentionPush(self.kernel, out, heads.query, heads.key, self.retraction, heads.inner, heads.parameters)
        return (push,)
