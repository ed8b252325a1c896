"""One small step of actual tokens, many times over: drift and variance of any function of the tokens."""

import numpy as np

from particles import DirectField, Homogenized, Noise, Tokens


def one_step(points, heads, attention, observe, *, members, dt=1e-5, seed=11):
    """Samples of drift and variance of observe(points) per unit of diffusive time, one for each member.

    Each member's layer is applied with both signs of its (centred) mixing matrix: the mean of the two changes is
    the drift, with a spread of the same order instead of one larger by dt^-1/2; half their difference squared the
    variance.  Bias O(dt).
    """
    start = observe(points)
    drift, variance = [], []
    for member in range(members):
        (push,) = Homogenized(heads, attention, dt, 1, Noise(seed, member)).layer(0)
        velocity = DirectField(push, Tokens(points))(points)
        forth, back = (observe(push.retraction(points, sign * velocity)) for sign in (1, -1))
        drift.append((forth + back - 2 * start) / (2 * dt))
        variance.append(((forth - back) / 2) ** 2 / dt)
    return np.array(drift), np.array(variance)


def pair(d, overlap):
    """Two tokens of the given overlap in general position, (2, d)."""
    rng = np.random.default_rng(5)
    rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return np.array([rotation[0], overlap * rotation[0] + np.sqrt(1 - overlap**2) * rotation[1]])


def first_overlap(points):
    return points[0] @ points[1]


def assert_mean(samples, want, power=0.3):
    """The mean is `want` (z < 4), and would be seen to differ from (1 +- power) want (z > 8)."""
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    assert abs(samples.mean() - want) < 4 * error, (samples.mean(), want, error)
    assert power * abs(want) > 8 * error, (want, error)
