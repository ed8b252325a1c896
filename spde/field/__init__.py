"""Fields of heads by series."""

from spde.field.choice import auto_field
from spde.field.spectral import SPECTRAL

__all__ = [
    "SPECTRAL", "auto_field",
]  # fmt: skip
