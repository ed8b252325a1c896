"""The chain of overlaps: tokens of independent networks, layer by layer, without their d x d matrices.

Exact in law for finite n, d, heads and width: a block sees its tokens through their Gram matrix only, so Gram matrices
are a Markov chain.  mathematics, section 9.  Every block of every layer has random numbers of its own, a function of
(seed, network, layer, block), so a layer can be made again when the gradient comes back to it.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from particles.arrays import Array, check_count
from particles.errors import ArgumentError
from particles.flow import Progress
from particles.machine.locks import one_blas_thread
from particles.networks.starts import Start
from particles.networks.stream import Branch, Gradient
from particles.networks.vectors import bartlett, draw, gaps
from particles.networks.wide import Limit

if TYPE_CHECKING:
    import xarray as xr

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SINGLE = 1e-3  # mean 1 - cosine above which blocks may compute in single precision
STARTS, FORWARD, BACKWARD = 0, 1, 2  # streams of random numbers

LAYERS: dict[str, tuple[str, str]] = {
    "overlap": ("mean cosine of two tokens", "1"),
    "gap": ("1 - mean cosine of two tokens", "1"),
    "log_gap": ("mean of log(1 - cosine) over pairs of tokens", "1"),
    "radius": ("root mean square of the entries of tokens", "1"),
    "stable_rank": ("stable rank of the tokens, |X|_F^2/|X|_2^2", "1"),
    "score_std": ("standard deviation of the scores of a token over the keys that it may read, if several", "1"),
    "entropy": ("mean entropy of the attention weights of a token", "1"),
    "effective_keys": ("mean over tokens of 1/sum of squared attention weights", "1"),
}


@one_blas_thread()
def run(
    branches: tuple[Branch, ...],
    layers: int,
    start: Start,
    n_networks: int,
    seed: int,
    gradients: bool,
    dtype: Any,
    *,
    first: int = 0,
    progress: Progress | None = None,
) -> "xr.Dataset":
    """Overlaps, lengths, attention and gradients of independent networks by layer.

    Parameters
    ----------
    branches : of a layer, one behind the other.   layers : their number.   start : law of the tokens.
    n_networks : independent ones, each with fresh tokens.
    seed : of all random numbers, at least 0; the numbers do not depend on threads.
    gradients : also that of <X_L, P>, P of normal entries, X_L the stream behind the last block, before any norm
        of the output.
    dtype : np.float64, or np.float32 for blocks of layers whose mean 1 - cosine is above SINGLE, without gradients:
        half the time, and 1 - cosine to four digits.
    first : number of the first network: those from it on are the same whoever runs them.
    progress : called with the number of layers behind, over all networks, forward and back.

    Returns
    -------
    Dataset over network, layer (0 the start), quantile, position: LAYERS, `cosine_quantile` of pairs, `overlap_at`
    (mean cosine of a token with those before it) and, with gradients, `gradient`, its mean square over that at the last
    layer.
    """
    check_count(n_networks, "n_networks")
    check_count(seed, "seed", least=0)
    if dtype not in (np.float64, np.float32):
        raise ArgumentError("dtype", dtype, "be numpy.float64 or numpy.float32")
    if gradients and any(isinstance(block, Limit) for branch in branches for block, _ in branch.blocks):
        raise ArgumentError("width", "inf", "be finite for gradients")
    check_count(first, "first", least=0)
    tell = _counting(progress)
    numbers = range(first, first + n_networks)
    return _dataset([_one(branches, layers, start, seed, number, gradients, dtype, tell) for number in numbers])


def _counting(progress: Progress | None) -> Callable[[], None]:
    """What to call behind every layer."""
    behind = itertools.count(1)
    return (lambda: None) if progress is None else lambda: progress(next(behind))


def _generator(seed: int, network: int, kind: int, layer: int = 0, block: int = 0) -> np.random.Generator:
    key = np.random.SeedSequence(seed, spawn_key=(network, kind, layer, block))
    return np.random.Generator(np.random.SFC64(key))


def _one(
    branches: tuple[Branch, ...],
    layers: int,
    start: Start,
    seed: int,
    number: int,
    gradients: bool,
    dtype: Any,
    tell: Callable[[], None],
) -> dict[str, Array]:
    """One network: name -> values over layers."""
    axes, d = branches[0].norm.axes, branches[0].d
    rows = start.rows(d, axes, _generator(seed, number, STARTS))
    told, kept = [_described(rows, d)], [rows]
    for layer in range(layers):
        attended, single = None, dtype == np.float32 and not gradients and told[-1]["gap"] > SINGLE
        kind = np.float32 if single else np.float64
        for block, branch in enumerate(branches):
            rows, _, seen = branch.forward(rows, _generator(seed, number, FORWARD, layer, block), gradients, kind)
            attended = seen if attended is None else attended
        told.append(_described(rows, d))
        if attended is not None:
            told[-1] |= {"score_std": attended.deviation, "entropy": attended.entropy, "effective_keys": attended.keys}
        if gradients:
            kept.append(rows)
        tell()
    found = {name: np.array([one.get(name, np.nan) for one in told]) for name in LAYERS}
    found |= {name: np.array([one[name] for one in told]) for name in ("cosine_quantile", "overlap_at")}
    if gradients:
        found["gradient"] = _backward(branches, kept, seed, number, tell)
    return found


def _described(rows: Array, d: int) -> dict[str, Any]:
    """What a layer's tokens are like."""
    n = rows.shape[1]
    apart = gaps(rows)
    pairs = apart[np.triu_indices(n, 1)]
    square = np.einsum("ij,ij->", rows, rows)
    with np.errstate(divide="ignore"):
        logs = float(np.log(pairs).mean())
    before = np.tril(apart, -1).sum(axis=1)
    return {
        "overlap": 1 - pairs.mean(), "gap": pairs.mean(), "log_gap": logs,
        "radius": np.sqrt(square / (n * d)), "stable_rank": square / _largest_square(rows),
        "cosine_quantile": 1 - np.quantile(pairs, [1 - q for q in QUANTILES]),
        "overlap_at": np.concatenate([[np.nan], 1 - before[1:] / np.arange(1, n)]),
    }  # fmt: skip


def _largest_square(rows: Array) -> float:
    """Square of the largest singular value."""
    gram = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    count = len(gram)
    if count <= 64:
        return float(np.linalg.eigvalsh(gram)[-1])
    found = scipy.sparse.linalg.eigsh(gram, 1, v0=gram.sum(axis=1), tol=1e-4, return_eigenvectors=False)
    return float(found[0])


def _backward(
    branches: tuple[Branch, ...], kept: list[Array], seed: int, number: int, tell: Callable[[], None]
) -> Array:
    """Mean square of the gradient at layers 0 ... L over that at the last; each layer is made again."""
    last = kept[-1]
    rng, (m, n) = _generator(seed, number, BACKWARD), last.shape
    gradient = Gradient(draw(rng, m, n), bartlett(n, branches[0].d - m, rng))
    squares = [gradient.square()]
    for layer in reversed(range(len(kept) - 1)):
        rows, passed = kept[layer], []
        for block, branch in enumerate(branches):
            after, tape, _ = branch.forward(rows, _generator(seed, number, FORWARD, layer, block), True)
            passed.append((branch, rows, tape))
            rows = after
        for block, (branch, before, tape) in reversed(list(enumerate(passed))):
            if tape is not None:
                news = _generator(seed, number, BACKWARD, layer, block + 1)
                gradient = branch.backward(before, tape, gradient, news)
        squares.append(gradient.square())
        tell()
    return np.array(squares[::-1]) / squares[0]


def _dataset(found: list[dict[str, Array]]) -> "xr.Dataset":
    import xarray as xr

    dims = {"cosine_quantile": ("network", "layer", "quantile"), "overlap_at": ("network", "layer", "position")}
    names = LAYERS | {
        "cosine_quantile": ("quantiles of the cosines of pairs of tokens", "1"),
        "overlap_at": ("mean cosine of a token with those before it", "1"),
        "gradient": ("mean square of the gradient over that at the last layer", "1"),
    }
    variables = {
        name: (dims.get(name, ("network", "layer")), np.stack([one[name] for one in found]),
               {"long_name": names[name][0], "units": names[name][1]})
        for name in found[0]
    }  # fmt: skip
    layers, n = found[0]["overlap"].size, found[0]["overlap_at"].shape[1]
    return xr.Dataset(
        variables, {"layer": np.arange(layers), "quantile": list(QUANTILES), "position": np.arange(n)}
    )
