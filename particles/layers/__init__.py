"""Laws of layers."""

from particles.layers.base import refine_within
from particles.layers.private import parted
from particles.layers.residual import check_radius
from particles.layers.schemes import SCHEMES

__all__ = [
    "SCHEMES", "check_radius", "parted", "refine_within",
]  # fmt: skip
