"""Encoders in the manner of BERT in the files of a model: names of their tensors, and a refusal of any other model.

Taken are post-norm encoders with full attention, equal numbers of query and key heads and learned absolute positions.
Whatever a file or its config.json says beyond that would be another model, and is refused with its reason.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from particles.files.checkpoint_files import ModelFiles
from particles.files.decoders import LAYOUTS as DECODERS

POSITIONS_FROM_PADDING: Final = ("roberta", "xlm-roberta", "camembert")
"""Models whose positions are counted from the row behind that of padding; the others count from 0."""
KNOWN: Final = ("bert", "distilbert", "electra", *POSITIONS_FROM_PADDING)
AFFINE: Final = ("weight", "bias")
NORM: Final = (*AFFINE, "gamma", "beta")


@dataclass(frozen=True)
class Layout:
    """Names of the tensors of an encoder, behind any prefix; those of layer {layer} behind `layer`.

    Attributes
    ----------
    layer : "stem.{layer}.".   query, key, value, output : weights.   norm : layer norm behind the block's MLP.
    beside : what else a layer holds that attention does not depend on.
    """

    layer: str
    query: str
    key: str
    value: str
    output: str
    norm: str
    beside: tuple[str, ...]
    first_norm: str = "embeddings.LayerNorm"

    def of(self, name: str, layer: int) -> str:
        """Full name of the tensor of a layer, without the prefix."""
        return self.layer.format(layer=layer) + str(getattr(self, name))

    def known(self) -> set[str]:
        """All that a layer may hold."""
        blocks = [self.query, self.key, self.value, self.output]
        linear = [*(name.removesuffix(".weight") for name in blocks), *self.beside]
        norms = [self.norm, *(name for name in self.beside if name.lower().endswith("norm"))]
        return {f"{name}.{end}" for name in linear for end in AFFINE} | {f"{n}.{end}" for n in norms for end in NORM}


LAYOUTS = {
    "BERT": Layout(
        "encoder.layer.{layer}.",
        "attention.self.query.weight",
        "attention.self.key.weight",
        "attention.self.value.weight",
        "attention.output.dense.weight",
        "output.LayerNorm",
        ("attention.output.LayerNorm", "intermediate.dense", "output.dense"),
    ),
    "DistilBERT": Layout(
        "transformer.layer.{layer}.",
        "attention.q_lin.weight",
        "attention.k_lin.weight",
        "attention.v_lin.weight",
        "attention.out_lin.weight",
        "output_layer_norm",
        ("sa_layer_norm", "ffn.lin1", "ffn.lin2"),
    ),
}
EMBEDDINGS: Final = ("word_embeddings", "position_embeddings", "token_type_embeddings")
BUFFERS: Final = ("embeddings.position_ids", "embeddings.token_type_ids")  # old files hold them as tensors


@dataclass(frozen=True, eq=False)
class Encoder:
    """Where an encoder stands in the files of a model.

    Attributes
    ----------
    files, layout, prefix : full name = prefix + name of the layout.   n_layers : number of its layers.
    """

    files: ModelFiles
    layout: Layout
    prefix: str
    n_layers: int

    def norm(self, stem: str) -> str:
        """Full name of the gains of a layer norm: weight, or gamma in old files."""
        found = [name for end in ("weight", "gamma") if (name := f"{self.prefix}{stem}.{end}") in self.files.tensors]
        if len(found) > 1:
            raise ValueError(f"{self.files.path}: has both {found[0]} and {found[1]}")
        return found[0] if found else f"{self.prefix}{stem}.weight"

    def first_position(self) -> tuple[int, int | None]:
        """Row of the first position, and the number of the padding token where positions count from it."""
        config, kind = self.files.config, self.files.config.get("model_type")
        rows = self.prefix + "embeddings.token_type_embeddings.weight"
        unknown = kind is None and "roberta" not in self.prefix
        if unknown and rows in self.files.tensors and len(self.files.read(rows, 2)) == 1:
            raise ValueError(
                f"{self.files.path}: positions begin at row 0 in BERT and at row 2 in RoBERTa, and there is no "
                f"model_type in {self.files.config_path.name} to tell which it is"
            )
        if kind in POSITIONS_FROM_PADDING or (kind is None and "roberta" in self.prefix):
            padding = config.get("pad_token_id", 1)
            if not _whole(padding) or padding < 0:
                raise ValueError(f"{self.files.config_path}: pad_token_id must be a whole number, got {padding!r}")
            return int(padding) + 1, int(padding)
        return 0, None


def find_encoder(files: ModelFiles) -> Encoder:
    """The one encoder in the files; ValueError with its reason where it is none, not whole, or another model."""
    refuse_config(files)
    found = sorted({place for name in files.tensors for place in _places(name)})
    if not found:
        needs = " or ".join(one.of("query", 0) for one in LAYOUTS.values())
        raise ValueError(f"{files.path}: not an encoder that is known; needs {needs}, behind any prefix")
    if len(found) > 1:
        several = ", ".join(prefix + LAYOUTS[name].of("query", 0) for prefix, name in found)
        raise ValueError(f"{files.path}: holds several encoders ({several}); save one of them in a file of its own")
    ((prefix, name),) = found
    encoder = Encoder(files, LAYOUTS[name], prefix, _count_layers(files, prefix, LAYOUTS[name]))
    _refuse_other_tensors(encoder)
    return encoder


def refuse_config(files: ModelFiles) -> None:
    """Refuse a model whose config.json says that it is no encoder of this kind."""
    config, path = files.config, files.config_path
    kind = config.get("model_type")
    if kind is not None and kind not in KNOWN:
        raise ValueError(
            f"{path}: model_type is {str(kind)[:40]!r}; taken are encoders with norms behind their blocks, full "
            f"attention and learned positions: {', '.join(KNOWN)}; and decoders: {', '.join(DECODERS)}"
        )
    for key, plain, meaning in _OTHER_MODELS:
        if key in config and config[key] not in plain:
            raise ValueError(f"{path}: {key} = {str(config[key])[:60]!r}; {meaning}")
    size, embedded = number_in(files, "hidden_size", "dim"), number_in(files, "embedding_size")
    if None not in (size, embedded) and size != embedded:
        raise ValueError(
            f"{path}: embedding_size = {embedded}, hidden_size = {size}; embeddings that are projected behind their "
            "layer norm have no fixed length, which is another model"
        )
    heads, keys = number_in(files, "num_attention_heads", "n_heads"), config.get("num_key_value_heads")
    if keys is not None and keys != heads:
        raise ValueError(f"{path}: num_key_value_heads = {str(keys)[:60]!r}; heads with shared keys are another model")


_OFF: Final = (None, False)
_OTHER_MODELS: Final[tuple[tuple[str, tuple[Any, ...], str], ...]] = (
    ("position_embedding_type", (None, "absolute"), "scores that depend on distances are another model"),
    ("relative_attention", _OFF, "scores that depend on distances are another model"),
    ("rope_theta", (None,), "scores that depend on distances are another model"),
    ("alibi", _OFF, "scores that depend on distances are another model"),
    ("is_decoder", _OFF, "a causal mask is another model"),
    ("causal", _OFF, "a causal mask is another model"),
    ("is_encoder_decoder", _OFF, "a decoder is another model"),
    ("add_cross_attention", _OFF, "attention to other tokens is another model"),
    ("attention_type", (None, "original_full", "full"), "attention within a window is another model"),
    ("attention_window", (None,), "attention within a window is another model"),
    ("sliding_window", _OFF, "attention within a window is another model"),
    ("local_attention", _OFF, "attention within a window is another model"),
    ("pruned_heads", (None, {}, []), "layers with heads taken away are not read"),
    ("quantization_config", (None,), "quantised matrices are not read"),
    ("auto_map", (None, {}), "a model with code of its own may be any model"),
)
"""Keys of config.json, the values with which a model is what it is taken for, and what others mean."""


def number_in(files: ModelFiles, *keys: str) -> int | None:
    """The whole number that config.json gives under one of the keys; None where it has none of them."""
    for key in keys:
        if (value := files.config.get(key)) is not None:
            if not _whole(value):
                raise ValueError(f"{files.config_path}: {key} must be a whole number, got {str(value)[:60]!r}")
            return int(value)
    return None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _places(name: str) -> Iterator[tuple[str, str]]:
    """Prefix and layout of which a tensor is the query matrix of some layer."""
    for layout, one in LAYOUTS.items():
        pattern = re.escape(one.of("query", 0)).replace(r"\.0\.", r"\.\d{1,9}\.")
        if found := re.search(rf"(?:^|\.)({pattern})$", name):
            yield name[: found.start(1)], layout


def _count_layers(files: ModelFiles, prefix: str, layout: Layout) -> int:
    """Number of layers; ValueError where one is missing, or config.json counts others."""
    stem = re.escape(prefix + layout.layer).replace(r"\{layer\}", r"(\d{1,9})")
    there = {int(found[1]) for name in files.tensors if (found := re.match(stem, name))}
    said = number_in(files, "num_hidden_layers", "n_layers")
    n_layers = max(there) + 1 if said is None else said
    missing = sorted(set(range(n_layers)) - there) if n_layers <= 10 * len(files.tensors) else [len(there)]
    if missing:
        of = "" if said is None else f" of the {said} that {files.config_path.name} counts"
        which = ", ".join(str(layer) for layer in missing[:3]) + (", ..." if len(missing) > 3 else "")
        told = f"layer {which} is" if len(missing) == 1 else f"layers {which} are"
        raise ValueError(f"{files.path}: {told} missing{of}; a part of a model is not the model")
    if len(there) > n_layers:
        raise ValueError(f"{files.path}: has {len(there)} layers, {files.config_path.name} counts {n_layers}")
    return n_layers


def _refuse_other_tensors(encoder: Encoder) -> None:
    """Refuse tensors that attention or the embedding would depend on, were the model another one."""
    files, prefix, layout = encoder.files, encoder.prefix, encoder.layout
    layers = [layout.layer.format(layer=k) for k in range(encoder.n_layers)]
    known = {prefix + layer + name for layer in layers for name in layout.known()}
    known |= {f"{prefix}embeddings.{name}.weight" for name in EMBEDDINGS} | {prefix + name for name in BUFFERS}
    known |= {f"{prefix}{layout.first_norm}.{end}" for end in NORM}
    inside = (f"{prefix}embeddings.", f"{prefix}embeddings_project.", prefix + layout.layer.partition(".")[0] + ".")
    unread = [name for name in sorted(files.tensors) if name not in known]
    others = [name for name in unread if name.startswith(inside) or re.search("attention|attn", name.lower())]
    if others:
        told = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise ValueError(f"{files.path}: another model: it has tensors that would not be read ({told})")
