"""Layers of a trained encoder, read from a safetensors file, and a Gaussian model with the same scales beside them.

An encoder in the manner of BERT normalises behind each block: x = gain nrm_d(y) + bias with |nrm_d(y)| = d^(1/2), and
its attention block adds sum_m W_o W_v softmax(<W_q x, W_k x'> head_dim^(-1/2)) x' to x.  For directions of nrm_d(y) on
the unit sphere that is a recorded layer of mathematics (1) with beta = 1 and

    C = W_o W_v diag(gain) / g,    A = d head_dim^(-1/2) diag(gain) W_k^T W_q diag(gain),    g^2 = mean gain^2

where the residual carries g in place of the gain of each component.  Biases, the mean that a layer norm takes away and
the MLP blocks are not part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from particles.arrays import Array, as_array, unit
from particles.layers import RecordedLayers
from particles.randomness import Noise, Stream
from particles.retraction import Retraction, normalize
from particles.tokens import Tokens

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles import late_xarray as xr

MATRICES = ("query", "key", "value", "output")


@dataclass(frozen=True)
class Layout:
    """Names of the tensors of layer {layer}, behind any prefix, and of the layer norm that its block reads."""

    query: str
    key: str
    value: str
    output: str
    norm: str
    first_norm: str = "embeddings.LayerNorm.weight"


LAYOUTS = {
    "BERT": Layout(
        "encoder.layer.{layer}.attention.self.query.weight",
        "encoder.layer.{layer}.attention.self.key.weight",
        "encoder.layer.{layer}.attention.self.value.weight",
        "encoder.layer.{layer}.attention.output.dense.weight",
        "encoder.layer.{layer}.output.LayerNorm.weight",
    ),
    "DistilBERT": Layout(
        "transformer.layer.{layer}.attention.q_lin.weight",
        "transformer.layer.{layer}.attention.k_lin.weight",
        "transformer.layer.{layer}.attention.v_lin.weight",
        "transformer.layer.{layer}.attention.out_lin.weight",
        "transformer.layer.{layer}.output_layer_norm.weight",
    ),
}
EMBEDDINGS = ("embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Attention matrices of an encoder with layer norms behind its blocks.

    Parameters
    ----------
    query, key, value : (L, M, head_dim, d), rows of W_q, W_k, W_v that belong to a head.
    output : (L, M, d, head_dim), columns of W_o that belong to a head.
    gain : (L, d), gains of the layer norm in front of each attention block.
    """

    query: Array
    key: Array
    value: Array
    output: Array
    gain: Array

    def __post_init__(self) -> None:
        n_layers, n_heads, head_dim, d = as_array(self.query, "query", (None, None, None, None)).shape
        for name in MATRICES:
            shape = (n_layers, n_heads, d, head_dim) if name == "output" else (n_layers, n_heads, head_dim, d)
            object.__setattr__(self, name, as_array(getattr(self, name), name, shape))
        object.__setattr__(self, "gain", as_array(self.gain, "gain", (n_layers, d)))
        if not np.abs(self.gain).max(axis=1).min() > 0:
            raise ValueError("gain must not vanish in a layer")

    def layers(self, retraction: Retraction = normalize) -> RecordedLayers:
        """The attention blocks as layers of directions on the unit sphere, beta = 1.

        Test: tests/particles/test_checkpoint.py::test_a_layer_is_the_block_of_an_encoder.
        """
        head_dim, d = self.query.shape[2:]
        gain = self.gain[:, None, None, :]
        scale = math.sqrt(d / math.sqrt(head_dim))
        mean = np.sqrt(np.mean(gain**2, axis=-1, keepdims=True))
        return RecordedLayers(
            self.output,
            scale * gain * self.query,
            scale * gain * self.key,
            1.0,
            retraction,
            inner=gain * self.value / mean,
        )

    def spread(self) -> xr.Dataset:
        """How the entries of the matrices are spread, over layer and matrix, against independent Gaussian entries.

        Returns
        -------
        Dataset with, for each of W_q, W_k, W_v, W_o in full (d rows or columns against M head_dim):
        sigma : standard deviation of the entries, times d^(1/2); the usual start of training has 1 or less.
        excess_kurtosis : fourth cumulant over sigma^4; Gaussian entries give 0 with the error `kurtosis_error`.
        top_singular_value : largest singular value over its limit sigma (rows^(1/2) + columns^(1/2)) for independent
            entries (Marchenko and Pastur); above 1 the matrix has directions that training has made.
        """
        n_layers, n_heads, head_dim, d = self.query.shape
        found = np.empty((3, n_layers, len(MATRICES)))
        for column, name in enumerate(MATRICES):
            for layer, heads in enumerate(getattr(self, name)):
                rows = np.swapaxes(heads, 1, 2) if name == "output" else heads
                matrix = rows.reshape(n_heads * head_dim, d)
                sigma = matrix.std()
                cumulant = np.mean((matrix - matrix.mean()) ** 4) / sigma**4 - 3
                edge = sigma * sum(math.sqrt(size) for size in matrix.shape)
                found[:, layer, column] = sigma * math.sqrt(d), cumulant, np.linalg.norm(matrix, 2) / edge
        names = {
            "sigma": "standard deviation of the entries, times d^(1/2)",
            "excess_kurtosis": "excess kurtosis of the entries",
            "top_singular_value": "largest singular value over its value for independent entries",
        }
        return xr.Dataset(
            {
                name: (("layer", "matrix"), values, {"long_name": text, "units": "1"})
                for (name, text), values in zip(names.items(), found, strict=True)
            },
            coords={"layer": np.arange(n_layers), "matrix": list(MATRICES)},
            attrs={"kurtosis_error": math.sqrt(24 / (n_heads * head_dim * d))},
        )

    def gaussian(self, noise: Noise) -> Self:
        """The same model with independent Gaussian entries: of each matrix only the spread of its entries is kept."""
        drawn = {}
        for number, name in enumerate(MATRICES):
            matrices = getattr(self, name)
            sigma = matrices.std(axis=(1, 2, 3), keepdims=True)
            drawn[name] = sigma * noise.generator(Stream.HEADS, number).standard_normal(matrices.shape)
        return replace(self, **drawn)


def read_checkpoint(path: Path | str, n_heads: int | None = None) -> Checkpoint:
    """Read the attention matrices of an encoder in the manner of BERT or DistilBERT.

    Parameters
    ----------
    path : safetensors file.
    n_heads : heads in a layer; by default num_attention_heads (or n_heads) of the config.json beside the file.

    Raises
    ------
    ValueError
        The file is not what it should be; one sentence says why.
    ImportError
        The package safetensors is missing.
    """
    path = Path(path)
    with _open(path) as file:
        keys = set(file.keys())
        firsts = {one.query.format(layer=0): one for one in LAYOUTS.values()}
        prefix, first = _place(keys, tuple(firsts), path)
        layout, n_layers = firsts[first], 0
        while prefix + layout.query.format(layer=n_layers) in keys:
            n_layers += 1
        matrices = {
            name: _stack(file, [prefix + getattr(layout, name).format(layer=k) for k in range(n_layers)], path, 2)
            for name in MATRICES
        }
        norms = [layout.first_norm, *(layout.norm.format(layer=k) for k in range(n_layers - 1))]
        gain = _stack(file, [prefix + name for name in norms], path, 1)
    n_heads = _heads_beside(path) if n_heads is None else n_heads
    width, d = matrices["query"].shape[1:]
    if n_heads < 1 or width % n_heads:
        raise ValueError(f"{path}: n_heads must divide the {width} rows of the query matrix, got {n_heads}")
    split = (n_layers, n_heads, width // n_heads, d)
    try:
        output = matrices["output"].reshape(n_layers, d, n_heads, -1).transpose(0, 2, 1, 3)
        query, key, value = (matrices[name].reshape(split) for name in MATRICES[:3])
        return Checkpoint(query, key, value, output, gain)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_embedded(path: Path | str, ids: Sequence[int]) -> Tokens:
    """Tokens of a text, given by the numbers of its words: directions of word plus position before the first layer.

    Parameters
    ----------
    path : safetensors file of an encoder.   ids : (n,) rows of the word embedding.

    Returns
    -------
    Tokens on the unit sphere: word, position and first token type summed, mean taken away, length 1.
    """
    path = Path(path)
    with _open(path) as file:
        keys = set(file.keys())
        prefix, _ = _place(keys, EMBEDDINGS[:1], path)
        words, positions = (_tensor(file, prefix + name, path, 2) for name in EMBEDDINGS)
        numbers = np.asarray(ids)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not 1 <= len(numbers) <= len(positions):
            raise ValueError(f"ids must be 1 to {len(positions)} whole numbers in a row, got shape {numbers.shape}")
        if numbers.min() < 0 or numbers.max() >= len(words):
            raise ValueError(f"ids must be from 0 to {len(words) - 1}, got {numbers.min()} to {numbers.max()}")
        points = words[numbers] + positions[: len(numbers)]
        kinds = prefix + "embeddings.token_type_embeddings.weight"
        if kinds in keys:
            points = points + _tensor(file, kinds, path, 2)[0]
    centred = points - points.mean(axis=1, keepdims=True)
    return Tokens(unit(centred))


def _open(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise ImportError('reading safetensors files needs: pip install "tokenlaw[checkpoint]"') from None
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from None


def _place(keys: set[str], names: tuple[str, ...], path: Path) -> tuple[str, str]:
    """The prefix behind which a tensor of one of the names stands, and the name; just one must."""
    pairs = [(key, name) for key in sorted(keys) for name in names]
    found = [(key.removesuffix(name), name) for key, name in pairs if f".{key}".endswith(f".{name}")]
    if not found:
        raise ValueError(f"{path}: not an encoder that is known; needs {' or '.join(names)}, behind any prefix")
    if len(found) > 1:
        several = ", ".join(prefix + name for prefix, name in found)
        raise ValueError(f"{path}: holds several encoders ({several}); save one of them in a file of its own")
    return found[0]


def _tensor(file: Any, key: str, path: Path, axes: int) -> Array:
    if key not in file.keys():
        raise ValueError(f"{path}: tensor {key} is missing")
    try:
        values = np.asarray(file.get_tensor(key))
    except TypeError:
        raise ValueError(f"{path}: tensor {key} has a type that numpy lacks; save it as float32") from None
    if values.ndim != axes or values.dtype.kind != "f":
        got = f"{values.dtype}{values.shape}"
        raise ValueError(f"{path}: tensor {key} must hold real numbers over {axes} axes, got {got}")
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: tensor {key} must be finite")
    return values.astype(np.float64)


def _stack(file: Any, names: Sequence[str], path: Path, axes: int) -> Array:
    """The same tensor of all layers."""
    tensors = [_tensor(file, name, path, axes) for name in names]
    for name, one in zip(names, tensors, strict=True):
        if one.shape != tensors[0].shape:
            raise ValueError(f"{path}: tensor {name} must have shape {tensors[0].shape} as in layer 0, got {one.shape}")
    return np.stack(tensors)


def _heads_beside(path: Path) -> int:
    beside = path.with_name("config.json")
    try:
        configuration = json.loads(beside.read_text(encoding="utf-8"))
        number = configuration.get("num_attention_heads", configuration.get("n_heads"))
    except (OSError, ValueError, AttributeError):
        number = None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"{path}: the number of heads is not in a config.json beside it; give n_heads")
    return number
