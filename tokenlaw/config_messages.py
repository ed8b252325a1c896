"""One line for a refused configuration, and in words what a key allows: both read off the models."""

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tokenlaw.config_checks import is_not_yet
from tokenlaw.config_io import ConfigError, one_line, shortened, show, write_key
from tokenlaw.config_models import Configuration

_TYPES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "the name of an existing file",
}
_ELEMENT_ERRORS: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list",
}
_RANGE_ERRORS: Final = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_UNREFINED: Final = {"transformer": "whose steps are its layers", "recorded": "which are given as they are"}
_TABLE_ERRORS: Final = {"model_type", "model_attributes_type", "dict_type"}


def models_of(annotation: object) -> tuple[type[BaseModel], ...]:
    """Models a key may hold: none for a plain value, several where `kind` decides."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) is tuple:  # a list of tables
        return models_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return tuple(model for part in get_args(annotation) for model in models_of(part))
    return ()


def kinds_of(model: type[BaseModel], section: str) -> list[str]:
    """Values of `kind` that choose a model and that this version has."""
    values = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return [value for value in values if not is_not_yet(f"{section}.kind", value)]


def keys_of(model: type[BaseModel], section: str) -> list[str]:
    """Keys of a model that this version has."""
    return [key for key in model.model_fields if not is_not_yet(f"{section}.{key}", None)]


def allowed(field: FieldInfo, path: str) -> str:
    """What a key allows, as a phrase that follows "must be"."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    annotation = _without_none(field.annotation)
    if models_of(annotation):
        return f"a section [{path}]"
    if get_origin(annotation) is Literal:
        values = [value for value in get_args(annotation) if not is_not_yet(path, value)]
        return ("one of " if len(values) > 1 else "") + ", ".join(values)
    if annotation is bool:
        values = [word for value, word in ((True, "true"), (False, "false")) if not is_not_yet(path, value)]
        return " or ".join(values)
    return f"{_TYPES.get(annotation, 'a value')} {limits(field)}".strip()


def limits(field: FieldInfo) -> str:
    """Range of a number in words; empty where there is none."""
    low = high = strict_low = strict_high = None
    for item in field.metadata:
        low = item.ge if isinstance(item, annotated_types.Ge) else low
        high = item.le if isinstance(item, annotated_types.Le) else high
        strict_low = item.gt if isinstance(item, annotated_types.Gt) else strict_low
        strict_high = item.lt if isinstance(item, annotated_types.Lt) else strict_high
    if low is not None and high is not None:
        return f"between {low} and {high}"
    parts = [
        f"{word} {bound}"
        for word, bound in (
            ("at least", low), ("greater than", strict_low), ("at most", high), ("below", strict_high),
        )
        if bound is not None
    ]  # fmt: skip
    return " and ".join(parts)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _without_none(parts[0]) if len(parts) == 1 else annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def all_keys() -> Iterator[tuple[str, str]]:
    """Every (key, path) this version knows, sections included."""
    for section, field in Configuration.model_fields.items():
        yield section, section
        for model in models_of(field.annotation):
            if kinds_of(model, section) or "kind" not in model.model_fields:
                yield from ((key, f"{section}.{key}") for key in keys_of(model, section))


class _Place:
    """Where an error is: key path as a user writes it, the field, and the model and the section around it."""

    def __init__(self, location: Sequence[str | int]) -> None:
        self.path, self.parent = "", ""
        self.field: FieldInfo | None = None
        self.model: type[BaseModel] = Configuration
        self.siblings: tuple[type[BaseModel], ...] = (Configuration,)
        self.in_list = False
        inside: tuple[type[BaseModel], ...] = (Configuration,)
        for step in location:
            if isinstance(step, int):
                self.path += f"[{step}]"
                self.in_list = not inside
                continue
            chosen = [model for model in inside if len(inside) > 1 and step in self._tags(model)]
            if chosen and self.siblings != inside:  # the tag that chose a model is no part of the path
                self.model, self.siblings = chosen[0], inside
                continue
            if len(inside) == 1:
                self.model, self.siblings = inside[0], inside
            self.parent, self.path = self.path, f"{self.path}.{shortened(write_key(step))}".lstrip(".")
            self.field = self.model.model_fields.get(step)
            inside = models_of(self.field.annotation) if self.field else ()

    @staticmethod
    def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
        return get_args(model.model_fields["kind"].annotation)


def _unknown_key(place: _Place, key: str, value: object) -> str:
    """Message for a key that is not there: of another kind, misspelt, or of another section."""
    here = f"{place.parent}." if place.parent else ""
    own = next((kind for kind in kinds_of(place.model, place.parent)), "")
    kinds = [
        kind
        for model in place.siblings
        if key in model.model_fields and model is not place.model
        for kind in kinds_of(model, place.parent)
    ]
    if place.path == "layers.refine" and own in _UNREFINED:
        return f"{place.path} = {show(value)}: not with layers.kind = {show(own)}, {_UNREFINED[own]}"
    if kinds:
        quoted = " or ".join(show(kind) for kind in kinds)
        return f"{place.path} = {show(value)}: belongs to {here}kind = {quoted}, not to {show(own)}"
    word = "section" if not place.parent and isinstance(value, Mapping) else "key"
    known = keys_of(place.model, place.parent)
    elsewhere = dict(reversed(list(all_keys())))  # the first section that has a key wins
    for candidates in (known, list(elsewhere)):
        match = difflib.get_close_matches(key, candidates, n=1)
        if match:
            near = here + match[0] if candidates is known else elsewhere[match[0]]
            return f"{place.path}: unknown {word}; did you mean {near}?"
    return f"{place.path}: unknown {word}; allowed: {', '.join(known) if known else 'none'}"


def _message(error: Mapping[str, Any]) -> str:
    """One line for one pydantic error."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "configuration":
        return f"{context['path']}{context['text']}"
    place = _Place(error["loc"])
    if kind == "not_yet":
        place = _Place(context["path"].split("."))
        return _not_yet(context["path"], context["value"])
    if kind == "extra_forbidden":
        return _unknown_key(place, str(error["loc"][-1]), value)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _bad_kind(place.path, value)
    phrase = allowed(place.field, place.path) if place.field else "another value"
    if kind == "missing" and not isinstance(error["loc"][-1], int):
        return f"{place.path}: missing; must be {phrase}"
    if kind in ("missing", "too_long", "too_short") and isinstance(error["loc"][-1], int):
        place = _Place(error["loc"][:-1])
    elif place.in_list and kind != "value_error":
        phrase = _ELEMENT_ERRORS.get(kind, "a finite number")
    if kind == "value_error":
        return f"{place.path} = {show(value)}: {context['error']}"
    if kind in _TABLE_ERRORS:
        phrase = "a table" if "[" in place.path else f"a section [{place.path}]"
        return f"{place.path} = {show(value)}: must be {phrase}"
    if kind in _RANGE_ERRORS and place.field and limits(place.field):
        phrase = limits(place.field)
        phrase = phrase if phrase.startswith("between") else allowed(place.field, place.path)
    return f"{place.path} = {show(value)}: must be {phrase}"


def _kinds_of_section(path: str) -> list[str]:
    field = Configuration.model_fields[path]
    return [kind for model in models_of(field.annotation) for kind in kinds_of(model, path)]


def _bad_kind(path: str, value: object) -> str:
    kinds = ", ".join(_kinds_of_section(path))
    if isinstance(value, Mapping) and "kind" in value:
        return f"{path}.kind = {show(value['kind'])}: must be one of {kinds}"
    return f"{path}.kind: missing; must be one of {kinds}"


def _not_yet(path: str, value: str) -> str:
    section, key = path.split(".")
    if key == "kind":
        available = ", ".join(_kinds_of_section(section))
    else:
        field = next(
            model.model_fields[key]
            for model in models_of(Configuration.model_fields[section].annotation)
            if key in model.model_fields
        )
        available = allowed(field, path).removeprefix("one of ")
    return f"{path} = {value}: not available in this version; available: {available}"


def to_config_error(error: ValidationError) -> ConfigError:
    """The first error as one line, misspelt keys before the missing ones they cause, and how many others."""
    errors = error.errors(include_url=False)
    errors.sort(key=lambda item: item["type"] != "extra_forbidden")
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ConfigError(one_line(_message(errors[0])) + others)
