"""Functions that a configuration names, "module:name": of Python files in its own folder, run where that is allowed.

A configuration runs no code by itself.  Whoever builds it says what becomes of such names: they are refused, as a rule;
looked up in a folder, with `--allow-python`; or left unread, to print a configuration.
"""

import hashlib
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from tokenlaw.config.read import ConfigError
from tokenlaw.config.toml import one_line, show

NAME: Final = re.compile(r"([A-Za-z_]\w*):([A-Za-z_]\w*)", re.ASCII)
MODULES: Final = "_of_a_configuration_"
"""What the names of such modules begin with, so that they stand for no other."""


class Functions:
    """Functions by name; these are refused.  Attributes: sums, SHA-256 of the files that were run, by path."""

    @property
    def sums(self) -> dict[Path, str]:
        return {}

    def function(self, key: str, name: str) -> Callable[..., Any]:
        """The function that a key names; ConfigError (one line) where there is none, or none is allowed."""
        module, _ = _parts(key, name)
        raise ConfigError(f"{key} = {show(name)}: runs the Python file {module}.py; must be allowed by --allow-python")


REFUSED: Final = Functions()


class Unread(Functions):
    """Zeros in place of every function: no file is looked at."""

    def function(self, key: str, name: str) -> Callable[..., Any]:
        _parts(key, name)
        return lambda points, *measure: np.zeros_like(points)


@dataclass(frozen=True)
class OfFolder(Functions):
    """Functions of the Python files of a folder, each run once; what is hashed is what is run."""

    folder: Path
    _run: dict[Path, tuple[str, types.ModuleType]] = field(default_factory=dict, init=False)

    @property
    def sums(self) -> dict[Path, str]:
        return {path: found for path, (found, _) in self._run.items()}

    def function(self, key: str, name: str) -> Callable[..., Any]:
        module, attribute = _parts(key, name)
        path = self.folder / f"{module}.py"
        if path not in self._run:
            try:
                self._run[path] = _run(path)
            except OSError as error:
                raise ConfigError(f"{key} = {show(name)}: cannot read {path} ({error.strerror})") from None
            except (Exception, SystemExit) as error:
                raise ConfigError(f"{key} = {show(name)}: running {path} failed: {_words(error)}") from None
        found = getattr(self._run[path][1], attribute, None)
        if not callable(found):
            raise ConfigError(f"{key} = {show(name)}: must name a function, {path} has none of this name")
        return Named(name, found)


@dataclass(frozen=True)
class Named:
    """A function that tells its errors with its name, in one line."""

    name: str
    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.function(*arguments)
        except Exception as error:
            raise ValueError(f"{self.name}: {_words(error)}") from error


def functions_of(folder: Path | str | None) -> Functions:
    """Functions of a folder; None: refused."""
    return REFUSED if folder is None else OfFolder(Path(folder))


def _parts(key: str, name: str) -> tuple[str, str]:
    """Module and name; no path, and no dots: the file stands in the folder itself."""
    found = NAME.fullmatch(name)
    if found is None:
        raise ConfigError(f'{key} = {show(name)}: must be "module:name", a Python file beside the configuration')
    return found[1], found[2]


def _run(path: Path) -> tuple[str, types.ModuleType]:
    """SHA-256 of a file, and the module that it makes; nothing is written beside it."""
    source = path.read_bytes()
    module = types.ModuleType(f"{MODULES}{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return hashlib.sha256(source).hexdigest(), module


def _words(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")
