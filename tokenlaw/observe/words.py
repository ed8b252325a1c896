"""What a network is given: the numbers of its words, a text, or pixels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenlaw.observe.model import Model, first_line

MOST = 1 << 26  # bytes of a file of words or numbers


@dataclass(frozen=True, eq=False)
class Given:
    """What a network is given, by the names of its arguments.

    Attributes
    ----------
    arguments : for the network, with the axis of a batch of one in front.
    words_or_pixels : numbers of the words (n,), or an image (channel, row, column).
    """

    arguments: Mapping[str, Any]
    words_or_pixels: npt.NDArray[Any]

    @property
    def ids(self) -> npt.NDArray[np.int64] | None:
        """Numbers of the words, None for pixels."""
        return self.words_or_pixels if self.words_or_pixels.ndim == 1 else None


def from_ids(model: Model, path: Path, context: int | None = None) -> Given:
    """Numbers of words in a file: whole numbers between blanks, commas or brackets, or a .npy file of them."""
    if path.suffix == ".npy":
        found = _array(path)
    else:
        text = _text(path)
        if not re.fullmatch(r"[\s\d,\[\]]*", text):
            raise ValueError(f"{path}: must hold whole numbers between blanks or commas, or be a .npy file of them")
        words = re.findall(r"\d+", text)
        if any(len(word) > 18 for word in words):
            raise ValueError(f"{path}: holds a number of {max(map(len, words))} digits")
        found = np.array([int(word) for word in words], dtype=np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ValueError(f"{path}: must hold whole numbers in a row, got {found.dtype}{found.shape}")
    return _checked(model, path, found.astype(np.int64), context)


def from_text(model: Model, path: Path, context: int | None = None) -> Given:
    """A text, cut into words by the tokenizer in the model's folder."""
    text = _text(path)
    try:
        tokenizer = model.library.AutoTokenizer.from_pretrained(
            model.folder, local_files_only=True, trust_remote_code=False
        )
        numbers = tokenizer(text, verbose=False)["input_ids"]
    except Exception as error:  # whatever the library raises where files of a tokenizer are missing or wrong
        raise ValueError(
            f"{model.folder}: has no tokenizer that the library can load ({first_line(error)}); nothing is fetched: "
            "put its tokenizer.json and tokenizer_config.json there, or give --ids"
        ) from None
    return _checked(model, path, np.array(numbers, dtype=np.int64), context)


def from_pixels(model: Model, path: Path) -> Given:
    """An image, .npy (channel, row, column) as the network expects it: resized, and scaled to mean 0."""
    image = _array(path)
    if image.ndim != 3 or image.dtype.kind not in "fiu" or not np.isfinite(image).all():
        raise ValueError(f"{path}: must hold finite numbers (channel, row, column), got {image.dtype}{image.shape}")
    config = model.config
    size = getattr(config, "image_size", None)
    rows = (size, size) if isinstance(size, int) else size
    wanted = None if rows is None else (getattr(config, "num_channels", 3), *rows)
    if wanted is None:
        raise ValueError(f"{model.folder}: {model.kind} takes no pixels (no image_size); give --ids or --text")
    if image.shape != tuple(wanted):
        raise ValueError(f"{path}: {model.kind} takes pixels of shape {tuple(wanted)}, got {image.shape}")
    return Given({"pixel_values": model.torch.tensor(image, dtype=model.torch.float32)[None]}, image)


def _checked(model: Model, path: Path, ids: npt.NDArray[np.int64], context: int | None) -> Given:
    """Numbers that are words of the model, as many as it takes."""
    config = model.config
    if getattr(config, "vocab_size", None) is None:
        raise ValueError(f"{model.folder}: {model.kind} has no vocabulary; give --pixels F.npy")
    if context is not None and len(ids) < context:
        raise ValueError(f"{path}: has {len(ids):,} tokens, --context asks for {context:,}")
    ids = ids if context is None else ids[:context]
    if len(ids) < 2:
        raise ValueError(f"{path}: must give at least two tokens, got {len(ids)}")
    if ids.min() < 0 or ids.max() >= config.vocab_size:
        raise ValueError(f"{path}: numbers must be from 0 to {config.vocab_size - 1}, got {ids.min()} to {ids.max()}")
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and len(ids) > most:
        told = f"{path}: has {len(ids):,} tokens, {model.kind} takes at most {most:,}"
        raise ValueError(f"{told}; --context {most} takes the first of them")
    return Given({"input_ids": model.torch.tensor(ids)[None]}, ids)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST:
            raise ValueError(f"{path}: is larger than {MOST >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text in UTF-8") from None


def _array(path: Path) -> npt.NDArray[Any]:
    """Numbers of a .npy file; objects, which would be unpickled, are refused."""
    try:
        with open(path, "rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'no array'})") from None
    except (ValueError, EOFError):
        raise ValueError(f"{path}: is no .npy file of numbers") from None
