"""Networks by the configurations of a library: what config.json says -> a `Network` at the library's initialisation.

Read from the sources of transformers 5.24: every matrix N(0, initializer_range^2), those of GPT-2 behind both blocks
times (2 layers)^-1/2; gains 1, biases 0; dropout off.  Norms have their epsilon.  What a `Network` cannot
stand for is refused with its reason, unknown models among it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from particles.arrays import Array
from particles.errors import ArgumentError
from particles.layers.mlp.kernels import ACTIVATIONS, Activation
from particles.networks.network import Network
from particles.networks.parts import MLP, LayerNorm, Normal, PostNorm, RMSNorm, RoPE, SelfAttention

Config = Mapping[str, Any]
TANH_GELU = 0.044715, math.sqrt(2 / math.pi)


def _tanh_gelu(z: Array) -> Array:
    """z (1 + tanh(c (z + a z^3)))/2, within 4.8e-4 of z Phi(z) (Hendrycks and Gimpel, arXiv 1606.08415)."""
    a, c = TANH_GELU
    value: Array = 0.5 * z * (1 + np.tanh(c * (z + a * z**3)))
    return value


def _tanh_gelu_slope(z: Array) -> Array:
    a, c = TANH_GELU
    inner = np.tanh(c * (z + a * z**3))
    slope: Array = 0.5 * (1 + inner) + 0.5 * z * (1 - inner**2) * c * (1 + 3 * a * z**2)
    return slope


_TANH_GELU = Activation("gelu, by tanh", _tanh_gelu, _tanh_gelu_slope)
BY_NAME = {
    "gelu": ACTIVATIONS["gelu"], "gelu_python": ACTIVATIONS["gelu"], "relu": ACTIVATIONS["relu"],
    "silu": ACTIVATIONS["silu"], "swish": ACTIVATIONS["silu"], "tanh": ACTIVATIONS["tanh"],
    "sigmoid": ACTIVATIONS["sigmoid"], "gelu_new": _TANH_GELU, "gelu_fast": _TANH_GELU,
    "gelu_pytorch_tanh": _TANH_GELU, "gelu_python_tanh": _TANH_GELU,
}  # fmt: skip
"""The library's names of activations."""


def network_of(config: Any, context: int | None = None) -> Network:
    """The network that a configuration describes, as the library initialises it.

    Parameters
    ----------
    config : contents of a config.json, or the library's configuration object.
    context : number of tokens it is to be used with; by default the most that it takes.  A window of attention that is
        no shorter is none.

    Raises
    ------
    ValueError : a key is missing, has a value that is no such thing, or says what a `Network` cannot stand for.

    Examples
    --------
    >>> found = network_of({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12})
    >>> found.d, found.attention.causal, found.depth_scaled, found.mlp.width
    (768, True, True, 3072)
    """
    settings = settings_of(config)
    for key, meaning in _ELSEWHERE.items():
        if settings.get(key) not in (None, False, 0, [], {}):
            raise ArgumentError(key, settings[key], f"be absent: {meaning}")
    return _FAMILIES[str(settings["model_type"])](settings, context)


def settings_of(config: Any) -> Config:
    """A configuration as a mapping, of a model_type that is known."""
    settings = config if isinstance(config, Mapping) else getattr(config, "to_dict", dict)()
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in _FAMILIES:
        raise ArgumentError("model_type", kind, f"be one of {', '.join(_FAMILIES)}")
    return dict(settings)


def whole(config: Config, key: str, default: int | None = None) -> int:
    """A whole number of at least 1; the default where there is none."""
    value = default if config.get(key) is None else config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArgumentError(key, value, "be a whole number of at least 1")
    return value


def real(config: Config, key: str, default: float) -> float:
    """A positive number."""
    value = default if config.get(key) is None else config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentError(key, value, "be a positive number")
    return float(value)


def deviation(config: Config) -> float:
    """Standard deviation of the entries of matrices and embeddings."""
    return real(config, "initializer_range", 0.02)


def epsilon(config: Config) -> float:
    """What the norms add to a mean square, by the key and the default of the family."""
    key, default = _EPSILON.get(str(config.get("model_type")), ("rms_norm_eps", 1e-6))
    return real(config, key, default)


_EPSILON = {
    "gpt2": ("layer_norm_epsilon", 1e-5),
    **dict.fromkeys(("bert", "roberta", "vit"), ("layer_norm_eps", 1e-12)),
}
"""Key and default of the epsilon of norms; of LLaMA and its kin rms_norm_eps, 1e-6."""

_ELSEWHERE = {
    "is_encoder_decoder": "a stack that attends to another one is another network",
    "add_cross_attention": "attention to other tokens is another network",
    "num_experts": "a mixture of experts is another network",
    "num_local_experts": "a mixture of experts is another network",
    "auto_map": "a model with code of its own may be any network",
    "scale_attn_by_inverse_layer_idx": "scores that fall with the layer are another network",
    "use_bidirectional_attention": "it is known with a causal mask",
    "pruned_heads": "layers with heads taken away are another network",
}
"""Keys that must be absent or off, and why."""


def _activation(config: Config, key: str, default: str) -> Activation:
    name = config.get(key) or default
    if name not in BY_NAME:
        raise ArgumentError(key, name, f"be one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _head_dim(config: Config, d: int, heads: int, default: int | None = None) -> int:
    if config.get("head_dim") is None and default is None and d % heads:
        raise ArgumentError("num_attention_heads", heads, f"divide hidden_size = {d} where there is no head_dim")
    return whole(config, "head_dim", default or d // heads)


def _gpt2(config: Config, context: int | None) -> Network:
    d, heads, layers = (whole(config, key) for key in ("n_embd", "n_head", "n_layer"))
    head_dim = _head_dim({}, d, heads)
    scale = 1.0 if config.get("scale_attn_weights", True) else math.sqrt(head_dim)
    return Network(
        d, layers, SelfAttention(heads, head_dim, causal=True, score_scale=scale),
        MLP(_activation(config, "activation_function", "gelu_new"), whole(config, "n_inner", 4 * d)),
        LayerNorm(epsilon(config)), depth_scaled=True, initialisation=Normal(deviation(config)),
    )  # fmt: skip


def _encoder(config: Config, context: int | None) -> Network:
    """BERT and RoBERTa: norms behind the blocks."""
    if config.get("position_embedding_type") not in (None, "absolute"):
        raise ArgumentError("position_embedding_type", config["position_embedding_type"], "be absolute")
    d, heads, layers = (whole(config, key) for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    return Network(
        d, layers, SelfAttention(heads, _head_dim({}, d, heads), causal=bool(config.get("is_decoder"))),
        MLP(_activation(config, "hidden_act", "gelu"), whole(config, "intermediate_size")),
        LayerNorm(epsilon(config)), PostNorm(), initialisation=Normal(deviation(config)),
    )  # fmt: skip


def _vit(config: Config, context: int | None) -> Network:
    d, heads, layers = (whole(config, key) for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    return Network(
        d, layers, SelfAttention(heads, _head_dim(config, d, heads)),
        MLP(_activation(config, "hidden_act", "gelu"), whole(config, "intermediate_size")),
        LayerNorm(epsilon(config)), initialisation=Normal(deviation(config)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Decoder:
    """LLaMA and its kin: RMSNorm in front of the blocks, rotary positions, gated MLP blocks.

    Attributes
    ----------
    kv_heads, head_dim, window : what the library takes where the key is missing; None: as many as heads, d over heads,
        no window.   activation : likewise.   qk_norm : whether queries and keys are normed.
    """

    kv_heads: int | None = None
    head_dim: int | None = None
    window: int | None = None
    activation: str = "silu"
    qk_norm: bool = False

    def __call__(self, config: Config, context: int | None) -> Network:
        d, heads, layers = (whole(config, key) for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
        self.refuse_window(config, context)
        missing = self.kv_heads if "num_key_value_heads" not in config else None
        attention = SelfAttention(
            heads, _head_dim(config, d, heads, self.head_dim), whole(config, "num_key_value_heads", missing or heads),
            causal=True, positions=RoPE(_rotary_base(config)), qk_norm=self.qk_norm,
        )  # fmt: skip
        units = MLP(_activation(config, "hidden_act", self.activation), whole(config, "intermediate_size"), gated=True)
        norm = RMSNorm(epsilon(config))
        return Network(d, layers, attention, units, norm, initialisation=Normal(deviation(config)))

    def refuse_window(self, config: Config, context: int | None) -> None:
        """Refuse a window of attention that is shorter than the context."""
        window = config.get("sliding_window", self.window)
        if window is None or config.get("use_sliding_window", self.window is not None) is False:
            return
        kinds = config.get("layer_types")
        if kinds is not None and "sliding_attention" not in kinds:
            return
        most = whole(config, "max_position_embeddings", 32_768) if context is None else context
        if whole({"sliding_window": window}, "sliding_window") < most:
            raise ArgumentError(
                "sliding_window", window, f"be at least the context of {most} tokens; give a context that is no longer"
            )


def _rotary_base(config: Config) -> float:
    """The base of rotary positions; ArgumentError where they are scaled or turn a part of a head."""
    scaling = config.get("rope_scaling")
    told = config.get("rope_parameters") or scaling or {}
    if not isinstance(told, Mapping):
        raise ArgumentError("rope_parameters", told, "be an object")
    kind = told.get("rope_type", told.get("type", "default"))
    if kind != "default":
        key = "rope_parameters" if config.get("rope_parameters") else "rope_scaling"
        raise ArgumentError(key, kind, "be of the type default: scaled positions are another network")
    share = told.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if share not in (None, 1):
        raise ArgumentError("partial_rotary_factor", share, "be 1")
    return real(told, "rope_theta", real(config, "rope_theta", 10_000.0))


_FAMILIES: dict[str, Callable[[Config, int | None], Network]] = {
    "gpt2": _gpt2,
    "llama": _Decoder(),
    "qwen2": _Decoder(),
    "qwen3": _Decoder(head_dim=128, qk_norm=True),
    "mistral": _Decoder(kv_heads=8, window=4096),
    "gemma": _Decoder(head_dim=256, activation="gelu_pytorch_tanh"),
    "bert": _encoder,
    "roberta": _encoder,
    "vit": _vit,
}
