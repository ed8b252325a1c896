"""The configuration of a run: reading and checking TOML, writing it back, its defaults, its steps.

Every refusal is a `ConfigError` of one line. The keys, their kinds and defaults are the models of
`tokenlaw.config.schema`; what a value must be beyond its kind, the objects say that `tokenlaw.runs.build` makes of it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tokenlaw.config.rules import MAX_RECORDS, MAX_STEPS, USUAL_HEADS, Configuration
from tokenlaw.config.toml import ConfigError, override, parse, read, write_document, write_value
from tokenlaw.config.types import kinds_of, models_of
from tokenlaw.config.words import allowed, to_config_error

__all__ = [
    "MAX_RECORDS",
    "MAX_STEPS",
    "ConfigError",
    "Configuration",
    "StepPlan",
    "changed_keys",
    "defaults_text",
    "dumps",
    "load",
    "load_text",
    "steps",
]

RESUMABLE: Final = frozenset({"layers.t_end", "layers.depth"})
"""Keys outside [output] that may change between a run and its continuation."""


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Configuration:
    """Read a configuration file.

    Parameters
    ----------
    path
        TOML file. Relative file names inside it count from its directory.
    overrides
        Assignments "key.path=value", applied in order; the value is TOML, or a bare string.

    Raises
    ------
    ConfigError
        In one line: the key or file, the value received, what is allowed.
    """
    path = os.fspath(path)
    directory = os.path.dirname(os.path.abspath(path)) if "\0" not in path else None
    return load_text(read(path), overrides, directory=directory, name=path)


def load_text(
    text: str,
    overrides: Sequence[str] = (),
    *,
    directory: str | None = None,
    check_files: bool = True,
    name: str = "configuration",
) -> Configuration:
    """Read a configuration from TOML text.

    Parameters
    ----------
    directory
        Where relative file names count from; the current directory if left out.
    check_files
        False for the configuration of a run in the past, whose input files may be gone.
    name
        What messages about TOML syntax call the text.
    """
    document = override(parse(text, name), overrides)
    try:
        return Configuration.model_validate(document, context={"directory": directory, "check_files": check_files})
    except ValidationError as error:
        raise to_config_error(error) from None


def dumps(configuration: Configuration) -> str:
    """Canonical TOML text with every key; `load_text` gives back an equal configuration, floats bitwise."""
    return write_document(configuration.model_dump(exclude_none=True))


def changed_keys(old: Configuration, new: Configuration) -> list[str]:
    """Key paths whose change forbids resuming a run: all but layers.t_end, layers.depth and [output].

    Input files are compared by name, not by content.
    """
    before, after = dict(_flatten(old.model_dump())), dict(_flatten(new.model_dump()))
    return [
        path
        for path in dict.fromkeys([*before, *after])
        if path not in RESUMABLE and not path.startswith("output.") and before.get(path) != after.get(path)
    ]


def _flatten(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{key}.")
        else:
            yield above + key, value


@dataclass(frozen=True)
class StepPlan:
    """Steps of a run, in depth time.

    Attributes
    ----------
    dt : step, layers.dt/layers.refine
    n_steps : number of steps
    save_steps : steps after which a state is saved, the first (0) and the last (n_steps) included
    notes : sentences about rounding, to be said once
    """

    dt: float
    n_steps: int
    save_steps: tuple[int, ...]
    notes: tuple[str, ...]


def steps(configuration: Configuration, n_recorded: int | None = None) -> StepPlan:
    """Round t_end and save_every to whole steps of layers.dt, so that layers.refine leaves the records where they are.

    Parameters
    ----------
    n_recorded
        Number of layers in the file; required with recorded layers, where depth time counts layers (dt = 1).

    Example
    -------
    >>> from tokenlaw.config.read import load_text, steps
    >>> plan = steps(load_text('''
    ... model = {d = 3, beta = 2.0}
    ... heads = {kind = "gaussian"}
    ... layers = {kind = "transformer", eta = 0.1, heads = 8, depth = 5}
    ... initial = {kind = "uniform"}
    ... output = {save_every = 0.2}
    ... '''))
    >>> plan.save_steps
    (0, 2, 4, 5)
    """
    layers = configuration.layers
    notes: list[str] = []
    refine: int = getattr(layers, "refine", 1)
    if layers.kind == "recorded":
        if n_recorded is None:
            raise TypeError("steps of recorded layers need n_recorded, the number of layers in the file")
        dt, n_steps = 1.0, n_recorded
    elif layers.kind == "transformer":
        dt, n_steps = layers.eta, layers.depth
    else:
        dt, n_steps = layers.dt, _whole(layers.t_end / layers.dt)
        if layers.t_end > 0 and not _is_whole(layers.t_end / dt):
            notes.append(
                f"layers.t_end = {layers.t_end!r} is not a whole number of steps of {dt!r}: "
                f"the run takes {n_steps} step{'s' * (n_steps != 1)} and ends at {n_steps * dt:.10g}."
            )
    save_every = configuration.output.save_every
    stride = min(_whole(save_every / dt), max(n_steps, 1))
    if not _is_whole(save_every / dt) and save_every < n_steps * dt:
        notes.append(
            f"output.save_every = {save_every!r} is not a whole number of steps of {dt!r}: "
            f"states are saved {stride * dt:.10g} apart."
        )
    saved = range(0, n_steps, stride)
    if len(saved) > MAX_RECORDS:
        raise ConfigError(
            f"output.save_every = {save_every!r}: must let at most {MAX_RECORDS} states be saved"
        )
    save_steps = tuple(refine * step for step in (*saved, n_steps))
    return StepPlan(dt / refine, refine * n_steps, save_steps, tuple(notes))


def _whole(ratio: float) -> int:
    """Nearest number of steps, at least one for anything positive."""
    return max(round(min(ratio, 1e18)), 1) if ratio > 0 else 0


def _is_whole(ratio: float) -> bool:
    return ratio >= 1 - 1e-9 and abs(ratio - round(min(ratio, 1e18))) <= 1e-9 * ratio


def defaults_text() -> str:
    """All keys with their defaults, limits and meaning as TOML; what must be filled in stands behind a #."""
    lines = [
        "# All keys of a configuration, with their defaults. Keys behind a # have no default, belong to one",
        '# kind only, or have a default that depends on other keys. "required" ones must be filled in.',
        "",
    ]
    for section, field in Configuration.model_fields.items():
        models = [model for model in models_of(field.annotation) if kinds_of(model)]
        lines += [f"# {field.description}", f"[{section}]"]
        if not models:
            lines += _section_lines(models_of(field.annotation)[0], section, active=True)
        else:
            kinds = [kind for model in models for kind in kinds_of(model)]
            usual = USUAL_HEADS if section == "heads" else None
            choice = f"one of {', '.join(kinds)}"
            lines += [f"# required: {choice}" if usual is None else f"# {choice}; default {usual}", "# kind ="]
        for model in models:
            for kind in kinds_of(model):
                lines += ["", f"# kind = {write_value(kind)}: {_summary(model)}"]
                lines += _section_lines(model, section, active=False)
        lines.append("")
    return "\n".join(lines)


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]


def _section_lines(model: type[BaseModel], section: str, *, active: bool) -> list[str]:
    fields = [(key, field) for key, field in model.model_fields.items() if key != "kind"]
    return [line for key, field in fields for line in _key_lines(key, field, f"{section}.{key}", active=active)]


def _key_lines(key: str, field: FieldInfo, path: str, *, active: bool) -> list[str]:
    extra = field.json_schema_extra
    derived = extra.get("derived") if isinstance(extra, dict) else None
    about = f"{field.description}; {allowed(field, path)}"
    if derived is not None:
        return [f"# {about}; default {derived}", f"# {key} ="]
    needed = extra.get("required", "") if isinstance(extra, dict) else ""
    if field.is_required() or needed:
        return [f"# {needed or 'required'}: {about}", f"# {key} ="]
    if field.default is None:
        lines = [f"# {about}", f"# {key} ="]
        for model in models_of(field.annotation):
            for inner, part in model.model_fields.items():
                lines += _key_lines(f"{key}.{inner}", part, f"{path}.{inner}", active=False)
        return lines
    lines = [f"# {about}", f"{'' if active else '# '}{key} = {write_value(field.default)}"]
    for model in models_of(field.annotation):
        for kind in kinds_of(model):  # of a table in a list of them
            lines.append(f"# [[{path}]] kind = {write_value(kind)}: {_summary(model)}")
            lines += [
                f"#     {inner}: {part.description}; {allowed(part, path)}"
                for inner, part in model.model_fields.items() if inner != "kind"
            ]  # fmt: skip
    return lines
