"""Attention statistics by quadrature: against sampled softmax, closed forms, another program part and finer rules."""

import math

import numpy as np
import pytest

from particles.reduced import Simplex
from particles.scores import attention_statistics, critical_deviation, gaussian, random_energy_f


def sampled(n, deviation, overlap, size):
    """sum pi^2, sum pi pi', entropy of drawn scores, (size,) each."""
    z = np.random.default_rng([n, size]).standard_normal((2, size, n))
    z[1] = overlap * z[0] + math.sqrt(1 - overlap**2) * z[1]
    w = np.exp(deviation * (z - z.max(axis=2, keepdims=True)))
    w /= w.sum(axis=2, keepdims=True)
    return (w[0] ** 2).sum(axis=1), (w[0] * w[1]).sum(axis=1), -(w[0] * np.log(w[0] + 1e-300)).sum(axis=1)


@pytest.mark.parametrize(
    ("n", "deviation", "overlap"), [(2, 1.0, 0.5), (16, 2.0, -0.4), (512, critical_deviation(512), 0.5), (64, 8.0, 0.9)]
)
def test_equals_sampled_softmax(n, deviation, overlap):
    found, size = attention_statistics(n, deviation, overlap), 600_000 // n
    for value, sample in zip((found.f, found.h, found.entropy), sampled(n, deviation, overlap, size), strict=True):
        assert abs(sample.mean() - value) < 4 * sample.std() / math.sqrt(size)
    flat = sampled(n, 0.8 * deviation, overlap, size)[0]
    assert abs(flat.mean() - found.f) > 8 * flat.std() / math.sqrt(size)


def test_closed_forms():
    one, two = attention_statistics(1000, 0.0, 0.3), attention_statistics(40, 2.5, 1.0)
    assert (one.f, one.h, one.entropy) == (0.001, 0.001, math.log(1000))
    assert two.f == pytest.approx(two.h, rel=1e-9)  # the same scores
    assert attention_statistics(40, 2.5, 0.0).h == pytest.approx(1 / 40, rel=1e-9)  # independent ones
    weak = attention_statistics(10, 0.01, 0.5)
    assert weak.f == pytest.approx((1 + 0.9 * 1e-4) / 10, rel=1e-7)
    assert weak.h == pytest.approx((1 + 0.45 * 1e-4) / 10, rel=1e-7)
    assert weak.entropy == pytest.approx(math.log(10) - 0.45e-4, rel=1e-8)


def test_a_finer_rule_changes_nothing(monkeypatch):
    coarse = [attention_statistics(*case) for case in ((300, 3.0, 0.6), (10**9, 5.0, -0.2))]
    monkeypatch.setattr(gaussian, "STEP", 0.25)
    for one, case in zip(coarse, ((300, 3.0, 0.6), (10**9, 5.0, -0.2)), strict=True):
        fine = attention_statistics(*case)
        assert (one.f, one.h, one.entropy) == pytest.approx((fine.f, fine.h, fine.entropy), rel=1e-8)


def test_is_the_simplex_of_large_head_dimension():
    """Heads of inner dimension 10^6: the length of a query does not vary."""
    head_dim, overlap = 10**6, 0.4
    deviation = 2.0
    sigma_a = (deviation / (math.sqrt((1 - overlap) * head_dim))) ** 0.5
    found = Simplex(head_dim, 20, 1.0, sigma_a, head_dim, overlap).statistics(samples=40_000)
    exact = attention_statistics(20, deviation, overlap)
    assert abs(found.f.value - exact.f) < 4 * found.f.standard_error
    assert abs(found.h.value - exact.h) < 4 * found.h.standard_error


def test_the_limit_of_many_keys_is_slow():
    """Exponents of the random energy model: n^-(1 - b^2) below 1/2^1/2; above 2^1/2 a share of 1 - 2^1/2/b."""
    for b in (0.3, 0.6):
        few, many = (attention_statistics(n, b * math.sqrt(math.log(n))).f for n in (10**9, 10**12))
        assert math.log(many / few) / math.log(1000) == pytest.approx(-(1 - b * b), abs=0.01)
    gaps = []
    for n in (10**3, 10**6, 10**12):
        deviation = 1.5 * critical_deviation(n)
        gaps.append(attention_statistics(n, deviation).f - random_energy_f(n, deviation))
    assert gaps[0] > gaps[1] > gaps[2] > 0.005
    assert random_energy_f(512, 1.0) == random_energy_f(512, 0.0) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((0, 1.0), "n must lie between 1 and 10"), ((5, 21.0), "score_std must be at most 20"),
     ((5, -1.0), "score deviation must be"), ((5, 1.0, 1.5), "overlap must lie between -1 and 1")],
)  # fmt: skip
def test_refusals(arguments, text):
    with pytest.raises(ValueError, match=text):
        attention_statistics(*arguments)
