"""C2, blow-up of Gaussian tokens under softmax attention with V = I: at 1/lambda_max(S_0^{1/2} (A + A^T) S_0^{1/2}).

The inverse covariance S^{-1}(t) = S_0^{-1} - t (A + A^T) is a straight line that becomes singular at that time.
Measured: the pole of the closure's equations, integrated without the formula, and the time at which the inverse
covariance of actual tokens, Gauss-Hermite points moved by softmax, becomes singular, extrapolated from early times.
"""

import numpy as np
from scipy.linalg import eigh

from particles import Array, FixedHeads, Gaussian, GaussianClosure, Softmax
from validation.estimates import replica_mean
from validation.studies.shared.gaussian import NODES, SCORE, course, covariances, hermite_tokens
from validation.studies.shared.sources import CLOSURES
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "blow-up time",
    "under softmax attention with V = I the covariance of Gaussian tokens is infinite at "
    "1/lambda_max(S_0^(1/2) (A + A^T) S_0^(1/2)) where that is positive",
    CLOSURES,
    "",
    "the closure's differential equations, integrated up to their pole without any token",
)

STEPS = 40  # of the tokens
LAST = 0.4  # share of the blow-up time followed by tokens


def formula(law: Gaussian, form: Array, factor: float = 1.0) -> float:
    """1/lambda_max(S^{1/2} (A + A^T) S^{1/2}); `factor` stands for a wrong constant, in tests."""
    top = np.linalg.eigvalsh(law.root @ (form + form.T) @ law.root)[-1]
    return float(factor / top)


def case(rng: np.random.Generator, d: int) -> tuple[Gaussian, Array]:
    """A Gaussian and a form A whose symmetric part has a positive eigenvalue."""
    while True:
        root, form = rng.standard_normal((2, d, d)) / np.sqrt(d)
        law = Gaussian(0.3 * rng.standard_normal(d), root @ root.T + 0.2 * np.eye(d))
        form *= SCORE / np.linalg.norm(law.root @ form @ law.root, 2)
        if formula(law, form) > 0 and formula(law, form) < 4 / SCORE:  # some growth, not mostly rotation
            return law, form


def integrated(law: Gaussian, form: Array) -> float:
    """Blow-up time of the closure, from its differential equations."""
    eye = np.eye(law.d)
    found = GaussianClosure(Softmax(1.0), eye, form, eye).solve(law, 20 * formula(law, form)).blow_up_time
    return float("nan") if found is None else found


def by_tokens(law: Gaussian, form: Array, until: float, nodes: int = NODES, steps: int = STEPS) -> float:
    """Time at which the inverse covariance of tokens, a straight line through its course up to `until`, is singular."""
    start = hermite_tokens(law, nodes)
    heads = FixedHeads(np.eye(2)[None], form[None], np.eye(2)[None])
    tokens = course(Softmax(1.0), start, heads, until / steps, steps, steps // 4)
    inverses = np.linalg.inv(covariances(tokens, start.weights))
    times = np.linspace(0.0, until, len(inverses))
    rate, first = np.polyfit(times, inverses.reshape(len(times), 4), 1)
    # first + t rate is singular first at 1 over the largest generalised eigenvalue of -rate against first
    top = eigh(-rate.reshape(2, 2), first.reshape(2, 2), eigvals_only=True)[-1]
    return float(1 / top)


def study(quick: bool, seed: int) -> Findings:
    """Ratios of times to the formula."""
    n_equations, n_tokens = (24, 6) if quick else (200, 40)
    rng = np.random.default_rng([seed, 10])
    laws = [case(rng, d) for d in np.resize([1, 2, 3, 5], n_equations)]
    wanted = np.array([formula(*found) for found in laws])
    times = np.array([integrated(*found) for found in laws])
    planes = [case(rng, 2) for _ in range(n_tokens)]
    token_wanted = np.array([formula(*found) for found in planes])
    token_times = np.array([by_tokens(*found, LAST * t) for found, t in zip(planes, token_wanted, strict=True)])
    coarse = [by_tokens(*found, LAST * t, NODES - 4, STEPS // 2) for found, t in zip(planes, token_wanted, strict=True)]
    equations, tokens = replica_mean(times / wanted), replica_mean(token_times / token_wanted)
    changed = float(np.abs((token_times - np.array(coarse)) / token_wanted).max())
    other = {"2/lambda_max, the symmetric part of A": 2.0, "1/(2 lambda_max)": 0.5}
    parts = {
        "tokens": Part(
            f"blow-up time extrapolated from {NODES**2} tokens over the formula, {n_tokens} random A in the plane",
            tokens.value, tokens.error, 1.0, bias=changed, excludes=other,  # bias: fewer points, half the steps
        ),
        "equations": Part(
            f"blow-up time of the integrated closure over the formula, {n_equations} random A, d = 1 to 5",
            equations.value, equations.error, 1.0, bias=1e-8, excludes=other,  # bias: tolerance of the solver
        ),
    }  # fmt: skip
    both = np.sort(np.concatenate([wanted, token_wanted]))
    series = (
        Series("integrated closure", wanted, times, line=False),
        Series("tokens", token_wanted, token_times, line=False),
        Series("formula", both, both, dashed=True),
    )
    figure = Figure("1/lambda_max", "blow-up time", series, x_log=True, y_log=True)
    second = Second(equations.value, equations.error, 1e-8)
    return Findings(parts, figure, {"formula": wanted, "closure": times}, second=second)
