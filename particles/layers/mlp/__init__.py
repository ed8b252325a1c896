"""MLP blocks: finite width, and the Gaussian fields of infinitely many hidden units."""

from particles.layers.mlp.block import Coarsened, check_joint

__all__ = [
    "Coarsened", "check_joint",
]  # fmt: skip
