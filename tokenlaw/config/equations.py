"""Section [layers] of kind = "equation": its terms, as tables of [[layers.drift]] and [[layers.common_noise]]."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, Strict

from tokenlaw.config.layers import Dt, PrivateNoise, Refine, TEnd
from tokenlaw.config.types import NonNegative, Section, Vector

SERIES: Final = "a list of numbers or of pairs [real, imaginary]"
FUNCTION: Final = {"allowed": '"module:name", a function of a Python file in the folder of the configuration'}


def _pairs(series: object) -> object:
    """Complex numbers as pairs; a real one may be given as it is."""
    entries = series if isinstance(series, list | tuple) else ()
    found = [list(one) if isinstance(one, list | tuple) else [one, 0.0] for one in entries]
    numbers = [len(pair) == 2 and all(type(part) in (int, float) for part in pair) for pair in found]
    if not numbers or not all(numbers):
        raise ValueError(f"must be {SERIES}")
    return found


Pair = Annotated[tuple[float, float], Strict(False)]
Series = Annotated[tuple[Pair, ...], Strict(False), BeforeValidator(_pairs)]


class ZonalTerm(Section):
    """An interaction b = grad_x int w(<x, y>) mu(dy)."""

    kind: Literal["zonal"] = Field(description="kind of the term")
    kernel: str = Field(
        description="w", json_schema_extra={"table": "tokenlaw.runs.equations:INTERACTIONS"}
    )
    strength: float | None = Field(default=None, description="K of dot and maier_saupe; of exponential 1 if left out")
    beta: float | None = Field(default=None, description="of exponential, w = K e^(beta t)/beta")
    coefficients: Vector | None = Field(
        default=None, description="a_0, a_1, ... of legendre, w = sum_l a_l P_l",
        json_schema_extra={"allowed": "a list of numbers"},
    )  # fmt: skip
    function: str | None = Field(default=None, description="w(t) of python", json_schema_extra={**FUNCTION})


class GradientTerm(Section):
    """b = grad V: V = <axis, x>, or a series."""

    kind: Literal["gradient"] = Field(description="kind of the term")
    coefficients: Series | None = Field(
        default=None, description="V by degree, complex and orthonormal as in files of densities",
        json_schema_extra={"allowed": SERIES},
    )  # fmt: skip
    axis: Vector | None = Field(
        default=None, description="V = <axis, x>", json_schema_extra={"allowed": "a list of model.d numbers"}
    )


class RotationTerm(Section):
    """b = axis x x."""

    kind: Literal["rotation"] = Field(description="kind of the term")
    axis: Vector = Field(
        description="angular velocity",
        json_schema_extra={"allowed": "a list of three numbers (d = 3) or of one (d = 2)"},
    )


class FunctionTerm(Section):
    """Any b of points (N, d) and measure."""

    kind: Literal["python"] = Field(description="kind of the term")
    function: str = Field(description="of points and measure, to (N, d)", json_schema_extra={**FUNCTION})


class AxesNoise(Section):
    """Kicks along all axes, or rotations in all planes of two axes."""

    kind: Literal["kicks", "rotations"] = Field(description="kind of the term")
    strength: NonNegative = Field(description="standard deviation in unit depth time")


class IsotropicNoise(Section):
    """An isotropic Gaussian field of given power by degree 1, 2, ...."""

    kind: Literal["isotropic"] = Field(description="kind of the term")
    gradient: Vector = Field(
        default=(), description="power of the gradient part by degree",
        json_schema_extra={"allowed": "a list of numbers"},
    )  # fmt: skip
    curl: Vector = Field(
        default=(), description="power of the curl part by degree (d = 3)",
        json_schema_extra={"allowed": "a list of numbers"},
    )  # fmt: skip


class FunctionNoise(Section):
    """P_x s(x, mu) dW with any s of points (N, d) and measure."""

    kind: Literal["python"] = Field(description="kind of the term")
    function: str = Field(description="of points and measure, to (N, d)", json_schema_extra={**FUNCTION})


DriftTerm = Annotated[ZonalTerm | GradientTerm | RotationTerm | FunctionTerm, Field(discriminator="kind")]
NoiseTerm = Annotated[AxesNoise | IsotropicNoise | FunctionNoise, Field(discriminator="kind")]


def _tables(description: str) -> Any:
    allowed = "a list of tables, each with a kind"
    return Field(default=(), description=description, json_schema_extra={"allowed": allowed})


class EquationLayers(Section):
    """An equation of one's own, mathematics section 10."""

    kind: Literal["equation"] = Field(description="law of the layers")
    dt: Dt
    t_end: TEnd
    private_noise: PrivateNoise
    interpretation: str | None = Field(
        default=None, description="sense of the common noise, needed where the two differ",
        json_schema_extra={"table": "particles.equations.steps:INTERPRETATIONS"},
    )  # fmt: skip
    tolerance: float | None = Field(
        default=None, gt=0,
        description="without common noise: error of a step over its length, steps at most dt; left out: steps of dt",
    )  # fmt: skip
    stepping: str | None = Field(
        default=None, description="halves of private noise around the drift, or exponential, for densities",
        json_schema_extra={"table": "particles.equations.steps:STEPPINGS"},
    )  # fmt: skip
    drift: Annotated[tuple[DriftTerm, ...], Strict(False)] = _tables("terms of b")
    common_noise: Annotated[tuple[NoiseTerm, ...], Strict(False)] = _tables("terms of the common noise")
    refine: Refine
