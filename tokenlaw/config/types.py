"""Building blocks of the configuration models: kinds of values, and the base of every section."""

import math
import os
import sys
import types
from collections.abc import Callable
from glob import glob
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationInfo

MAX_COUNT: Final = 10**9
"""Upper limit of every count; whether it fits into memory is checked where it is allocated."""
ROUNDING: Final = 4 * sys.float_info.epsilon
"""A length or sum this close to 1 counts as 1."""


def file_or_model(path: str) -> bool:
    """Whether there is a file, or the folder of a model: one with safetensors files."""
    return os.path.isfile(path) or bool(glob("*.safetensors", root_dir=path))


def resolved(name: str, info: ValidationInfo, there: Callable[[str], bool] = os.path.isfile) -> str:
    """Absolute path of a file; a relative name counts from the directory of the configuration file."""
    context: dict[str, Any] = info.context or {}
    if not name or "\0" in name:
        raise ValueError("must be the name of a file")
    path = os.path.abspath(os.path.join(context.get("directory") or os.curdir, name))
    if context.get("check_files", True):
        if not there(path):
            raise ValueError(f"must be the name of an existing file, but there is no file {path}")
        if not os.access(path, os.R_OK):
            raise ValueError(f"must be a readable file, but reading {path} is not permitted")
    return path


def rows_of_equal_length(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    """The matrix itself, where it is one."""
    if not matrix or not matrix[0] or len({len(row) for row in matrix}) > 1:
        raise ValueError("must be a matrix: a list of rows of numbers, all of the same length")
    return matrix


def one_or_several(matrices: object) -> object:
    """A list of matrices, where a single matrix may be given as it is."""
    rows = matrices if isinstance(matrices, list) else []
    single = rows and isinstance(rows[0], list) and rows[0] and not isinstance(rows[0][0], list)
    return [matrices] if single else matrices


def unit_length(vector: tuple[float, ...]) -> tuple[float, ...]:
    """Scale to length 1; a vector that has it already stays bitwise the same, so that saving is exact."""
    largest = max((abs(entry) for entry in vector), default=0.0)
    if not largest > 0:
        raise ValueError("must be a non-zero vector")
    if abs(math.hypot(*vector) - 1) <= ROUNDING:
        return vector
    scaled = [entry / largest for entry in vector]  # keeps hypot away from overflow and underflow
    length = math.hypot(*scaled)
    return tuple(entry / length for entry in scaled)


def choice(table: str, default: str, description: str) -> Any:
    """A key whose names are those of a table of objects, "module:TABLE"; objects are looked up when they are made."""
    return Field(default=default, description=description, json_schema_extra={"table": table})


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Vector = Annotated[tuple[float, ...], Strict(False)]  # TOML has lists; the entries stay strict
Matrix = Annotated[tuple[Vector, ...], Strict(False), AfterValidator(rows_of_equal_length)]
Matrices = Annotated[tuple[Matrix, ...], Strict(False), BeforeValidator(one_or_several)]
File = Annotated[str, AfterValidator(lambda name, info: resolved(name, info))]
FileOrFolder = Annotated[str, AfterValidator(lambda name, info: resolved(name, info, file_or_model))]


def models_of(annotation: object) -> tuple[type[BaseModel], ...]:
    """Models a key may hold: none for a plain value, several where `kind` decides."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) is tuple:  # a list of tables
        return models_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return tuple(model for part in get_args(annotation) for model in models_of(part))
    return ()


def kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Values of `kind` that choose a model."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


class Section(BaseModel):
    """A part of the configuration: immutable, no unknown keys, no conversion of types, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
