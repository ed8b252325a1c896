"""V2, symmetric V with A = V: which splits of tokens between e_p and -e_p last, and when is there consensus?

x' = P_x V m(x), scores beta <x, V y>.  As reported a balanced split on the eigenvector e_p is stable iff
lambda_k < lambda_p tanh(beta lambda_p) for all others, consensus on e_p iff lambda_p is the largest and positive.
Derived again: the modes of a split have the rates -s, lambda_k - s (both groups alike) and
(lambda_k - lambda_p) tanh(beta lambda_p) (groups opposite), s = lambda_p tanh(beta lambda_p).  The last is implied for
lambda_p > 0; for lambda_p < 0 the split also needs lambda_k > lambda_p, as the abstract of the paper has it (splits
select the most negative eigenvalue) and the rule that was handed on has not.  Measured by the Jacobian of whole tokens.
"""

import numpy as np
from scipy.optimize import brentq

from particles import Array
from validation.studies.shared.sources import SPLIT
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "splits under symmetric V",
    "with V = A symmetric a balanced split of tokens on e_p and -e_p is stable iff "
    "lambda_k < lambda_p tanh(beta lambda_p) for all k != p; consensus on e_p iff lambda_p is positive and the largest",
    SPLIT,
    "for lambda_p < 0 the split needs lambda_k > lambda_p too: with both groups turned in opposite senses it has the "
    "rate (lambda_k - lambda_p) tanh(beta lambda_p); the authors find splits on the most negative eigenvalue",
    "closed form: where the largest of the modes' rates, derived by hand, changes its sign",
)

N = 6  # tokens
STEP = 1e-5
POSITIVE = np.array([1.2, 0.7, -0.4])  # of V; split on the first
NEGATIVE = np.array([-1.0, 0.2, -1.3])


def velocity(points: Array, values: Array, beta: float) -> Array:
    """P_x V m(x) of tokens (n, d) under V = A = diag(values)."""
    scores = beta * (points * values) @ points.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    pushed = (weights @ points) * values
    found: Array = pushed - np.sum(pushed * points, axis=1, keepdims=True) * points
    return found


def split(balanced: bool) -> Array:
    """Tokens on e_1, half of them on -e_1 if balanced."""
    points = np.zeros((N, 3))
    points[:, 0] = np.where(np.arange(N) % 2, -1.0, 1.0) if balanced else 1.0
    return points


def growth(values: Array, beta: float, balanced: bool = True) -> float:
    """Largest real part of the eigenvalues of the Jacobian of all tokens in their tangent spaces, by differences."""
    points = split(balanced)
    columns = []
    for token in range(N):
        for axis in (1, 2):
            rates = []
            for sign in (1.0, -1.0):
                moved = points.copy()
                moved[token, axis] += sign * STEP
                moved[token] /= np.linalg.norm(moved[token])
                rates.append(velocity(moved, values, beta)[:, 1:].ravel())
            columns.append((rates[0] - rates[1]) / (2 * STEP))
    return float(np.linalg.eigvals(np.array(columns).T).real.max())


def derived(values: Array, beta: float) -> float:
    """The largest rate of a balanced split, derived here."""
    held = values[0] * np.tanh(beta * values[0])
    return float(max(-held, *(values[1:] - held), *((values[1:] - values[0]) * np.tanh(beta * values[0]))))


def printed(values: Array, beta: float) -> float:
    """The same from the rule as reported."""
    held = values[0] * np.tanh(beta * values[0])
    return float(max(-held, *(values[1:] - held)))


def course(values: Array, beta: float, time: float, rng: np.random.Generator) -> Array:
    """Tokens after a time from a split that is disturbed by 1e-3; Euler's method with steps of 0.01."""
    points = split(True) + 1e-3 * rng.standard_normal((N, 3))
    for _ in range(round(time / 0.01)):
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        points = points + 0.01 * velocity(points, values, beta)
    found: Array = points / np.linalg.norm(points, axis=1, keepdims=True)
    return found


def consensus() -> dict[str, Part]:
    """Parts on consensus."""
    low = np.sort(POSITIVE)
    return {
        "consensus": Part(
            "growth rate of consensus on the largest and positive eigenvalue: lambda_2 - lambda_1",
            growth(POSITIVE, 1.0, balanced=False), 0.0, float(POSITIVE[1] - POSITIVE[0]), bias=1e-6,
            excludes={"-lambda_1, of tokens towards each other": -float(POSITIVE[0]), "neutral": 0.0},
        ),
        "second": Part(
            "growth rate of consensus on the second eigenvalue: lambda_1 - lambda_2",
            growth(POSITIVE[[1, 0, 2]], 1.0, balanced=False), 0.0, float(low[2] - low[1]), bias=1e-6,
            excludes={"stable there too, or neutral": 0.0},
        ),
    }  # fmt: skip


def study(quick: bool, seed: int) -> Findings:
    """Threshold in beta, rates, consensus; flows from disturbed splits confirm them."""
    rng = np.random.default_rng([seed, 61])
    wanted = float(np.arctanh(POSITIVE[1] / POSITIVE[0]) / POSITIVE[0])
    found = float(brentq(lambda beta: growth(POSITIVE, beta), 0.2, 2.0, xtol=1e-8))
    rate = growth(NEGATIVE, 2.0)
    kept, gone = (abs(course(POSITIVE, share * wanted, 150.0, rng)[:, 0].mean()) for share in (1.3, 0.7))
    parts = {
        "threshold": Part(
            f"beta from which a balanced split is stable, V = diag{tuple(POSITIVE.tolist())}: artanh(l_2/l_1)/l_1",
            found, 0.0, wanted, bias=1e-6,
            excludes={"l_2/l_1^2, the argument for its tanh": float(POSITIVE[1] / POSITIVE[0] ** 2)},
        ),
        "negative": Part(
            f"largest growth rate of a split on the first of V = diag{tuple(NEGATIVE.tolist())}, beta = 2: "
            "stable as reported", rate, 0.0, printed(NEGATIVE, 2.0), derived(NEGATIVE, 2.0), bias=1e-6,
        ),
        "flow": Part(
            "|mean <x, e_1>| of a disturbed split after time 150: at 0.7 of that beta, where there is consensus in the "
            "end, less that at 1.3, where the split lasts", float(gone - kept), 0.0, 1.0, bias=0.01,
            excludes={"the same at both": 0.0},
        ),
    }  # fmt: skip
    parts |= consensus()
    betas = np.linspace(0.2, 2.0, 19 if quick else 91)
    cases = {"positive": POSITIVE, "negative": NEGATIVE}
    curves = {name: np.array([growth(values, b) for b in betas]) for name, values in cases.items()}
    series = (
        Series("Jacobian, lambda_p > 0", betas, curves["positive"], line=False),
        Series("Jacobian, lambda_p < 0", betas, curves["negative"], line=False),
        Series("derived", betas, [derived(POSITIVE, b) for b in betas], dashed=True),
        Series("derived", betas, [derived(NEGATIVE, b) for b in betas], dashed=True),
        Series("as reported, lambda_p < 0", betas, [printed(NEGATIVE, b) for b in betas], dashed=True),
    )
    second = Second(float(brentq(lambda beta: derived(POSITIVE, beta), 0.2, 2.0, xtol=1e-10)))
    return Findings(parts, Figure("beta", "largest growth rate", series), {"beta": betas, **curves}, second=second)
