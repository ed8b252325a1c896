"""How a head averages: kernels, and how their sums are taken."""

from particles.attention.base import BLOCK, AttentionPush, DirectField, Kernel, direct_field, field_of
from particles.attention.kernels import L2, Causal, Sigmoid, Spectral, as_softmax
from particles.attention.sinkhorn import Sinkhorn
from particles.attention.softmax import Linear, Softmax
from particles.attention.table import KERNELS
from particles.attention.tiles import PLAIN_LIMIT

__all__ = [
    "BLOCK", "KERNELS", "L2", "PLAIN_LIMIT", "AttentionPush", "Causal", "DirectField", "Kernel", "Linear", "Sigmoid",
    "Sinkhorn", "Softmax", "Spectral", "as_softmax", "direct_field", "field_of",
]  # fmt: skip
