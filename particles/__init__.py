"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import SolverError
from particles.attention import Attention, DifferentiableAttention, DirectField, FieldFactory, Linear, Softmax
from particles.characteristics import Characteristics, tangent_move
from particles.drift import Ballistic, Modified
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
from particles.low_temperature import (
    top_projection,
    uniform_barycenter,
    zero_temperature_flow,
    zero_temperature_velocity,
)
from particles.mlp import JointPush, MLPBlock, WithMLP
from particles.output import Recorder
from particles.pushes import AttentionPush, DifferentiableField, Field, FieldPush, Push, VelocityPush
from particles.random_fields import FourierField, HarmonicField
from particles.randomness import Noise, Stream
from particles.retraction import flow, geodesic, normalize
from particles.scaling import Scaling
from particles.schemes import Euler, RungeKutta4, Scheme
from particles.simulate import simulate
from particles.smooth import SmoothHeads, SmoothTransformer
from particles.tokens import Cloud, Measure, Tokens, mean_token, second_moment

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Attention",
    "AttentionPush",
    "Ballistic",
    "Characteristics",
    "Cloud",
    "Conformal",
    "DifferentiableAttention",
    "DifferentiableField",
    "DirectField",
    "DualKernel",
    "Empirical",
    "Euler",
    "Field",
    "FieldFactory",
    "FieldPush",
    "FixedHeads",
    "FourierField",
    "GaussianHeads",
    "HarmonicField",
    "HeadLaw",
    "Heads",
    "Homogenized",
    "IndependentEntries",
    "InitialDensity",
    "InitialLaw",
    "JointPush",
    "Layer",
    "LayerLaw",
    "LegendreSeries",
    "Linear",
    "MLPBlock",
    "Measure",
    "Modified",
    "Noise",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "RungeKutta4",
    "Scaling",
    "Scheme",
    "Simplex",
    "SmoothHeads",
    "SmoothTransformer",
    "Softmax",
    "SolverError",
    "Stream",
    "Tokens",
    "Uniform",
    "UniformHeads",
    "ValuesApart",
    "VelocityPush",
    "VonMisesFisherMixture",
    "WithMLP",
    "flow",
    "geodesic",
    "mean_token",
    "normalize",
    "record",
    "second_moment",
    "simulate",
    "tangent_move",
    "top_projection",
    "uniform_barycenter",
    "zero_temperature_flow",
    "zero_temperature_velocity",
]
