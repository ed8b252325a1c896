"""Layers of a trained encoder, read from its files, and a Gaussian model with the same scales beside them.

An encoder in the manner of BERT normalises behind each block: x = gain nrm_d(y) + bias with |nrm_d(y)| = d^(1/2), and
its attention block adds sum_m W_o W_v softmax(<W_q x, W_k x'> head_dim^(-1/2)) x' to x.  For directions of nrm_d(y) on
the unit sphere that is a recorded layer of mathematics (1) with beta = 1 and

    C = W_o W_v diag(gain) / g,    A = d head_dim^(-1/2) diag(gain) W_k^T W_q diag(gain),    g^2 = mean gain^2

where the residual carries g in place of the gain of each component.  Biases, the mean that a layer norm takes away and
the MLP blocks are not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from particles.arrays import Array, as_array, unit
from particles.attention.softmax import Softmax
from particles.files.checkpoint_files import ModelFiles, open_model
from particles.files.encoders import EMBEDDINGS, find_encoder, number_in
from particles.files.inputs import naming
from particles.layers.recorded import RecordedLayers
from particles.measure import Tokens
from particles.noise import Noise, Stream
from particles.retraction import Retraction, normalize

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

MATRICES = ("query", "key", "value", "output")


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

        Test: tests/particles/files/test_checkpoint.py::test_a_layer_is_the_block_of_an_encoder.
        """
        head_dim, d = self.query.shape[2:]
        gain = self.gain[:, None, None, :]
        scale = math.sqrt(d / math.sqrt(head_dim))
        mean = np.sqrt(np.mean(gain**2, axis=-1, keepdims=True))
        return RecordedLayers(
            self.output,
            scale * gain * self.query,
            scale * gain * self.key,
            Softmax(1.0),
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
    """Read the attention matrices of an encoder in the manner of BERT, RoBERTa or DistilBERT.

    Parameters
    ----------
    path : safetensors file, its folder, or the index of a model in several parts (`particles.files.checkpoint_files`).
    n_heads : heads in a layer; by default num_attention_heads (or n_heads) of the config.json beside the file.

    Raises
    ------
    ValueError
        The file is not what it should be, not the whole model, or another model; one sentence says why.
    ImportError
        The package safetensors is missing.
    """
    path = Path(path)
    files = open_model(path)
    encoder = find_encoder(files)
    layout, layers = encoder.layout, range(encoder.n_layers)
    matrices = {
        name: files.stack([encoder.prefix + layout.of(name, k) for k in layers], 2)
        for name in MATRICES
    }  # fmt: skip
    norms = [layout.first_norm, *(layout.of("norm", k) for k in layers[:-1])]
    gain = files.stack([encoder.norm(name) for name in norms], 1)
    width, d = matrices["query"].shape[1:]
    if (rows := matrices["key"].shape[1]) != width:
        raise ValueError(f"{path}: {rows} rows of key for {width} of query: heads with shared keys are another model")
    n_heads = _heads(files, width, d, n_heads)
    split = (len(layers), n_heads, width // n_heads, d)
    with naming(path):
        output = matrices["output"].reshape(len(layers), d, n_heads, -1).transpose(0, 2, 1, 3)
        query, key, value = (matrices[name].reshape(split) for name in MATRICES[:3])
        return Checkpoint(query, key, value, output, gain)


def read_embedded(path: Path | str, ids: Sequence[int]) -> Tokens:
    """Tokens of a text, given by the numbers of its words: directions of word plus position before the first layer.

    Parameters
    ----------
    path : file or folder of an encoder, as `read_checkpoint` takes it.   ids : (n,) rows of the word embedding.

    Returns
    -------
    Tokens on the unit sphere: word, position and first token type summed, mean taken away, length 1.  Positions are
    rows 0, 1, ... of their embedding; in RoBERTa and its kin rows pad_token_id + 1, + 2, ..., as many as words that
    are no padding, which itself has row pad_token_id.
    """
    path = Path(path)
    files = open_model(path)
    encoder = find_encoder(files)
    first, padding = encoder.first_position()
    words, positions = (files.read(f"{encoder.prefix}embeddings.{name}.weight", 2) for name in EMBEDDINGS[:2])
    numbers = np.asarray(ids)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not 1 <= len(numbers) <= len(positions) - first:
        most = len(positions) - first
        raise ValueError(f"ids must be 1 to {most} whole numbers in a row, got shape {numbers.shape}")
    if numbers.min() < 0 or numbers.max() >= len(words):
        raise ValueError(f"ids must be from 0 to {len(words) - 1}, got {numbers.min()} to {numbers.max()}")
    rows = np.arange(len(numbers))
    if padding is not None:
        rows = np.where(numbers == padding, padding, padding + np.cumsum(numbers != padding))
    points = words[numbers] + positions[rows]
    kinds = f"{encoder.prefix}embeddings.{EMBEDDINGS[2]}.weight"
    if kinds in files.tensors:
        points = points + files.read(kinds, 2)[0]
    centred = points - points.mean(axis=1, keepdims=True)
    return Tokens(unit(centred))


def _heads(files: ModelFiles, width: int, d: int, n_heads: int | None) -> int:
    """Heads in a layer of `width` rows; ValueError where they, or d, are not those of config.json."""
    said, told = number_in(files, "num_attention_heads", "n_heads"), files.config_path.name
    n_heads = said if n_heads is None else n_heads
    if n_heads is None:
        raise ValueError(f"{files.path}: the number of heads is not in a {told} beside it; give n_heads")
    if n_heads < 1 or width % n_heads:
        raise ValueError(f"{files.path}: n_heads must divide the {width} rows of the query matrix, got {n_heads}")
    if said not in (None, n_heads):
        raise ValueError(f"{files.path}: n_heads = {n_heads}, {told} has {said}")
    size, head_dim = number_in(files, "hidden_size", "dim"), number_in(files, "head_dim", "attention_head_size")
    if size not in (None, d):
        raise ValueError(f"{files.path}: has d = {d}, {told} has {size}")
    if size is not None and head_dim is None:
        head_dim = size // n_heads
    if head_dim not in (None, width // n_heads):
        raise ValueError(f"{files.path}: heads have {width // n_heads} rows, by {told} {head_dim}")
    return n_heads
