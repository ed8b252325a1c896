"""Reproductions of outside numbers: each formula against a second way, and the committed page against its results."""

import json
from pathlib import Path

import numpy as np
import pytest

from docs.reproductions import ORDER, page
from particles import Ballistic, FixedHeads, Noise, RandomTransformer, RungeKutta4, Softmax, Tokens, simulate
from validation.estimates import half_unit
from validation.reproductions import REPRODUCTIONS, Row, networks, transitions
from validation.reproductions import metastability as meta
from validation.reproductions import phase_diagram as phases
from validation.reproductions import random_energy as energy
from validation.reproductions import softmax_moments as moments

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng
EYE = np.eye(2)[None]


@pytest.fixture(scope="module")
def results():
    return json.loads((ROOT / "docs" / "reproductions.json").read_text(encoding="utf-8"))


# --- the rule


@pytest.mark.parametrize(("printed", "half"), [("2", 0.5), ("0.4290", 5e-5), ("-15.248", 5e-4), ("4.0", 0.05)])
def test_half_a_unit_of_the_last_digit(printed, half):
    assert half_unit(printed) == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize(
    ("row", "same", "explained", "verdict"),
    [
        (Row("x", "0.25", 0.2549), True, False, "same"),
        (Row("x", "0.25", 0.2551), False, False, "differs"),
        (Row("x", "0.25", 0.2651, 0.004), True, False, "same"),
        (Row("x", "0.25", 0.2651, reading=0.02), True, False, "same"),
        (Row("x", "0.25", 0.30, reason="of their step", their_way=0.254), False, True, "differs because of their step"),
        (Row("x", "0.25", 0.30, 0.001, reason="of that", their_way=0.26), False, False, "differs because of that"),
        (Row("x", "0.25", 0.30, reason="of that", their_way=0.26, way_error=0.002), False, True,
         "differs because of that"),
        (Row("x", "", 0.30, their_way=0.3), None, False, "they print no number"),
        (Row("x", "0.25", float("nan")), False, False, "differs"),
    ],
)  # fmt: skip
def test_the_rule_of_a_row(row, same, explained, verdict):
    assert (row.same, row.explained, row.verdict) == (same, explained, verdict)
    assert row.as_json()["same"] is same


def test_infinity_is_no_printed_number():
    with pytest.raises(ValueError, match="finite"):
        half_unit("Infinity")


# --- transitions


def test_the_nematic_fold_is_the_least_alpha_and_not_the_one_in_print():
    fold, lost, transition, order = transitions.maier_saupe(True, 0)
    assert fold.ours == pytest.approx(transitions.least_alpha(), rel=1e-11)
    assert not fold.same
    assert fold.ours > 6.73148
    assert all(row.same for row in (lost, transition, order))


def test_kuramoto_and_onsager_are_those_in_print():
    for name in ("kuramoto", "onsager"):
        rows = REPRODUCTIONS[name].run(True, 0)
        assert [row.what for row in rows if not row.same] == []


def test_rods_are_degree_by_degree_those_of_the_sine():
    found = np.array(transitions.excluded().coefficients)
    assert found[:5] == pytest.approx([-2.0, 0.0, 1.25, 0.0, 9 / 32], abs=1e-12)
    values = np.polynomial.legendre.legval(np.array([-0.3, 0.0, 0.6]), found)
    assert values == pytest.approx(-8 / np.pi * np.sqrt(1 - np.array([0.3, 0.0, 0.6]) ** 2), abs=1e-2)


def test_the_attention_transition_has_their_threshold_and_their_beta():
    rows = transitions.attention(True, 0)
    assert len(rows) == 6
    assert all(row.same for row in rows)
    assert transitions.turning_beta(3) == pytest.approx(transitions.their_beta(3), abs=1e-6)


def test_a_first_order_transition_lies_below_the_loss_of_the_uniform_law():
    w = transitions.kuramoto_daido(0.9)
    assert transitions.critical(w) < 0.999


# --- metastability


def test_the_chain_of_the_library_meets_when_the_demonstration_does():
    steps = meta.chain(10.0)
    assert meta.first_step(steps, (0, 1)) == pytest.approx(5.4)
    assert meta.first_step(steps, (2, 3)) == pytest.approx(9.7)
    assert np.isnan(meta.first_step(steps, (1, 2)))


def test_the_flow_in_angles_is_that_of_the_library():
    law = Ballistic(FixedHeads(EYE, EYE, EYE), Softmax(meta.BETA), 0.05, 1, Noise(0), scheme=RungeKutta4())
    points = simulate(Tokens(np.array(meta.START)), law, n_steps=20, save_every=20).tokens.values[-1]
    angle = meta.course(meta.ballistic, 1.0)[1]
    assert np.abs(np.column_stack([np.cos(angle), np.sin(angle)]) - points).max() < 1e-6


def test_clusters_meet_later_with_the_long_step_and_the_corrector_says_by_how_much():
    (flow, end), (said, _) = meta.course(meta.ballistic), meta.course(meta.corrected)
    assert flow["the two clusters"] == pytest.approx(332.1657, abs=1e-3)
    assert end == pytest.approx(np.full(5, 1.8378871), abs=1e-6)
    assert said["the first pair"] == pytest.approx(5.365, abs=2e-3)
    assert abs(said["the two clusters"] - 368.1) < 0.15 * abs(flow["the two clusters"] - 368.1)


# --- phase diagram


def test_a_push_of_the_phase_diagram_is_a_layer_of_the_library():
    angle = 2 * np.pi * RNG(0).random((3, 7))
    clouds = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    law = RandomTransformer(FixedHeads(EYE, EYE, EYE), Softmax(5.0), 0.1, 1, Noise(0))
    for cloud, pushed in zip(clouds, phases.pushed(clouds, 5.0, 0.1), strict=True):
        assert simulate(Tokens(cloud), law, n_steps=1, save_every=1).tokens.values[-1] == pytest.approx(
            pushed, abs=1e-13
        )


def test_shares_count_pairs():
    clouds = np.array([[[1.0, 0.0]] * 4, [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    assert phases.share(clouds) == pytest.approx([1.0, 2 / 12])


# --- moments of softmax


def test_the_exact_variance_is_that_of_samples():
    n, s, rows = 300, 1.0, 20_000
    x = np.exp(s * RNG(1).standard_normal((rows, n)))
    squares = np.sum((x / x.sum(axis=1, keepdims=True)) ** 2, axis=1)
    error = squares.std() / np.sqrt(rows) / n
    assert abs(squares.mean() / n - 1 / n**2 - moments.exact(n, s)) < 4 * error
    assert moments.noise(RNG(2), n, s, 2000) == pytest.approx(error / moments.exact(n, s) * np.sqrt(2), rel=0.15)


def test_both_forms_hold_for_many_scores_and_are_told_apart_for_few():
    assert moments.exact(10_000, 0.5) == pytest.approx(moments.simple(10_000, 0.5), rel=1e-3)
    few = {(300, 1.0): moments.exact(300, 1.0)}
    assert moments.ratios("simple", few) == pytest.approx([1.037975], abs=1e-5)
    assert moments.ratios("full", few) == pytest.approx([1.054920], abs=1e-5)


def test_percentiles_stand_where_they_take_them_and_samples_widen_them():
    ratio = 1 + np.linspace(0, 0.1, 101)
    assert moments.percentiles(ratio - 1) == pytest.approx([5.0, 9.0, 9.9])
    same, spread = moments.found_by_sampling(RNG(3), ratio, np.zeros(101))
    assert same == pytest.approx([5.0, 9.0, 9.9])
    assert spread == pytest.approx(np.zeros(3), abs=1e-12)
    assert moments.found_by_sampling(RNG(3), ratio, np.full(101, 0.2))[0][2] > 20


# --- fifty layers


@pytest.mark.parametrize("beta", energy.LINES)
def test_the_map_is_the_line_of_the_figure(beta):
    course = energy.limit_course(beta)
    for layer, theirs in energy.LINES[beta]:
        assert 0.5 * (course[int(layer)] + course[int(layer) + 1]) == pytest.approx(float(theirs), abs=energy.READING)


def test_attention_of_many_scores_goes_to_the_random_energy_model():
    f, h = energy.finite(RNG(4), 0.1, 0.4, 512)
    assert (f, h) == pytest.approx((0.0048, 0.0021), abs=3e-4)  # e^{s^2}/n and e^{s^2 p}/n, s^2 = 0.9 beta^2 log n
    assert energy.limit(0.1, 0.4) == (0.0, 0.0)
    assert energy.limit(0.1, 3.0)[0] == pytest.approx(1 - np.sqrt(2 / 0.9) / 3)
    assert energy.block(1.0, 0.3, 0.3) == pytest.approx(1.0)


def test_networks_follow_the_map_of_as_many_scores():
    beta, n, layers = 3.0, 48, 8
    drawn = np.array([energy.network(RNG(seed), beta, n, 400, layers) for seed in range(16)])[:, layers]
    expected = energy.finite_course(RNG(5), beta, n)[layers]
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 4
    assert abs(drawn.mean() - energy.limit_course(beta)[layers]) > 4 * drawn.std() / 4


def test_images_have_the_covariance_of_a_matrix():
    x = energy.normed(RNG(6).standard_normal((3, 40)))
    drawn = np.concatenate([energy.images(RNG([7, k]), x, 0.2, 4e-4) for k in range(400)], axis=1)
    assert drawn @ drawn.T / drawn.shape[1] == pytest.approx(0.2 * x @ x.T / 40 + 4e-4, abs=0.008)


# --- exponents and networks


def test_exponents_are_those_of_the_table():
    assert all(row.same for row in REPRODUCTIONS["exponents"].run(True, 0))


def test_networks_of_the_library_agree_where_their_file_says_so():
    found = json.loads((ROOT / "tests" / "data" / "networks_library.json").read_text(encoding="utf-8"))
    rows = networks.rows(found)
    assert len(rows) == 12
    assert all(row.same for row in rows)
    found["rows"][0]["overlap"]["chain"][-1] += 0.1
    assert not networks.rows(found)[0].same


# --- the page


def test_the_page_is_that_of_the_results(results):
    assert list(results) == list(ORDER)
    assert (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8") == page(results)


@pytest.mark.parametrize("name", ["maier-saupe", "kuramoto", "onsager", "exponents"])
def test_the_results_are_those_of_the_code(results, name):
    rows = [row.as_json() for row in REPRODUCTIONS[name].run(False, 0)]
    assert len(rows) == len(results[name]["rows"])
    for row, stored in zip(rows, results[name]["rows"], strict=True):
        assert stored | {"ours": None, "bias": None} == row | {"ours": None, "bias": None}
        assert stored["ours"] == pytest.approx(row["ours"], rel=1e-7)


def test_the_printed_numbers_of_the_results_are_those_of_the_code(results):
    stored = {row["what"]: row["theirs"] for entry in results.values() for row in entry["rows"]}
    for form, printed in moments.THEIRS.items():
        for p, theirs in zip(moments.PERCENTILES, printed, strict=True):
            assert stored[f"error of the {form} form, percentile {p}, in %"] == theirs
    for layer, theirs in energy.DOTS.items():
        assert stored[f"their networks, beta = 3, layer {layer}: random-energy map"] == theirs
