"""Trained models read from their files: attention matrices of encoders and decoders, and their embeddings of a text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from particles.arrays import unit
from particles.files.checkpoint import MATRICES, CausalCheckpoint, Checkpoint
from particles.files.checkpoint_files import ModelFiles, open_model
from particles.files.decoders import find_decoder, is_decoder
from particles.files.encoders import EMBEDDINGS, find_encoder, number_in
from particles.files.inputs import naming
from particles.measure import AnyTokens, EuclideanTokens, Tokens


def read_checkpoint(path: Path | str, n_heads: int | None = None) -> Checkpoint:
    """Read the attention matrices of a model: BERT, RoBERTa, DistilBERT, or GPT-2, LLaMA, Qwen2, Mistral.

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
    if is_decoder(files):
        return _read_decoder(files, n_heads)
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


def _read_decoder(files: ModelFiles, n_heads: int | None) -> CausalCheckpoint:
    from particles.networks import ALiBi, LayerNorm

    decoder = find_decoder(files)
    attention = decoder.network.attention
    if n_heads not in (None, attention.heads):
        raise ValueError(f"{files.path}: n_heads = {n_heads}, {files.config_path.name} has {attention.heads}")
    assert not isinstance(attention.positions, ALiBi)
    centred = isinstance(decoder.network.norm, LayerNorm)
    return CausalCheckpoint(**decoder.matrices(), scale=attention.factor, positions=attention.positions,
                            window=decoder.window, centred=centred)  # fmt: skip


def read_embedded(path: Path | str, ids: Sequence[int]) -> AnyTokens:
    """Tokens of a text, given by the numbers of its words: directions of word plus position before the first layer.

    Parameters
    ----------
    path : file or folder of a model, as `read_checkpoint` takes it.   ids : (n,) rows of the word embedding.

    Returns
    -------
    Tokens on the unit sphere: word, position and first token type summed, mean taken away, length 1.  Positions are
    rows 0, 1, ... of their embedding; in RoBERTa and its kin rows pad_token_id + 1, + 2, ..., as many as words that
    are no padding, which itself has row pad_token_id.  Of a decoder tokens in R^d, as its stream begins.
    """
    path = Path(path)
    files = open_model(path)
    if is_decoder(files):
        return _embedded_in_decoder(files, ids)
    encoder = find_encoder(files)
    first, padding = encoder.first_position()
    words, positions = (files.read(f"{encoder.prefix}embeddings.{name}.weight", 2) for name in EMBEDDINGS[:2])
    numbers = _numbers(ids, len(words), len(positions) - first)
    rows = np.arange(len(numbers))
    if padding is not None:
        rows = np.where(numbers == padding, padding, padding + np.cumsum(numbers != padding))
    points = words[numbers] + positions[rows]
    kinds = f"{encoder.prefix}embeddings.{EMBEDDINGS[2]}.weight"
    if kinds in files.tensors:
        points = points + files.read(kinds, 2)[0]
    centred = points - points.mean(axis=1, keepdims=True)
    return Tokens(unit(centred))


def _embedded_in_decoder(files: ModelFiles, ids: Sequence[int]) -> EuclideanTokens:
    from particles.networks import LayerNorm

    decoder = find_decoder(files)
    words, places = decoder.embeddings()
    numbers = _numbers(ids, len(words), 1 << 20 if places is None else len(places))
    points = words[numbers] + (0.0 if places is None else places[: len(numbers)])
    if isinstance(decoder.network.norm, LayerNorm):
        points = points - points.mean(axis=1, keepdims=True)
    return EuclideanTokens(points)


def _numbers(ids: Sequence[int], n_words: int, most: int) -> NDArray[np.int64]:
    """Numbers of words, in a row of at most so many; ValueError where they are none."""
    numbers = np.asarray(ids)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not 1 <= len(numbers) <= most:
        raise ValueError(f"ids must be 1 to {most} whole numbers in a row, got shape {numbers.shape}")
    if numbers.min() < 0 or numbers.max() >= n_words:
        raise ValueError(f"ids must be from 0 to {n_words - 1}, got {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.int64)


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
