"""Sections of a configuration as frozen pydantic models: every key, its kind of value, its default.

What a value must be beyond its kind is the business of the object made of it (`tokenlaw.runs.build`); messages, files
and overrides are that of `tokenlaw.config.read`.
"""

import math
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, Strict, field_validator

from tokenlaw.config.equations import EquationLayers
from tokenlaw.config.layers import (
    SQUARE,
    BallisticLayers,
    Heads,
    HomogenizedLayers,
    ModifiedLayers,
    RecordedLayers,
    TransformerLayers,
)
from tokenlaw.config.types import (
    MAX_COUNT,
    ROUNDING,
    Count,
    CountOrZero,
    File,
    Matrix,
    Positive,
    Section,
    Seed,
    Vector,
    choice,
    unit_length,
)

MAX_CARRIED: Final = 4_000_000
CARRIED_TEXT: Final = (
    "[latitudes, longitudes], latitudes at least 2, longitudes even and at least 4, "
    f"at most {MAX_CARRIED} nodes in all, or \"auto\""
)
Radius = Annotated[
    float,
    Field(
        default=1.0, gt=0, description="length of the tokens at depth 0 in a residual stream (layers.norm pre or rms)"
    ),
]  # fmt: skip
UNHEADED: Final = 'layers.kind = "equation"'
OF_TOKENS: Final = "law of the tokens at depth 0"


class Model(Section):
    """What attends to what, and where the tokens live."""

    d: Annotated[int, Field(ge=2, le=65536)] = Field(
        description="dimension; tokens live on the sphere S^(d-1) or in R^d, densities need d = 2 or 3"
    )
    beta: float | None = Field(
        default=None, ge=0, description="inverse temperature of the attention",
        json_schema_extra={"required": f'required unless {UNHEADED}'},
    )  # fmt: skip
    attention: str = choice("particles.attention.table:KERNELS", "softmax", "attention kernel")
    causal: bool = Field(default=False, description="whether a token attends only to the tokens before it")
    space: Literal["sphere", "euclidean"] = Field(default="sphere", description="space of the tokens")


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

    kind: Literal["von_mises_fisher"] = Field(description=OF_TOKENS)
    radius: Radius
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

    kind: Literal["uniform"] = Field(description=OF_TOKENS)
    radius: Radius


class Conformal(Section):
    """The conformal family, mathematics E1."""

    kind: Literal["conformal"] = Field(description=OF_TOKENS)
    radius: Radius
    a: Vector = Field(
        description="parameter of the family in the open unit ball",
        json_schema_extra={"allowed": "a list of model.d numbers of length below 1"},
    )


class Simplex(Section):
    """simulate.tokens tokens with the same overlap between any two."""

    kind: Literal["simplex"] = Field(description=OF_TOKENS)
    radius: Radius
    overlap: float = Field(
        description="overlap of any two of n = simulate.tokens tokens, at least -1/(n-1) and below 1, n <= model.d"
    )


class GaussianInitial(Section):
    """Gaussian law in euclidean space."""

    kind: Literal["gaussian"] = Field(description=OF_TOKENS)
    mean: Vector = Field(description="mean", json_schema_extra={"allowed": "a list of model.d numbers"})
    covariance: Matrix = Field(description="covariance", json_schema_extra={**SQUARE})


class TokensFile(Section):
    """Tokens from a file; their number replaces simulate.tokens."""

    kind: Literal["tokens"] = Field(description=OF_TOKENS)
    radius: Radius
    file: File = Field(description="NetCDF file with tokens(token, component) and, if wanted, weight(token)")


class DensityFile(Section):
    """Density from a file, d = 2 or 3."""

    kind: Literal["density"] = Field(description=OF_TOKENS)
    radius: Radius
    file: File = Field(description="NetCDF density file; its last state is taken")


class Solve(Section):
    """Density solver."""

    lmax: int = Field(default=63, description="largest spherical harmonic degree, 2 to 1023")
    field_tol: float = Field(default=1e-6, description="accuracy of the field, at most 0.1")
    remap_every: CountOrZero = Field(
        default=1, description="steps between two remaps of the coefficients; 0: never, carried nodes only"
    )
    carried_nodes: tuple[int, int] | Literal["auto"] = Field(
        default="auto", description="positive nodes (d = 2: product)", json_schema_extra={"allowed": CARRIED_TEXT}
    )
    moment_tol: float = Field(
        default=1e-6, description="error of mean and second moment that auto keeps to, and warnings go by, at most 0.1"
    )
    on_unresolved: Literal["warn", "stop"] = Field(default="warn", description="what to do when resolution is lost")
    characteristics: bool = Field(
        default=False, description="follow the density along the carried nodes: entropy, Lyapunov exponents, folds"
    )

    @field_validator("carried_nodes", mode="before")
    @classmethod
    def _nodes_make_a_grid(cls, nodes: object) -> object:
        if nodes == "auto":
            return nodes
        sizes = nodes if isinstance(nodes, list | tuple) and [type(size) for size in nodes] == [int, int] else (0, 0)
        if sizes[0] < 2 or sizes[1] < 4 or sizes[1] % 2 or sizes[0] * sizes[1] > MAX_CARRIED:
            raise ValueError(f"must be {CARRIED_TEXT}")
        return tuple(sizes)

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
    replica: Seed = Field(default=0, description="number of the token sample; all share the noise of the layers")


class Noise(Section):
    """Random numbers of the layers."""

    seed: Seed = Field(default=0, description="seed of all random numbers")
    member: Seed = Field(default=0, description="number of the ensemble member")


class Output(Section):
    """What is written."""

    save_every: Positive = Field(default=0.1, description="depth time between saved states, rounded to whole steps")
    distances: Annotated[int, Field(ge=2, le=MAX_COUNT)] = Field(
        default=6, description="depths at which compare computes Wasserstein distances"
    )


Initial = Annotated[
    VonMisesFisher | Uniform | Conformal | Simplex | GaussianInitial | TokensFile | DensityFile,
    Field(discriminator="kind"),
]
Layers = Annotated[
    HomogenizedLayers | TransformerLayers | BallisticLayers | ModifiedLayers | RecordedLayers | EquationLayers,
    Field(discriminator="kind"),
]


class Sections(Section):
    """The sections of a configuration, each by itself; `tokenlaw.config.rules.Configuration` is consistent, too."""

    model: Model = Field(description="what attends to what, and where the tokens live")
    heads: Heads | None = Field(
        default=None, description="law of one head; left out: gaussian, with recorded layers and equations none"
    )
    layers: Layers = Field(description="law of the layers")
    initial: Initial = Field(description=OF_TOKENS)
    solve: Solve = Field(default=Solve(), description="density solver")
    simulate: Simulate = Field(default=Simulate(), description="token simulation")
    noise: Noise = Field(default=Noise(), description="random numbers of the layers")
    output: Output = Field(default=Output(), description="what is written")
