"""Share of pairs of tokens on the circle that have met: a phase diagram in beta and depth time.

32 tokens, uniform at the start, V = A = I, step nrm(x + 0.1 m) until depth time 30; a pair has met where
<x, y> > 0.999.  The diagram is a picture of colours, so that there is no number to hold ours against; beside it stands
what the step does: the same starts with a quarter of it, to the same depth time.
"""

import numpy as np

from particles import Array
from validation.reproductions.row import Reproduction, Row

TOKENS, HORIZON, STEP, MET = 32, 30.0, 0.1, 0.999
BETAS = (1.0, 4.0, 6.0, 9.0)


def pushed(x: Array, beta: float, step: float) -> Array:
    """nrm(x + step m) for clouds (clouds, tokens, 2)."""
    scores = beta * (x @ x.transpose(0, 2, 1) - 1)
    pi = np.exp(scores)
    x = x + step * (pi / pi.sum(axis=2, keepdims=True)) @ x
    found: Array = x / np.linalg.norm(x, axis=2, keepdims=True)
    return found


def share(x: Array) -> Array:
    """Share of the pairs that have met, for each cloud."""
    n = x.shape[1]
    met = np.count_nonzero(x @ x.transpose(0, 2, 1) > MET, axis=(1, 2)) - n
    return np.asarray(met / (n * (n - 1)))


def course(x: Array, beta: float, step: float) -> Array:
    """Shares at HORIZON, (clouds,)."""
    for _ in range(round(HORIZON / step)):
        x = pushed(x, beta, step)
    return share(x)


def rows(quick: bool, seed: int) -> tuple[Row, ...]:
    """Mean shares with their step and with a quarter of it."""
    rng = np.random.default_rng([seed, 43])
    size = 16 if quick else 400
    angle = 2 * np.pi * rng.random((size, TOKENS))
    start = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    found = []
    for beta in BETAS:
        one, other = course(start, beta, STEP), course(start, beta, STEP / 4)
        change = other - one
        for text, values in ((f"share of pairs that have met, beta = {beta:g}, their step", one),
                             (f"what a quarter of the step changes in it, beta = {beta:g}", change)):  # fmt: skip
            found.append(Row(text, "", float(values.mean()), float(values.std(ddof=1) / np.sqrt(size))))
    return tuple(found)


PHASE_DIAGRAM = Reproduction(
    "Phase diagram of tokens on the circle",
    "Geshkovski, Letrouit, Polyanskiy and Rigollet, arXiv 2312.10794, repository borjanG/2023-transformers-rotf",
    "parameters of phase-diagrams.py at 538ba83; the diagram is a picture, no number was seen",
    "400 clouds where they have 2,048",
    rows,
)
