"""Densities and records in files, and what is computed from them."""

from spde.files.evaluate import at_points, integrate, on_grid
from spde.files.read import read_density
from spde.files.records import node_weights

__all__ = [
    "at_points", "integrate", "node_weights", "on_grid", "read_density",
]  # fmt: skip
