"""The tokens before the first layer: drawn as embeddings are, of equal overlaps, or those of a file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from particles import Array
from particles.machine import available, size
from particles.networks import Embedded, GivenTokens, Independent, Network, Normed, RMSNorm, Simplex, Start
from tokenlaw.answers.forecast.presets import Embedding

HELD = 64  # numbers of each token that the mean holds at a time, at least


@dataclass(frozen=True, eq=False)
class Beginning:
    """The tokens before the first layer.

    Attributes
    ----------
    law : of the tokens.   overlap : their mean overlap, and whether it varies from network to network (`drawn`).
    std : root mean square of an entry.   beside : what one overlap does not say of them.   notes : what a reader should
        know of them.
    """

    law: Start
    overlap: float
    drawn: bool
    std: float
    beside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Their number."""
        return self.law.tokens


def check_memory(settings: Mapping[str, Any], embedding: Embedding) -> None:
    """ValueError where no method has room for so many tokens: the mean holds some 16 numbers of each, waves d."""
    n, given = settings["context"], "overlap0" in settings
    need = 8.0 * n * max(HELD, 3 * settings["d_model"] * (embedding.waves and not given))
    there = available()
    if need > there:
        raise ValueError(
            f"--context: {n:,} tokens need at least {size(need)} of memory by any method, {size(there)} are available; "
            "take fewer tokens"
        )


def beginning(settings: Mapping[str, Any], embedding: Embedding, network: Network, on_sphere: bool) -> Beginning:
    """Tokens by --context, --embedding-std, --overlap0 and --repeat, or those of a preset.

    on_sphere : they are brought to length d^1/2, which stands for the unit sphere.
    """
    d, n, repeat = network.d, settings["context"], settings.get("repeat", 0.0)
    std = settings.get("embedding_std", embedding.std)
    overlap = settings.get("overlap0")
    if overlap is not None and n <= d and not repeat:
        return Beginning(Simplex(n, overlap, std), overlap, False, std)
    notes: tuple[str, ...] = ()
    beside = ("which tokens are alike",) if repeat else ()
    if overlap is not None:
        embedding = Embedding(std * math.sqrt(1 - overlap), 0.0, std * math.sqrt(overlap), normed=embedding.normed)
        notes = (f"tokens are drawn with a part that all share: {n:,} of one overlap do not exist in {d} dimensions",)
        notes = () if n <= d else notes
    elif "embedding_std" in settings:
        scale = std / embedding.std if not embedding.normed else 1.0
        embedding = replace(embedding, words=scale * embedding.words, positions=scale * embedding.positions,
                            shared=scale * embedding.shared)  # fmt: skip
    law = embedded(embedding, d, n, repeat)
    if embedding.normed or on_sphere:
        law = Normed(law, network.norm if embedding.normed else RMSNorm())
    if embedding.waves:
        beside = (*beside, "order of the positions (near ones start more alike than the mean)")
    return Beginning(law, embedding.overlap(d, n, repeat), not embedding.waves, std, beside, notes)


def embedded(embedding: Embedding, d: int, n: int, repeat: float) -> Start:
    """Their law before a norm."""
    rows = embedding.words, embedding.positions, embedding.shared
    if not (repeat or embedding.positions or embedding.shared or embedding.waves):
        return Independent(n, embedding.words)
    return Embedded(n, *rows, repeat, waves(d, n) if embedding.waves else None)


def waves(d: int, n: int) -> Array:
    """Sines and cosines of the places (Vaswani et al. 2017, section 3.5), (d, n)."""
    angle = 10_000.0 ** (-2 * np.arange(-(-d // 2))[:, None] / d) * np.arange(n)
    found: Array = np.concatenate([np.sin(angle), np.cos(angle)])[:d]
    return found


def read(path: Path) -> Array:
    """Tokens (n, d) of a file: the last record of one of tokens, or tokens(token, component); times their radius."""
    from particles import EuclideanTokens
    from particles.files import read_tokens

    points = np.asarray(read_tokens(path, EuclideanTokens, stream=True).points, dtype=np.float64)
    n, d = points.shape
    if n < 2 or d < 3:
        raise ValueError(f"--tokens {path}: must hold at least two tokens in three dimensions, got {n} in {d}")
    return points


def given_tokens(points: Array) -> Beginning:
    """Tokens that are known, (n, d)."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    units = points / np.where(lengths > 0, lengths, 1)
    n, total = len(points), units.sum(axis=0)
    overlap = float((total @ total - n) / (n * (n - 1)))
    beside = ("the tokens given but for their mean overlap",)
    std = float(np.sqrt(np.mean(points**2)))
    zero = int(np.count_nonzero(lengths == 0))
    notes = (
        f"{zero:,} of the {n:,} tokens given {'is' if zero == 1 else 'are'} 0: without a direction, orthogonal to all "
        "others here; a norm leaves such a token 0",
    ) * (zero > 0)
    return Beginning(GivenTokens(points), min(max(overlap, 0.0), 1.0), False, std, beside, notes)
