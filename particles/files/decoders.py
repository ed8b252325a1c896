"""Decoders in the files of a model: GPT-2, LLaMA, Qwen2 and Mistral, by the names of their tensors and config.json.

config.json must tell which it is and what it is made of: `particles.networks.network_of` reads it, and refuses other
networks.  Fused, shared and separate matrices are brought to one form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from particles.arrays import Array
from particles.files.checkpoint_files import ModelFiles
from particles.files.inputs import naming

if TYPE_CHECKING:
    from particles.networks import Network


@dataclass(frozen=True)
class Layout:
    """Names of the tensors of a decoder, behind any prefix.

    Attributes
    ----------
    layer : "stem.{layer}.".   norm : gains in front of the attention block.   words, places : embeddings.
    matrices : of attention, in a layer.   beside : what else a layer holds that attention does not depend on.
    """

    layer: str
    norm: str
    words: str
    places: str
    matrices: tuple[str, ...]
    beside: tuple[str, ...]

    def known(self) -> set[str]:
        """All that a layer may hold."""
        parts = {*self.matrices, *self.beside, self.norm}
        return {name for part in parts for name in (part, part.replace(".weight", ".bias"))}


GPT2: Final = Layout(
    "h.{layer}.", "ln_1.weight", "wte.weight", "wpe.weight", ("attn.c_attn.weight", "attn.c_proj.weight"),
    ("attn.bias", "attn.masked_bias", "ln_2.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"),
)  # fmt: skip
LLAMA: Final = Layout(
    "layers.{layer}.", "input_layernorm.weight", "embed_tokens.weight", "",
    tuple(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    ("self_attn.rotary_emb.inv_freq", "post_attention_layernorm.weight",
     *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down"))),
)  # fmt: skip
LAYOUTS: Final = {"gpt2": GPT2, "llama": LLAMA, "qwen2": LLAMA, "mistral": LLAMA}


@dataclass(frozen=True, eq=False)
class Decoder:
    """Where a decoder stands in the files of a model.

    Attributes
    ----------
    files, layout, prefix : full name = prefix + name of the layout.   network : what it is made of.
    window : tokens that a token sees at most, or None.
    """

    files: ModelFiles
    layout: Layout
    prefix: str
    network: Network
    window: int | None

    def matrices(self) -> dict[str, Array]:
        """query (L, H, head_dim, d), key, value (L, G, head_dim, d), output (L, H, d, head_dim), gain (L, d)."""
        split: Callable[[int], tuple[Array, ...]] = self._fused if self.layout is GPT2 else self._apart
        layers = [split(layer) for layer in range(self.network.layers)]
        names = ("query", "key", "value", "output")
        found = {name: np.stack([one[k] for one in layers]) for k, name in enumerate(names)}
        return found | {"gain": np.stack([self._read(layer, self.layout.norm, (self.network.d,))
                                          for layer in range(self.network.layers)])}  # fmt: skip

    def embeddings(self) -> tuple[Array, Array | None]:
        """Rows of the words, and of the places where there are such."""
        words = self.files.read(self.prefix + self.layout.words, 2)
        return words, self.files.read(self.prefix + self.layout.places, 2) if self.layout.places else None

    def _read(self, layer: int, name: str, shape: tuple[int, ...]) -> Array:
        full = self.prefix + self.layout.layer.format(layer=layer) + name
        found = self.files.read(full, len(shape))
        if found.shape != shape:
            raise ValueError(f"{self.files.path}: tensor {full} must have shape {shape}, got {found.shape}")
        return found

    def _fused(self, layer: int) -> tuple[Array, ...]:
        """GPT-2: columns of queries, keys and values side by side, all matrices for rows from the left."""
        d, heads = self.network.d, self.network.attention.heads
        fused = self._read(layer, self.layout.matrices[0], (d, 3 * d))
        parts = [part.T.reshape(heads, -1, d) for part in np.split(fused, 3, axis=1)]
        return *parts, self._outputs(self._read(layer, self.layout.matrices[1], (d, d)).T)

    def _apart(self, layer: int) -> tuple[Array, ...]:
        """LLaMA: a matrix each, keys and values for groups of heads."""
        a, d = self.network.attention, self.network.d
        rows = (a.heads * a.head_dim, a.groups * a.head_dim, a.groups * a.head_dim)
        query, key, value = (self._read(layer, name, (count, d)).reshape(-1, a.head_dim, d)
                             for name, count in zip(self.layout.matrices[:3], rows, strict=True))  # fmt: skip
        return query, key, value, self._outputs(self._read(layer, self.layout.matrices[3], (d, rows[0])))

    def _outputs(self, matrix: Array) -> Array:
        """Columns of W_o (d, H head_dim) that belong to each head, (H, d, head_dim)."""
        return matrix.reshape(len(matrix), self.network.attention.heads, -1).transpose(1, 0, 2)


def is_decoder(files: ModelFiles) -> bool:
    """Whether config.json says that it is one of these."""
    return files.config.get("model_type") in LAYOUTS


def find_decoder(files: ModelFiles) -> Decoder:
    """The decoder in the files; ValueError with its reason where it is not whole, or another model."""
    from particles.networks import network_of

    config = files.config
    layout = LAYOUTS[config["model_type"]]
    with naming(files.config_path):
        if config.get("quantization_config") is not None:
            raise ValueError("quantization_config: quantised matrices are not read")
        network = network_of(config, context=1)
        window = _window(config, network.layers)
    first = layout.layer.format(layer=0) + layout.matrices[0]
    prefixes = [name.removesuffix(first) for name in files.tensors if re.search(rf"(^|\.){re.escape(first)}$", name)]
    if len(prefixes) != 1:
        raise ValueError(f"{files.path}: must hold one decoder; needs {first} behind any prefix, once")
    found = Decoder(files, layout, prefixes[0], network, window)
    _refuse_other_tensors(found)
    return found


def _window(config: object, n_layers: int) -> int | None:
    """Tokens that a token sees at most in all layers; ValueError where layers differ."""
    assert isinstance(config, dict)
    window = config.get("sliding_window", 4096 if config["model_type"] == "mistral" else None)
    used = config.get("use_sliding_window", config["model_type"] == "mistral")
    if window is None or not used or config["model_type"] == "llama":
        return None
    from_layer = 0 if config["model_type"] == "mistral" else config.get("max_window_layers", n_layers)
    kinds = config.get("layer_types") or ["full_attention" if k < from_layer else "sliding" for k in range(n_layers)]
    sliding = [kind != "full_attention" for kind in kinds]
    if any(sliding) and not all(sliding):
        raise ValueError("layer_types: layers with and without a window of attention are another model")
    return int(window) if any(sliding) else None


def _refuse_other_tensors(decoder: Decoder) -> None:
    """Refuse layers that are missing, layers beyond those counted, and tensors in them that would not be read."""
    files, layout, count = decoder.files, decoder.layout, decoder.network.layers
    stem = re.escape(decoder.prefix + layout.layer).replace(r"\{layer\}", r"(\d{1,9})")
    known, there = layout.known(), set()
    for name in sorted(files.tensors):
        if found := re.match(stem, name):
            there.add(int(found[1]))
            if name[found.end() :] not in known:
                raise ValueError(f"{files.path}: another model: it has a tensor that would not be read ({name})")
    if there != set(range(count)):
        wrong = sorted(there ^ set(range(count)))[0]
        what = "is missing" if wrong < count else "is there too"
        raise ValueError(f"{files.path}: {files.config_path.name} counts {count} layers, layer {wrong} {what}")
