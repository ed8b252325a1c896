"""What an object refuses, told with the key of the configuration that it was made of."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from particles import ArgumentError
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.toml import keyed, one_line, value_at

T = TypeVar("T")
KEYS: Final[Mapping[str, str]] = {
    "d": "model.d",
    "factor": "layers.refine",
    "gain": "layers.norm",
    "heads": "layers.heads",
    "law": "layers.norm",
    "nu": "layers.private_noise",
    "overlap": "initial.overlap",
    "passive": "layers.stepping",
    "tokens": "simulate.tokens",
    **{name: f"layers.mlp.{name}" for name in ("activation", "width", "sigma_r", "sigma_w")},
    **{name: f"solve.{name}" for name in ("lmax", "field_tol", "moment_tol", "remap_every", "on_unresolved")},
}
"""Arguments of constructors that are not keys of the section at hand, or have another name there."""


@contextmanager
def telling(c: Configuration, section: str) -> Iterator[None]:
    """Put a key path before what a constructor says: that of the argument, or the section where it is no key."""
    try:
        yield
    except ConfigError:
        raise
    except ArgumentError as error:
        path = KEYS.get(error.name, f"{section}.{error.name}")
        if error.value is None and hasattr(value_at(c, section), error.name):
            raise ConfigError(f"{path}: must {error.allowed}") from None
        if value_at(c, path) is None:
            raise ConfigError(f"{section}: {one_line(str(error))}") from None
        got = f", got {error.value}" if isinstance(error.value, tuple) else ""  # a shape
        raise ConfigError(keyed(c, path, f"must {error.allowed}{got}")) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{section}: {one_line(str(error))}") from None


def chosen(table: Mapping[str, T], c: Configuration, path: str) -> T:
    """The object of a table that a key names."""
    name = value_at(c, path)
    if name not in table:
        raise ConfigError(keyed(c, path, f"must be one of {', '.join(table)}"))
    return table[name]
