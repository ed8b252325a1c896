"""Networks of a library at their initialisation against the exact chain of overlaps.

The library's networks are run by `make networks` (torch and transformers in an environment of their own), which writes
means by layer of both into tests/data/networks_library.json; here that file is read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from validation.reproductions.row import Row

FAMILIES = ("GPT-2", "BERT", "LLaMA")
MEASURES = {"overlap": ("mean overlap behind the last layer", -1), "log_gradient": ("log gradient at the start", 0)}
TITLE = "GPT-2, BERT and LLaMA at initialisation"
SOURCE = "Wolf et al., arXiv 1910.03771: the library transformers {transformers} on torch {torch}"
SEEN = "theirs: {count} networks initialised and run by the library; its means carry a standard error, put into ours"
NOTE = "Ours: the exact chain of the architecture that `network_of` reads from the library's configuration"
COMMAND = "make networks && python docs/reproductions.py networks"


def rows(found: Mapping[str, Any]) -> tuple[Row, ...]:
    """Rows of the families from the results of `make networks`."""
    return tuple(row for entry in found["rows"] if entry["family"] in FAMILIES for row in of_network(entry))


def of_network(entry: Mapping[str, Any]) -> Iterator[Row]:
    """Overlap at the end and gradient at the start of one configuration."""
    for name, (text, layer) in MEASURES.items():
        theirs, ours, error = (float(entry[name][key][layer]) for key in ("library", "chain", "error"))
        shape = f"d = {entry['d']}, {entry['layers']} layers, std {entry['initializer_range']:g}"
        yield Row(f"{entry['family']}, {shape}: {text}", f"{theirs:.4f}", ours, error)
