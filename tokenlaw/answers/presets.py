"""Published architectures for `tokenlaw predict`: their sizes, their initialisation, how their tokens start.

Light to import: every call of the command line does.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

NORMAL: Final = 0.02  # standard deviation of the weights of GPT-2 and BERT at their initialisation
WIDTH: Final = 4  # of an MLP, in d_model


@dataclass(frozen=True)
class Preset:
    """A published architecture at its initialisation: Gaussian matrices, biases 0, gains of the normalisation 1.

    Attributes
    ----------
    title, source : what it is, and where its sizes and its initialisation stand.
    d_model, heads, layers, context : sizes.   head_dim : None for d_model/heads.
    pre_norm : normalisation before each block (the stream grows from the length of its embeddings), or behind it.
    activation : of the MLP, of width 4 d_model.
    deviation : standard deviation of all weights; None: variance 2/(rows + columns), Xavier's.
    depth_scaled : the last matrix of each block is multiplied by (2 layers)^-1/2.
    embedding : root mean square of an entry of the embeddings, used where pre_norm.
    shared : share of the mean square of the embeddings that all tokens have in common, a Gaussian row.
    sinusoidal : positions are sines and cosines beside words of variance 1, else they are random like words.
    not_included : what of it the forecast leaves out.   start_not_included : the same of the tokens it starts with.
    """

    title: str
    source: str
    d_model: int
    heads: int
    layers: int
    context: int
    pre_norm: bool
    activation: str
    deviation: float | None = NORMAL
    head_dim: int | None = None
    depth_scaled: bool = False
    embedding: float = 1.0
    shared: float = 0.0
    sinusoidal: bool = False
    not_included: tuple[str, ...] = ()
    start_not_included: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """The options of `tokenlaw predict` that this architecture stands for.

        Tokens enter a block with length d^1/2, so a matrix with entries of deviation s is one of deviation s d^1/2
        on the unit sphere; values and outputs together have s^2 head_dim^1/2 d^1/2 before the residual stream, which
        is measured in its length at the start: d^1/2 behind a normalisation, that of the embeddings before one.
        """
        d = self.d_model
        head_dim = d // self.heads if self.head_dim is None else self.head_dim
        if self.head_dim is None and head_dim * self.heads != d:
            raise ValueError(f"--d-model: must be a multiple of the {self.heads} heads of {self.title}, got {d}")
        square, hidden = self.deviations(head_dim)
        branch = (2 * self.layers) ** -0.5 if self.depth_scaled else 1.0
        length = math.sqrt(d) * (self.embedding if self.pre_norm else 1.0)
        return {
            "d_model": d, "heads": self.heads, "head_dim": head_dim, "layers": self.layers, "context": self.context,
            "residual_scale": float(self.heads),  # blocks add the heads, they do not average them
            "sigma_v": branch * square**2 * math.sqrt(head_dim) * math.sqrt(d) / length,
            "sigma_a": square * math.sqrt(d), "beta": head_dim**-0.5,
            "mlp": self.activation, "mlp_gain": hidden * math.sqrt(d),
            "mlp_scale": branch * hidden * math.sqrt(WIDTH * d) / length, "pre_norm": self.pre_norm,
            "factored": True,
        }  # fmt: skip

    def deviations(self, head_dim: int) -> tuple[float, float]:
        """Standard deviations of the matrices of attention and of the MLP."""
        if self.deviation is not None:
            return self.deviation, self.deviation
        d = self.d_model
        return (2 / (d + self.heads * head_dim)) ** 0.5, (2 / (d + WIDTH * d)) ** 0.5

    def start(self) -> float:
        """Mean overlap of the embeddings before the first layer, over the pairs of `context` tokens."""
        return _sinusoidal_overlap(self.d_model, self.context) if self.sinusoidal else self.shared


def _sinusoidal_overlap(d: int, n: int) -> float:
    """Words with entries of variance 1 beside sines and cosines of n positions.

    The mean square of an entry is 3/2; two tokens share that of their positions, (1/d) sum_k cos(w_k (t - t')) over the
    d/2 frequencies w_k = 10000^(-2 k/d) (Vaswani et al. 2017, section 3.5), and the sum of that over all t, t' is
    sum_k |sum_t exp(i w_k t)|^2 = sum_k sin^2(n w_k/2)/sin^2(w_k/2).
    """
    frequencies = [10_000.0 ** (-2 * k / d) for k in range(d // 2)]
    square = sum((math.sin(n * w / 2) / math.sin(w / 2)) ** 2 for w in frequencies) / d
    return (square / n - 0.5) / (n - 1) / 1.5


def _gpt2(title: str, d: int, heads: int, layers: int) -> Preset:
    source = "Radford et al. 2019; words and positions of deviation 0.02, as in Hugging Face transformers"
    return Preset(title, source, d, heads, layers, 1024, True, "gelu", depth_scaled=True,
                  embedding=NORMAL * math.sqrt(2), not_included=("causal mask",))  # fmt: skip


def _bert(title: str, d: int, heads: int, layers: int) -> Preset:
    source = "Devlin et al., arXiv 1810.04805; words, positions and one row of token type of deviation 0.02"
    return Preset(title, source, d, heads, layers, 512, False, "gelu", shared=1 / 3)


PRESETS: Final = {
    "gpt2": _gpt2("GPT-2 small", 768, 12, 12),
    "gpt2-medium": _gpt2("GPT-2 medium", 1024, 16, 24),
    "gpt2-large": _gpt2("GPT-2 large", 1280, 20, 36),
    "gpt2-xl": _gpt2("GPT-2 XL", 1600, 25, 48),
    "bert-base": _bert("BERT base", 768, 12, 12),
    "bert-large": _bert("BERT large", 1024, 16, 24),
    "transformer-base": Preset(
        "Transformer base, encoder", "Vaswani et al., arXiv 1706.03762; Xavier's variances, as in tensor2tensor",
        512, 8, 6, 512, False, "relu", None, sinusoidal=True,
        start_not_included=("order of the positions (near ones start more alike than the mean)",
                            "length of the embeddings in the first layer, 1.22 times that of later tokens"),
    ),
    "vit-base": Preset(
        "ViT-B/16", "Dosovitskiy et al., arXiv 2010.11929; Xavier's variances, patches of mean square 1",
        768, 12, 12, 197, True, "gelu", None,
        start_not_included=("correlations of the patches (--overlap0 sets their mean)", "class token of length 0"),
    ),
}  # fmt: skip
