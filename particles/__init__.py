"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import SolverError
from particles.attention import Attention, DirectField, FieldFactory, Linear, Softmax
from particles.gradients import backward, gradient_norms, trajectory
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
from particles.layers import (
    Homogenized,
    Layer,
    LayerLaw,
    RandomTransformer,
    RecordedLayers,
    record,
)
from particles.output import Recorder
from particles.private import Diffusion, WithPrivateNoise
from particles.pushes import AttentionPush, Field, Push
from particles.randomness import Noise, Stream
from particles.residual import PreNorm, ResidualPush
from particles.retraction import flow, geodesic, normalize, translate
from particles.simulate import simulate
from particles.tokens import Cloud, Measure, Tokens, mean_token, second_moment

__all__ = [
    "Attention",
    "AttentionPush",
    "Cloud",
    "Conformal",
    "Diffusion",
    "DirectField",
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
    "Linear",
    "Measure",
    "Noise",
    "PreNorm",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "ResidualPush",
    "Simplex",
    "Softmax",
    "SolverError",
    "Stream",
    "Tokens",
    "Uniform",
    "UniformHeads",
    "ValuesApart",
    "VonMisesFisherMixture",
    "WithPrivateNoise",
    "backward",
    "flow",
    "geodesic",
    "gradient_norms",
    "mean_token",
    "normalize",
    "record",
    "second_moment",
    "simulate",
    "trajectory",
    "translate",
]
