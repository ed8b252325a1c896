"""Fields of heads by series."""

from spde.field.choice import SPECTRAL, auto_field

__all__ = [
    "SPECTRAL", "auto_field",
]  # fmt: skip
