"""Densities and records in files."""

from spde.files.read import read_density
from spde.files.records import node_weights

__all__ = [
    "node_weights", "read_density",
]  # fmt: skip
