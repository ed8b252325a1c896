"""The grid of an ensemble: keys that are swept, their values, and the folders of its points."""

import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tokenlaw.config.read import ConfigError
from tokenlaw.config.toml import show, write_value

PLAIN: Final = re.compile(r"[\w.+-]{1,40}")  # values that may stand in the name of a folder
NOT_SWEPT: Final = ("noise.member", "layers.t_end", "layers.depth")


def sweep(text: str) -> tuple[str, list[Any]]:
    """Key and values of "key=v1,v2": TOML, or bare words where that is no TOML."""
    key, sign, rest = text.partition("=")
    key = key.strip()
    try:
        values = tomllib.loads(f"values = [{rest}]")["values"]
    except ValueError:
        values = [word.strip() for word in rest.split(",")]
    if not sign or "." not in key or not values or "" in values:
        raise ConfigError(f"--sweep {show(text)}: must be section.key=v1,v2,... as in model.beta=1,2,4")
    if len({write_value(value) for value in values}) < len(values):
        raise ConfigError(f"--sweep {show(text)}: must be different values")
    if key in NOT_SWEPT:
        instead = "is counted by --members" if key == "noise.member" else "may grow with --resume; set it for all"
        raise ConfigError(f"--sweep {show(text)}: {key} cannot be swept; it {instead}")
    return key, values


def grid(sweeps: Sequence[str]) -> list[dict[str, Any]]:
    """Points of the grid, the last key running fastest; one empty point where nothing is swept."""
    axes = [sweep(text) for text in sweeps]
    keys = [key for key, _ in axes]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"--sweep: a key is given twice, got {', '.join(keys)}")
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(found for _, found in axes))]


def folder(point: Mapping[str, Any], number: int) -> str:
    """Folder of a point: its keys and values, or its number where a value cannot stand in a name."""
    words = [f"{key}={value if isinstance(value, str) else write_value(value)}" for key, value in point.items()]
    plain = all(PLAIN.fullmatch(word.partition("=")[2]) for word in words)
    plain = plain and not any("[" in key for key in point)  # which patterns of file names read as a choice
    if plain and len(name := ",".join(words)) <= 200:
        return name
    return f"point-{number:04d}"
