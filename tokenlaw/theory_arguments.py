"""Arguments of `tokenlaw theory`: what a key=value may be, read with one-line errors."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tokenlaw.config_io import one_line, show


class Kind(Protocol):
    """What an argument may be."""

    @property
    def allowed(self) -> str:
        """Phrase that follows "must be"."""
        ...

    def read(self, text: str) -> object:
        """Value of a text; ValueError when it is not allowed."""
        ...


@dataclass(frozen=True)
class Real:
    """A finite number in a range; an open end excludes its bound."""

    least: float = -math.inf
    most: float = math.inf
    open_ends: bool = False

    @property
    def allowed(self) -> str:
        """Phrase that follows "must be"."""
        if math.isinf(self.most):
            return "a finite number" if math.isinf(self.least) else f"a finite number >= {self.least:g}"
        strictly = "strictly " if self.open_ends else ""
        return f"a number {strictly}between {self.least:g} and {self.most:g}"

    def read(self, text: str) -> float:
        """Value of a text."""
        value = float(text)
        inside = self.least < value < self.most if self.open_ends else self.least <= value <= self.most
        if not (math.isfinite(value) and inside):
            raise ValueError(text)
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number in a range."""

    least: int
    most: int = 10**6

    @property
    def allowed(self) -> str:
        """Phrase that follows "must be"."""
        return f"a whole number between {self.least} and {self.most}"

    def read(self, text: str) -> int:
        """Value of a text."""
        value = int(text)
        if not self.least <= value <= self.most:
            raise ValueError(text)
        return value


@dataclass(frozen=True)
class Word:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """Phrase that follows "must be"."""
        return f"one of {', '.join(self.words)}"

    def read(self, text: str) -> str:
        """Value of a text."""
        if text not in self.words:
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class File:
    """The name of a file that exists; what must be in it is up to the entry."""

    allowed: str = "the name of an existing file"

    def read(self, text: str) -> Path:
        """Value of a text."""
        path = Path(text)
        if not path.is_file():
            raise ValueError(text)
        return path


@dataclass(frozen=True)
class Derived:
    """A default that follows from the other arguments, and how to say it."""

    text: str
    of: Callable[[Mapping[str, Any]], object]


REQUIRED: Final = object()


@dataclass(frozen=True)
class Argument:
    """An argument of an entry.

    Attributes
    ----------
    name, meaning : as the user sees them.
    kind : what it may be.
    default : a value, `Derived`, or REQUIRED.
    """

    name: str
    meaning: str
    kind: Kind
    default: object = REQUIRED

    @property
    def default_text(self) -> str:
        """The default in words."""
        if self.default is REQUIRED:
            return "required"
        if isinstance(self.default, Derived):
            return self.default.text
        return f"{self.default:g}" if isinstance(self.default, float) else f"{self.default}"

    def read(self, text: str, where: str) -> object:
        """Value of a text; ValueError of one line."""
        try:
            return self.kind.read(text)
        except (ValueError, OverflowError):
            hint = nearest(text, self.kind.words) if isinstance(self.kind, Word) else ""
            raise ValueError(f"{where}: {self.name} must be {self.kind.allowed}, got {show(text)}{hint}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]}?" if match else ""


def read_arguments(arguments: Sequence[Argument], settings: Sequence[str], where: str) -> dict[str, Any]:
    """Values of "key=value" settings, defaults filled in; ValueError of one line for anything else."""
    known = {argument.name: argument for argument in arguments}
    names = ", ".join(known)
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"{where}: {show(setting)} must be key=value; keys: {names}")
        if key not in known:
            raise ValueError(f"{where}: unknown key {show(key)}{nearest(key, known) or f'; keys: {names}'}")
        if key in values:
            raise ValueError(f"{where}: {one_line(key)} is given twice")
        values[key] = known[key].read(text, where)
    for argument in arguments:
        if argument.name not in values and argument.default is REQUIRED:
            raise ValueError(f"{where}: {argument.name} is missing: {argument.meaning}, {argument.kind.allowed}")
    for argument in arguments:
        if argument.name not in values:
            default = argument.default
            values[argument.name] = default.of(values) if isinstance(default, Derived) else default
    return values
