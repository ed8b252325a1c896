"""The kinds of inputs: each a strategy of trials."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.fuzz import configurations as conf
from tests.fuzz import files
from tests.fuzz.trial import Trial
from tokenlaw.commands import app
from tokenlaw.config.toml import write_value

COMMANDS = ("solve", "simulate", "compare")
RECORDED = {"kind": "recorded", "file": "in.nc"}


def _words(command: str, *more: str) -> tuple[str, ...]:
    return (command, "{folder}/c.toml", "--out", "{folder}/out.nc", "-q", *more)


@st.composite
def configurations(draw: Any) -> Trial:
    """Configurations with up to three changes."""
    document = draw(conf.broken())
    command, text = draw(conf.commands(document)), conf.text_of(document)
    return Trial(_words(command), text, told=f"{command}\n{text}")


@st.composite
def texts(draw: Any) -> Trial:
    """Texts of configurations with bytes changed."""
    text = draw(conf.damaged_texts())
    return Trial(_words(draw(st.sampled_from(COMMANDS))), text, told=repr(text)[:2000])


@st.composite
def words(draw: Any) -> Trial:
    """Words of the command line: --set, --seed, --out and options that are not there."""
    document = draw(conf.documents())
    command, text = draw(conf.commands(document)), conf.text_of(document)
    more: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.integers(0, 5))
        if kind == 0:
            more += ["--seed", draw(st.sampled_from(("-1", "x", "1e3", "", "0x10", "9" * 30, "3", "true", "[1]")))]
        elif kind == 1:
            more += ["--set", draw(st.text(max_size=20) | st.sampled_from(conf.WORDS))]
        elif kind == 2:
            more += [draw(st.sampled_from(("--sett", "--resume", "--out=.", "--record-layers", "x", "-q", "--", "")))]
        else:
            value = draw(conf.anything)
            more += ["--set", f"{draw(st.sampled_from(conf.PATHS))}={write_value(value)}"]
    return Trial(_words(command, *more), text, told=f"{command}\n{text}\n{more}")


def _document(kind: str) -> conf.Document:
    document: conf.Document = {
        "model": {"d": 3, "beta": 2.0}, "heads": {"kind": "gaussian"},
        "layers": {"kind": "transformer", "eta": 0.1, "heads": 2, "depth": 1}, "initial": {"kind": "uniform"},
        "solve": {"lmax": 4, "carried_nodes": [6, 12]}, "simulate": {"tokens": 3}, "output": {"distances": 2},
    }  # fmt: skip
    if kind == "layers":
        document["layers"] = {"kind": "recorded", "file": "in.nc"}
        del document["heads"]
    elif kind == "heads":
        document["heads"] = {"kind": "fixed", "file": "in.nc"}
    else:
        document["initial"] = {"kind": kind, "file": "in.nc"}
    return document


MAKERS: dict[str, tuple[files.Make, ...]] = {
    "layers": (files.layers_content, files.full_layers_content),
    "heads": (files.heads_content,),
    "tokens": (files.tokens_content,),
    "density": (files.density_content,),
}


@st.composite
def inputs(draw: Any, kind: str) -> Trial:
    """Input files of a kind with up to two changes, for a command that takes them."""
    content = draw(files.damaged(draw(st.sampled_from(MAKERS[kind]))))
    document = _document(kind)
    if kind == "tokens" and draw(st.integers(0, 3)) == 0:
        document["model"]["space"] = "euclidean"
    command = draw(st.sampled_from(("simulate", "simulate", "simulate", *COMMANDS)))
    told = f"{command}, {kind}: {content.changes}"
    return Trial(_words(command), conf.text_of(document), {"in.nc": content.write}, told=told)


@st.composite
def closures(draw: Any) -> Trial:
    """Files of Gaussian closures."""
    content = draw(files.damaged(files.closure_content))
    attention = draw(st.sampled_from(("softmax", "l2", "linear", "sinkhorn")))
    words = ("theory", "gaussian-closure", f"attention={attention}", "file={folder}/in.nc", "--json")
    return Trial(words, files={"in.nc": content.write}, told=f"{attention}: {content.changes}")


@functools.cache
def _whole(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.nc"
        MAKERS[kind][0](np.random.default_rng(0)).write(path)
        return path.read_bytes()


@st.composite
def damaged_bytes(draw: Any) -> Trial:
    """Input files with bytes changed or lost, and files of other kinds with the name of one."""
    kind = draw(st.sampled_from(sorted(MAKERS)))
    content = draw(files.other_bytes(_whole(kind)))
    document = _document(kind)
    told = f"{kind} {content.hex() if len(content) < 400 else len(content)}"
    return Trial(_words("simulate"), conf.text_of(document), {"in.nc": lambda path: _put(path, content)}, told=told)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@functools.cache
def _result(command: str) -> bytes:
    """A file of a run, made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "c.toml").write_text(RUN)
        assert app.run([command, str(path / "c.toml"), "--out", str(path / "out.nc"), "-q"]) == 0
        return (path / "out.nc").read_bytes()


RUN = conf.text_of({**_document("tokens"), "initial": {"kind": "uniform"}})


@st.composite
def results(draw: Any) -> Trial:
    """Files of runs with bytes changed or lost, told about or gone on from."""
    command = draw(st.sampled_from(COMMANDS))
    content = draw(files.other_bytes(_result(command)))
    write = {"out.nc": lambda path: _put(path, content)}
    if draw(st.booleans()):
        return Trial(("info", "{folder}/out.nc"), files=write, told=f"info of {command}, {len(content)} bytes")
    more = ("--resume", "--set", "layers.depth=2")
    return Trial(_words(command, *more), RUN, write, told=f"--resume of {command}, {len(content)} bytes")


KINDS: dict[str, tuple[int, st.SearchStrategy[Trial]]] = {
    "configurations": (8, configurations()),
    "texts": (6, texts()),
    "words": (6, words()),
    "layers files": (2, inputs("layers")),
    "heads files": (1, inputs("heads")),
    "tokens files": (2, inputs("tokens")),
    "density files": (2, inputs("density")),
    "closure files": (1, closures()),
    "damaged bytes": (2, damaged_bytes()),
    "results": (1, results()),
}
"""Kinds of inputs: share of the examples, and how they are drawn.  What is taken costs ten times what is refused."""
