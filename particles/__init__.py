"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import SolverError
from particles.attention import Attention, DirectField, Field, FieldFactory, Linear, Softmax
from particles.heads import FixedHeads, GaussianHeads, HeadLaw, Heads
from particles.initial import Conformal, Empirical, InitialDensity, InitialLaw, Simplex, Uniform, VonMisesFisherMixture
from particles.kernels import ACTIVATIONS, Activation, DualKernel, LegendreSeries
from particles.layers import (
    AttentionPush,
    Homogenized,
    Layer,
    LayerLaw,
    RandomTransformer,
    RecordedLayers,
    record,
)
from particles.output import Recorder
from particles.randomness import Noise, Stream
from particles.retraction import flow, geodesic, normalize
from particles.simulate import simulate
from particles.tokens import Cloud, Measure, Tokens, mean_token, second_moment

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Attention",
    "AttentionPush",
    "Cloud",
    "Conformal",
    "DirectField",
    "DualKernel",
    "Empirical",
    "Field",
    "FieldFactory",
    "FixedHeads",
    "GaussianHeads",
    "HeadLaw",
    "Heads",
    "Homogenized",
    "InitialDensity",
    "InitialLaw",
    "Layer",
    "LayerLaw",
    "LegendreSeries",
    "Linear",
    "Measure",
    "Noise",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "Simplex",
    "Softmax",
    "SolverError",
    "Stream",
    "Tokens",
    "Uniform",
    "VonMisesFisherMixture",
    "flow",
    "geodesic",
    "mean_token",
    "normalize",
    "record",
    "second_moment",
    "simulate",
]
