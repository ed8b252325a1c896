"""Studies D2 to D4, M1, M2, C1, C2, T1, T2 on small sizes: estimators against known values, and against wrong laws."""

from dataclasses import replace

import numpy as np
import pytest

from particles import (
    Ballistic,
    Euler,
    FixedHeads,
    Gaussian,
    GaussianClosure,
    Modified,
    Noise,
    Softmax,
    Tokens,
    simulate,
)
from particles.arrays import unit
from particles.reduced import angle_exponent, mean_exponent
from particles.retraction import geodesic, normalize
from validation import Part
from validation.estimates import columns, slope
from validation.studies import c1_gaussian_closures as c1
from validation.studies import c2_blow_up as c2
from validation.studies import c3_low_rank as c3
from validation.studies import d2_modified_equation as d2
from validation.studies import d3_ballistic_limit as d3
from validation.studies import d4_drift as d4
from validation.studies import m1_synchronisation as m1
from validation.studies import m2_odd_kernels as m2
from validation.studies import t1_low_temperature as t1
from validation.studies import t2_depth_and_heads as t2
from validation.studies.shared import chains, gaussian, two_forms
from validation.studies.shared.chains import attend
from validation.studies.shared.mlp_pairs import Block

RNG = np.random.default_rng


def test_averages_of_one_form_are_those_of_heads():
    state = unit(RNG(0).standard_normal((4, 3, 3)))
    form = RNG(1).standard_normal((3, 3))
    whole = attend(state, np.broadcast_to(form, (4, 3, 3)), np.broadcast_to(np.eye(3), (4, 3, 3)), 1.3)
    assert np.abs(chains.averages(state, form, 1.3) - whole).max() < 1e-14


def test_one_step_of_the_equation_has_the_mean_and_covariance_of_one_head():
    """Against heads drawn whole: the mean of (T(x) - x), and its covariance, of a chain that normalises."""
    case = replace(two_forms.CASE, sigma_v=0.7, eps=0.01, n_heads=1)
    size, eps = 40_000, 0.01
    chain = case.run(RNG(2), size, (1,))[1]
    start = np.broadcast_to(case.start, (size, 2, 3))
    noise = np.sqrt(eps) * RNG(3).standard_normal((size, 19))
    flow = two_forms.equation_step(case, start, eps, noise, 1.0)
    one, other = ((x - start).reshape(size, -1) for x in (chain, flow))
    spread = np.sqrt(one.var(axis=0) + other.var(axis=0)) / np.sqrt(size)
    assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4.5 * spread + 1e-5)
    assert np.abs(np.cov(one.T) - np.cov(other.T)).max() < 0.04 * np.cov(one.T).max()


def test_controls_have_mean_zero():
    for steps in (RNG(4).standard_normal((8, 20_000)), RNG(5).choice([-1.0, 1.0], (8, 20_000))):
        table = two_forms.controls(list(steps))
        assert np.all(np.abs(table.mean(axis=0)) < 4.5 * table.std(axis=0) / np.sqrt(20_000))


def test_the_drift_of_normalising_chains_is_seen_and_its_absence_too():
    case = replace(two_forms.CASE, eps=1 / 16, n_heads=4)
    found = d4.ratio(case, RNG(6), 10_000, batch=2500)
    part = Part("", found.value, found.error, 0.0, 1.0, bias=0.1)
    assert part.verdict == "corrected"
    wrong = Part("", found.value, found.error, 0.0, 2.0, bias=0.1)  # a factor of two in the term
    assert wrong.verdict == "fails"


def test_the_corrector_of_a_chain_depends_on_its_retraction():
    heads, start = chains.fixed_heads(2), unit(RNG(5).standard_normal((5, 3)))
    coarse, fine = (d4.corrector_share(heads, eta, start) for eta in (1 / 16, 1 / 32))
    assert abs(2 * fine - coarse - 1) < 0.02
    geodesic_chain = d4.corrector_share(heads, 1 / 32, start, geodesic)  # as the equation without the term
    assert abs(geodesic_chain) < 0.1


def test_errors_of_the_ballistic_limit_are_of_first_order():
    eta = 2.0 ** -np.arange(4, 7)
    gaps = d3.distances(chains.fixed_heads(1), eta)
    fit = slope(eta, gaps)
    assert Part("", fit.value, fit.error, 2.0, 1.0, bias=0.1).verdict == "corrected"
    assert Part("", fit.value, fit.error, 1.5, 0.5, bias=0.1).verdict == "fails"


def test_the_mean_of_chains_leaves_the_ballistic_limit_only_with_noise():
    law = replace(d3.CASE, eps=1 / 16, n_heads=8)
    found = d3.excess(law, RNG(7), 5000, batch=2500)
    assert abs(found.value) > 8 * found.error
    still = replace(law, sigma_v=0.0, mean_v=np.zeros((3, 3)))
    assert abs(d3.excess(still, RNG(8), 100, batch=50).value) < 1e-12


def test_errors_of_the_modified_equation():
    heads = chains.fixed_heads(1)
    eta = np.array([1 / 8, 1 / 16, 1 / 32])
    whole, short = (np.array([d2.errors(heads, e, kind) for e in eta]) for kind in (normalize, geodesic))
    for gaps, want in ((whole[:, 0], 2.0), (whole[:, 1], 1.0), (short[:, 0], 1.0)):
        fit = slope(eta, gaps)
        assert abs(fit.value - want) < 0.15
        assert Part("", fit.value, fit.error, 3 - want, bias=0.15, effect=0.8).verdict == "fails"


@pytest.mark.parametrize("name, retraction", [("full", normalize), ("short", geodesic)])
def test_corrector_of_the_means_is_that_of_the_modified_law(name, retraction):
    forms = FixedHeads(np.stack([two_forms.MEAN] * 2), two_forms.FORMS, np.stack([np.eye(3)] * 2))
    dt, eta = 1e-3, 0.25

    def velocity(eta):
        law = Modified(forms, Softmax(two_forms.CASE.beta), dt, eta, 0.0, 1, Noise(0), retraction=retraction)
        moved = simulate(Tokens(two_forms.CASE.start), law, n_steps=1).tokens.values
        return (moved[1] - moved[0]) / dt

    state = two_forms.CASE.start[None]
    found = d2.corrector(two_forms.CASE, eta, state, d2.CORRECTORS[name])[0]
    wanted = (velocity(2 * eta) - velocity(eta))
    assert np.abs(found - wanted).max() < 5 * dt * np.abs(wanted).max()
    short = d2.corrector(two_forms.CASE, eta, state, 1 - d2.CORRECTORS[name])[0]
    assert np.abs(short - wanted).max() > 0.1 * np.abs(wanted).max()


def test_mean_of_random_chains_is_of_second_order_with_the_corrector():
    full, short = d2.mean_gaps(0.125, RNG(18), 5000)
    assert abs(full.value) < 0.3 * abs(short.value)
    assert abs(short.value) > 20 * short.error


@pytest.mark.parametrize("block", [Block("relu", 5, 0.1, 0.1), Block("tanh", 4), Block("erf", 6, 0.3, 0.2, width=3)])
def test_fields_have_the_exact_kernel(block):
    size, overlap = 60_000, 0.3
    here, change, _ = block.fields(RNG(9), np.full(size, 1 - overlap))
    for values, want in (
        (np.sum(here**2, axis=1), block.kernel.value(1.0)),
        (np.sum(here * (here + change), axis=1), block.kernel.value(overlap)),
        (np.sum((here + change) ** 2, axis=1), block.kernel.value(1.0)),
    ):
        assert abs(values.mean() / block.d - float(want)) < 4 * values.std() / block.d / np.sqrt(size)


def test_a_layer_of_pairs_is_the_layer_of_their_vectors():
    block, gap = Block("tanh", 4), np.array([0.5, 1.0, 1.9])
    here, change, move = block.fields(RNG(10), gap)
    x = np.eye(4)[0] + 0.3 * here
    y = np.eye(4)[0] + np.pad(move, ((0, 0), (0, 2))) + 0.3 * (here + change)
    want = 1 - np.sum(unit(x) * unit(y), axis=1)
    assert np.abs(block.layer(RNG(10), gap, 0.09)[0] - want).max() < 1e-14


def test_exponents_are_the_closed_forms_and_not_those_of_another_dimension():
    block = Block("tanh", 8, 0.1, 0.1)
    first, mean = m1.exponents(RNG(11), block, 40_000)
    for found, exact in ((first, angle_exponent), (mean, mean_exponent)):
        value = exact(block.kernel)
        assert found.error < 0.05 * abs(value)  # not so without the mirrored layer
        assert abs(found.value - value) < 4 * found.error + 1e-3
        wrong = exact(replace(block, d=6).kernel)
        assert Part("", found.value, found.error, wrong, effect=abs(value)).verdict != "holds"


def test_relu_synchronises_although_its_mean_exponent_is_positive():
    assert mean_exponent(m1.BARE.kernel) > 0.1
    assert angle_exponent(m1.BARE.kernel) < -0.05


def test_odd_blocks_keep_opposite_pairs_and_others_do_not():
    for name, kept in (("tanh", True), ("relu", False)):
        gap = np.full(200, 2.0 - 1e-9)
        for _ in range(20):
            gap = Block(name, 4).layer(RNG(12), gap, 0.05)[0]
        assert np.isfinite(gap).all()
        assert bool(np.median(2 - gap) < 1e-6) is kept


def test_pairs_on_the_way_arrive_as_a_geometric_series_says():
    """A hazard of 0.8 at equal times; and pairs a tenth of which never arrive."""
    rng = RNG(18)
    for stuck in (0.0, 0.1):
        alive, never, gaps = np.ones(20_000, bool), rng.random(20_000) < stuck, []
        for _ in range(3):
            alive &= rng.random(20_000) < 0.2
            gaps.append(np.where(alive | never, 0.5, 1e-4))
        found = m2.arrived(np.array(gaps))
        assert abs(found.value - (1 - stuck)) < 4 * found.error
        assert found.error < 0.01
        last = float(np.mean(gaps[-1] < 0.01))
        assert found.bias == pytest.approx(found.value - last, abs=1e-12)


@pytest.mark.parametrize("name", gaussian.KINDS)
def test_tokens_follow_their_closure_and_not_another(name):
    closure = GaussianClosure(gaussian.KINDS[name], c1.VALUE, c1.QUERY, c1.KEY)
    wrong = GaussianClosure(gaussian.KINDS[name], 0.5 * c1.VALUE, c1.QUERY, c1.KEY)
    for law, verdict in ((closure, "holds"), (wrong, "fails")):
        gap, ratio = c1.compare(gaussian.KINDS[name], law, RNG(13), 100, 12)
        assert (gap.value < 0.2) is (law is closure)
        assert Part("", ratio.value, ratio.error, 1.0, bias=0.03, effect=0.3).verdict == verdict


def test_blow_up_of_equations_and_of_tokens():
    law, form = c2.case(RNG(14), 2)
    exact = c2.formula(law, form)
    assert abs(c2.integrated(law, form) / exact - 1) < 1e-8
    found = c2.by_tokens(law, form, 0.4 * exact)
    assert abs(found / exact - 1) < 2e-3
    assert Part("", found / c2.formula(law, form, 2.0), 0.0, 1.0, bias=0.002, effect=0.05).verdict == "fails"


def test_hermite_tokens_have_the_moments_of_their_law():
    law = Gaussian(np.array([0.3, -1.0]), np.array([[0.8, 0.2], [0.2, 0.5]]))
    tokens = gaussian.hermite_tokens(law, 6)
    assert np.abs(tokens.mean - law.mean).max() < 1e-13
    assert np.abs(tokens.covariance - law.covariance).max() < 1e-13


def test_covariances_lose_the_rank_of_the_form():
    law, key = c3.case(RNG(16), 2, 1)
    found, wanted = c3.covariances_of(law, key, c3.STEP), c3.by_formula(law, key)
    assert np.abs(found / wanted - 1).max() < 1e-5
    assert np.abs(c3.covariances_of(law, 1.1 * key, c3.STEP) / wanted - 1).max() > 0.05
    assert abs(c3.of_equations(law, key) - 1) < 1e-8
    late = np.linalg.inv(np.linalg.inv(law.covariance) + 1e9 * key.T @ key)
    assert np.abs(late - c3.limit(law, key)).max() < 1e-8


@pytest.mark.parametrize("name", gaussian.KINDS)
def test_rank_of_the_form_many_eigenvalues_vanish_like_one_over_t(name):
    law, key = c3.case(RNG(17), 3, 2)
    found, left = c3.powers(gaussian.KINDS[name], law, key)
    assert np.abs(found - [-1, -1, 0]).max() < 1e-3
    assert np.all(np.abs(found - [-1, -1, 0]) < left.max())
    still = c3.powers(gaussian.KINDS[name], law, 1e-4 * key)  # hardly anything moves: the slope is that of the form
    assert np.abs(still).max() < 0.01


def test_limits_are_extrapolated_exactly_from_one_pole():
    times = np.array([1.0, 4.0, 6.0, 8.0])
    assert c3.extrapolated(2 + 3 / (times + 0.7)) == pytest.approx(2, abs=1e-12)


def test_distance_at_low_temperature_falls_like_one_over_beta():
    betas = np.array([20.0, 40.0, 80.0])
    gaps = t1.distances(t1.density_on_circle(300), betas)
    published = slope(betas, np.sqrt(np.log(betas + 1) / betas)).value
    fit = slope(betas, gaps)
    assert Part("", fit.value, fit.error, published, -1.0, bias=0.05).verdict == "corrected"
    assert Part("", fit.value, fit.error, published, -2.0, bias=0.05).verdict == "fails"


def test_many_chains_at_once_are_the_transformer():
    rng = RNG(15)
    quick = t2.fresh_error(2, 4, 3000, rng)
    whole = t2.head_error(2, 4, 100, 0)
    assert abs(quick.value - whole.value) < 4 * np.hypot(quick.error, whole.error)
    fewer = t2.fresh_error(2, 2, 3000, rng)  # the root of 2 larger
    assert abs(fewer.value - whole.value) > 5 * whole.error


def test_heads_drawn_anew_average_over_depth_and_curves_do_not():
    layers = np.array([32, 64, 128])
    values, errors = columns(t2.fresh_error(int(n), 8, 200, RNG(16)) for n in layers)
    fit = slope(layers, values, errors)
    assert abs(fit.value + 0.5) < 4 * fit.error + 0.03
    one, other = t2.head_error(1, 4, 100, 0, curves=True), t2.fresh_error(1, 4, 2000, RNG(17))  # alike in one layer
    assert abs(one.value - other.value) < 4 * np.hypot(one.error, other.error)
    coarse, fine = (t2.head_error(n, 4, 15, 0, curves=True) for n in (8, 32))
    assert abs(coarse.value / fine.value - 1) < 0.2


def test_depth_error_is_of_first_order():
    found = t2.depth_error(np.array([8, 16, 32]), 256, 2, 0)
    assert found.shape == (2, 3)
    rates = found[:, :-1] / found[:, 1:]
    assert np.all((rates > 1.6) & (rates < 2.7))


def test_limit_overlap_is_that_of_many_small_layers():
    heads = FixedHeads(
        np.stack([d3.CASE.mean_v] * 2), two_forms.FORMS, np.stack([np.eye(3)] * 2)
    )
    law = Ballistic(heads, Softmax(d3.CASE.beta), 1 / 2048, 1, Noise(0), scheme=Euler())
    fine = chains.end(law, d3.CASE.start, 0.5)
    w = float(np.sum(fine.mean(axis=0) ** 2))
    assert abs(d3.limit_overlap(d3.CASE) - w) < 2e-3
    assert d3.CASE.beta == 1.0
