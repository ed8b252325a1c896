"""Tokens before the first block as a library initialises its embeddings, by a configuration (`configured`).

Words, positions, token types and patches are linear images of Gaussian matrices, so the d coordinates of all tokens are
independent rows of one covariance F^T F, and so is what a layer norm behind them sees.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from particles.arrays import Array, check_count, check_positive
from particles.errors import ArgumentError
from particles.networks.configured import Config, deviation, epsilon, settings_of, whole
from particles.networks.parts import LayerNorm, Norm
from particles.networks.starts import Start, embedded
from particles.networks.vectors import bartlett, image, reflected


@dataclass(frozen=True, eq=False)
class Words:
    """Embeddings of a text: d independent rows of covariance words^2 [same word] + positions^2 [same place] + shared^2.

    Parameters
    ----------
    ids : (n,) numbers of the words.   words, positions, shared : standard deviations of the entries of the rows.
    blank : number of the word whose row is 0, as that of padding is, or None; `blank_place`: its place's row is 0 too.
    """

    ids: NDArray[np.int64]
    words: float = 1.0
    positions: float = 0.0
    shared: float = 0.0
    blank: int | None = None
    blank_place: bool = False

    @property
    def tokens(self) -> int:
        """n."""
        return len(self.ids)

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Their coordinates."""
        different, which = np.unique(self.ids, return_inverse=True)
        said = np.array([self.words * (word != self.blank) for word in different])
        places = self.positions * (1.0 - self.blank_place * (np.asarray(self.ids) == self.blank))
        return image(embedded(which, said, places, self.shared), axes, d, rng)[0]


@dataclass(frozen=True, eq=False)
class Patches:
    """Embeddings of an image: a class token, and behind it a linear image of the pixels of each patch; places added.

    Parameters
    ----------
    count : number of patches.   size : pixels of a patch, all channels.
    std : standard deviation of the entries of the matrix, of the class token and of the places.
    pixels : (count, size), or None for independent standard normal ones.
    """

    count: int
    size: int
    std: float = 0.02
    pixels: Array | None = None

    def __post_init__(self) -> None:
        check_count(self.count, "count")
        check_count(self.size, "size")
        check_positive(self.std, "std")
        if self.pixels is not None and self.pixels.shape != (self.count, self.size):
            raise ArgumentError("pixels", self.pixels.shape, f"have shape {(self.count, self.size)}")

    @property
    def tokens(self) -> int:
        """count + 1."""
        return self.count + 1

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Their coordinates."""
        pixels = bartlett(self.count, self.size, rng) if self.pixels is None else reflected(self.pixels.T)
        factor = np.zeros((1 + len(pixels), self.tokens))
        factor[0, 0], factor[1:, 1:] = 1, pixels
        return image(self.std * reflected(np.concatenate([factor, np.eye(self.tokens)])), axes, d, rng)[0]


@dataclass(frozen=True)
class Normed:
    """The tokens of another start behind a norm."""

    start: Start
    norm: Norm

    @property
    def tokens(self) -> int:
        """n."""
        return self.start.tokens

    def rows(self, d: int, axes: int, rng: np.random.Generator) -> Array:
        """Their coordinates."""
        rows = self.start.rows(d, max(axes, self.norm.axes), rng)
        scaled = rows * self.norm.scale(rows, d)
        scaled[: self.norm.axes] = 0
        return scaled


def embeddings_of(config: Any, given: int | ArrayLike) -> Start:
    """The tokens before the first block of a network that the library initialises by a configuration.

    Parameters
    ----------
    config : as `network_of` takes it.
    given : numbers of the words of a text, (n,), or n for n different words; for images the pixels (channel, row,
        column) as the network takes them, or n, the number of tokens, for independent standard normal ones.

    Examples
    --------
    >>> start = embeddings_of({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12}, [5, 7, 5])
    >>> start.words, start.positions, start.tokens
    (0.02, 0.02, 3)
    """
    settings = settings_of(config)
    kind, std = str(settings["model_type"]), deviation(settings)
    if kind == "vit":
        return _patches(settings, given, std)
    blank = settings.get("pad_token_id", {"bert": 0, "roberta": 1, "gemma": 0}.get(kind))
    ids = _ids(given, blank)
    if kind == "gpt2":
        return Words(ids, std, std)
    if kind in ("bert", "roberta"):
        return Normed(Words(ids, std, std, std, blank, kind == "roberta"), LayerNorm(epsilon(settings)))
    scale = math.sqrt(whole(settings, "hidden_size")) if kind == "gemma" else 1.0
    return Words(ids, scale * std, blank=blank)


def _ids(given: int | ArrayLike, blank: int | None) -> NDArray[np.int64]:
    """Numbers of words, (n,); n different ones of which none is blank."""
    ids = np.asarray(given)
    if ids.ndim == 0 and ids.dtype.kind in "iu":
        count = int(ids)
        ids = np.arange(count) + (0 if blank is None else blank + 1)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or len(ids) < 2:
        allowed = "be at least two whole numbers in a row, or their number"
        raise ArgumentError("given", f"{ids.dtype}{ids.shape}", allowed)
    return ids


def _patches(config: Config, given: int | ArrayLike, std: float) -> Patches:
    side, channels = _square(config, "patch_size", 16), whole(config, "num_channels", 3)
    rows, columns = (size // one for size, one in zip(_square(config, "image_size", 224), side, strict=True))
    count, size = rows * columns, channels * side[0] * side[1]
    image_ = np.asarray(given, dtype=np.float64)
    if image_.ndim == 0:
        if image_ != count + 1:
            raise ArgumentError("given", given, f"be {count + 1}: {count} patches and the class token")
        return Patches(count, size, std)
    wanted = (channels, rows * side[0], columns * side[1])
    if image_.shape != wanted:
        raise ArgumentError("given", image_.shape, f"be pixels of shape {wanted}")
    cut = image_.reshape(channels, rows, side[0], columns, side[1]).transpose(1, 3, 0, 2, 4)
    return Patches(count, size, std, cut.reshape(count, size))


def _square(config: Config, key: str, default: int) -> tuple[int, int]:
    """Rows and columns."""
    value = default if config.get(key) is None else config[key]
    rows, columns = value if isinstance(value, list | tuple) and len(value) == 2 else (value, value)
    return whole({key: rows}, key), whole({key: columns}, key)
