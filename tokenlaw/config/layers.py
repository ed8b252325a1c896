"""Sections [heads] and [layers] of a configuration: what a layer is made of."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tokenlaw.config.types import (
    Count,
    CountOrZero,
    File,
    FileOrFolder,
    Matrices,
    Matrix,
    NonNegative,
    Positive,
    Section,
    choice,
)

SQUARE = {"allowed": "a model.d x model.d matrix: a list of rows of numbers"}
FORMS = {"allowed": "head_dim x model.d matrices: lists of rows of numbers"}


class RandomHeads(Section):
    """Heads V = mean_v + V', A = mean_a + W W'^T with independent entries, a fresh draw for every head."""

    kind: Literal["gaussian", "rademacher", "uniform", "low_rank"] = Field(
        description="law of the entries (low_rank: gaussian, V' of rank head_dim)"
    )
    sigma_v: float | None = Field(
        default=None, ge=0, description="standard deviation of the entries of V'",
        json_schema_extra={"derived": "1/sqrt(model.d)"},
    )  # fmt: skip
    sigma_a: float | None = Field(
        default=None, ge=0, description="standard deviation of the entries of W and W'",
        json_schema_extra={"derived": "1/sqrt(model.d)"},
    )  # fmt: skip
    head_dim: int | None = Field(
        default=None, ge=1, description="rows of the query and key matrices, at most model.d",
        json_schema_extra={"derived": "model.d"},
    )  # fmt: skip
    mean_v: Matrix | None = Field(
        default=None, description="mean of the value matrix; left out: zero", json_schema_extra={**SQUARE}
    )
    mean_a: Matrix | None = Field(
        default=None, description="mean of A = key^T query; left out: zero", json_schema_extra={**SQUARE}
    )

    @field_validator("mean_v", "mean_a")
    @classmethod
    def _zero_is_none(cls, matrix: Matrix | None) -> Matrix | None:
        """One way to say zero, so that two configurations of the same law are equal."""
        return matrix if matrix is not None and any(map(any, matrix)) else None


class SmoothHeads(RandomHeads):
    """Gaussian heads that vary smoothly with depth: every entry is a stationary Gaussian curve."""

    kind: Literal["smooth"] = Field(description="law of the entries")  # type: ignore[assignment]
    modes: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=4, description="frequencies 1, ..., modes (radians per unit of depth time) of a curve"
    )


class FixedHeads(Section):
    """The same given heads at every depth: inline matrices (a list: one per head), or a file."""

    kind: Literal["fixed"] = Field(description="law of the entries")
    value: Matrices | None = Field(
        default=None, description="value matrix V of each head",
        json_schema_extra={"allowed": "model.d x model.d matrices: lists of rows of numbers"},
    )  # fmt: skip
    query: Matrices | None = Field(default=None, description="query matrix of each head", json_schema_extra={**FORMS})
    key: Matrices | None = Field(default=None, description="key matrix of each head", json_schema_extra={**FORMS})
    file: File | None = Field(
        default=None, description="NetCDF file with value, query, key(head, row, col) in place of the matrices"
    )


class Mlp(Section):
    """MLP block behind every attention block."""

    activation: str = choice("particles.layers.mlp.kernels:ACTIVATIONS", "relu", "activation function")
    width: CountOrZero = Field(default=0, description="hidden width; 0 is the limiting Gaussian field")
    sigma_r: NonNegative = Field(default=0.0, description="standard deviation of the inner bias")
    sigma_w: NonNegative = Field(default=0.0, description="standard deviation of the outer bias")


Dt = Annotated[float, Field(gt=0, description="step in depth time")]
TEnd = Annotated[float, Field(ge=0, description="depth time of the last state, rounded to whole steps")]
Eta = Annotated[float, Field(gt=0, description="residual step; depth time is eta times the layer")]
NodesOfA = Annotated[
    Count,
    Field(default=16, description="heads that represent the law of the attention matrix (fixed heads: not used)"),
]
Scheme = Annotated[str, choice("particles.layers.schemes:SCHEMES", "rk4", "time stepping")]
Retraction = Annotated[
    str,
    choice(
        "particles.retraction:RETRACTIONS", "normalize",
        "how a layer's displacement moves a token on the sphere (flow: for tests), or in euclidean space (translate)",
    ),
]  # fmt: skip
Norm = Annotated[
    Literal["post", "pre", "rms"],
    Field(
        default="post",
        description="where tokens are normalised: behind each block; before it, to length 1 or d**0.5 (rms)",
    ),
]
PrivateNoise = Annotated[
    float,
    Field(
        default=0.0, ge=0,
        description="strength nu of each token's own noise, nu times the Laplacian in the equation",
    ),
]  # fmt: skip
Block = Annotated[Mlp | None, Field(default=None, description="MLP block behind every attention block")]
Refine = Annotated[
    int,
    Field(
        default=1, ge=1, le=2**20,
        description="power of two R: the same path with steps dt/R, to see the error of the step",
    ),
]  # fmt: skip


class HomogenizedLayers(Section):
    """Steps of the homogenized equation, mathematics (4) to (6)."""

    kind: Literal["homogenized"] = Field(description="law of the layers")
    dt: Dt
    t_end: TEnd
    noise_scale: Positive = Field(default=1.0, description="strength eps of the common noise")
    nodes: Count = Field(default=16, description="heads drawn per step")
    nodes_fixed: bool = Field(default=False, description="whether all steps share one draw of attention matrices")
    retraction: Retraction
    norm: Norm
    private_noise: PrivateNoise
    mlp: Block
    refine: Refine


class TransformerLayers(Section):
    """A finite transformer, C_m = (eta/heads) V_m with fresh heads in every layer."""

    kind: Literal["transformer"] = Field(description="law of the layers")
    eta: Eta
    heads: Count = Field(description="heads per layer")
    depth: CountOrZero = Field(description="number of layers")
    retraction: Retraction
    norm: Norm
    private_noise: PrivateNoise
    mlp: Block


class BallisticLayers(Section):
    """The deterministic limit dX = b dt."""

    kind: Literal["ballistic"] = Field(description="law of the layers")
    dt: Dt
    t_end: TEnd
    nodes: NodesOfA
    scheme: Scheme
    retraction: Retraction
    mlp: Block
    norm: Norm
    refine: Refine


class ModifiedLayers(Section):
    """The deterministic limit with the corrector of mathematics (3), first order in eta."""

    kind: Literal["modified"] = Field(description="law of the layers")
    dt: Dt
    t_end: TEnd
    eta: Positive = Field(description="residual step whose effect the corrector adds")
    noise_scale: NonNegative = Field(
        default=0.0, description="noise scale eps = eta/heads of the corrector; 0: infinitely many heads"
    )
    nodes: NodesOfA
    scheme: Scheme
    retraction: Retraction
    mlp: Block
    refine: Refine


class RecordedLayers(Section):
    """Layers read from a file; depth time counts layers."""

    kind: Literal["recorded"] = Field(description="law of the layers")
    file: FileOrFolder = Field(
        description="NetCDF layers file; or of a trained model its folder or safetensors file (then model.beta = 1)"
    )
    retraction: Retraction
    norm: Norm


Heads = Annotated[RandomHeads | FixedHeads | SmoothHeads, Field(discriminator="kind")]
