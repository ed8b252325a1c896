"""N1, where tokens are normalised: how fast equal overlaps of orthogonal tokens rise, at first and in the end.

Directions move by P A/s, A the softmax average with V = A = I; s is 1 (post-norm), the radius r with r' = <x, A>
(pre-norm), r |A| with r' = <x, A>/|A| (peri-norm), (1 + t)^1/2 (branches scaled by depth).  Velocities as reported are
checked on whole tokens x in R^d without any reduction; `particles.reduced.equiangular_rate` is the second way.  New:
random values.  Tokens that look alike then get the same branch, so x_i - x_j stays while radii grow like t^1/2: with
pre- and peri-norm 1 - R falls like 1/t, where post-norm has e^(-(d - 1) t/d).  Both delay the collapse of a network at
initialisation, and alike.
"""

from collections.abc import Callable

import numpy as np

from particles import Array, check_positive
from particles.reduced import equiangular_rate
from validation.estimates import Estimate, replica_mean
from validation.studies.shared.chains import averages
from validation.studies.shared.sources import NORMS
from validation.verdict import Claim, Figure, Findings, Part, Second, Series

CLAIM = Claim(
    __name__,
    "normalisation and the rate of clustering",
    "the overlap of n orthogonal tokens (V = A = I) rises at first at 2/(e^beta + n - 1) with post-norm, that over r_0 "
    "with pre-norm, 2/(r_0 (e^(2 beta) + n - 1)^1/2) with peri-norm; in the end like e^(-2 t), t^-3, t^-3, and "
    "e^(-4 t^1/2)/t^1/2 where branches are scaled by depth^-1/2",
    NORMS,
    "",
    "the closed equation of equal overlaps",
)

N, BETA, RADIUS = 6, 1.0, 2.0
D = 16  # of random values
NAMES = {"post": "post-norm", "pre": "pre-norm", "peri": "peri-norm", "scaled": "branches scaled by depth^-1/2"}
Velocity = Callable[[Array, float], Array]


def average(x: Array) -> Array:
    """Softmax averages (n, d) of the directions of x (n, d)."""
    directions = x / np.linalg.norm(x, axis=1, keepdims=True)
    found: Array = averages(directions[None], np.eye(x.shape[1]), BETA)[0]
    return found


def post(x: Array, time: float) -> Array:
    """Velocity of x on the sphere."""
    along = average(x)
    velocity: Array = along - np.sum(along * x, axis=1, keepdims=True) * x
    return velocity


def pre(x: Array, time: float) -> Array:
    """Velocity of a residual stream."""
    return average(x)


def peri(x: Array, time: float) -> Array:
    """The same with a branch of length 1."""
    along = average(x)
    velocity: Array = along / np.linalg.norm(along, axis=1, keepdims=True)
    return velocity


def scaled(x: Array, time: float) -> Array:
    """On the sphere, branches times (1 + t)^-1/2."""
    velocity: Array = post(x, time) / np.sqrt(1 + time)
    return velocity


def gap(x: Array) -> float:
    """1 - R of the first two directions, without cancellation."""
    one, two = x[:2] / np.linalg.norm(x[:2], axis=1, keepdims=True)
    return 0.5 * float(np.sum((one - two) ** 2))


def course(velocity: Velocity, radius: float, times: Array, step: float) -> Array:
    """1 - R at increasing times, multiples of the step, from orthogonal tokens of this length; Runge-Kutta, order 4."""
    check_positive(step, "step")
    x, found, number = radius * np.eye(N), [], 0
    for time in times:
        while number < round(time / step):
            t, h = number * step, step
            a = velocity(x, t)
            b = velocity(x + 0.5 * h * a, t + 0.5 * h)
            c = velocity(x + 0.5 * h * b, t + 0.5 * h)
            x = x + h / 6 * (a + 2 * b + 2 * c + velocity(x + h * c, t + h))
            number += 1
        found.append(gap(x))
    return np.array(found)


def first_rate(velocity: Velocity, radius: float) -> float:
    """d R/dt at time 0, from 1 - R at 1e-3 and 2e-3."""
    one, two = 1 - course(velocity, radius, np.array([1e-3, 2e-3]), 5e-4)
    return float(2 * one - 0.5 * two) / 1e-3


def firsts() -> dict[str, Part]:
    """Initial rates as printed."""
    base, unit_branch = 2 / (np.exp(BETA) + N - 1), 2 / np.sqrt(np.exp(2 * BETA) + N - 1)
    cases = {
        "post": (post, 1.0, base), "pre": (pre, RADIUS, base / RADIUS), "scaled": (scaled, 1.0, base),
        "peri": (peri, RADIUS, unit_branch / RADIUS),
    }  # fmt: skip

    def others(name: str, radius: float) -> dict[str, float]:
        rates = {"post-norm": base, "pre-norm": base / radius, "peri-norm": unit_branch / radius,
                 "even attention": 2 / N}  # fmt: skip
        return {words: float(rate) for words, rate in rates.items() if abs(rate - cases[name][2]) > 1e-12}

    return {
        f"first_{name}": Part(
            f"initial rate of the overlap, {NAMES[name]}, n = {N}, beta = {BETA:g}, r_0 = {radius:g}",
            first_rate(velocity, radius), 0.0, float(value), bias=1e-5, excludes=others(name, radius),
        )
        for name, (velocity, radius, value) in cases.items()
    }  # fmt: skip


def lates() -> dict[str, Part]:
    """Exponents of dR/dt in the end."""
    parts = {}
    for name, velocity in (("pre", pre), ("peri", peri)):
        times = np.array([50.0, 100.0, 200.0])
        around = course(velocity, 1.0, (times[:, None] + [-0.5, 0.5]).ravel(), 0.25).reshape(3, 2)
        slopes = np.diff(np.log(around[:, 0] - around[:, 1])) / np.log(2)  # exponents at t and 2 t, errors like 1/t
        limit = 2 * slopes[1] - slopes[0]
        parts[f"late_{name}"] = Part(
            f"exponent of t in dR/dt, {name}-norm, t = 50 to 200, error of order 1/t taken off",
            float(limit), 0.0, -3.0, bias=0.3 * abs(float(limit - slopes[1])),
            excludes={"random values, t^-2": -2.0, "post-norm, e^(-2 t), t = 100 to 200": -200 / float(np.log(2))},
        )  # fmt: skip
    ends = course(post, 1.0, np.array([6.0, 8.0]), 0.05)
    parts["late_post"] = Part(
        "rate of log dR/dt, post-norm, t = 6 to 8", float(np.log(ends[1] / ends[0])) / 2, 0.0, -2.0, bias=1e-3,
        excludes={"pre-norm, 1 - R as t^-2": -float(np.log(8 / 6)), "e^(-t), as the angle": -1.0},
    )  # fmt: skip
    ends, roots = course(scaled, 1.0, np.array([20.0, 30.0]), 0.05), np.sqrt([21.0, 31.0])
    parts["late_scaled"] = Part(
        "slope of log(1 - R) in t^1/2, branches scaled by depth^-1/2, t = 20 to 30",
        float(np.log(ends[1] / ends[0]) / (roots[1] - roots[0])), 0.0, -4.0, bias=0.01,
        excludes={"post-norm, e^(-2 t)": -20 / float(roots[1] - roots[0]), "e^(-2 t^1/2), as the angle": -2.0},
    )  # fmt: skip
    return parts


def random_values(rng: np.random.Generator, replicas: int, unit_branch: bool) -> Estimate:
    """Slope in log t of E log(1 - R), t = 100 to 1600, of streams with fresh values and uniform attention."""
    x = np.broadcast_to(np.eye(4, D), (replicas, 4, D)).copy()
    kept, time, marks = [], 0.0, [100.0, 1600.0]
    while marks:
        step = min(0.02 * (1 + time), marks[0] - time)
        directions = x / np.linalg.norm(x, axis=2, keepdims=True)
        mean = directions.mean(axis=1)
        branch = np.einsum("rij,rj->ri", rng.standard_normal((replicas, D, D)) / np.sqrt(D), mean)
        if unit_branch:
            branch /= np.linalg.norm(branch, axis=1, keepdims=True)
        x += np.sqrt(step) * branch[:, None]
        time += step
        if time > marks[0] - 1e-9:
            marks.pop(0)
            directions = x / np.linalg.norm(x, axis=2, keepdims=True)
            kept.append(np.log(0.5 * np.sum((directions[:, 0] - directions[:, 1]) ** 2, axis=1)))
    return replica_mean((kept[1] - kept[0]) / np.log(16))


def study(quick: bool, seed: int) -> Findings:
    """Rates of fixed heads, which are not random, and exponents of random values."""
    rng = np.random.default_rng([seed, 51])
    parts = firsts() | lates()
    for name, unit_branch in (("pre", False), ("peri", True)):
        found = random_values(rng, 1500 if quick else 50_000, unit_branch)
        parts[f"random_{name}"] = Part(
            f"slope of E log(1 - R) in log t, random values, {name}-norm, d = {D}: -1, derived here",
            found.value, found.error, -1.0, bias=0.03,  # the start is not forgotten, steps
            excludes={"no collapse": 0.0, "fixed heads, t^-2": -2.0,
                      "post-norm, e^(-(d - 1) t/d)": -(1 - 1 / D) * 1500 / float(np.log(16))},
        )  # fmt: skip
    times = np.arange(0.5, 20.1, 0.5)
    laws = {"post": post, "pre": pre, "peri": peri, "scaled": scaled}
    curves = {name: course(velocity, 1.0, times, 0.05) for name, velocity in laws.items()}
    exact = float(equiangular_rate(0.0, N, BETA))
    series = tuple(Series(NAMES[name], times, curve) for name, curve in curves.items())
    figure = Figure("time", "1 - R", series, y_log=True)
    return Findings(parts, figure, {"time": times, **curves}, second=Second(exact))
