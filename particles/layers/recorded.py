"""Layers that were recorded: of a random law, of a trained encoder."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array, as_array
from particles.attention.base import AttentionPush, Kernel
from particles.errors import ArgumentError, called, made
from particles.given import must_average
from particles.layers.base import Layer, LayerLaw
from particles.retraction import Retraction, normalize


@made("recorded layers hold their kernel: RecordedLayers(out, query, key, Softmax(beta))")
@dataclass(frozen=True, eq=False)
class RecordedLayers:
    """Given layers: depth time counts them (dt = 1).

    Parameters
    ----------
    out : (L, M, d, d), the C_m of each layer, every step size inside; or (L, M, d, k), left factors, beside `inner`.
    query, key : (L, M, head_dim, d), A_m = key_m^T query_m.
    kernel : how the heads average.
    inner : (L, M, k, d), the right factors, C_m = out_m inner_m.  None stands for the identity.
    """

    out: Array
    query: Array
    key: Array
    kernel: Kernel
    retraction: Retraction = normalize
    inner: Array | None = None

    def __post_init__(self) -> None:
        must_average(self.kernel)
        name = "mixing" if self.inner is None else "out"
        out = as_array(self.out, name, (None, None, None, None))
        n_layers, n_heads, d, rank = out.shape
        if n_layers < 1 or n_heads < 1 or d < 2 or (self.inner is None and rank != d):
            raise ArgumentError(name, out.shape, "have shape (layer, head, d, d) with d >= 2")
        query = as_array(self.query, "query", (n_layers, n_heads, None, d))
        object.__setattr__(self, "out", out)
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", as_array(self.key, "key", (n_layers, n_heads, query.shape[2], d)))
        if self.inner is not None:
            object.__setattr__(self, "inner", as_array(self.inner, "inner", (n_layers, n_heads, rank, d)))

    @classmethod
    def from_query_key(
        cls, mixing: Array, query_key: Array, kernel: Kernel, retraction: Retraction = normalize
    ) -> "RecordedLayers":
        """Layers given by the full matrices A_m = query_key[layer, head], shape (L, M, d, d)."""
        forms = as_array(query_key, "query_key", (None, None, None, None))
        identity = np.broadcast_to(np.eye(forms.shape[3]), (*forms.shape[:2], forms.shape[3], forms.shape[3]))
        if forms.shape[2] != forms.shape[3]:
            raise ArgumentError("query_key", forms.shape, "have shape (layer, head, d, d)")
        return cls(mixing, forms, np.ascontiguousarray(identity), kernel, retraction)

    @property
    def dt(self) -> float:
        """Depth time of a layer, 1."""
        return 1.0

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.out.shape[2])

    @property
    def beta(self) -> float:
        """Inverse temperature of the kernel; TypeError where it has none."""
        if not hasattr(self.kernel, "beta"):
            raise TypeError(f"layers files hold the beta of a kernel; {type(self.kernel).__name__} has none")
        return float(self.kernel.beta)

    @property
    def mixing(self) -> Array:
        """The C_m in full, (L, M, d, d)."""
        return self.out if self.inner is None else self.out @ self.inner

    @property
    def noise_scale(self) -> None:
        """None: recorded layers have no noise scale."""
        return None

    def __len__(self) -> int:
        return int(self.out.shape[0])

    def layer(self, step: int) -> Layer:
        """Layer number `step`; ValueError past the last one."""
        if not 0 <= step < len(self):
            raise ValueError(f"{len(self)} layers are recorded, layer {step} is not among them")
        inner = None if self.inner is None else self.inner[step]
        out, query, key = self.out[step], self.query[step], self.key[step]
        return (AttentionPush(self.kernel, out, query, key, self.retraction, inner),)


@called("the kernel is the law's: record(law, n_layers)")
def record(law: LayerLaw, n_layers: int) -> RecordedLayers:
    """Write down the first `n_layers` layers of a law of single attention pushes."""
    pushes = []
    for step in range(n_layers):
        layer = law.layer(step)
        if len(layer) != 1 or not isinstance(layer[0], AttentionPush):
            kinds = ", ".join(type(push).__name__ for push in layer)
            raise ValueError(f"layer {step} is ({kinds}); only single attention pushes can be recorded")
        if layer[0].parameters is not None:
            raise ValueError(f"layer {step} has a kernel that differs from head to head; layers files hold one for all")
        pushes.append(layer[0])
    stack: Callable[[list[Array]], Array] = np.stack
    return RecordedLayers(
        stack([p.mixing for p in pushes]),
        stack([p.query for p in pushes]),
        stack([p.key for p in pushes]),
        pushes[0].kernel,
        pushes[0].retraction,
    )
