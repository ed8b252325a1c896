"""Studies of attention at initialisation on small sizes: their estimators against known values, and wrong laws."""

from dataclasses import replace

import numpy as np
import pytest

from particles.reduced import averaged_length, equiangular_rate
from particles.scores import attention_statistics, critical_deviation
from validation.studies import a1_random_energy as a1
from validation.studies import n1_normalisation as n1

RNG = np.random.default_rng


def test_shares_of_whole_heads_are_those_of_quadrature(monkeypatch):
    monkeypatch.setattr(a1, "N", 32)
    monkeypatch.setattr(a1, "D", 96)
    deviation = critical_deviation(32)
    f, h = a1.shares(RNG(1), deviation, 250)
    exact = attention_statistics(32, deviation, a1.OVERLAP)
    assert abs(f.value - exact.f) < 4 * f.error + 0.01
    assert abs(h.value - exact.h) < 4 * h.error + 0.005
    assert exact.f > 12 * f.error  # and not the 0 of many keys
    assert abs(attention_statistics(32, 1.25 * deviation, a1.OVERLAP).f - f.value) > 8 * f.error


def test_maps_and_power_laws():
    limit, finite = (a1.overlap_map(0.3, 5.0, 64, 4, kind) for kind in (True, False))
    s = 5.0 * 0.7**0.5
    f = 1 - critical_deviation(64) / s
    assert limit[1] == 0.6 / (1 + 0.3 + 0.7 * f)
    assert finite[1] < limit[1]
    parts = a1.powers()
    assert {part.verdict for part in parts.values()} == {"holds"}
    assert replace(parts["power_h"], predicted=-0.5).verdict == "fails"  # 1 - p instead
    assert replace(parts["power_f"], predicted=-((2**0.5 - 0.5) ** 2)).verdict == "fails"  # the law beyond 2^-1/2


def test_whole_tokens_move_as_equal_overlaps_do_whatever_the_norm():
    """Rates behind the start, at overlap 1 - g, against the closed equation over each speed."""
    for velocity, speed in ((n1.post, 1.0), (n1.scaled, 1.3**0.5)):
        gaps = n1.course(velocity, 1.0, np.array([0.299, 0.3, 0.301]), 1e-3)
        want = float(equiangular_rate(1 - gaps[1], n1.N, n1.BETA)) / speed
        assert (gaps[0] - gaps[2]) / 2e-3 == pytest.approx(want, rel=1e-5)
    orthogonal = np.eye(n1.N)
    assert np.linalg.norm(n1.average(orthogonal)[0]) == pytest.approx(averaged_length(0.0, n1.N, n1.BETA), rel=1e-12)
    parts = n1.firsts()
    assert {part.verdict for part in parts.values()} == {"holds"}
    assert replace(parts["first_peri"], predicted=parts["first_pre"].predicted).verdict == "fails"


def test_random_values_with_a_residual_stream_collapse_like_one_over_t():
    found = n1.random_values(RNG(3), 300, unit_branch=True)
    assert abs(found.value + 1) < 4 * found.error + 0.03
    assert abs(found.value + 15 / 14) > 3 * found.error  # that of radii which are all alike
