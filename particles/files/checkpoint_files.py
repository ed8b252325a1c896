"""Files of a trained model: tensors by name, in one safetensors file or in the parts an index names, and config.json.

Each file that is opened is noted as an input (`particles.files.inputs.note`).
"""

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from particles.arrays import Array
from particles.files.inputs import note

CONFIG: Final = "config.json"
INDEX: Final = ".safetensors.index.json"
MOST_BYTES: Final = 1 << 26  # of a JSON file
_PLAIN: Final = re.compile(r"[^/\\\0]+\.safetensors")  # a name without a folder
_PART: Final = re.compile(r"-\d+-of-0*([2-9]|[1-9]\d+)\.safetensors$")


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """What stands on disk of a model.

    Attributes
    ----------
    path : as it was given.   tensors : name -> the safetensors file that holds it.
    config : contents of config.json; empty where there is none.   config_path : where it stands, or would.
    """

    path: Path
    tensors: Mapping[str, Path]
    config: Mapping[str, Any]
    config_path: Path

    def read(self, name: str, axes: int) -> Array:
        """A tensor in double precision; ValueError where it is missing, not finite or of another kind."""
        if name not in self.tensors:
            raise ValueError(f"{self.path}: tensor {name} is missing")
        file = self.tensors[name]
        with open_tensors(file) as tensors:
            kind = tensors.get_slice(name).get_dtype()
            values = _bfloat16(file, name) if kind == "BF16" else _plain(tensors, name, kind, file)
        if values.ndim != axes or values.dtype.kind != "f":
            got = f"{values.dtype}{values.shape}"
            raise ValueError(f"{self.path}: tensor {name} must hold real numbers over {axes} axes, got {got}")
        if not np.isfinite(values).all():
            raise ValueError(f"{self.path}: tensor {name} must be finite")
        return values.astype(np.float64)

    def stack(self, names: Sequence[str], axes: int) -> Array:
        """The same tensor of all layers."""
        tensors = [self.read(name, axes) for name in names]
        for name, one in zip(names, tensors, strict=True):
            if one.shape != (first := tensors[0].shape):
                raise ValueError(f"{self.path}: tensor {name} must have shape {first} as in layer 0, got {one.shape}")
        return np.stack(tensors)


def is_model(path: Path) -> bool:
    """Whether a name is that of a model's folder, safetensors file or index."""
    return path.is_dir() or path.suffix == ".safetensors" or path.name.endswith(INDEX)


def open_model(path: Path) -> ModelFiles:
    """Find the files of a model: given its folder, its safetensors file, its index or one of the parts.

    Raises
    ------
    ValueError : a file is missing or not readable, or is a part of a model whose index is not beside it.
    """
    weights = _weights_in(path) if path.is_dir() else path
    if not weights.is_file():
        raise ValueError(f"{weights}: no such file")
    index = weights if weights.name.endswith(".json") else _index_beside(weights)
    tensors = _names_in(weights) if index is None else _indexed(index)
    beside = weights.with_name(CONFIG)
    return ModelFiles(path, tensors, _json(beside) if beside.is_file() else {}, beside)


def open_tensors(path: Path) -> Any:
    """A safetensors file, opened for numpy; ImportError where the package is missing."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise ImportError('reading safetensors files needs: pip install "tokenlaw[checkpoint]"') from None
    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None


def _weights_in(folder: Path) -> Path:
    """The file to read in a folder: model.safetensors, its index, or the only safetensors file there is."""
    for name in ("model.safetensors", f"model{INDEX}"):
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        has = ", ".join(one.name for one in found[:3]) or "no safetensors file"
        raise ValueError(f"{folder}: must hold model.safetensors or model{INDEX}, has {has}; name the file")
    return found[0]


def _index_beside(weights: Path) -> Path | None:
    """The index that a part of a model belongs to; None for a model in one file."""
    beside = sorted(weights.parent.glob(f"*{INDEX}"))
    for index in beside:
        if weights.name in _weight_map(index).values():
            return index
    part = _PART.search(weights.name)
    if part:
        raise ValueError(f"{weights}: is one of {part[1]} parts of a model, and no index beside it names them")
    return None


def _weight_map(index: Path) -> dict[str, str]:
    found = _json(index).get("weight_map")
    names = [*found.values()] if isinstance(found, dict) else []
    if not names or not all(isinstance(name, str) and _PLAIN.fullmatch(name) for name in names):
        raise ValueError(
            f"{index}: weight_map must give the name of a safetensors file in the same folder for each tensor"
        )
    assert isinstance(found, dict)
    return found


def _indexed(index: Path) -> dict[str, Path]:
    """Tensors of all parts; each must be where the index says and nowhere else, and no part may be missing."""
    tensors = {name: index.with_name(file) for name, file in _weight_map(index).items()}
    for file in sorted({*tensors.values()}):
        if not file.is_file():
            raise ValueError(f"{index}: names {file.name}, which is not beside it; all parts of a model are needed")
        there = _names_in(file).keys()
        placed = {name for name, place in tensors.items() if place == file}
        if missing := sorted(placed - there):
            raise ValueError(f"{index}: tensor {missing[0]} is not in {file.name}")
        if others := sorted(there - placed):
            where = f"places it in {tensors[others[0]].name}" if others[0] in tensors else "does not name it"
            raise ValueError(f"{file}: holds the tensor {others[0]}, and {index.name} {where}")
    return tensors


def _names_in(file: Path) -> dict[str, Path]:
    with open_tensors(file) as tensors:
        note(file)
        return dict.fromkeys(tensors.keys(), file)


def _json(path: Path) -> dict[str, Any]:
    note(path)
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
        found = json.loads(text) if len(text) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: must be a JSON object of at most {MOST_BYTES >> 20} MiB")
    return found


def _plain(tensors: Any, name: str, kind: str, file: Path) -> "np.ndarray":
    try:
        return np.asarray(tensors.get_tensor(name))
    except (TypeError, AttributeError):
        raise ValueError(f"{file}: tensor {name} has the type {kind}, which numpy lacks; save it as F32") from None


def _bfloat16(path: Path, name: str) -> "np.ndarray":
    """A tensor of bfloat16, which numpy lacks: the upper halves of single precision; the header has been checked."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(length))[name]
        begin, end = entry["data_offsets"]
        file.seek(begin, 1)
        halves = np.frombuffer(file.read(end - begin), "<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
