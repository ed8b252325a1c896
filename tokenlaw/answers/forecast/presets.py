"""Published architectures for `tokenlaw predict`, in the words of its options, and how their tokens start.

Light to import: every call of the command line does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NORMAL: Final = 0.02  # standard deviation of the weights of most models at their initialisation


@dataclass(frozen=True)
class Embedding:
    """Tokens before the first layer: a word, a position, a row that all tokens share, added up.

    Attributes
    ----------
    words, positions, shared : standard deviations of the entries of the rows.
    waves : sines and cosines of the places are added (Vaswani et al. 2017, section 3.5).
    normed : a norm follows, which brings tokens to mean square 1.
    """

    words: float = 1.0
    positions: float = 0.0
    shared: float = 0.0
    waves: bool = False
    normed: bool = False

    @property
    def std(self) -> float:
        """Root mean square of an entry of a token."""
        return 1.0 if self.normed else math.sqrt(self.square)

    @property
    def square(self) -> float:
        """Mean square of an entry before the norm."""
        return self.words**2 + self.positions**2 + self.shared**2 + self.waves / 2

    def overlap(self, d: int, n: int, repeat: float = 0.0) -> float:
        """Mean overlap over the pairs of n tokens, of which a share repeats the words of others."""
        different = math.ceil((1 - repeat) * n)
        again = (1 - different * (different - 1) / (n * (n - 1))) / different
        common = self.shared**2 + again * self.words**2 + (_waves_together(d, n) if self.waves else 0)
        return common / self.square


def _waves_together(d: int, n: int) -> float:
    """Mean product of an entry of the sines and cosines of two places.

    That of places t, t' is (1/d) sum_k cos(w_k (t - t')) over the d/2 frequencies w_k = 10000^(-2 k/d), and its sum
    over all t, t' is sum_k |sum_t exp(i w_k t)|^2 = sum_k sin^2(n w_k/2)/sin^2(w_k/2).
    """
    frequencies = [10_000.0 ** (-2 * k / d) for k in range(d // 2)]
    square = sum((math.sin(n * w / 2) / math.sin(w / 2)) ** 2 for w in frequencies) / d
    return (square / n - 0.5) / (n - 1)


@dataclass(frozen=True)
class Preset:
    """A published architecture at its initialisation: Gaussian matrices, biases 0, gains of the norms 1.

    Attributes
    ----------
    title, source : what it is, and where its sizes and its initialisation stand.
    options : what it stands for, by the names of the options of `tokenlaw predict`; beside them rope_base.  The epsilon
        of its norms is that of the published configuration (config.json; tensor2tensor and flax: 1e-6).
    embedding : how tokens start.
    not_included, start_not_included : what no method has, of the network and of its start.
    window : tokens that one attends to at most, where there is such a window.
    """

    title: str
    source: str
    options: Mapping[str, Any]
    embedding: Embedding = field(default_factory=Embedding)
    not_included: tuple[str, ...] = ()
    start_not_included: tuple[str, ...] = ()
    window: int | None = None

    def settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Its options with changes on top; a changed dimension changes the width of the MLP with it, `own_width`."""
        found = {**self.options, **changes}
        share = found["d_model"] / self.options["d_model"]
        found["mlp_width"] = found["own_width"] = max(1, round(self.options["mlp_width"] * share))
        replaced = {
            "d_model": ("head_dim",), "heads": ("head_dim",), "init": ("init_std",), "init_std": ("init",),
            "pre_norm": ("norm",), "mlp": ("mlp_width", "own_width"),
        }  # fmt: skip
        gone = {other for name in changes for other in replaced.get(name, ())}
        return {name: value for name, value in (found | dict(changes)).items() if name in changes or name not in gone}


def _sizes(d: int, heads: int, layers: int, context: int, **more: Any) -> dict[str, Any]:
    return {"d_model": d, "heads": heads, "layers": layers, "context": context} | more


def _gpt2(title: str, d: int, heads: int, layers: int) -> Preset:
    source = (
        "Radford et al. 2019, openai/gpt-2; initialisation of Hugging Face transformers (GPT2Config: all matrices, "
        "words and positions 0.02, matrices behind both blocks times (2 layers)^-1/2)"
    )
    options = _sizes(d, heads, layers, 1024, mlp="gelu", mlp_width=4 * d, norm="pre", norm_kind="layer", norm_eps=1e-5,
                     causal=True, init_std=NORMAL, depth_scaled=True)  # fmt: skip
    return Preset(title, source, options, Embedding(NORMAL, NORMAL))


def _bert(title: str, source: str, d: int, heads: int, layers: int, eps: float = 1e-12) -> Preset:
    options = _sizes(d, heads, layers, 512, mlp="gelu", mlp_width=4 * d, norm="post", norm_kind="layer",
                     norm_eps=eps, init_std=NORMAL)  # fmt: skip
    return Preset(title, source, options, Embedding(NORMAL, NORMAL, NORMAL, normed=True))


def _decoder(
    title: str, source: str, sizes: Mapping[str, Any], embedding: float = NORMAL, window: int | None = None
) -> Preset:
    """LLaMA and its kin."""
    options = {"norm": "pre", "norm_kind": "rms", "norm_eps": 1e-6, "causal": True, "positions": "rope",
               "rope_base": 10_000.0, "mlp": "swiglu", "init_std": NORMAL} | dict(sizes)  # fmt: skip
    return Preset(title, f"{source}; initializer_range 0.02 of its configuration", options, Embedding(embedding),
                  window=window)  # fmt: skip


_BERT = "Devlin et al., arXiv 1810.04805, google-research/bert; words, positions and one row of token type 0.02"
_ROBERTA = "Liu et al., arXiv 1907.11692; initialisation as of BERT, one row of token type"

PRESETS: Final = {
    "gpt2": _gpt2("GPT-2 small", 768, 12, 12),
    "gpt2-medium": _gpt2("GPT-2 medium", 1024, 16, 24),
    "gpt2-large": _gpt2("GPT-2 large", 1280, 20, 36),
    "gpt2-xl": _gpt2("GPT-2 XL", 1600, 25, 48),
    "bert-base": _bert("BERT base", _BERT, 768, 12, 12),
    "bert-large": _bert("BERT large", _BERT, 1024, 16, 24),
    "roberta-base": _bert("RoBERTa base", _ROBERTA, 768, 12, 12, eps=1e-5),
    "transformer-base": Preset(
        "Transformer base, encoder",
        "Vaswani et al., arXiv 1706.03762; tensor2tensor: Xavier's variances, words of variance 1 beside the waves",
        _sizes(512, 8, 6, 512, mlp="relu", mlp_width=2048, norm="post", norm_kind="layer", norm_eps=1e-6,
               init="xavier"),
        Embedding(waves=True),
    ),
    "vit-base": Preset(
        "ViT-B/16",
        "Dosovitskiy et al., arXiv 2010.11929, google-research/vision_transformer: Xavier's variances, positions 0.02; "
        "patches of mean square 1",
        _sizes(768, 12, 12, 197, mlp="gelu", mlp_width=3072, norm="pre", norm_kind="layer", norm_eps=1e-6,
               init="xavier"),
        Embedding(positions=NORMAL),
        start_not_included=("correlations of the patches (--overlap0 sets their mean)", "class token of length 0"),
    ),
    "llama-7b": _decoder(
        "LLaMA 7B", "Touvron et al., arXiv 2302.13971", _sizes(4096, 32, 32, 2048, mlp_width=11_008),
    ),
    "llama3-8b": _decoder(
        "Llama 3 8B", "Llama team, arXiv 2407.21783, table 3",
        _sizes(4096, 32, 32, 8192, kv_heads=8, mlp_width=14_336, rope_base=500_000.0, norm_eps=1e-5),
    ),
    "mistral-7b": _decoder(
        "Mistral 7B", "Jiang et al., arXiv 2310.06825, table 1; context as long as its window",
        _sizes(4096, 32, 32, 4096, kv_heads=8, mlp_width=14_336, norm_eps=1e-5), window=4096,
    ),
    "qwen2-7b": _decoder(
        "Qwen2 7B", "Yang et al., arXiv 2407.10671, table 1",
        _sizes(3584, 28, 28, 32_768, kv_heads=4, mlp_width=18_944, rope_base=1_000_000.0),
    ),
    "gemma-2b": _decoder(
        "Gemma 2B", "Gemma team, arXiv 2403.08295, table 1; embeddings times d^1/2",
        _sizes(2048, 8, 18, 8192, head_dim=256, kv_heads=1, mlp="geglu", mlp_width=16_384),
        embedding=NORMAL * math.sqrt(2048),
    ),
}  # fmt: skip
