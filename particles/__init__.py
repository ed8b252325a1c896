"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import ConvergenceError, SolverError
from particles.attention import Attention, DirectField, FieldFactory, Linear, Softmax
from particles.attention_kernels import L2, Causal, Sigmoid
from particles.euclidean import AnyTokens, EuclideanTokens, Gaussian
from particles.gaussian_closure import ClosureSolution, GaussianClosure
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
from particles.pushes import AttentionPush, Field, Push
from particles.randomness import Noise, Stream
from particles.retraction import flow, geodesic, normalize, translate
from particles.simulate import simulate
from particles.sinkhorn import Sinkhorn
from particles.tokens import Cloud, Measure, Tokens, mean_token, second_moment

__all__ = [
    "L2",
    "AnyTokens",
    "Attention",
    "AttentionPush",
    "Causal",
    "ClosureSolution",
    "Cloud",
    "Conformal",
    "ConvergenceError",
    "DirectField",
    "Empirical",
    "EuclideanTokens",
    "Field",
    "FieldFactory",
    "FixedHeads",
    "Gaussian",
    "GaussianClosure",
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
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "Sigmoid",
    "Simplex",
    "Sinkhorn",
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
    "translate",
]
