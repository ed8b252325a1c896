"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import SolverError
from particles.attention import Attention, DirectField, FieldFactory, Linear, Softmax
from particles.heads import (
    FixedHeads,
    GaussianHeads,
    HeadLaw,
    Heads,
    IndependentEntries,
    RademacherHeads,
    UniformHeads,
    ValuesApart,
)
from particles.initial import Conformal, Empirical, InitialDensity, InitialLaw, Simplex, Uniform, VonMisesFisherMixture
from particles.kernels import ACTIVATIONS, Activation, DualKernel, LegendreSeries
from particles.layers import (
    Homogenized,
    Layer,
    LayerLaw,
    RandomTransformer,
    RecordedLayers,
    record,
)
from particles.output import Recorder
from particles.pushes import AttentionPush, Field, Push
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
    "IndependentEntries",
    "InitialDensity",
    "InitialLaw",
    "Layer",
    "LayerLaw",
    "LegendreSeries",
    "Linear",
    "Measure",
    "Noise",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "Simplex",
    "Softmax",
    "SolverError",
    "Stream",
    "Tokens",
    "Uniform",
    "UniformHeads",
    "ValuesApart",
    "VonMisesFisherMixture",
    "flow",
    "geodesic",
    "mean_token",
    "normalize",
    "record",
    "second_moment",
    "simulate",
]
