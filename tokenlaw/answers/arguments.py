"""Arguments of `tokenlaw theory`: parameters of functions, read from "key=value" with one-line errors.

A parameter is annotated Annotated[type, ...] with its meaning, a text, its range, an `Interval`, and perhaps a default
that follows from others, `Derived`; types are int, float, Path (of a file that exists) and Literal of words.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval

from tokenlaw.config.toml import one_line, show

REQUIRED: Final = inspect.Parameter.empty


@dataclass(frozen=True)
class Derived:
    """A default that follows from the arguments before it, and how to say it."""

    text: str
    of: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True)
class Argument:
    """An argument of an entry.

    Attributes
    ----------
    name, meaning : as the user sees them.
    kind : annotation of the parameter.
    default : a value, `Derived`, or REQUIRED.
    """

    name: str
    meaning: str
    kind: Any
    default: object = REQUIRED

    @classmethod
    def of(cls, parameter: inspect.Parameter, kind: Any) -> "Argument":
        """From a parameter of a function."""
        (meaning,) = (one for one in kind.__metadata__ if isinstance(one, str))
        derived = [one for one in kind.__metadata__ if isinstance(one, Derived)]
        return cls(parameter.name, meaning, kind, *derived or [parameter.default])

    @property
    def words(self) -> tuple[str, ...]:
        """The words among which to choose, if it is one."""
        base = get_args(self.kind)[0]
        return get_args(base) if get_origin(base) is Literal else ()

    @property
    def allowed(self) -> str:
        """Phrase that follows "must be"."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        base, *more = get_args(self.kind)
        if base is Path:
            return "the name of an existing file"
        bounds = next((one for one in more if isinstance(one, Interval)), Interval())
        least, most = (bounds.ge, bounds.le) if bounds.gt is None else (bounds.gt, bounds.lt)
        if most is not None:
            strictly = "" if bounds.gt is None else "strictly "
            return f"a {'whole ' if base is int else ''}number {strictly}between {least} and {most}"
        return f"a {'whole' if base is int else 'finite'} number{'' if least is None else f' >= {least}'}"

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
        from pydantic import ConfigDict, TypeAdapter

        adapter = TypeAdapter(self.kind, config=ConfigDict(allow_inf_nan=False))
        try:  # int does not take 3.0
            value = adapter.validate_python(int(text) if get_args(self.kind)[0] is int else text)
            if isinstance(value, Path) and not value.is_file():
                raise ValueError(text)
            return value
        except ValueError:
            hint = nearest(text, self.words)
            raise ValueError(f"{where}: {self.name} must be {self.allowed}, got {show(text)}{hint}") from None


def arguments_of(function: Callable[..., Any]) -> tuple[Argument, ...]:
    """What a function takes."""
    kinds = get_type_hints(function, include_extras=True)
    return tuple(Argument.of(one, kinds[name]) for name, one in inspect.signature(function).parameters.items())


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
    left = [argument for argument in arguments if argument.name not in values]
    for argument in left:
        if argument.default is REQUIRED:
            raise ValueError(f"{where}: {argument.name} is missing: {argument.meaning}, {argument.allowed}")
    for argument in left:
        default = argument.default
        values[argument.name] = default.of(values) if isinstance(default, Derived) else default
    return values
