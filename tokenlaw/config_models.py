"""Sections of a configuration as frozen pydantic models: every key, its default and its limits, written once.

Messages, files and overrides are the business of `tokenlaw.config`.
"""

import math
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    Strict,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from tokenlaw import config_checks
from tokenlaw.config_types import (
    MAX_COUNT,
    ROUNDING,
    Count,
    CountOrZero,
    File,
    FileOrFolder,
    Matrices,
    Matrix,
    NonNegative,
    Positive,
    PowerOfTwo,
    Section,
    Seed,
    Vector,
    unit_length,
)

MAX_CARRIED: Final = 4_000_000
CARRIED_TEXT: Final = (
    "[latitudes, longitudes], latitudes at least 2, longitudes even and at least 4, "
    f"at most {MAX_CARRIED} nodes in all, or \"auto\""
)


AUTO: Final[Any] = "auto"


def _auto_or(value: object, sizes: ValidatorFunctionWrapHandler) -> object:
    """The word "auto" as it is; anything else has to be two sizes."""
    return value if value == AUTO else sizes(value)


CarriedNodes = Annotated[
    tuple[int, int], Strict(False), WrapValidator(_auto_or), PlainSerializer(lambda value: value)
]  # or "auto": `Solve.given_nodes` tells
Retraction = Literal["normalize", "geodesic", "flow", "translate"]
RETRACTION_TEXT: Final = (
    "how a layer's displacement moves a token on the sphere (flow: for tests), or in euclidean space (translate)"
)
Norm = Literal["post", "pre", "rms"]
NORM_TEXT: Final = "where tokens are normalised: behind each block; before it, to length 1 or d**0.5 (rms)"
PRIVATE_TEXT: Final = "strength nu of each token's own noise, nu times the Laplacian in the equation"
REFINE_TEXT: Final = "power of two R: the same path with steps dt/R, to see the error of the step"
POWER_TEXT: Final = "a power of two between 1 and 1048576"
RADIUS_TEXT: Final = "length of the tokens at depth 0 in a residual stream (layers.norm pre or rms)"


class Model(Section):
    """What attends to what, and where the tokens live."""

    d: Annotated[int, Field(ge=2, le=65536)] = Field(
        description="dimension; tokens live on the sphere S^(d-1) or in R^d, densities need d = 2 or 3"
    )
    beta: NonNegative = Field(description="inverse temperature of the attention")
    attention: Literal["softmax", "linear", "l2", "sigmoid", "sinkhorn"] = Field(
        default="softmax", description="attention kernel"
    )
    causal: bool = Field(default=False, description="whether a token attends only to the tokens before it")
    space: Literal["sphere", "euclidean"] = Field(default="sphere", description="space of the tokens")


class RandomHeads(Section):
    """Heads V = mean_v + V', A = mean_a + W W'^T with independent entries, a fresh draw for every head."""

    kind: Literal["gaussian", "rademacher", "uniform", "low_rank"] = Field(
        description="law of the entries (low_rank: gaussian, V' of rank head_dim)"
    )
    sigma_v: NonNegative = Field(
        description="standard deviation of the entries of V'", json_schema_extra={"derived": "1/sqrt(model.d)"}
    )
    sigma_a: NonNegative = Field(
        description="standard deviation of the entries of W and W'",
        json_schema_extra={"derived": "1/sqrt(model.d)"},
    )
    head_dim: Count = Field(
        description="rows of the query and key matrices, at most model.d",
        json_schema_extra={"derived": "model.d"},
    )
    mean_v: Matrix | None = Field(
        default=None,
        description="mean of the value matrix; left out: zero",
        json_schema_extra={"allowed": "a model.d x model.d matrix: a list of rows of numbers"},
    )
    mean_a: Matrix | None = Field(
        default=None,
        description="mean of A = key^T query; left out: zero",
        json_schema_extra={"allowed": "a model.d x model.d matrix: a list of rows of numbers"},
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
        default=None,
        description="value matrix V of each head",
        json_schema_extra={"allowed": "model.d x model.d matrices: lists of rows of numbers"},
    )
    query: Matrices | None = Field(
        default=None,
        description="query matrix of each head",
        json_schema_extra={"allowed": "head_dim x model.d matrices: lists of rows of numbers"},
    )
    key: Matrices | None = Field(
        default=None,
        description="key matrix of each head",
        json_schema_extra={"allowed": "head_dim x model.d matrices: lists of rows of numbers"},
    )
    file: File | None = Field(
        default=None,
        description="NetCDF file with value, query, key(head, row, col) in place of the matrices",
    )


class Mlp(Section):
    """MLP block behind every attention block."""

    activation: Literal["relu", "erf", "tanh", "sigmoid", "silu", "gelu", "linear"] = Field(
        default="relu", description="activation function"
    )
    width: CountOrZero = Field(default=0, description="hidden width; 0 is the limiting Gaussian field")
    sigma_r: NonNegative = Field(default=0.0, description="standard deviation of the inner bias")
    sigma_w: NonNegative = Field(default=0.0, description="standard deviation of the outer bias")


class HomogenizedLayers(Section):
    """Steps of the homogenized equation, mathematics (4) to (6)."""

    kind: Literal["homogenized"] = Field(description="law of the layers")
    dt: Positive = Field(description="step in depth time")
    t_end: NonNegative = Field(description="depth time of the last state, rounded to whole steps")
    noise_scale: Positive = Field(default=1.0, description="strength eps of the common noise")
    nodes: Count = Field(default=16, description="heads drawn per step")
    nodes_fixed: bool = Field(
        default=False, description="whether all steps share one draw of attention matrices"
    )
    retraction: Retraction = Field(default="normalize", description=RETRACTION_TEXT)
    norm: Norm = Field(default="post", description=NORM_TEXT)
    private_noise: NonNegative = Field(default=0.0, description=PRIVATE_TEXT)
    mlp: Mlp | None = Field(default=None, description="MLP block behind every attention block")
    refine: PowerOfTwo = Field(default=1, description=REFINE_TEXT, json_schema_extra={"allowed": POWER_TEXT})


class TransformerLayers(Section):
    """A finite transformer, C_m = (eta/heads) V_m with fresh heads in every layer."""

    kind: Literal["transformer"] = Field(description="law of the layers")
    eta: Positive = Field(description="residual step; depth time is eta times the layer")
    heads: Count = Field(description="heads per layer")
    depth: CountOrZero = Field(description="number of layers")
    retraction: Retraction = Field(default="normalize", description=RETRACTION_TEXT)
    norm: Norm = Field(default="post", description=NORM_TEXT)
    private_noise: NonNegative = Field(default=0.0, description=PRIVATE_TEXT)
    mlp: Mlp | None = Field(default=None, description="MLP block behind every attention block")


class BallisticLayers(Section):
    """The deterministic limit dX = b dt."""

    kind: Literal["ballistic"] = Field(description="law of the layers")
    dt: Positive = Field(description="step in depth time")
    t_end: NonNegative = Field(description="depth time of the last state, rounded to whole steps")
    nodes: Count = Field(
        default=16, description="heads that represent the law of the attention matrix (fixed heads: not used)"
    )
    scheme: Literal["euler", "rk4"] = Field(default="rk4", description="time stepping")
    retraction: Retraction = Field(default="normalize", description=RETRACTION_TEXT)
    mlp: Mlp | None = Field(default=None, description="MLP block behind every attention block")
    norm: Norm = Field(default="post", description=NORM_TEXT)
    refine: PowerOfTwo = Field(default=1, description=REFINE_TEXT, json_schema_extra={"allowed": POWER_TEXT})


class ModifiedLayers(Section):
    """The deterministic limit with the corrector of mathematics (3), first order in eta."""

    kind: Literal["modified"] = Field(description="law of the layers")
    dt: Positive = Field(description="step in depth time")
    t_end: NonNegative = Field(description="depth time of the last state, rounded to whole steps")
    eta: Positive = Field(description="residual step whose effect the corrector adds")
    noise_scale: NonNegative = Field(
        default=0.0, description="noise scale eps = eta/heads of the corrector; 0: infinitely many heads"
    )
    nodes: Count = Field(
        default=16, description="heads that represent the law of the attention matrix (fixed heads: not used)"
    )
    scheme: Literal["euler", "rk4"] = Field(default="rk4", description="time stepping")
    retraction: Literal["normalize", "geodesic"] = Field(default="normalize", description=RETRACTION_TEXT)
    mlp: Mlp | None = Field(default=None, description="MLP block behind every attention block")
    refine: PowerOfTwo = Field(default=1, description=REFINE_TEXT, json_schema_extra={"allowed": POWER_TEXT})


class RecordedLayers(Section):
    """Layers read from a file; depth time counts layers."""

    kind: Literal["recorded"] = Field(description="law of the layers")
    file: FileOrFolder = Field(
        description="NetCDF layers file; or of an encoder its folder or safetensors file (then model.beta = 1)"
    )
    retraction: Retraction = Field(default="normalize", description=RETRACTION_TEXT)
    norm: Norm = Field(default="post", description=NORM_TEXT)


class Component(Section):
    """One normalised von Mises-Fisher density of a mixture."""

    weight: Positive = Field(default=1.0, description="weight; all weights are scaled to sum 1")
    mean: Annotated[Vector, AfterValidator(unit_length)] = Field(
        description="direction of the mode, scaled to length 1",
        json_schema_extra={"allowed": "a list of model.d numbers, not all zero"},
    )
    kappa: Annotated[float, Field(ge=0, le=10**6)] = Field(description="concentration; 0 is uniform")


class VonMisesFisher(Section):
    """Mixture of von Mises-Fisher densities."""

    kind: Literal["von_mises_fisher"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)
    components: Annotated[tuple[Component, ...], Strict(False)] = Field(
        description="components of the mixture, each {weight, mean, kappa}",
        json_schema_extra={"allowed": "a list of at least one table {weight, mean, kappa}"},
    )

    @field_validator("components")
    @classmethod
    def _normalise_weights(cls, components: tuple[Component, ...]) -> tuple[Component, ...]:
        """Weights of sum 1; weights that already have it stay bitwise the same."""
        if not components:
            raise ValueError("must be a list of at least one table {weight, mean, kappa}")
        if abs(sum(component.weight for component in components) - 1) <= ROUNDING * len(components):
            return components
        largest = max(component.weight for component in components)
        scaled = [component.weight / largest for component in components]
        total = math.fsum(scaled)
        weights = [weight / total for weight in scaled]
        if not all(weights):
            raise ValueError("must have weights that do not vanish beside the largest one")
        return tuple(
            component.model_copy(update={"weight": weight})
            for component, weight in zip(components, weights, strict=True)
        )


class Uniform(Section):
    """Uniform law on the sphere."""

    kind: Literal["uniform"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)


class Conformal(Section):
    """The conformal family, mathematics E1."""

    kind: Literal["conformal"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)
    a: Vector = Field(
        description="parameter of the family in the open unit ball",
        json_schema_extra={"allowed": "a list of model.d numbers of length below 1"},
    )

    @field_validator("a")
    @classmethod
    def _inside_the_ball(cls, a: tuple[float, ...]) -> tuple[float, ...]:
        if not math.hypot(*a) < 1:
            raise ValueError("must be a vector of length below 1")
        return a


class Simplex(Section):
    """simulate.tokens tokens with the same overlap between any two."""

    kind: Literal["simplex"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)
    overlap: Annotated[float, Field(ge=-1, lt=1)] = Field(
        description="overlap of any two of n = simulate.tokens tokens, at least -1/(n-1), n <= model.d"
    )


class GaussianInitial(Section):
    """Gaussian law in euclidean space."""

    kind: Literal["gaussian"] = Field(description="law of the tokens at depth 0")
    mean: Vector = Field(description="mean", json_schema_extra={"allowed": "a list of model.d numbers"})
    covariance: Matrix = Field(
        description="covariance",
        json_schema_extra={"allowed": "a model.d x model.d matrix: a list of rows of numbers"},
    )


class TokensFile(Section):
    """Tokens from a file; their number replaces simulate.tokens."""

    kind: Literal["tokens"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)
    file: File = Field(description="NetCDF file with tokens(token, component) and, if wanted, weight(token)")


class DensityFile(Section):
    """Density from a file, d = 2 or 3."""

    kind: Literal["density"] = Field(description="law of the tokens at depth 0")
    radius: Positive = Field(default=1.0, description=RADIUS_TEXT)
    file: File = Field(description="NetCDF density file; its last state is taken")


class Solve(Section):
    """Density solver."""

    lmax: Annotated[int, Field(ge=2, le=1023)] = Field(
        default=63, description="largest spherical harmonic degree"
    )
    field_tol: Annotated[float, Field(gt=0, le=0.1)] = Field(
        default=1e-6, description="accuracy of the field"
    )
    remap_every: CountOrZero = Field(
        default=1, description="steps between two remaps of the coefficients; 0: never, carried nodes only"
    )
    carried_nodes: CarriedNodes = Field(
        default=AUTO,
        description="positive nodes (d = 2: product)",
        json_schema_extra={"allowed": CARRIED_TEXT},
    )
    moment_tol: Annotated[float, Field(gt=0, le=0.1)] = Field(
        default=1e-6, description="error of mean and second moment that auto keeps to, and warnings go by"
    )
    on_unresolved: Literal["warn", "stop"] = Field(
        default="warn", description="what to do when resolution is lost"
    )
    characteristics: bool = Field(
        default=False, description="follow the density along the carried nodes: entropy, Lyapunov exponents, folds"
    )

    @field_validator("carried_nodes")
    @classmethod
    def _nodes_make_a_grid(cls, nodes: tuple[int, int] | str) -> tuple[int, int] | str:
        if isinstance(nodes, str):
            return nodes
        latitudes, longitudes = nodes
        if latitudes < 2 or longitudes < 4 or longitudes % 2 or latitudes * longitudes > MAX_CARRIED:
            raise ValueError(f"must be {CARRIED_TEXT}")
        return nodes

    @property
    def given_nodes(self) -> tuple[int, int] | None:
        """Latitudes and longitudes of the carried nodes; None where they are chosen by the run."""
        return None if isinstance(self.carried_nodes, str) else self.carried_nodes


class Simulate(Section):
    """Token simulation."""

    tokens: Count = Field(default=1024, description="number of tokens (a tokens file brings its own)")
    field: Literal["auto", "direct", "spectral", "torch"] = Field(
        default="auto", description="how the attention field is computed (spectral: d = 2, 3; torch: if installed)"
    )
    precision: Literal["double", "single"] = Field(
        default="double", description="precision of a direct or torch field; the tokens stay in double"
    )
    sampling: Literal["random", "quadrature"] = Field(
        default="random", description="how tokens are drawn from the initial law (quadrature: d = 2, 3)"
    )
    replica: Seed = Field(
        default=0, description="number of the token sample; all share the noise of the layers"
    )


class Noise(Section):
    """Random numbers of the layers."""

    seed: Seed = Field(default=0, description="seed of all random numbers")
    member: Seed = Field(default=0, description="number of the ensemble member")


class Output(Section):
    """What is written."""

    save_every: Positive = Field(
        default=0.1, description="depth time between saved states, rounded to whole steps"
    )
    distances: Annotated[int, Field(ge=2, le=MAX_COUNT)] = Field(
        default=6, description="depths at which compare computes Wasserstein distances"
    )


Heads = Annotated[RandomHeads | FixedHeads | SmoothHeads, Field(discriminator="kind")]
Layers = Annotated[
    HomogenizedLayers | TransformerLayers | BallisticLayers | ModifiedLayers | RecordedLayers,
    Field(discriminator="kind"),
]
Initial = Annotated[
    VonMisesFisher | Uniform | Conformal | Simplex | GaussianInitial | TokensFile | DensityFile,
    Field(discriminator="kind"),
]


class Configuration(Section):
    """A whole configuration, complete and consistent.

    Example
    -------
    >>> from tokenlaw.config import load_text
    >>> text = '''
    ... model = {d = 3, beta = 2.0}
    ... heads = {kind = "gaussian"}
    ... layers = {kind = "homogenized", dt = 0.02, t_end = 2.0}
    ... initial = {kind = "uniform"}
    ... '''
    >>> load_text(text).solve.lmax
    63
    """

    model: Model = Field(description="what attends to what, and where the tokens live")
    heads: Heads | None = Field(
        default=None, description="law of one head; left out: gaussian, with recorded layers none"
    )
    layers: Layers = Field(description="law of the layers")
    initial: Initial = Field(description="law of the tokens at depth 0")
    solve: Solve = Field(default=Solve(), description="density solver")
    simulate: Simulate = Field(default=Simulate(), description="token simulation")
    noise: Noise = Field(default=Noise(), description="random numbers of the layers")
    output: Output = Field(default=Output(), description="what is written")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: object) -> object:
        """Refuse what this version lacks, then fill in the defaults that depend on model.d."""
        config_checks.refuse_not_yet(data)
        return config_checks.fill_derived(data)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for check in config_checks.CHECKS:
            check(self)
        return self
