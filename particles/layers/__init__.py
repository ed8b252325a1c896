"""Laws of layers."""

from particles.layers.base import coarsen_within, refine_within
from particles.layers.private import parted
from particles.layers.residual import check_radius
from particles.layers.schemes import SCHEMES

__all__ = [
    "SCHEMES", "check_radius", "coarsen_within", "parted", "refine_within",
]  # fmt: skip
