"""MLP blocks: finite width, and the Gaussian fields of infinitely many hidden units."""

from particles.layers.mlp.block import check_joint

__all__ = ["check_joint"]
