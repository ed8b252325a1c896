"""Transformers as they are deployed, at initialisation, and the exact law of the overlaps of their tokens."""

from particles.networks.configured import network_of
from particles.networks.embeddings import Normed, Patches, Words, embeddings_of
from particles.networks.network import Network
from particles.networks.parts import (
    MLP,
    ALiBi,
    Initialisation,
    LayerNorm,
    LeCun,
    NoNorm,
    Norm,
    Normal,
    PeriNorm,
    PerMatrix,
    Placement,
    PostNorm,
    PreNorm,
    RMSNorm,
    RoPE,
    SelfAttention,
    Xavier,
)
from particles.networks.starts import Embedded, GivenGram, GivenTokens, Independent, Simplex, Start
from particles.networks.vectors import gaps

__all__ = [
    "MLP", "ALiBi", "Embedded", "GivenGram", "GivenTokens", "Independent", "Initialisation", "LayerNorm", "LeCun",
    "Network", "NoNorm", "Norm", "Normal", "Normed", "Patches", "PerMatrix", "PeriNorm", "Placement", "PostNorm",
    "PreNorm", "RMSNorm", "RoPE", "SelfAttention", "Simplex", "Start", "Words", "Xavier", "embeddings_of", "gaps",
    "network_of",
]  # fmt: skip
