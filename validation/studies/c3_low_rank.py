"""C3, covariances of low rank: Gaussian tokens under V = I and a form A whose symmetric part is negative.

With A = -K^T K of rank r the flow contracts along r directions and does nothing along the kernel of A.  Under softmax
S^{-1}(t) = S_0^{-1} + 2 t K^T K, so the limit is N (N^T S_0^{-1} N)^{-1} N^T, N a basis of the kernel, of rank d - r,
and the other r eigenvalues fall like 1/t.  Measured: the determinant and the limit of the covariance of actual tokens,
and the powers of t from the closures of softmax, L2 and Sinkhorn attention, integrated without the formula.
"""

import numpy as np

from particles import Array, FixedHeads, Gaussian, GaussianClosure, Softmax
from particles.reduced import ClosedAttention
from validation.estimates import Fitted, replica_mean
from validation.studies.shared.gaussian import KINDS, SCORE, course, covariances, hermite_tokens
from validation.studies.shared.sources import CLOSURES
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "covariances of low rank",
    "covariances of Gaussian tokens tend to matrices of low rank: under softmax, L2 and Sinkhorn attention, "
    "V = I and A = -K^T K of rank r to one of rank d - r, r eigenvalues falling like 1/t; under softmax it is "
    "N (N^T S_0^-1 N)^-1 N^T, N a basis of the kernel of K",
    CLOSURES + "; this precise form is derived here",
    "",
    "the determinants of the closure's covariance, its equations integrated without the formula",
)

LATE = (1e3, 2e3, 4e3)  # between these times powers of t are read off, in units of the contraction
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
    """Power of t of each eigenvalue of the closure's covariance at late times, smallest first: (2, d).

    Extrapolated from two doublings of t, the next order being 1/t; and what the second doubling changed.
    """
    path = GaussianClosure(attention, np.eye(law.d), -key, key).solve(law, LATE[-1], LATE)
    values = np.array([np.linalg.eigvalsh(covariance) for covariance in path.covariance])
    first, second = np.diff(np.log(values), axis=0) / np.log(2)
    return np.stack([2 * second - first, np.abs(second - first)])


def curves(name: str, attention: ClosedAttention, law: Gaussian, key: Array) -> tuple[Series, Series]:
    """The largest eigenvalue and the mean of the `rank` smaller ones over depth time, for the figure."""
    path = GaussianClosure(attention, np.eye(law.d), -key, key).solve(law, COURSE[-1], list(COURSE))
    values = np.linalg.eigvalsh(path.covariance)
    lower = values[:, : len(key)].mean(axis=1)
    return Series(f"{name}, largest", COURSE, values[:, -1]), Series(f"{name}, others", COURSE, lower)


def covariances_of(law: Gaussian, key: Array, step: float) -> Array:
    """Covariances (T, 2, 2) of tokens at TOKEN_TIMES."""
    heads = FixedHeads(np.eye(2)[None], -key[None], key[None])
    every, tokens = round((TOKEN_TIMES[1] - TOKEN_TIMES[0]) / step), hermite_tokens(law)
    moved = course(Softmax(1.0), tokens, heads, step, every * (len(TOKEN_TIMES) - 1), every)
    return covariances(moved, tokens.weights)


def growth(covariances: Array) -> float:
    """Growth of one over the determinant, which is a straight line, of covariances (T, 2, 2) at TOKEN_TIMES."""
    return float(np.polyfit(TOKEN_TIMES, 1 / np.linalg.det(covariances), 1)[0])


def of_equations(law: Gaussian, key: Array) -> float:
    """That growth from the closure's equations, over that of the formula."""
    path = GaussianClosure(Softmax(1.0), np.eye(2), -key, key).solve(law, TOKEN_TIMES[-1], TOKEN_TIMES)
    return growth(path.covariance) / growth(by_formula(law, key))


def by_formula(law: Gaussian, key: Array) -> Array:
    """Covariances (T, 2, 2) at TOKEN_TIMES."""
    times = np.array(TOKEN_TIMES)[:, None, None]
    return np.asarray(np.linalg.inv(np.linalg.inv(law.covariance) + 2 * times * (key.T @ key)), dtype=np.float64)


def extrapolated(values: Array) -> float:
    """Limit a of a + b/(t + t_0) for t to infinity, from values at the last three of equidistant times."""
    first, second, third = values[-3:]
    ratio = (first - second) / (second - third)  # (t_3 + t_0)/(t_1 + t_0)
    share = (ratio - 1) / 2  # of the step in t_1 + t_0
    return float(first - (first - second) * (1 + share) / share)


def of_tokens(rng: np.random.Generator, size: int) -> tuple[list[Fitted], Array, Array]:
    """Of `size` laws in the plane over the formula: growth of one over the determinant, and trace of the limit.

    Returns both means, whose biases are what half as many steps, and an earlier time, change; and both columns.
    """
    rows = np.empty((4, size))
    for k in range(size):
        law, key = case(rng, 2, 1)
        found, wanted = covariances_of(law, key, STEP), by_formula(law, key)
        traces, last = np.trace(found, axis1=1, axis2=2), np.trace(limit(law, key))
        rows[:2, k] = growth(found) / growth(wanted), growth(covariances_of(law, key, 2 * STEP)) / growth(wanted)
        rows[2:, k] = extrapolated(traces) / last, extrapolated(traces[:-1]) / last
    means = []
    for values, others in (rows[:2], rows[2:]):
        mean = replica_mean(values)
        means.append(Fitted(mean.value, mean.error, float(np.abs(values - others).max()), size - 1, 1.0))
    return means, rows[0], rows[2]


def of_closure(attention: ClosedAttention, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Powers of t, and what they still change, of eigenvalues that vanish and of those that stay: (2, N) each."""
    vanishing, staying = [], []
    for d, rank in size * RANKS:
        found = powers(attention, *case(rng, d, rank))
        vanishing.append(found[:, :rank])
        staying.append(found[:, rank:])
    return np.concatenate(vanishing, axis=1), np.concatenate(staying, axis=1)


def parts_of_closure(name: str, vanishing: Array, staying: Array) -> dict[str, Part]:
    """Powers of t of both kinds of eigenvalues; each is as the formula says, so the farthest one is shown."""
    far, most = (int(np.argmax(np.abs(found[0] - power))) for found, power in ((vanishing, -1.0), (staying, 0.0)))
    return {
        f"{name}_vanishing": Part(
            f"power of t of {vanishing.shape[1]} eigenvalues of the closure that vanish, {name}, d = 2, 3, 5, all "
            "ranks: the one farthest from -1",
            float(vanishing[0, far]), 0.0, -1.0, bias=float(vanishing[1].max()),
            excludes={"t^-1/2": -0.5, "it stays": 0.0},
        ),
        f"{name}_staying": Part(
            f"power of t of the {staying.shape[1]} eigenvalues that stay, {name}: the one farthest from 0",
            float(staying[0, most]), 0.0, 0.0, bias=float(staying[1].max()), excludes={"it vanishes": -1.0},
        ),
    }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Eigenvalues that vanish, the limit that stays, and the powers of t."""
    n_tokens, n_equations = (6, 3) if quick else (40, 20)
    rng = np.random.default_rng([seed, 13])
    shown = case(rng, 3, 2)
    series = [curve for name, attention in KINDS.items() for curve in curves(name, attention, *shown)]
    series.append(Series("1/t", COURSE, 0.5 / COURSE, dashed=True))
    (rate, rest), shrunk, stayed = of_tokens(rng, n_tokens)
    parts = {
        "tokens_rate": Part.of(
            "growth of one over the determinant of the covariance of tokens in the plane over that of the formula, "
            "rank 1, softmax", rate, 1.0, excludes={"it does not grow": 0.0, "A in place of A + A^T": 0.5},
        ),
        "tokens_limit": Part.of(
            "trace of the limit of the covariance of those tokens over that of the formula", rest, 1.0,
            excludes={"nothing stays": 0.0},
        ),
    }  # fmt: skip
    for name, attention in KINDS.items():
        parts |= parts_of_closure(name, *of_closure(attention, rng, n_equations))
    second = Second(of_equations(*case(np.random.default_rng([seed, 14]), 2, 1)), bias=1e-6)  # tolerance of the solver
    figure = Figure("depth time", "eigenvalues of the covariance, d = 3, rank 2", tuple(series), x_log=True, y_log=True)
    return Findings(parts, figure, {"tokens_rate": shrunk, "tokens_limit": stayed}, second=second)
