"""Heads that vary smoothly from layer to layer (Gibson and Reisinger, arXiv 2605.11059).  mathematics, section 8.

    x_{l+1} = x_l + (eta/H) sum_h B_{theta_h(s_l)}(x_l),   s_l = eta l,
    theta_h(s) = mean + sigma J^-1/2 sum_{j <= J} (cos(j s) G_hj + sin(j s) G'_hj),   G, G' standard normal.

The curves are independent and stationary: every entry has variance sigma^2 at every s and autocovariance
sigma^2 J^-1 sum_j cos(j tau); they repeat after 2 pi.  For many heads and layers, x' = E B[mu](x).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from particles.arrays import Array, check_count, check_positive
from particles.attention.base import AttentionPush, Kernel
from particles.errors import made
from particles.given import must_average
from particles.heads import GaussianHeads, Heads
from particles.layers.base import Layer, OfHeads
from particles.noise import Noise, Stream
from particles.retraction import Retraction, normalize


@dataclass(frozen=True, eq=False)
class SmoothHeads(GaussianHeads):
    """Heads whose V, query and key are smooth curves in depth time, at each depth with the law of `GaussianHeads`.

    Parameters
    ----------
    d, sigma_v, sigma_a, head_dim, mean_v, mean_a : as in `GaussianHeads`.
    modes : number J of frequencies 1, ..., J (radians per unit of depth time) of a curve.
    """

    modes: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.modes, "modes")

    def curves(self, rng: np.random.Generator, size: int) -> "HeadCurves":
        """Draw the curves of `size` independent heads; the first ones do not depend on `size`."""
        n_entries = self.d * self.d + 2 * self.head_dim * self.d
        return HeadCurves(self, rng.standard_normal((size, 2 * self.modes, n_entries)))


@dataclass(frozen=True, eq=False)
class HeadCurves:
    """The curves of H heads.

    Attributes
    ----------
    law : their law.   amplitudes : (H, 2 modes, entries), those of the cosines, then those of the sines.
    """

    law: SmoothHeads
    amplitudes: Array

    def at(self, s: float) -> Heads:
        """The heads at depth time s."""
        law, n_heads = self.law, len(self.amplitudes)
        phase = s * np.arange(1, law.modes + 1)
        waves = np.concatenate([np.cos(phase), np.sin(phase)]) / np.sqrt(law.modes)
        entries = np.einsum("j,hje->he", waves, self.amplitudes)
        value, query, key = np.split(entries, [law.d**2, law.d * (law.d + law.head_dim)], axis=1)
        shape = (n_heads, law.head_dim, law.d)
        return Heads(
            law.mean_v + law.sigma_v * value.reshape(n_heads, law.d, law.d),
            *law.with_mean(law.sigma_a * query.reshape(shape), law.sigma_a * key.reshape(shape)),
        )


@made("the kernel is behind the heads: SmoothTransformer(heads, Softmax(beta), eta=..., n_heads=..., noise=...)")
@dataclass(frozen=True, eq=False)
class SmoothTransformer(OfHeads):
    """A transformer whose heads follow smooth curves: C_h = (eta/H) V_h(s) at s = eta l, depth time dt = eta.

    The curves depend on the noise alone: transformers of other eta follow the same ones, and of fewer heads the first.
    Its limit for many layers and heads is `Ballistic` with the same heads.

    Parameters
    ----------
    heads : law of the curve of one head.   kernel : how it averages.   eta : residual step.
    n_heads : heads per layer.   noise : source of the curves.   retraction : x, U -> T(x).
    """

    heads: SmoothHeads
    kernel: Kernel
    eta: float
    n_heads: int
    noise: Noise
    retraction: Retraction = normalize

    def __post_init__(self) -> None:
        if not isinstance(self.heads, SmoothHeads):
            raise TypeError(f"a smooth transformer needs smooth heads, got {type(self.heads).__name__}")
        must_average(self.kernel)
        check_positive(self.eta, "eta")
        check_count(self.n_heads, "heads")

    @property
    def dt(self) -> float:
        """Depth time of a layer, eta."""
        return self.eta

    @property
    def noise_scale(self) -> None:
        """None: layers near each other are alike, so there is no white noise and no diffusive time."""
        return None

    @cached_property
    def curves(self) -> HeadCurves:
        """The curves of the heads."""
        return self.heads.curves(self.noise.generator(Stream.HEADS), self.n_heads)

    def layer(self, step: int) -> Layer:
        heads = self.curves.at(step * self.eta)
        out = self.eta / self.n_heads * heads.value
        return (AttentionPush(self.kernel, out, heads.query, heads.key, self.retraction),)
