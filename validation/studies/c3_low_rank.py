"""C3, covariances of low rank: Gaussian tokens under V = I and a form A whose symmetric part is negative.

With A = -K^T K of rank r the flow contracts along r directions and does nothing along the kernel of A.  Under softmax
S^{-1}(t) = S_0^{-1} + 2 t K^T K, so the limit is N (N^T S_0^{-1} N)^{-1} N^T, N a basis of the kernel, of rank d - r,
and the other r eigenvalues fall like 1/t.  Measured: the determinant and the limit of the covariance of actual tokens,
and the powers of t from the closures of softmax, L2 and Sinkhorn attention, integrated without the formula.
"""

import numpy as np

from particles import Array, FixedHeads, Gaussian, GaussianClosure, Softmax
from particles.reduced import ClosedAttention
from validation.estimates import replica_mean
from validation.studies.shared.gaussian import KINDS, SCORE, course, covariances, hermite_tokens
from validation.studies.shared.sources import CLOSURES
from validation.verdict import Claim, Figure, Findings, Part, Series

CLAIM = Claim(
    __name__,
    "covariances of low rank",
    "covariances of Gaussian tokens tend to matrices of low rank: under softmax, L2 and Sinkhorn attention, "
    "V = I and A = -K^T K of rank r to one of rank d - r, r eigenvalues falling like 1/t; under softmax it is "
    "N (N^T S_0^-1 N)^-1 N^T, N a basis of the kernel of K",
    CLOSURES + "; this precise form is derived here",
)

LATE = (1e3, 2e3)  # between these times powers of t are read off, in units of the contraction
TOKEN_TIMES = (0.0, 2.0, 4.0, 6.0, 8.0)
STEP = 0.1
RANKS = [(d, rank) for d in (2, 3, 5) for rank in range(1, d)]
COURSE: Array = np.geomspace(0.1, 1000, 25)


def case(rng: np.random.Generator, d: int, rank: int) -> tuple[Gaussian, Array]:
    """A centred Gaussian and K (rank, d); in their strongest direction scores have the standard deviation SCORE."""
    root = rng.standard_normal((d, d)) / np.sqrt(d)
    law = Gaussian(np.zeros(d), root @ root.T + 0.2 * np.eye(d))  # a mean would grow like e^t along the kernel
    key = np.linalg.qr(rng.standard_normal((d, rank)))[0].T
    found: Array = key * np.sqrt(SCORE) / np.linalg.norm(key @ law.root, 2)
    return law, found


def limit(law: Gaussian, key: Array) -> Array:
    """N (N^T S_0^{-1} N)^{-1} N^T, N a basis of the kernel of K."""
    kernel = np.linalg.svd(key)[2][len(key) :].T
    found: Array = kernel @ np.linalg.inv(kernel.T @ np.linalg.solve(law.covariance, kernel)) @ kernel.T
    return found


def powers(attention: ClosedAttention, law: Gaussian, key: Array) -> Array:
    """Power of t of each eigenvalue of the closure's covariance at late times, smallest first."""
    path = GaussianClosure(attention, np.eye(law.d), -key, key).solve(law, LATE[1], LATE)
    first, second = (np.linalg.eigvalsh(covariance) for covariance in path.covariance)
    found: Array = np.log(second / first) / np.log(LATE[1] / LATE[0])
    return found


def curves(name: str, attention: ClosedAttention, law: Gaussian, key: Array) -> tuple[Series, Series]:
    """The largest eigenvalue and the mean of the `rank` smaller ones over depth time, for the figure."""
    path = GaussianClosure(attention, np.eye(law.d), -key, key).solve(law, COURSE[-1], list(COURSE))
    values = np.linalg.eigvalsh(path.covariance)
    lower = values[:, : len(key)].mean(axis=1)
    return Series(f"{name}, largest", COURSE, values[:, -1]), Series(f"{name}, others", COURSE, lower)


def by_tokens(law: Gaussian, key: Array) -> tuple[Array, Array]:
    """Covariances (T, 2, 2) of tokens at TOKEN_TIMES, and those of the formula."""
    heads = FixedHeads(np.eye(2)[None], -key[None], key[None])
    every = round((TOKEN_TIMES[1] - TOKEN_TIMES[0]) / STEP)
    tokens = hermite_tokens(law)
    moved = course(Softmax(1.0), tokens, heads, STEP, every * (len(TOKEN_TIMES) - 1), every)
    start = np.linalg.inv(law.covariance)
    wanted = np.linalg.inv(start + 2 * np.array(TOKEN_TIMES)[:, None, None] * (key.T @ key))
    return covariances(moved, tokens.weights), np.asarray(wanted, dtype=np.float64)


def extrapolated(values: Array) -> float:
    """Limit a of a + b/(t + t_0) for t to infinity, from values at the last three of equidistant times."""
    first, second, third = values[-3:]
    ratio = (first - second) / (second - third)  # (t_3 + t_0)/(t_1 + t_0)
    share = (ratio - 1) / 2  # of the step in t_1 + t_0
    return float(first - (first - second) * (1 + share) / share)


def of_tokens(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Growth of one over the determinant, and trace of the limit, of tokens over those of the formula, (size,)."""
    shrunk, stayed = np.empty(size), np.empty(size)
    for k in range(size):
        law, key = case(rng, 2, 1)
        found, wanted = by_tokens(law, key)
        volumes, formula = np.linalg.det(found), np.linalg.det(wanted)  # one over them grows like a straight line
        shrunk[k] = np.divide(*(np.polyfit(TOKEN_TIMES, 1 / column, 1)[0] for column in (volumes, formula)))
        stayed[k] = extrapolated(np.trace(found, axis1=1, axis2=2)[2:]) / np.trace(limit(law, key))
    return shrunk, stayed


def of_closure(attention: ClosedAttention, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Powers of t of eigenvalues that vanish and of those that stay, of `size` laws in each d and rank."""
    vanishing, staying = [], []
    for d, rank in size * RANKS:
        found = powers(attention, *case(rng, d, rank))
        vanishing.append(found[:rank])
        staying.append(found[rank:])
    return np.concatenate(vanishing), np.concatenate(staying)


def study(quick: bool, seed: int) -> Findings:
    """Eigenvalues that vanish, the limit that stays, and the powers of t."""
    n_tokens, n_equations = (6, 3) if quick else (40, 20)
    rng = np.random.default_rng([seed, 13])
    shown = case(rng, 3, 2)
    series = [curve for name, attention in KINDS.items() for curve in curves(name, attention, *shown)]
    series.append(Series("1/t", COURSE, 0.5 / COURSE, dashed=True))
    shrunk, stayed = of_tokens(rng, n_tokens)
    rate, rest = replica_mean(shrunk), replica_mean(stayed)
    parts = {
        "tokens_rate": Part(
            "growth of one over the determinant of the covariance of tokens in the plane over that of the formula, "
            "rank 1, softmax",
            rate.value, rate.error, 1.0, bias=0.02, effect=0.2,
        ),
        "tokens_limit": Part(
            "trace of the limit of the covariance of those tokens over that of the formula", rest.value, rest.error,
            1.0, bias=0.02, effect=0.2,
        ),
    }  # fmt: skip
    for name, attention in KINDS.items():
        vanishing, staying = of_closure(attention, rng, n_equations)
        late = replica_mean(vanishing)
        parts[f"{name}_vanishing"] = Part(
            f"power of t of {len(vanishing)} eigenvalues of the closure that vanish, {name}, d = 2, 3, 5, all ranks",
            late.value, late.error, -1.0, bias=0.02, effect=0.2,  # bias: the next order in 1/t at t = 1000
        )  # fmt: skip
        parts[f"{name}_staying"] = Part(
            f"largest power of t, in size, of the {len(staying)} eigenvalues that stay, {name}",
            float(np.abs(staying).max()), 0.0, 0.0, bias=0.02, effect=0.2,
        )  # fmt: skip
    figure = Figure("depth time", "eigenvalues of the covariance, d = 3, rank 2", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, {"tokens_rate": shrunk, "tokens_limit": stayed})
