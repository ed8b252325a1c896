"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

import os

# Files take their places by renames, and runs have locks of their own; HDF5's would refuse disks that know none.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

from particles.arrays import ConvergenceError, SolverError
from particles.attention.base import (
    AttentionPush,
    DifferentiableKernel,
    DirectField,
    FieldFactory,
    Kernel,
    KernelOfHeads,
    Linear,
    Softmax,
    ValueKernel,
    direct_field,
)
from particles.attention.kernels import L2, Causal, Sigmoid
from particles.derivatives.characteristics import Characteristics, tangent_move
from particles.files.checkpoint import Checkpoint, read_checkpoint, read_embedded
from particles.layers.drift import Ballistic, Modified
from particles.errors import ArgumentError
from particles.euclidean import AnyTokens, EuclideanTokens, Gaussian
from particles.reduced.gaussian_closure import ClosureSolution, GaussianClosure
from particles.derivatives.gradients import backward, gradient_norms, trajectory
from particles.heads import (
    FixedHeads,
    GaussianHeads,
    HeadLaw,
    Heads,
    IndependentEntries,
    LowRankHeads,
    RademacherHeads,
    UniformHeads,
    ValuesApart,
)
from particles.initial import Conformal, Empirical, InitialDensity, InitialLaw, Simplex, Uniform, VonMisesFisherMixture
from particles.layers.mlp.kernels import ACTIVATIONS, Activation, DualKernel, LegendreSeries
from particles.layers.base import (
    Homogenized,
    Layer,
    LayerLaw,
    Layers,
    RandomTransformer,
    RecordedLayers,
    record,
)
from particles.reduced.zero_temperature import (
    top_projection,
    uniform_barycenter,
    zero_temperature_flow,
    zero_temperature_velocity,
)
from particles.layers.mlp.block import JointPush, MLPBlock, WithMLP
from particles.files.recorder import Recorder
from particles.layers.private import Diffusion, WithPrivateNoise
from particles.pushes import DifferentiableField, Field, FieldPush, Move, Push
from particles.layers.mlp.random_fields import FourierField, HarmonicField
from particles.noise import Noise, Stream
from particles.layers.residual import PreNorm, ResidualPush
from particles.retraction import Retraction, flow, geodesic, normalize, translate
from particles.layers.scaling import Scaling
from particles.layers.schemes import Euler, RungeKutta4, Scheme
from particles.flow import Flow, TokenFlow, TokenState, simulate
from particles.attention.sinkhorn import Sinkhorn
from particles.layers.smooth import SmoothHeads, SmoothTransformer
from particles.measure import Cloud, Measure, Tokens, mean_token, second_moment
from particles.attention.torch_sdpa import TorchField, torch_field

__all__ = [
    "ACTIVATIONS",
    "L2",
    "Activation",
    "AnyTokens",
    "ArgumentError",
    "AttentionPush",
    "Ballistic",
    "Causal",
    "Characteristics",
    "Checkpoint",
    "ClosureSolution",
    "Cloud",
    "Conformal",
    "ConvergenceError",
    "DifferentiableField",
    "DifferentiableKernel",
    "Diffusion",
    "DirectField",
    "DualKernel",
    "Empirical",
    "EuclideanTokens",
    "Euler",
    "Field",
    "FieldFactory",
    "FieldPush",
    "FixedHeads",
    "Flow",
    "FourierField",
    "Gaussian",
    "GaussianClosure",
    "GaussianHeads",
    "HarmonicField",
    "HeadLaw",
    "Heads",
    "Homogenized",
    "IndependentEntries",
    "InitialDensity",
    "InitialLaw",
    "JointPush",
    "Kernel",
    "KernelOfHeads",
    "Layer",
    "LayerLaw",
    "Layers",
    "LegendreSeries",
    "Linear",
    "LowRankHeads",
    "MLPBlock",
    "Measure",
    "Modified",
    "Move",
    "Noise",
    "PreNorm",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "ResidualPush",
    "Retraction",
    "RungeKutta4",
    "Scaling",
    "Scheme",
    "Sigmoid",
    "Simplex",
    "Sinkhorn",
    "SmoothHeads",
    "SmoothTransformer",
    "Softmax",
    "SolverError",
    "Stream",
    "TokenFlow",
    "TokenState",
    "Tokens",
    "TorchField",
    "Uniform",
    "UniformHeads",
    "ValueKernel",
    "ValuesApart",
    "VonMisesFisherMixture",
    "WithMLP",
    "WithPrivateNoise",
    "backward",
    "direct_field",
    "flow",
    "geodesic",
    "gradient_norms",
    "mean_token",
    "normalize",
    "read_checkpoint",
    "read_embedded",
    "record",
    "second_moment",
    "simulate",
    "tangent_move",
    "top_projection",
    "torch_field",
    "trajectory",
    "translate",
    "uniform_barycenter",
    "zero_temperature_flow",
    "zero_temperature_velocity",
]
