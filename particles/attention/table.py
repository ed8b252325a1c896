"""Attention kernels by the names that configurations and tables give them."""

from particles.attention.kernels import L2, Sigmoid
from particles.attention.sinkhorn import Sinkhorn
from particles.attention.softmax import Linear, Softmax

KERNELS: dict[str, type[Softmax | Linear | L2 | Sigmoid | Sinkhorn]] = {
    "softmax": Softmax,
    "linear": Linear,
    "l2": L2,
    "sigmoid": Sigmoid,
    "sinkhorn": Sinkhorn,
}
"""Each takes its beta."""
