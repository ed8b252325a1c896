"""Multilevel Monte Carlo: synthetic levels with known answers, a Brownian token, halves of the tokens."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfc
from scipy.stats import norm

import validation.estimates as ml
from particles import GaussianHeads, Homogenized, Noise, Softmax, Uniform, VonMisesFisherMixture
from tests.scripts import script
from validation.estimates import LevelSum, Measured, TokenLevels, multilevel, plain

SCRIPT = Path(__file__).parents[3] / "examples" / "multilevel.py"


@dataclass(frozen=True)
class Synthetic:
    """P_l = 3 + 2^(-alpha l) + Z + 2^(-beta l/2) Y_l: bias, variances and costs are known."""

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.0
    seed: int = 0

    def pairs(self, level, members):
        z = np.array([np.random.default_rng((self.seed, level, k)).standard_normal(2) for k in members]).reshape(-1, 2)
        scale = 2.0 ** (-self.beta * level / 2)
        fine = 3 + 2.0 ** (-self.alpha * level) + z[:, 0] + scale * z[:, 1]
        coarse = 3 + 2.0 ** (-self.alpha * (level - 1)) + z[:, 0] + 0.5 * scale * z[:, 1]
        return np.stack([fine, coarse if level else 0 * z[:, 0]], axis=1)

    def cost(self, level):
        return 2.0 ** (self.gamma * level), 2.0 ** (self.gamma * (level - 1))


@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(1, 1, 1), (1, 2, 1), (2, 1, 2)])
def test_known_levels(alpha, beta, gamma):
    """The value is 3; the error asked for is the one that is made, over independent repetitions."""
    error, share = 0.06, 0.5
    runs = [multilevel(Synthetic(alpha, beta, gamma, seed), error, weak=alpha, start=50) for seed in range(16)]
    assert all(run.reached for run in runs)
    misses = np.array([run.value for run in runs]) - 3
    bias = np.array([2.0 ** (-alpha * (len(run.levels) - 1)) for run in runs])
    assert np.all(bias < 2 * np.sqrt(share) * error)
    errors = np.array([run.error for run in runs])
    asked = errors**2 / ((1 - share) * error**2)  # pilots and samples have variances of their own
    assert np.all((asked > 0.4) & (asked < 2.0))
    assert 0.75 < asked.mean() < 1.2
    z = (misses - bias) / errors
    assert abs(z.mean()) * np.sqrt(len(z)) < 4
    assert 0.5 < z.std() < 1.6
    assert np.sqrt(np.mean(misses**2)) < 1.3 * error


class Indicator(Synthetic):
    """1{Z + 2^(-l) Y > 1/2}: differences in few samples; the members asked for are noted."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "asked", [])

    def pairs(self, level, members):
        self.asked.append((level, members))
        z = np.array([np.random.default_rng((level, k)).standard_normal(2) for k in members]).reshape(-1, 2)
        fine, coarse = (z[:, 0] + 2.0**-k * z[:, 1] > 0.5 for k in (level, level - 1))
        return np.stack([fine, coarse & (level > 0)], axis=1).astype(float)


def test_the_value_is_of_samples_that_did_not_choose_their_number():
    """Few events would mean few samples more, and pull the mean down."""
    ladder = Indicator()
    found = multilevel(ladder, 0.03, start=20, levels=4, most=4)
    for level, one in enumerate(found.levels):
        members = [k for asked, range_ in ladder.asked if asked == level for k in range_]
        assert len(set(members)) == len(members) == one.samples + one.pilots
        odd = [k for k in members if k % 2]
        assert len(odd) == one.samples
        values = Indicator().pairs(level, odd)
        assert one.mean == pytest.approx(np.mean(values[:, 0] - values[:, 1]), abs=1e-14)
        assert one.pilots >= max(20, 0.25 * (one.samples - 10))
    exact = 0.5 * erfc(0.5 / np.sqrt(2 * (1 + 4.0**-3)))
    assert abs(found.value - exact) < 4 * found.error


@dataclass(frozen=True)
class OfNormals:
    """P_l = value(Z, l), many at a time."""

    value: object
    seed: int = 0

    def pairs(self, level, members):
        rng = np.random.default_rng((self.seed, level))
        z = rng.standard_normal((1 << 16, 2))[list(members)]
        fine, coarse = (np.asarray(self.value(z, k), dtype=float) for k in (level, level - 1))
        return np.stack([fine, coarse if level else 0 * fine], axis=1)

    def cost(self, level):
        return 2.0**level, 2.0 ** (level - 1)


@pytest.mark.parametrize(
    ("value", "exact", "error"),
    [
        (lambda z, level: z[:, 0] > norm.isf(0.0118), 0.0118, 0.003),
        (lambda z, level: z[:, 0] > norm.isf(0.0118 * (1 - 2.0 ** -(level + 1))), 0.0118, 0.003),
        (lambda z, level: np.exp(1.5 * (z[:, 0] + 0.5 * 2.0**-level * z[:, 1])), np.exp(1.125), 0.7),
    ],
    ids=["a rare event", "rarer on coarse levels", "heavy tails"],
)
def test_what_is_seldom_seen_is_not_believed_to_be_nothing(value, exact, error):
    """The error asked for is reached, and no run says 0 +- 0; docs/measure_multilevel.py has 300 runs of each."""
    runs = [multilevel(OfNormals(value, seed), error) for seed in range(20)]
    assert all(run.reached for run in runs)
    assert all(0.4 * error < run.error < 0.8 * error for run in runs)
    misses = np.array([run.value for run in runs]) - exact
    assert np.sqrt(np.mean(misses**2)) < 1.2 * error
    covered = [abs(miss) <= 2 * run.error + run.bias for miss, run in zip(misses, runs, strict=True)]
    assert np.mean(covered) >= 0.85


def test_a_ladder_of_one_value_is_not_known():
    """Nothing tells a constant from an event that was missed; a hundred times the pilots are spent on the question."""
    found = multilevel(OfNormals(lambda z, level: 0 * z[:, 0] + 2.0), 0.1, start=20)
    assert (found.value, found.reached, found.known) == (2.0, False, False)
    assert found.error == found.bias == np.inf
    assert found.levels[0].alike
    assert found.levels[0].pilots == 2000
    assert plain(OfNormals(lambda z, level: z[:, 0] > 99), 0, 100).error == np.inf


def test_a_level_without_a_difference_is_bounded_by_the_level_below():
    """Exact coupling: differences are 0, and their error is that of one unseen in N."""
    found = multilevel(OfNormals(lambda z, level: z[:, 0]), 0.05)
    first, second = found.levels[:2]
    assert not first.alike
    assert second.alike
    assert second.variance == pytest.approx(2 * first.farthest**2 / (second.samples + second.pilots))
    assert found.reached
    assert found.bias > 0
    rounded = multilevel(OfNormals(lambda z, level: z[:, 0] * (1 + 1e-16 * level)), 0.05)
    assert rounded.levels[1].alike


def test_the_share_of_the_bias_is_kept():
    found = multilevel(Synthetic(beta=2.0), 0.05, share=0.25)
    assert found.share == 0.25
    last = found.levels[-1]
    assert found.plain_cost == pytest.approx(last.fine_cost * last.fine_variance / (0.75 * 0.05**2))


def test_the_allocation_is_the_cheapest():
    """Giles: no other numbers of samples with the same variance cost less."""
    levels = [LevelSum(10, 0.0, v, 1.0, c, c) for v, c in ((1.0, 1.0), (0.3, 2.0), (0.2, 4.5))]
    samples = np.array(ml.allocation(levels, 1e-6), dtype=float)
    variance, cost = np.array([1.0, 0.3, 0.2]), np.array([1.0, 2.0, 4.5])
    np.testing.assert_allclose(np.sum(variance / samples), 1e-6, rtol=1e-5)
    np.testing.assert_allclose(samples @ cost, np.sum(np.sqrt(variance * cost)) ** 2 / 1e-6, rtol=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = samples * np.exp(0.2 * rng.standard_normal(3))
        other *= np.sum(variance / other) / 1e-6
        assert other @ cost >= samples @ cost * (1 - 1e-6)


def test_variances_of_few_samples_are_not_believed():
    levels = [LevelSum(10, 0.0, v, 1.0, 1.0, 1.0) for v in (1.0, 0.8, 0.0)]
    assert ml.allocation(ml.believed(levels), 0.01)[2] > 50


def test_the_bias_is_extrapolated():
    def levels(*means):
        return [LevelSum(10, mean, 1.0, 1.0, 1.0, 1.0) for mean in means]

    assert ml.bias_of(levels(5.0, 0.4, 0.2), 1.0) == pytest.approx(0.2)
    assert ml.bias_of(levels(5.0, 0.4, 0.05), 2.0) == pytest.approx(0.1 / 3)  # small by chance
    assert ml.bias_of(levels(5.0, 0.4), 1.0) == pytest.approx(0.4)


def test_levels_end_and_say_so():
    found = multilevel(Synthetic(), 0.05, levels=2, most=3, start=20)
    assert not found.reached
    assert len(found.levels) == 3
    assert found.bias > 0.05


def test_costs_beside_plain_monte_carlo():
    found = multilevel(Synthetic(beta=2.0), 0.03)
    last = len(found.levels) - 1
    assert found.cost == pytest.approx(sum((one.samples + one.pilots) * one.cost for one in found.levels))
    assert found.levels[1].cost == 3.0
    variance = 1 + 2.0 ** (-2 * last)
    assert found.plain_cost == pytest.approx(2.0**last * variance / (0.5 * 0.03**2), rel=0.3)
    estimate = plain(Synthetic(), 3, 400)
    assert abs(estimate.value - 3.125) < 4 * estimate.error


HEADS = GaussianHeads(3, 3**-0.5, 3**-0.5, 3)
LAW = Homogenized(HEADS, Softmax(2.0), dt=0.5, nodes=2, noise=Noise(3), fixed=True)
POLE = VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [1e8])


def height(cloud):
    return float(cloud.weights @ cloud.points[:, 2])


def step_factor(dt):
    """E <nrm(x + U), x>, U normal with variance dt/3 in each direction: how the mean of a token shrinks in a step."""
    sigma = np.sqrt(dt / 3)

    def angle(u):  # density of the cosine u of x + U: radius integrated out
        inner = quad(lambda r: r**2 * np.exp(-(r**2 - 2 * r * u + 1) / (2 * sigma**2)), 0, 1 + 12 * sigma)[0]
        return inner * 2 * np.pi / (2 * np.pi * sigma**2) ** 1.5

    assert abs(quad(angle, -1, 1)[0] - 1) < 1e-6
    return quad(lambda u: u * angle(u), -1, 1)[0]


def test_one_token_is_brownian():
    """A token alone attends to itself: E <x_t, x_0> = exp(-t/3), and every level's mean is known exactly."""
    levels = TokenLevels(LAW, POLE, height, t_end=1.0, tokens=1)
    exact = [step_factor(0.5 / 2**level) ** (2 * 2**level) for level in range(4)]
    assert abs(exact[3] - np.exp(-1 / 3)) < 0.02
    for level in range(3):
        fine, coarse = levels.pairs(level, range(400)).T
        error = (fine - coarse).std() / 20
        assert abs((fine - coarse).mean() - (exact[level] - (exact[level - 1] if level else 0))) < 4 * error
        assert abs(fine.mean() - exact[level]) < 4 * fine.std() / 20
        if level:
            assert abs(coarse.mean() - exact[level - 1]) < 4 * coarse.std() / 20
            assert (fine - coarse).var() < 0.6 * fine.var()
    found = multilevel(levels, 0.03)
    assert abs(found.value - np.exp(-1 / 3)) < 4 * found.error + found.bias


def test_halves_of_the_tokens():
    """At depth 0: E |mean|^2 = |m|^2 + (1 - |m|^2)/n, and the halves cancel all but the product of their means."""
    start = VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [2.0])
    square = (1 / np.tanh(2.0) - 1 / 2.0) ** 2

    def overlap(cloud):
        mean = cloud.weights @ cloud.points
        return float(mean @ mean)

    levels = TokenLevels(LAW, start, overlap, 0.0, 4, finer_steps=False, more_tokens=True)
    for level, n in enumerate((4, 8, 16)):
        fine, coarse = levels.pairs(level, range(800)).T
        gap = fine - coarse
        want = square + (1 - square) / n if level == 0 else (1 - square) * (1 / n - 2 / n)
        assert abs(gap.mean() - want) < 4 * gap.std() / np.sqrt(800)
    assert levels.size(2) == (0, 16)


def test_levels_share_their_path_and_samples_nothing():
    levels = TokenLevels(LAW, Uniform(3), height, 1.0, 4, more_tokens=True)
    again = levels.pairs(2, range(6))
    np.testing.assert_array_equal(again[3:], levels.pairs(2, range(3, 6)))
    assert len({*again.ravel(), *levels.pairs(1, range(6)).ravel()}) == 24
    other, elsewhere = levels._drawn(1, 5)
    fine, points = levels._drawn(2, 5)
    assert not np.isclose(points[: len(elsewhere)], elsewhere).any()
    assert not np.isclose(fine.layer(0)[0].query, other.layer(0)[0].query).any()
    (push,), (two,), (three,) = fine.coarsen(2).layer(1), fine.layer(2), fine.layer(3)
    np.testing.assert_allclose(push.mixing, two.mixing + three.mixing, rtol=1e-14)
    assert points.shape == (16, 3)
    assert levels.size(2) == (8, 16)
    assert levels.cost(2) == (8 * 2 * 256, 8 * 2 * 256 / 4)


def test_costs_are_measured_once():
    ticks = iter(range(100))
    measured = Measured(Synthetic(), clock=lambda: float(next(ticks)), members=2)
    assert measured.cost(1) == pytest.approx((0.5 * 2 / 3, 0.5 / 3))
    assert measured.cost(1) == pytest.approx((0.5 * 2 / 3, 0.5 / 3))
    assert measured.cost(0)[0] == pytest.approx(0.5)
    np.testing.assert_array_equal(measured.pairs(1, range(3)), Synthetic().pairs(1, range(3)))


def test_the_example():
    module = script(SCRIPT)
    coarse, fine = module.run([0.05, 0.1])
    assert (coarse.target, fine.target) == (0.1, 0.05)
    assert abs(fine.value - 0.587) < 4 * fine.error + fine.bias
    drawn = ml.figure([coarse, fine], "pairs")
    assert drawn.x_log
    assert list(drawn.series[0].y) == [coarse.cost, fine.cost]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"law": replace(LAW, fixed=False)}, "levels need layers with fixed nodes"),
        ({"finer_steps": False}, "levels must differ"),
        ({"tokens": 0}, "tokens must be an integer >= 1, got 0"),
        ({"t_end": 0.7}, "t_end must be a whole number of steps of 0.5, got 0.7"),
    ],
)
def test_levels_that_cannot_be(change, text):
    given = {"law": LAW, "initial": POLE, "observable": height, "t_end": 1.0, "tokens": 2}
    with pytest.raises(ValueError, match=text):
        TokenLevels(**(given | change))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"error": 0.0}, "error must be positive and finite, got 0"),
        ({"weak": float("nan")}, "weak must be positive and finite, got nan"),
        ({"share": 1.0}, "share must lie between 0 and 1, got 1"),
        ({"levels": 1}, "levels, most and start must be 2 <= levels <= most <= 32 and start >= 2, got 1, 12 and 100"),
    ],
)
def test_arguments_that_cannot_be(change, text):
    with pytest.raises(ValueError, match=text):
        multilevel(Synthetic(), **({"error": 0.1} | change))


def test_values_that_are_not_finite():
    @dataclass(frozen=True)
    class Broken(Synthetic):
        def pairs(self, level, members):
            return np.full((len(members), 2), np.nan)

    with pytest.raises(ValueError, match="level 0: values must be finite"):
        multilevel(Broken(), 0.1)
