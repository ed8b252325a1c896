"""Metastability of five tokens on the circle: a demonstration with Euler's step 0.1 beside the converged flow.

V = A = I, beta = 4.  Two pairs meet at once; the two clusters that are left stay apart for a depth time of order
e^{beta(1 - cos)} and meet then.  In angles, with softmax weights pi, the flow is

    theta_i' = f_i = sum_j pi_ij sin(theta_j - theta_i),        c_i = <x_i, m_i> = sum_j pi_ij cos(theta_j - theta_i),

and the step of the demonstration is that of the transformer itself, nrm(x + h m): a token beside its own barycentre
moves by h f/(1 + h c), so its clock is late by the factor 1 + h.  To first order in h the chain follows
theta' = f - (h/2) Df f - h c f.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from particles import Array, FixedHeads, Noise, RandomTransformer, Softmax, TokenFlow, Tokens
from validation.reproductions.row import Reproduction, Row

START = ((0.99806638, 0.06215705), (0.97712061, 0.21268594), (-0.24578194, 0.96932515), (-0.97354734, 0.2284854),
         (-0.99892629, -0.04632772))  # fmt: skip
BETA, HORIZON, STEP = 4.0, 400.0, 0.1
TOGETHER = 1e-3  # angle below which tokens have met
PAIRS = {"the first pair": (0, 1), "the second pair": (2, 3), "the two clusters": (1, 2)}
SLOW = (
    "their step is nrm(x + 0.1 m), which moves a token beside its barycentre by 0.1 P m/1.1; the flow with the "
    "corrector of first order in the step says {:.1f}"
)
TOLERANCE = 1e-11  # of the steps of the flow; meeting times are good to 1e-6

Velocity = Callable[[float, Array], Array]


def chain(until: float) -> Array:
    """Angles after each of their steps, (steps + 1, 5), by the layers of the library."""
    eye = np.eye(2)[None]
    flow = TokenFlow(RandomTransformer(FixedHeads(eye, eye, eye), Softmax(BETA), STEP, 1, Noise(0)))
    states = [flow.start(Tokens(np.array(START)))]
    for _ in range(round(until / STEP)):
        states.append(flow.step(states[-1]))
    points = np.array([state.points for state in states])
    return np.unwrap(np.arctan2(points[..., 1], points[..., 0]), axis=0)


def field(theta: Array) -> tuple[Array, Array]:
    """f and c at angles (5,)."""
    gap = theta[None, :] - theta[:, None]
    pi = np.exp(BETA * (np.cos(gap) - 1))
    pi /= pi.sum(axis=1, keepdims=True)
    return np.sum(pi * np.sin(gap), axis=1), np.sum(pi * np.cos(gap), axis=1)


def ballistic(_: float, theta: Array) -> Array:
    """The flow."""
    return field(theta)[0]


def corrected(_: float, theta: Array) -> Array:
    """The flow with the corrector of the step; Df f by a central difference."""
    f, c = field(theta)
    turn = (field(theta + 1e-5 * f)[0] - field(theta - 1e-5 * f)[0]) / 2e-5
    found: Array = f - STEP * (0.5 * turn + c * f)
    return found


def course(velocity: Velocity, until: float = HORIZON) -> tuple[dict[str, float], Array]:
    """When each pair meets, nan where it does not, and the angles at the end."""
    start = np.unwrap(np.arctan2(*np.array(START).T[::-1]))
    events = [lambda _, x, i=i, j=j: abs(x[i] - x[j]) - TOGETHER for i, j in PAIRS.values()]
    found = solve_ivp(velocity, (0.0, until), start, "DOP853", rtol=TOLERANCE, atol=TOLERANCE, events=events)
    times = [float(seen[0]) if len(seen) else float("nan") for seen in found.t_events]
    return dict(zip(PAIRS, times, strict=True)), found.y[:, -1]


def first_step(angles: Array, pair: tuple[int, int]) -> float:
    """The depth time of the first step at which a pair has met."""
    met = np.abs(angles[:, pair[0]] - angles[:, pair[1]]) < TOGETHER
    return STEP * int(np.argmax(met)) if met.any() else float("nan")


def rows(quick: bool, seed: int) -> tuple[Row, ...]:
    """Meeting times and the angle of the end; nothing here is random."""
    steps, (ours, end), (said, _) = chain(HORIZON), course(ballistic), course(corrected)
    found = [
        Row(f"depth time at which {name} meet to 1e-3", theirs, ours[name], bias=1e-6, reason=SLOW.format(said[name]),
            their_way=first_step(steps, pair))
        for (name, pair), theirs in zip(PAIRS.items(), ("5.4", "9.7", "368.1"), strict=True)
    ]  # fmt: skip
    found.append(Row("angle of all tokens in the end", "1.84169", float(end[0]), bias=1e-8,
                     reason="of their step, as above", their_way=float(steps[-1, 0])))  # fmt: skip
    return tuple(found)


METASTABILITY = Reproduction(
    "Metastability of five tokens",
    "Geshkovski, Koubbi, Polyanskiy and Rigollet 2024, repository HugoKoubbi/2024-transformers-dotm",
    "parameters of particles.py at 90fca56; the program makes a film and prints no numbers: theirs are its states, "
    "seen once by running its arithmetic",
    "Ours: the flow, by an integrator of order 8; their way: the layers of the library with their step",
    rows,
)
