"""Laws of layers."""

from particles.layers.base import Layer, LayerLaw, Layers, Telling, Variables, coarsen_within, refine_within
from particles.layers.drift import Ballistic, Modified
from particles.layers.homogenized import Homogenized
from particles.layers.private import WithPrivateNoise, diffuses, parted
from particles.layers.recorded import RecordedLayers, record
from particles.layers.residual import PreNorm, check_radius
from particles.layers.schemes import SCHEMES
from particles.layers.smooth import SmoothHeads, SmoothTransformer
from particles.layers.transformer import RandomTransformer

__all__ = [
    "SCHEMES", "Ballistic", "Homogenized", "Layer", "LayerLaw", "Layers", "Modified", "PreNorm", "RandomTransformer",
    "RecordedLayers", "SmoothHeads", "SmoothTransformer", "Telling", "Variables", "WithPrivateNoise", "check_radius",
    "coarsen_within", "diffuses", "parted", "record", "refine_within",
]  # fmt: skip
