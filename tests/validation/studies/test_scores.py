"""Studies of attention at initialisation on small sizes: their estimators against known values, and wrong laws."""

from dataclasses import replace

import numpy as np
import pytest

from particles.reduced import averaged_length, equiangular_rate
from particles.scores import attention_statistics, critical_deviation
from validation.studies import a1_random_energy as a1
from validation.studies import a2_one_head_moments as a2
from validation.studies import a3_long_context as a3
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
    assert replace(parts["power_h"], predicted=-0.5, excludes={"derived": -1 / 3}).verdict == "fails"  # 1 - p instead
    beyond = -((2**0.5 - 0.5) ** 2)  # the law beyond 2^-1/2
    assert replace(parts["power_f"], predicted=beyond, excludes={"derived": -0.75}).verdict == "fails"


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
    other = replace(parts["first_peri"], predicted=parts["first_pre"].predicted, excludes={"no rise": 0.0})
    assert other.verdict == "fails"


def test_cosines_of_whole_tokens_end_where_closed_weights_do():
    for share in a3.SHARES:
        found, rest = a3.whole(np.array([a3.cosine(n, share) for n in a3.COUNTS]))
        other, left = a3.limit(share)
        assert abs(found - other) < rest + left + 1e-9
        assert rest < 1e-3


def test_random_values_with_a_residual_stream_collapse_like_one_over_t():
    found = n1.random_values(RNG(3), 300, unit_branch=True)
    assert abs(found.value + 1) < 4 * found.error + 0.03
    assert abs(found.value + 15 / 14) > 3 * found.error  # that of radii which are all alike


def test_one_head_moments_leave_the_law_of_large_numbers(monkeypatch):
    monkeypatch.setattr(a2, "N", 200)
    found = a2.sampled(RNG(4), 1.8, 4000)
    exact = 200 * attention_statistics(200, 1.8).f
    assert abs(found.value - exact) < 4 * found.error
    assert np.exp(1.8**2) - exact > 10 * found.error
    share = attention_statistics(1000, a2.carried(1000)).f * 1000 / np.exp(a2.carried(1000) ** 2)
    assert share == pytest.approx(1 - a2.CLOSE, abs=1e-9)


def test_cosines_of_outputs_are_those_of_the_closed_weights():
    for share in (0.4, 1.0, 2.0):
        assert a3.cosine(50, share) == pytest.approx(float(a3.closed(np.array([50.0]), share)[0]), rel=1e-12)
    assert a3.limit(1.0)[0] == pytest.approx(4 * a3.RHO / (1 + 3 * a3.RHO), abs=1e-8)


def test_the_beta_of_few_keys_on_the_circle_line_and_a_wrong_power():
    """d = 3: t is uniform, gaps of the nearest keys are exponential, so beta doubles with n."""
    values = [a3.half(RNG(5), 3, n, 400) for n in (200, 800)]
    power = np.log(values[1].value / values[0].value) / np.log(4)
    error = np.hypot(values[0].error / values[0].value, values[1].error / values[1].value) / np.log(4)
    assert abs(power - 1) < 4 * error + 0.01
    assert abs(power - 2 / 3) > 8 * error


def test_the_first_correction_of_one_head_moments():
    """1 - [2 (e^{2 s^2} - 1) - 3 (e^{s^2} - 1)]/n, docs/theory.md."""
    s, n = 0.8, 10**4
    ratio = attention_statistics(n, s).f * n / np.exp(s * s)
    want = (2 * (np.exp(2 * s * s) - 1) - 3 * (np.exp(s * s) - 1)) / n
    assert 1 - ratio == pytest.approx(want, rel=2e-3)
