"""C2, blow-up of Gaussian tokens under softmax attention with V = I: at 1/lambda_max(S_0^{1/2} (A + A^T) S_0^{1/2}).

The inverse covariance S^{-1}(t) = S_0^{-1} - t (A + A^T) is a straight line that becomes singular at that time.
Measured: the pole of the closure's equations, integrated without the formula, and the time at which the inverse
covariance of actual tokens, Gauss-Hermite points moved by softmax, becomes singular, extrapolated from early times.
"""

import numpy as np
from scipy.linalg import eigh
from scipy.special import roots_hermitenorm

from particles import (
    Ballistic,
    EuclideanTokens,
    FixedHeads,
    Gaussian,
    GaussianClosure,
    Noise,
    Softmax,
    simulate,
    translate,
)
from particles.arrays import Array
from validation.statistics import replica_mean
from validation.verdict import Figure, Findings, Part, Series

NODES, STEPS = 20, 40  # Gauss-Hermite points in a direction; steps of the tokens
SCORE = 0.7  # standard deviation of scores in their strongest direction; another one rescales time
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


def hermite_tokens(law: Gaussian, nodes: int = NODES) -> EuclideanTokens:
    """Weighted points with the moments of a Gaussian in the plane."""
    x, w = roots_hermitenorm(nodes)
    z = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return EuclideanTokens(law.mean + z @ law.root, np.outer(w, w).ravel())


def by_tokens(law: Gaussian, form: Array, until: float) -> float:
    """Time at which the inverse covariance of tokens, a straight line through its course up to `until`, is singular."""
    dt, tokens = until / STEPS, hermite_tokens(law)
    heads = FixedHeads(np.eye(2)[None], form[None], np.eye(2)[None])
    steps = Ballistic(heads, Softmax(1.0), dt, 1, Noise(0), retraction=translate)
    run = simulate(tokens, steps, n_steps=STEPS, save_every=STEPS // 4)
    weights = run.weight.values
    inverses = []
    for points in run.tokens.values:
        gap = points - weights @ points
        inverses.append(np.linalg.inv((gap * weights[:, None]).T @ gap))
    times = np.linspace(0.0, until, len(inverses))
    rate, start = np.polyfit(times, np.array(inverses).reshape(len(times), 4), 1)
    # start + t rate is singular first at 1 over the largest generalised eigenvalue of -rate against start
    top = eigh(-rate.reshape(2, 2), start.reshape(2, 2), eigvals_only=True)[-1]
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
    equations, tokens = replica_mean(times / wanted), replica_mean(token_times / token_wanted)
    parts = {
        "tokens": Part(
            f"blow-up time extrapolated from {NODES**2} tokens over the formula, {n_tokens} random A in the plane",
            tokens.value, tokens.error, 1.0, bias=0.002, effect=0.05,  # bias: Gauss-Hermite points of a finite number
        ),
        "equations": Part(
            f"blow-up time of the integrated closure over the formula, {n_equations} random A, d = 1 to 5",
            equations.value, equations.error, 1.0, bias=1e-8, effect=1e-3,
        ),
    }  # fmt: skip
    both = np.sort(np.concatenate([wanted, token_wanted]))
    series = (
        Series("integrated closure", wanted, times, line=False),
        Series("tokens", token_wanted, token_times, line=False),
        Series("formula", both, both, dashed=True),
    )
    figure = Figure("1/lambda_max", "blow-up time", series, x_log=True, y_log=True)
    return Findings(parts, figure, {"formula": wanted, "closure": times})
