"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

from particles.arrays import SolverError
from particles.attention import Attention, DifferentiableAttention, DirectField, FieldFactory, Linear, Softmax
from particles.characteristics import Characteristics, tangent_move
from particles.drift import Ballistic, Modified
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
from particles.private import Diffusion, WithPrivateNoise
from particles.pushes import AttentionPush, DifferentiableField, Field, FieldPush, Push, VelocityPush
from particles.random_fields import FourierField, HarmonicField
from particles.randomness import Noise, Stream
from particles.residual import PreNorm, ResidualPush
from particles.retraction import flow, geodesic, normalize, translate
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
    "Diffusion",
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
    "PreNorm",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "ResidualPush",
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
    "tangent_move",
    "top_projection",
    "trajectory",
    "translate",
    "uniform_barycenter",
    "zero_temperature_flow",
    "zero_temperature_velocity",
]
