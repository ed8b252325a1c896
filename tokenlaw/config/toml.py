"""TOML text in and out: reading with one-line errors, overrides from the command line, canonical writing."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

SHOWN_LENGTH: Final = 60
DEEPEST: Final = 20  # levels of a key; no section has as many
_PLACE: Final = re.compile(r"(\w+)\[(\d{1,6})\]", re.ASCII)  # of a table in a list
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


class ConfigError(ValueError):
    """A configuration that cannot be used; its text is one line: key, value received, what is allowed."""


def one_line(text: str) -> str:
    """Text without anything a terminal or a reader of lines would act on."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def write_value(value: object) -> str:
    """One value as TOML; floats by repr, so that reading gives back the same bits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_write_char(char) for char in value) + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{write_key(key)} = {write_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_value, value)) + "]"
    return str(value)  # int, float (str is repr), date and time


def _write_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08X}"


def write_key(key: str) -> str:
    """A key as TOML writes it, quoted where needed."""
    return key if _BARE_KEY.fullmatch(key) else write_value(key)


def write_document(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Sections as TOML text; a table inside a section gets its own header."""
    lines: list[str] = []
    for name, section in sections.items():
        plain = {key: value for key, value in section.items() if not isinstance(value, Mapping)}
        lines += [f"[{name}]", *(f"{write_key(key)} = {write_value(value)}" for key, value in plain.items())]
        for key, table in section.items():
            if key not in plain:
                lines += [
                    f"[{name}.{key}]",
                    *(f"{write_key(k)} = {write_value(v)}" for k, v in table.items()),
                ]
        lines.append("")
    return "\n".join(lines)


def show(value: object) -> str:
    """A received value for a message: as TOML writes it, on one line, shortened."""
    try:
        text = one_line(write_value(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits, tables without end
        return "(a value too long to show)"
    return shortened(text)


def shortened(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."


def value_at(configuration: Any, path: str) -> Any:
    """The value of a key of a configuration; None where it has none or there is no such key."""
    for key in path.split("."):
        name, *places = key.replace("]", "").split("[")
        configuration = getattr(configuration, name, None)
        for place in places:
            configuration = None if configuration is None else configuration[int(place)]
    return configuration


def keyed(configuration: Any, path: str, text: str) -> str:
    """A message about a key of a configuration: its path, its value there where it has one, and the text."""
    value = value_at(configuration, path)
    return f"{path}: {text}" if value is None else f"{path} = {show(value)}: {text}"


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse TOML.

    Raises
    ------
    ConfigError
        With name and place, in one line.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{one_line(name)}: nested too deeply") from None
    except ValueError as error:  # with its place; integers of thousands of digits have none
        raise ConfigError(f"{one_line(name)}: {one_line(str(error))}") from None


def read(path: str) -> str:
    """Text of a configuration file; everything that can go wrong is a ConfigError of one line."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{one_line(path)}: not a text file in UTF-8 (byte {error.start})") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{one_line(path)}: cannot read the configuration file: {one_line(reason)}") from None


def override(document: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Copy of a document with "key.path=value" assignments applied in order.

    The value is read as TOML, and as a bare string where it is no TOML. Lists are set as a whole, but a key of a table
    in a list is reached by the place of the table, as in layers.drift[0].strength.
    """
    result = dict(document)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"--set {show(assignment)}: must be key.path=value, as in solve.lmax=31")
        if len(keys) > DEEPEST:
            raise ConfigError(f"--set {show(assignment)}: nested too deeply")
        table = result
        for depth, key in enumerate(keys[:-1], 1):
            if (found := _PLACE.fullmatch(key)) and isinstance(rows := table.get(found[1]), list):
                place = int(found[2])
                if place < len(rows) and isinstance(rows[place], Mapping):
                    rows = table[found[1]] = list(rows)
                    rows[place] = table = dict(rows[place])
                    continue
            below = table.get(key, {})
            if not isinstance(below, Mapping):
                kind = "a list, which can only be set as a whole" if isinstance(below, list) else "not a section"
                whole, here = (shortened(one_line(".".join(part))) for part in (keys, keys[:depth]))
                raise ConfigError(f"--set {whole}: {here} is {kind}")
            table[key] = table = dict(below)  # from left to right: into the table above
        table[keys[-1]] = _override_value(text.strip(), ".".join(keys))
    return result


def _override_value(text: str, path: str) -> object:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{shortened(one_line(path))} = {show(text)}: must be UTF-8 text") from None
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if set(parsed) == {"value"} else text
