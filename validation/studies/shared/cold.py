"""Heads at low temperature: A = W W'^T seen by two tokens of overlap R, and one layer with values V.

A x = W u with u = W'^T x.  Of W' only (u, v) = W'^T (x, y) counts, head_dim Gaussian pairs of correlation R; given
these, W u/|u| and W v/|v| are d Gaussian pairs of correlation R1 = cos(u, v); given c = cos(Ax, Ay), V nrm(Ax) and
V nrm(Ay) are d Gaussian pairs of correlation c.  So heads are drawn exactly at the price of a few vectors.
Quadratic forms of known mean are returned as control variates; they take away fluctuations of order d^-1/2.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from particles import Array
from particles.reduced import one_factor_cosine, two_factor_cosine
from validation.estimates import Estimate, columns, control_mean

BLOCK = 1 << 21  # numbers drawn at a time
CHUNK = 1 << 19  # samples kept at a time
STEP = 1e-6  # h of one layer: its drift is that of the limit up to O(h), which is below every error of a study
OVERLAP = 0.5
FINE = np.array([16, 20, 28, 40, 64, 128, 1024])  # d of the exact curves, multiples of 4
CASES: dict[str, int | None] = {"square": 1, "narrow": 4, "one_factor": None}  # d/head_dim
NAMES = {"square": "A = W W'^T, head_dim = d", "narrow": "A = W W'^T, head_dim = d/4", "one_factor": "A Gaussian"}


class Sample(NamedTuple):
    """Values (S, K) of K observables and controls (S, C) of mean zero."""

    values: Array
    controls: Array


def inner_dimension(d: int, ratio: int | None) -> int | None:
    """head_dim of a case."""
    return None if ratio is None else d // ratio


def exact_cosine(d: int, ratio: int | None) -> float:
    """E cos(Ax, Ay) of a case at OVERLAP."""
    head_dim = inner_dimension(d, ratio)
    return float(one_factor_cosine(OVERLAP, d) if head_dim is None else two_factor_cosine(OVERLAP, d, head_dim))


def dot(x: Array, y: Array) -> Array:
    """Inner products of rows, (S,)."""
    product: Array = np.einsum("sd,sd->s", x, y)
    return product


def pairs(rng: np.random.Generator, overlap: float | Array, width: int, size: int) -> tuple[Array, Array]:
    """Two Gaussian vectors (S, width) whose entries have correlation `overlap`, a number or (S, 1)."""
    first, second = rng.standard_normal((2, size, width))
    return first, overlap * first + np.sqrt(1 - np.square(overlap)) * second


def cosines(rng: np.random.Generator, overlap: float, d: int, head_dim: int | None, size: int) -> tuple[Array, Array]:
    """cos(Ax, Ay) (S,) of fresh heads, A of d x d Gaussian entries for head_dim None; controls (S, 3 or 6)."""
    controls, correlation = [], np.full(size, overlap)
    if head_dim is not None:
        u, v = pairs(rng, overlap, head_dim, size)
        uv, uu, vv = dot(u, v), dot(u, u), dot(v, v)
        controls += [uv / head_dim - overlap, uu / head_dim - 1, vv / head_dim - 1]
        correlation = uv / np.sqrt(uu * vv)
    a, b = pairs(rng, correlation[:, None], d, size)
    ab, aa, bb = dot(a, b), dot(a, a), dot(b, b)
    controls += [ab / d - correlation, aa / d - 1, bb / d - 1]
    return ab / np.sqrt(aa * bb), np.stack(controls, axis=1)


def moved_overlaps(overlap: float, products: tuple[Array, ...], step: float) -> tuple[Array, Array]:
    """R after x -> nrm(x + sqrt(h) p), y -> nrm(y + sqrt(h) q) and after the mirrored layer V -> -V.

    products : <x,p>, <x,q>, <y,p>, <y,q>, <p,q>, |p|^2, |q|^2.
    """
    xp, xq, yp, yq, pq, pp, qq = products
    ahead, behind = (
        (overlap + s * (xq + yp) + step * pq) / np.sqrt((1 + 2 * s * xp + step * pp) * (1 + 2 * s * yq + step * qq))
        for s in (np.sqrt(step), -np.sqrt(step))
    )
    return ahead, behind


def one_layer(rng: np.random.Generator, overlap: float, d: int, head_dim: int | None, size: int) -> Sample:
    """One layer of step h, centred V of variance 1/d.

    Values: -d dR/(h R (1 - R^2)), in the mean the drift coefficient kappa, and d dR^2/(h (1 - R^2)^2), in the mean 2
    as d -> infinity; both averaged over V and -V.
    """
    cosine, controls = cosines(rng, overlap, d, head_dim, size)
    p, q = (vector / np.sqrt(d) for vector in pairs(rng, cosine[:, None], d, size))
    rest = np.sqrt(1 - overlap**2)  # x = e_1, y = R e_1 + rest e_2
    pq, pp, qq = dot(p, q), dot(p, p), dot(q, q)
    along = [overlap * z[:, 0] + rest * z[:, 1] for z in (p, q)]
    ahead, behind = moved_overlaps(overlap, (p[:, 0], q[:, 0], *along, pq, pp, qq), STEP)
    drift = -d * (0.5 * (ahead + behind) - overlap) / (STEP * overlap * (1 - overlap**2))
    square = d * ((ahead - overlap) ** 2 + (behind - overlap) ** 2) / (2 * STEP * (1 - overlap**2) ** 2)
    return Sample(
        np.stack([drift, square], axis=1), np.column_stack([controls, pq - cosine, pp - 1, qq - 1])
    )  # fmt: skip


def means(draw: Callable[[int], Sample], size: int, width: int) -> list[Estimate]:
    """Means of the observables over `size` samples, drawn in blocks of about BLOCK numbers, `width` a sample.

    Coefficients of the controls are fitted anew for each CHUNK samples, so that memory is bounded.
    """
    chunks = [_chunk(draw, min(CHUNK, size - start), width) for start in range(0, size, CHUNK)]
    shares = np.array([min(CHUNK, size - start) for start in range(0, size, CHUNK)]) / size
    found = []
    for estimates in zip(*chunks, strict=True):
        values, errors = columns(estimates)
        found.append(Estimate(float(shares @ values), float(np.sqrt(shares**2 @ errors**2))))
    return found


def _chunk(draw: Callable[[int], Sample], size: int, width: int) -> list[Estimate]:
    block = max(1, min(size, BLOCK // width))
    drawn = [draw(min(block, size - start)) for start in range(0, size, block)]
    controls = np.concatenate([sample.controls for sample in drawn])
    values = np.concatenate([sample.values for sample in drawn])
    return [control_mean(column, controls, 0.0) for column in values.T]
