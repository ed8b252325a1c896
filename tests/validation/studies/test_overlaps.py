"""Studies S1, S2, L1 to L3 and V1 on small sizes: their estimators against known values, and against wrong laws."""

import math
from dataclasses import replace

import numpy as np
import pytest

from particles import Softmax, Tokens
from particles.reduced import (
    Simplex,
    ValuesOnly,
    kappa,
    low_temperature_exponent,
    one_factor_cosine,
    two_factor_cosine,
)
from validation import Part
from validation.estimates import Estimate, columns
from validation.studies import l1_cosine_lemma as l1
from validation.studies import l2_kappa as l2
from validation.studies import l3_collapse as l3
from validation.studies import s1_simplex as s1
from validation.studies import s2_logistic_law as s2
from validation.studies import s3_simplex_bound as s3
from validation.studies import v1_values_only as v1
from validation.studies.shared import chains, cold

RNG = np.random.default_rng


def near(found, want, sigmas=4.0, more=0.0):
    return abs(found.value - want) < sigmas * found.error + more


def centred(controls):
    """Controls have mean zero.  What they assume of the heads they would hide when it is wrong."""
    return np.all(np.abs(controls.mean(axis=0)) < 4.5 * controls.std(axis=0) / math.sqrt(len(controls)))


def whole_heads(rng, d, head_dim, size):
    """A = W W'^T with all entries drawn, (size, d, d)."""
    left, right = rng.standard_normal((2, size, d, head_dim))
    return left @ np.swapaxes(right, 1, 2)


def directions(form, overlap):
    """Rows nrm(Ax), nrm(Ay), (size, 2, d)."""
    pair = np.zeros((form.shape[1], 2))
    pair[:2] = [[1.0, overlap], [0.0, math.sqrt(1 - overlap**2)]]
    moved = np.swapaxes(form @ pair, 1, 2)
    return pair.T, moved / np.linalg.norm(moved, axis=2, keepdims=True)


def test_means_over_chunks_are_as_good_as_those_of_one(monkeypatch):
    whole = l1.coefficient(RNG(25), 12, 12, 10_300)
    monkeypatch.setattr(cold, "CHUNK", 2500)
    monkeypatch.setattr(cold, "BLOCK", 30_000)
    values, errors = columns(l1.coefficient(RNG(26 + k), 12, 12, 10_300) for k in range(12))
    assert np.all(np.abs(errors / whole.error - 1) < 0.1)
    assert 0.5 < values.std(ddof=1) / whole.error < 1.7
    assert abs(values.mean() - l1.exact(12, 1)) < 4 * whole.error / math.sqrt(12)


@pytest.mark.parametrize(("d", "head_dim"), [(6, 6), (8, 3), (7, None)])
def test_cosines_have_the_law_of_whole_heads(d, head_dim):
    """Mean against the closed form, mean and variance against A drawn whole."""
    size, overlap = 60_000, 0.5
    short, controls = cold.cosines(RNG(1), overlap, d, head_dim, size)
    rng = RNG(2)
    form = rng.standard_normal((size, d, d)) if head_dim is None else whole_heads(rng, d, head_dim, size)
    whole = np.einsum("sd,sd->s", *np.swapaxes(directions(form, overlap)[1], 0, 1))
    want = float(one_factor_cosine(overlap, d) if head_dim is None else two_factor_cosine(overlap, d, head_dim))
    for power in (1, 2):
        gap = np.mean(short**power) - np.mean(whole**power)
        assert abs(gap) < 4 * np.hypot(np.std(short**power), np.std(whole**power)) / math.sqrt(size)
    assert abs(whole.mean() - want) < 4 * whole.std() / math.sqrt(size)
    assert centred(controls)


@pytest.mark.parametrize(("ratio", "want"), [(1, 0.9729), (4, None), (None, 0.5045)])
def test_the_cosine_coefficient_is_that_of_an_independent_program_and_not_one_half(ratio, want):
    d = 32
    found = l1.coefficient(RNG(3), d, None if ratio is None else d // ratio, 40_000)
    assert found.error < 0.06
    assert near(found, l1.exact(d, ratio))
    if want is not None:
        assert abs(l1.exact(d, ratio) - want) < 1e-4
    if ratio is not None:
        part = Part("", found.value, found.error, 0.5, 0.5 * (1 + ratio), bias=0.1 * ratio)
        wrong = Part("", found.value, found.error, 0.5, 0.5 * (1 + ratio) + 0.8, bias=0.05)
        assert (part.verdict, wrong.verdict) == ("corrected", "fails")


def test_one_layer_is_a_layer_with_whole_matrices():
    """Drift and square of one layer against V and A drawn whole; the mirrored layer has -V."""
    d, k, size, overlap = 6, 3, 80_000, 0.5
    rng = RNG(4)
    start, cosine = directions(whole_heads(rng, d, k, size), overlap)
    value = rng.standard_normal((size, d, d)) / math.sqrt(d)
    moves, rows = cosine @ np.swapaxes(value, 1, 2), []
    for sign in (1, -1):
        moved = start + sign * math.sqrt(cold.STEP) * moves
        rows.append(np.einsum("sd,sd->s", *np.swapaxes(moved, 0, 1)) / np.prod(np.linalg.norm(moved, axis=2), axis=1))
    drift = -d * (np.mean(rows, axis=0) - overlap) / (cold.STEP * overlap * (1 - overlap**2))
    square = d * np.mean((np.array(rows) - overlap) ** 2, axis=0) / (cold.STEP * (1 - overlap**2) ** 2)
    sample = cold.one_layer(RNG(5), overlap, d, k, size)
    for whole, short in zip((drift, square), sample.values.T, strict=True):
        assert abs(whole.mean() - short.mean()) < 4 * math.hypot(whole.std(), short.std()) / math.sqrt(size)
        assert abs(whole.std() / short.std() - 1) < 0.05
    assert centred(sample.controls)


@pytest.mark.parametrize("ratio", [1, 4, None])
def test_the_drift_coefficient_at_finite_d_and_its_verdict(ratio):
    d = 48
    head_dim = None if ratio is None else d // ratio
    drift, square = l2.layer(RNG(6), d, head_dim, 25_000)
    assert near(drift, l2.exact(d, ratio))
    assert abs(square.value - 2) < 0.1
    assert abs(l2.exact(4096, ratio) - kappa(4096, ratio and 4096 // ratio)) < 0.01
    part = Part("", drift.value, drift.error, 1.0, l2.exact(d, ratio), effect=0.4)
    assert part.verdict == "corrected"
    assert Part("", drift.value, drift.error, 1.0, effect=0.3).verdict == "fails"  # kappa = 1 is refused


def test_tangents_are_those_of_whole_heads():
    """|D nrm(Ax) w|^2 by difference quotients of nrm(Ax), and its mean J."""
    d, k, size, angle = 9, 7, 60_000, 1e-4
    turned, controls = l3.tangents(RNG(7), d, k, size)
    _, pair = directions(whole_heads(RNG(8), d, k, size), math.cos(angle))
    whole = np.sum((pair[:, 1] - pair[:, 0]) ** 2, axis=1) / angle**2
    want = (d - 1) * (k - 1) / ((d - 2) * (k - 2))
    for sample in (turned, whole):
        assert abs(sample.mean() - want) < 4 * sample.std() / math.sqrt(size)
    quantiles = np.linspace(0.1, 0.9, 9)
    assert np.abs(np.quantile(turned, quantiles) / np.quantile(whole, quantiles) - 1).max() < 0.03
    assert centred(controls)


def test_growth_is_that_of_two_near_tokens_in_a_layer():
    """The same V and A move a pair at distance 1e-5: log(1 - R) and the tangent grow alike, in mean and spread."""
    d, k, size, gap = 6, 6, 40_000, 1e-5
    rng = RNG(9)
    start, cosine = directions(whole_heads(rng, d, k, size), math.cos(gap))
    moves = cosine @ np.swapaxes(rng.standard_normal((size, d, d)) / math.sqrt(d), 1, 2)
    total = np.zeros(size)
    for sign in (1, -1):
        moved = start + sign * math.sqrt(cold.STEP) * moves
        moved /= np.linalg.norm(moved, axis=2, keepdims=True)
        distance = np.sum((moved[:, 1] - moved[:, 0]) ** 2, axis=1)
        total += 0.5 * np.log(distance / np.sum((start[1] - start[0]) ** 2))
    sample = l3.growth(RNG(10), d, k, size)
    whole, short = d * total / cold.STEP, sample.values[:, 0]
    assert centred(sample.controls)
    assert abs(whole.mean() - short.mean()) < 4 * math.hypot(whole.std(), short.std()) / math.sqrt(size)
    quantiles = np.linspace(0.1, 0.9, 9)
    assert np.abs(np.quantile(whole, quantiles) - np.quantile(short, quantiles)).max() < 0.05 * short.std()


def test_low_temperature_exponents_change_sign_with_head_dim():
    for head_dim, sign in ((16, -1), (7, 1)):
        found = l3.exponent(RNG(11), 16, head_dim, 60_000)
        want = 16 * low_temperature_exponent(16, head_dim)
        assert near(found, want)
        assert sign * want > 0
        assert Part("", found.value, found.error, -2.0, want).verdict == "corrected"
        assert Part("", found.value, found.error, -2.0, effect=1.0).verdict == "fails"
        assert Part("", found.value, found.error, -2.0, want + 1).verdict == "fails"


def test_the_drift_of_a_simplex_is_the_one_of_finite_d():
    """Value of an independent program: .21745(6); a head law off by a factor sqrt 2 is refused."""
    main = s1.CASES["main"]
    found = s1.drift(RNG(12), main, 20_000)
    assert near(found, 0.21745, more=3e-4)
    assert s1.compare("", main, found, 0, 50_000).verdict == "corrected"
    wrong = s1.compare("", replace(main, sigma_a=2**0.5 * main.sigma_a), found, 0, 50_000)
    assert wrong.verdict == "fails"
    assert centred(s1.layers(RNG(22), main, 20_000).controls)
    start = chains.equiangular(4, 8, 0.3)
    assert np.abs(start @ start.T - (0.3 + 0.7 * np.eye(4))).max() < 1e-14


def test_the_shortfall_of_a_simplex_is_exact_in_d():
    simplex = Simplex(8, 3, 0.0, 0.5, 8, 0.4)  # beta = 0: f = h = 1/n
    found = s1.shortfall(RNG(13), simplex, 4000)
    finite, infinite = simplex.drift(1 / 3, 1 / 3)
    assert near(found, float(infinite - finite))
    assert 8 * found.error < abs(infinite - finite)


def test_the_logistic_law_and_its_deviation():
    chain = [s2.limit_chain(0.25, 2 / n, n)[-1] - 0.25 / (0.25 + 0.75 * math.exp(-2)) for n in (100, 200)]
    assert abs(chain[0] / chain[1] - 2) < 0.05  # first order in h
    (small, path), (large, wide) = (s2.deviation(RNG(14), d, 1000) for d in (32, 128))
    ratio = small.value / large.value
    assert 3 < ratio < 5  # 4
    assert 1.7 < path.value / wide.value < 2.3  # 2
    assert small.value < -8 * small.error
    assert near(Estimate(float(np.mean(s2.paths(RNG(15), 32, 2000)[1])), 2 * path.value / math.sqrt(2000)), 0.0, 5)


def test_the_deviation_of_one_step_is_the_exact_drift():
    start = chains.equiangular(4, 6, 0.2)
    found = s2.first_step(RNG(16), start, 20_000)
    w = (1 + 3 * 0.2) / 4
    square = (4 + 12 * 0.04) / 16  # tr Sigma^2
    exact = w / 6 * (5 * (1 - w) - (1 - square))
    assert near(found, exact)
    assert centred(s2.one_layer(RNG(23), start, 20_000).controls)
    assert Part("", found.value, found.error, w * (1 - w), exact).verdict == "corrected"


def test_barycentres_of_two_tokens_are_those_of_softmax():
    x, y = (v[:, None] for v in np.linalg.qr(RNG(17).standard_normal((4, 2)))[0].T)
    y = 0.3 * x + math.sqrt(1 - 0.09) * y
    points = np.concatenate([x, y], axis=1).T
    want = Softmax(1.7).barycenter(points, Tokens(points), np.eye(4), np.eye(4))
    assert np.abs(np.concatenate(v1.averages(x, y, 1.7), axis=1).T - want).max() < 1e-14


def test_probabilities_to_end_opposite(monkeypatch):
    law = v1.START["d4"]
    fine, coarse = v1.endings(RNG(18), law, 1200)
    assert not np.isnan(fine + coarse).any()
    error = math.sqrt(0.18 * 0.82 / 1200)
    assert abs(fine.mean() - 0.18113843) < 4 * error + 0.01  # an independent quadrature; h = 0.05
    assert abs(fine.mean() - law.antipodal_probability(0.3)) > 6 * error
    assert np.mean(fine != coarse) < 0.1  # coupled
    monkeypatch.setattr(v1, "LONGEST", 4.0)
    measured, bias = v1.antipodal(RNG(19), law, 100)
    assert bias > 1  # given up: nothing is known
    assert Part("", measured.value, measured.error, 0.18, bias=bias, effect=0.025).verdict == "undecided"


def test_the_antipodal_exponent_and_its_zero():
    for d, beta in ((5, 0.7), (8, 1.5)):
        law = ValuesOnly(d, beta)
        assert near(v1.exponent(RNG(20), law, 20_000), law.antipodal_exponent)
        assert centred(v1.one_layer(RNG(24), law, 20_000).controls)
    part, betas, values, errors = v1.critical(RNG(21), 4, 20_000)
    assert np.all(np.diff(values) < 0)
    assert part.verdict == "holds"
    wrong = Part("", part.estimate, part.error, 0.5 * math.acosh(3.0), bias=part.bias, effect=0.1)  # d - 1 for d - 2
    assert wrong.verdict == "fails"
    assert betas.shape == errors.shape


def test_deviations_of_a_simplex_are_those_of_whole_matrices():
    """Layers drawn through Gram matrices against V, W, W' drawn whole: mean and spread of the largest deviation."""
    law, steps, size = s3.simplex(3, 6), 4, 1500
    short = s3.deviations(RNG(30), law, lambda time: 0.2, size, steps)
    rng, state = RNG(31), np.broadcast_to(chains.equiangular(3, 6, 0.2), (size, 3, 6)).copy()
    most = np.zeros(size)
    for _ in range(steps):
        query, key = law.sigma_a * rng.standard_normal((2, size, 6, 6))
        value = rng.standard_normal((size, 6, 6)) / math.sqrt(6)
        state = state + math.sqrt(1 / steps) * chains.attend(state, query, key, s3.BETA) @ np.swapaxes(value, 1, 2)
        state /= np.linalg.norm(state, axis=2, keepdims=True)
        overlaps = np.einsum("rid,rjd->rij", state, state)[:, *np.triu_indices(3, 1)]
        most = np.maximum(most, np.abs(overlaps - 0.2).max(axis=1))
    assert abs(short.mean() - most.mean()) < 4 * math.hypot(short.std(), most.std()) / math.sqrt(size)
    assert abs(short.std() / most.std() - 1) < 0.1


def test_the_simplex_equation_is_the_one_of_its_drift():
    found = s3.expected(s3.simplex(4, 16), 20_000, 0)
    drift = s3.simplex(4, 16).statistics(samples=20_000, seed=0).drift_infinite_d.value
    assert abs(float(found(1e-3)) - s3.START - 1e-3 * drift) < 1e-5
    assert s3.START < float(found(1.0)) < 1
