"""T1, low temperature: distance of tokens with fixed heads to the flow of beta = infinity.

As reported it is at most of order sqrt(log(beta + 1)/beta) at fixed depth time, plus e^{-ct} to the projection on the
top eigenspace of V: beta^-1/2 up to a logarithm, a bound, and tested as one.  How sharp it is for a law with a smooth
positive density, on the circle here, is said beside it: such a law comes nearer, like 1/beta.
"""

import numpy as np

from particles import (
    Array,
    Ballistic,
    FixedHeads,
    Noise,
    Softmax,
    Tokens,
    simulate,
    top_projection,
    zero_temperature_flow,
)
from validation.estimates import exponent
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "low temperature",
    "the law under fixed heads is within sqrt(log(beta + 1)/beta) e^{Ct} + e^{-ct} of the projection on the "
    "top eigenspace of V",
    "Alcalde, Bungert, Riedl and Roith 2605.10931, as reported",
    "the bound holds, and smooth densities do not reach it: at fixed depth time they are within O(1/beta) of the "
    "flow of beta = infinity",
    "Laplace's method: softmax over a smooth density is O(1/beta) from its maximum",
)

VALUE = np.array([[1.0, 0.2], [0.2, -0.5]])
BETAS = 80 * 2 ** (np.arange(8) / 2)  # below 80 terms in beta^-2 are as large as those in beta^-1
TIME, STEP = 0.5, 0.05
LATE = np.arange(2.0, 5.0, 0.5)  # depth times at which the flow is held against the projection


def density_on_circle(n: int) -> Tokens:
    """n equidistant points weighted by a smooth positive density."""
    angle = 2 * np.pi * np.arange(n) / n
    return Tokens(np.column_stack([np.cos(angle), np.sin(angle)]), np.exp(np.cos(angle - 0.7)) + 0.2)


def rms(tokens: Tokens, gap: Array) -> float:
    """Root mean square of distances (n, d) over the law."""
    return float(np.sqrt(tokens.weights @ np.einsum("ij,ij->i", gap, gap)))


def distances(tokens: Tokens, betas: Array) -> Array:
    """Distance to the flow of beta = infinity at TIME, one for each beta; an upper bound of W_2."""
    eye = np.eye(2)[None]
    steps, target = round(TIME / STEP), zero_temperature_flow(tokens.points, VALUE, TIME)
    heads, noise = FixedHeads(VALUE[None], eye, eye), Noise(0)
    laws = (Ballistic(heads, Softmax(beta), STEP, 1, noise) for beta in betas)
    runs = (simulate(tokens, law, n_steps=steps, save_every=steps) for law in laws)
    return np.array([rms(tokens, run.tokens.values[-1] - target) for run in runs])


def study(quick: bool, seed: int) -> Findings:
    """Slopes in beta, and the rate at which the flow of beta = infinity nears its end; nothing here is random."""
    tokens = density_on_circle(1000 if quick else 1500)
    betas = BETAS if quick else np.concatenate([BETAS, 16 * BETAS[:3]])
    gaps = distances(tokens, betas)
    bound = np.sqrt(np.log(betas + 1) / betas)
    fit = exponent(betas, gaps, order=-1)
    # points next to the boundary between the two ends move late; the rate is that of all others
    strengths = np.linalg.eigvalsh(VALUE)
    inner = np.abs(tokens.points @ np.linalg.eigh(VALUE)[1][:, -1]) > 0.5
    ends = top_projection(tokens.points[inner], VALUE)
    rest = [np.linalg.norm(zero_temperature_flow(tokens.points[inner], VALUE, t) - ends, axis=1).max() for t in LATE]
    rates = np.diff(np.log(rest)) / np.diff(LATE) / float(strengths[-1] - strengths[0])
    parts = {
        "bound": Part.of(
            f"exponent of beta in the distance at depth time {TIME:g}, smooth density on the circle; a bound, up to a "
            "logarithm", fit, -0.5, at_most=True, excludes={"the distance does not fall": 0.0},
        ),
        "projection": Part(
            "rate at which the flow of beta = infinity nears the projection, over the gap of V's eigenvalues",
            float(rates[-1]), 0.0, -1.0, bias=float(abs(rates[-1] - rates[-3])), excludes={"it does not near it": 0.0},
        ),  # bias: e^{-2 gap t}, what it changed in the last unit of time
        "rate": Part.of(
            "exponent of beta in that distance: how sharp the bound is", fit, -1.0,
            excludes={"the bound itself": -0.5}, aside=True,
        ),
    }  # fmt: skip
    series = (
        Series("distance to beta = infinity", betas, gaps, line=False),
        Series("1/beta", betas, gaps[-1] * betas[-1] / betas, dashed=True),
        Series("sqrt(log(beta + 1)/beta), scaled", betas, gaps[0] * bound / bound[0], dashed=True),
    )
    return Findings(
        parts, Figure("beta", "RMS distance", series, x_log=True, y_log=True), {"beta": betas, "distance": gaps},
        second=Second(-1.0),
    )  # fmt: skip
