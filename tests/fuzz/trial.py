"""One input through the command line, and whether anything was lost: the verdict."""

import contextlib
import functools
import io
import os
import resource
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import typer
import xarray as xr

from particles.machine import memory as door
from tokenlaw.commands import app
from tokenlaw.config import read as config
from tokenlaw.config import words as config_messages
from tokenlaw.runs import memory
from tokenlaw.runs import run as runs

MEMORY = 1 << 29  # bytes that a trial is told are available: what takes more must be refused
PATIENCE = 60  # seconds; a tiny run that takes longer hangs
LONGEST = 600  # characters of a refusal
TINY: Mapping[str, int] = {
    "solve.lmax": 12, "simulate.tokens": 40, "layers.nodes": 6, "layers.heads": 6, "layers.depth": 2,
    "layers.mlp.width": 8, "heads.modes": 4,
}  # fmt: skip
STEPS = 2
LIBRARY_TALK = (
    "broadcast", "NoneType", "ufunc", "object has no", "unpack", "out of bounds", "cannot reshape", "dimension(s)",
    "size-1", "zip()", "Unable to allocate", "unhashable", "not supported between", "invalid literal", "cannot convert",
    "could not convert", "setting an array element",
    "Input operand", "zero-size", "core dimension", "array must", "is not in list",
)  # fmt: skip
NAMES = tuple({path for _, path in config_messages.all_keys()} | {"--", "usage: ", "commands: "})

Write = Callable[[Path], None]


@dataclass(frozen=True)
class Trial:
    """An input: words of a command, the configuration among them as c.toml, and files in the same folder.

    Attributes
    ----------
    words : of the command line; {folder} stands for the folder of the trial, whose out.nc is the output.
    text : the configuration, to be found as c.toml.   files : how each further file is written.
    told : how to repeat it, for people.
    """

    words: tuple[str, ...]
    text: str | bytes = ""
    files: Mapping[str, Write] = field(default_factory=dict)
    told: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a trial: exit code, the line it was refused with, and what was lost ("" for nothing)."""

    code: int | None
    line: str = ""
    loss: str = ""


class Hangs(BaseException):
    """A tiny run that does not end."""


class Pretended(BaseException):
    """A run that would begin now."""


def _pretended(*_: Any) -> None:
    raise Pretended


def _hangs(*_: Any) -> None:
    raise Hangs


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@functools.cache
def _commands() -> Any:
    """The commands, made once: making them takes longer than most refusals."""
    return typer.main.get_command(app.app)


def judge(trial: Trial) -> Verdict:
    """Run a trial in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        folder = Path(name)
        text = trial.text if isinstance(trial.text, bytes) else trial.text.encode("utf-8", "surrogatepass")
        (folder / "c.toml").write_bytes(text)
        for file, write in trial.files.items():
            write(folder / file)
        before = _listed(folder)
        small = _small(text, trial.words, folder)
        verdict = _called(trial.words, folder, before, pretend=small is not None)
        if small is None or verdict.code != 0 or verdict.loss:
            return verdict
        (folder / "c.toml").write_text(small)
        return _called(trial.words[:5], folder, _listed(folder))


def _listed(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def _small(text: bytes, words: Sequence[str], folder: Path) -> str | None:
    """The configuration with tiny sizes, where it is taken as it is and not tiny; changes by the words included."""
    given = [words[k + 1] for k, word in enumerate(words[:-1]) if word == "--set"]
    given += [f"noise.seed={words[k + 1]}" for k, word in enumerate(words[:-1]) if word == "--seed"]
    try:
        c = config.load_text(text.decode(), given, directory=str(folder))
    except ValueError:
        return None
    document = c.model_dump(exclude_none=True)
    fixed = document.get("heads", {}).get("kind") == "fixed"
    changed = False

    def lower(table: dict[str, Any], key: str, most: float | list[int]) -> None:
        nonlocal changed
        if key in table and table[key] > most:
            table[key], changed = most, True

    for path, most in TINY.items():
        *above, key = path.split(".")
        table = document
        for name in above:
            table = table.get(name, {})
        if not (fixed and path == "layers.heads"):
            lower(table, key, most)
    layers, solve = document["layers"], document["solve"]
    if "dt" in layers:
        lower(layers, "t_end", STEPS * layers["dt"])
    if solve["carried_nodes"] == "auto" or max(solve["carried_nodes"]) > 24:
        solve["carried_nodes"], changed = [6, 12], True
    return config.write_document(document) if changed else None


def _called(words: Sequence[str], folder: Path, before: dict[str, bytes], pretend: bool = False) -> Verdict:
    """Call the command; with `pretend` the run itself is left out."""
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        for asks in (door, memory):
            stack.enter_context(mock.patch.object(asks, "available", return_value=MEMORY))
        if pretend:
            stack.enter_context(mock.patch.dict(runs.JOBS, dict.fromkeys(runs.JOBS, _pretended)))
        stack.enter_context(mock.patch.object(app, "app", _commands()))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(np.errstate())
        try:
            with _patience():
                code = app.run([word.format(folder=folder) if "{folder}" in word else word for word in words])
        except Pretended:
            code = 0
        except Hangs:
            return Verdict(None, loss=f"hangs: {_where(Hangs())}")
        except BaseException as error:
            return Verdict(None, loss=f"traceback: {type(error).__name__}: {str(error)[:120]} at {_where(error)}")
    lines = said.getvalue().splitlines()
    return Verdict(code, lines[-1] if lines else "", _loss(code, lines, folder, before, pretend))


def _where(error: BaseException) -> str:
    """The last line of our own that was run."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"


def _loss(code: int, lines: list[str], folder: Path, before: dict[str, bytes], pretend: bool) -> str:
    """What is wrong with an ending, in words; nothing if it is as promised."""
    after = _listed(folder)
    new = sorted(set(after) - set(before))
    if any("Traceback" in line for line in lines):
        return "a traceback was printed"
    if any(after.get(name) != content for name, content in before.items() if name != "out.nc"):
        return "an input was changed or removed"
    if any(name.endswith((".part", ".lock")) or Path(name).name.startswith(".") for name in new):
        return f"left behind: {', '.join(new)}"
    if code == 2:
        line = lines[-1] if lines else ""
        if len(lines) != 1 or not line.startswith("error: "):
            return f"a refusal of {len(lines)} lines: {line[:80]}"
        if before.get("out.nc") != after.get("out.nc"):
            return f"refused after output was written ({line[:80]})"
        if len(line) > LONGEST + len(str(folder)):
            return f"a refusal of {len(line)} characters: {line[:60]}..."
        if not any(name in line for name in (*NAMES, *before)):
            return f"names no key, option or file: {line[:120]}"
        if any(talk in line for talk in LIBRARY_TALK):
            return f"in the words of a library: {line[:160]}"
        return ""
    if code == 3:
        return "" if lines and lines[-1].startswith("stopped: ") else "stopped without saying so"
    if code != 0:
        return f"exit code {code}"
    if any(line.startswith("error") for line in lines):
        return f"exit code 0 with: {lines[-1][:80]}"
    if pretend or not (folder / "out.nc").exists():
        return ""
    return wrong(folder / "out.nc")


def wrong(path: Path) -> str:
    """What is wrong with a file that a run left, although it ended well; nothing if all is right."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        for name in ("tokens", "density", "mean_token", "mass", "coefficients", "node", "weight"):
            if name in dataset and not np.isfinite(dataset[name].values).all():
                return f"exit code 0, but {name} is not finite"
        if "mass" in dataset and not np.abs(dataset["mass"].values - 1).max() < 1e-9:
            return "exit code 0, but the mass is not 1"
        euclidean = 'space = "euclidean"' in str(dataset.attrs.get("configuration"))
        if "tokens" in dataset and not euclidean:
            length = np.linalg.norm(dataset["tokens"].values, axis=-1)
            if not np.abs(length - 1).max() < 1e-9:
                return "exit code 0, but tokens have left the sphere"
    return ""


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory(size: int) -> None:
    """End allocations beyond `size` bytes of address space with an error."""
    if os.name == "posix":
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
