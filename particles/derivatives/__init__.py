"""Derivatives of a flow: forward along its paths, and backward through depth."""

from particles.derivatives.characteristics import characteristics_of, jacobian

__all__ = [
    "characteristics_of", "jacobian",
]  # fmt: skip
