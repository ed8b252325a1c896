"""What a transformer is: heads, laws of layers, attention, tokens, and the loop that pushes them forward."""

import os
from typing import Any

# Files take their places by renames, and runs have locks of their own; HDF5's would refuse disks that know none.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

from particles.arrays import (
    Array,
    ConvergenceError,
    RunError,
    SolverError,
    as_array,
    check_count,
    check_positive,
    check_tolerance,
    unit,
)
from particles.attention.base import (
    AttentionPush,
    DifferentiableKernel,
    DirectField,
    FieldFactory,
    Kernel,
    KernelOfHeads,
    ValueKernel,
    direct_field,
)
from particles.attention.kernels import L2, Causal, Sigmoid
from particles.attention.sinkhorn import Sinkhorn
from particles.attention.softmax import Linear, Softmax
from particles.attention.torch_sdpa import TorchField, torch_field
from particles.derivatives.characteristics import Characteristics, tangent_move
from particles.derivatives.gradients import backward, gradient_norms, trajectory
from particles.errors import ArgumentError, called
from particles.files.checkpoint import CausalCheckpoint, Checkpoint
from particles.files.recorder import Recorder
from particles.files.trained import read_checkpoint, read_embedded
from particles.flow import BeginAgain, Flow, Progress, State, TokenFlow, TokenState, schedule, simulate, token_variables
from particles.given import check_kernel
from particles.harmonics import (
    PRECISION,
    Coefficients,
    adjoint_at,
    adjoint_from,
    angles,
    degree_of,
    gauss_grid,
    gradient_at,
    low_moments,
    mode_numbers,
    must_be_numbers,
    power,
    resize,
    synthesis_at,
    tangent_analysis,
    tangent_at,
)
from particles.heads import (
    ENTRIES,
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
from particles.initial import (
    Conformal,
    Empirical,
    Gaussian,
    InitialDensity,
    InitialLaw,
    Simplex,
    Uniform,
    VonMisesFisherMixture,
)
from particles.layers.base import Layer, LayerLaw, Layers
from particles.layers.drift import Ballistic, Modified
from particles.layers.homogenized import Homogenized
from particles.layers.mlp.block import JointPush, MLPBlock, WithMLP
from particles.layers.mlp.kernels import ACTIVATIONS, Activation, DualKernel, LegendreSeries
from particles.layers.mlp.random_fields import FourierField, HarmonicField
from particles.layers.private import Diffusion, WithPrivateNoise
from particles.layers.recorded import RecordedLayers, record
from particles.layers.residual import PreNorm, ResidualPush
from particles.layers.scaling import Scaling
from particles.layers.schemes import Euler, RungeKutta4, Scheme
from particles.layers.smooth import SmoothHeads, SmoothTransformer
from particles.layers.transformer import RandomTransformer
from particles.long_steps import telling_long_steps
from particles.measure import (
    AnyTokens,
    Cloud,
    EuclideanTokens,
    Measure,
    Tokens,
    WeightedPoints,
    mean_token,
    second_moment,
    unit_lengths,
)
from particles.noise import Noise, Stream
from particles.pushes import (
    DifferentiableField,
    Field,
    FieldPush,
    MakeField,
    Move,
    Push,
    Riders,
    field_degree,
    velocity_at,
)
from particles.reduced.gaussian_closure import ClosureSolution, GaussianClosure
from particles.reduced.zero_temperature import (
    top_projection,
    uniform_barycenter,
    zero_temperature_flow,
    zero_temperature_velocity,
)
from particles.retraction import (
    RETRACTIONS,
    Geodesic,
    Normalize,
    Retraction,
    flow,
    geodesic,
    normalize,
    tangent,
    translate,
)

RENAMED = {
    "Attention": "Kernel", "DifferentiableAttention": "DifferentiableKernel", "ValueAttention": "ValueKernel",
    "VelocityPush": "Push",
}  # fmt: skip
"""Names that were, and what they are."""


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        raise ImportError(f"particles.{name} is particles.{RENAMED[name]} now")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ACTIVATIONS",
    "ENTRIES",
    "L2",
    "PRECISION",
    "RETRACTIONS",
    "Activation",
    "AnyTokens",
    "ArgumentError",
    "Array",
    "AttentionPush",
    "Ballistic",
    "BeginAgain",
    "Causal",
    "CausalCheckpoint",
    "Characteristics",
    "Checkpoint",
    "ClosureSolution",
    "Cloud",
    "Coefficients",
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
    "Geodesic",
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
    "MakeField",
    "Measure",
    "Modified",
    "Move",
    "Noise",
    "Normalize",
    "PreNorm",
    "Progress",
    "Push",
    "RademacherHeads",
    "RandomTransformer",
    "RecordedLayers",
    "Recorder",
    "ResidualPush",
    "Retraction",
    "Riders",
    "RunError",
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
    "State",
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
    "WeightedPoints",
    "WithMLP",
    "WithPrivateNoise",
    "adjoint_at",
    "adjoint_from",
    "angles",
    "as_array",
    "backward",
    "called",
    "check_count",
    "check_kernel",
    "check_positive",
    "check_tolerance",
    "degree_of",
    "direct_field",
    "field_degree",
    "flow",
    "gauss_grid",
    "geodesic",
    "gradient_at",
    "gradient_norms",
    "low_moments",
    "mean_token",
    "mode_numbers",
    "must_be_numbers",
    "normalize",
    "power",
    "read_checkpoint",
    "read_embedded",
    "record",
    "resize",
    "schedule",
    "second_moment",
    "simulate",
    "synthesis_at",
    "tangent",
    "tangent_analysis",
    "tangent_at",
    "tangent_move",
    "telling_long_steps",
    "token_variables",
    "top_projection",
    "torch_field",
    "trajectory",
    "translate",
    "uniform_barycenter",
    "unit",
    "unit_lengths",
    "velocity_at",
    "zero_temperature_flow",
    "zero_temperature_velocity",
]  # fmt: skip
