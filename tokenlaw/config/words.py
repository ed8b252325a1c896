"""One line for a refused configuration, and in words what a key allows: both read off the models."""

import ast
import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tokenlaw.config.rules import Configuration
from tokenlaw.config.toml import ConfigError, one_line, shortened, show, write_key
from tokenlaw.config.types import kinds_of, models_of

HOME: Final = Path(__file__).resolve().parents[2]
"""Folder of our packages."""
_TYPES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "the name of an existing file",
}
_SECTIONS: Final = {section: models_of(field.annotation) for section, field in Configuration.model_fields.items()}

Location = Sequence[str | int]


@cache
def names_in(table: str) -> tuple[str, ...]:
    """Names of the objects that a key chooses among, "module:TABLE": keys of a dict that is written out.

    They are read from the source: a configuration is printed and refused without loading what computes.
    """
    module, _, name = table.partition(":")
    for node in ast.parse((HOME / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and ast.unparse(node.target) == name:
            return tuple(ast.literal_eval(key) for key in node.value.keys if key is not None)
    raise LookupError(f"{module} has no dict {name}")


def allowed(field: FieldInfo, path: str) -> str:
    """What a key allows, as a phrase that follows "must be"."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if "allowed" in extra:
        return str(extra["allowed"])
    annotation = _without_none(field.annotation)
    if models_of(annotation):
        return f"a section [{path}]"
    if "table" in extra or get_origin(annotation) is Literal:
        names = names_in(str(extra["table"])) if "table" in extra else get_args(annotation)
        return ("one of " if len(names) > 1 else "") + ", ".join(names)
    return f"{_TYPES.get(annotation, 'a value')} {limits(field)}".strip()


def limits(field: FieldInfo) -> str:
    """Range of a number in words; empty where there is none."""
    bounds: dict[str, Any] = {}
    for kind, word, name in (
        (annotated_types.Ge, "at least", "ge"), (annotated_types.Gt, "greater than", "gt"),
        (annotated_types.Le, "at most", "le"), (annotated_types.Lt, "below", "lt"),
    ):  # fmt: skip
        for item in field.metadata:
            if isinstance(item, kind):
                bounds[word] = getattr(item, name)
    if bounds.keys() == {"at least", "at most"}:
        return f"between {bounds['at least']} and {bounds['at most']}"
    return " and ".join(f"{word} {bound}" for word, bound in bounds.items())


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _without_none(parts[0]) if len(parts) == 1 else annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def all_keys() -> Iterator[tuple[str, str]]:
    """Every (key, path), sections included."""
    for section, models in _SECTIONS.items():
        yield section, section
        yield from ((key, f"{section}.{key}") for model in models for key in model.model_fields)


class Place(NamedTuple):
    """Key path as a user writes it, the field there, the model around it, and the models that may stand there."""

    path: str
    field: FieldInfo | None
    model: type[BaseModel]
    inside: tuple[type[BaseModel], ...]


def _place(location: Location) -> Place:
    """Where an error is."""
    section, *rest = location
    models = _SECTIONS.get(str(section), ())
    path, field = shortened(write_key(str(section))), Configuration.model_fields.get(str(section))
    model: type[BaseModel] = Configuration
    for step in rest:
        if isinstance(step, int):
            path += f"[{step}]"
        elif len(models) > 1:  # the tag that chose a model is no part of the path
            models = tuple(one for one in models if step in kinds_of(one))
        else:
            path += f".{shortened(write_key(step))}"
            model = models[0] if models else model
            field = model.model_fields.get(step)
            models = models_of(field.annotation) if field else ()
    return Place(path, field, model, models)


def _unknown_key(location: Location, value: object) -> str:
    """Message for a key that is not there: of another kind, misspelt, or of another section."""
    (path, _, model, _), key = _place(location), str(location[-1])
    here, known = path.rpartition(".")[0], list(model.model_fields)
    siblings = _place(location[:-2]).inside if len(location) > 2 else ()
    kinds = [kind for other in siblings if key in other.model_fields for kind in kinds_of(other)]
    if kinds and model in siblings:
        quoted = " or ".join(map(show, kinds))
        return f"{path} = {show(value)}: belongs to {here}.kind = {quoted}, not to {show(location[-2])}"
    word = "section" if len(location) == 1 and isinstance(value, Mapping) else "key"
    elsewhere = dict(reversed(list(all_keys())))  # the first section that has a key wins
    for near in difflib.get_close_matches(key, known, n=1):
        return f"{path}: unknown {word}; did you mean {f'{here}.{near}' if here else near}?"
    for near in difflib.get_close_matches(key, elsewhere, n=1):
        return f"{path}: unknown {word}; did you mean {elsewhere[near]}?"
    return f"{path}: unknown {word}; allowed: {', '.join(known)}"


def _message(error: Mapping[str, Any]) -> str:
    """One line for one pydantic error: in its words where a value of a list is wrong, else what the key allows."""
    kind, value, location = error["type"], error["input"], error["loc"]
    if kind == "configuration":
        return str(error["ctx"]["text"])
    if kind == "extra_forbidden":
        return _unknown_key(location, value)
    path, field, _, models = _place(location)
    if kind.startswith("union_tag"):
        path, kinds = f"{path}.kind", [one for model in models for one in kinds_of(model)]
        known = isinstance(value, Mapping) and "kind" in value
        kind, value = ("", value["kind"]) if known else ("missing", None)
        phrase = f"one of {', '.join(kinds)}"
    elif kind == "value_error":
        return f"{path} = {show(value)}: {error['ctx']['error']}"
    elif kind in ("model_type", "model_attributes_type") and isinstance(location[-1], int):
        phrase = "a table"
    elif field is None or isinstance(location[-1], int):
        phrase = error["msg"].removeprefix("Input should be ").replace("tuple", "list")
    else:
        phrase = allowed(field, path)
        if phrase in (_TYPES[int], _TYPES[float]) and field.description:  # the range is the object's; it tells in words
            phrase += f" ({field.description})"
    return f"{path}: missing; must be {phrase}" if kind == "missing" else f"{path} = {show(value)}: must be {phrase}"


def to_config_error(error: ValidationError) -> ConfigError:
    """The first error as one line, misspelt keys before the missing ones they cause, and how many others."""
    errors = error.errors(include_url=False)
    errors.sort(key=lambda item: item["type"] != "extra_forbidden")
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ConfigError(one_line(_message(errors[0])) + others)
