"""How a head averages: kernels, and how their sums are taken."""

from particles.attention.base import BLOCK, PLAIN_LIMIT, field_of
from particles.attention.kernels import Spectral, as_softmax
from particles.attention.table import KERNELS

__all__ = [
    "BLOCK", "KERNELS", "PLAIN_LIMIT", "Spectral", "as_softmax", "field_of",
]  # fmt: skip
