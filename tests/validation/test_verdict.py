"""The rule of verdicts on synthetic data: true, corrected, false and undecided cases."""

import numpy as np
import pytest

from validation.verdict import Figure, Findings, Part, Second, Verdict, together


def part(estimate, error, predicted=1.0, **more):
    return Part("a number", estimate, error, predicted, **more)


@pytest.mark.parametrize(
    ("estimate", "error", "more", "want"),
    [
        (1.02, 0.01, {"effect": 0.1}, "holds"),
        (1.02, 0.01, {"corrected": 2.0}, "holds"),
        (1.98, 0.01, {"corrected": 2.0}, "corrected"),
        (1.5, 0.01, {"corrected": 2.0}, "fails"),
        (1.5, 0.01, {"effect": 0.1}, "fails"),
        (1.04, 0.01, {"effect": 0.1}, "undecided"),  # between near and far
        (1.02, 0.1, {"effect": 0.1}, "undecided"),  # near, but nothing could have been seen
        (1.5, 0.3, {"corrected": 2.0}, "undecided"),  # near to both
        (1.94, 0.05, {"corrected": 2.0}, "corrected"),
        (1.94, 0.1, {"corrected": 2.0}, "undecided"),  # near to one, far from the other, but not from their middle
        (1.06, 0.1, {"corrected": 2.0}, "undecided"),
        (1.96, 0.01, {"corrected": 2.0}, "undecided"),  # far from one, neither near to nor far from the other
        (1.04, 0.0, {"effect": 0.1, "bias": 0.05}, "holds"),
        (1.02, 0.01, {"effect": 0.06}, "undecided"),  # near, but not far from what the claim excludes
        (1.02, 0.01, {"excludes": {"twice as fast": 2.0}}, "holds"),
        (1.02, 0.2, {"excludes": {"twice as fast": 2.0}}, "undecided"),
        (1.02, 0.01, {"excludes": {"twice as fast": 2.0, "hardly faster": 1.06}}, "undecided"),
        (1.2, 0.0, {"effect": 0.1, "bias": 0.05}, "fails"),
        (1.04, 0.0, {"effect": 0.01, "bias": 0.05}, "undecided"),
        (0.2, 0.01, {"effect": 0.1, "at_most": True}, "holds"),
        (1.2, 0.01, {"effect": 0.1, "at_most": True}, "fails"),
        (0.2, 0.1, {"effect": 0.1, "at_most": True}, "holds"),  # far below the bound: all above is excluded
        (0.9, 0.1, {"effect": 0.1, "at_most": True}, "undecided"),
        (1.98, 0.01, {"corrected": 2.0, "at_most": True}, "corrected"),
        (1.8, 0.01, {"effect": 0.1, "at_least": True}, "holds"),
        (0.8, 0.01, {"effect": 0.1, "at_least": True}, "fails"),
        (0.52, 0.01, {"corrected": 0.5, "at_least": True}, "corrected"),
        (1.02, 0.01, {"effect": 0.1, "freedom": 2}, "undecided"),  # an error known from three values
        (1.02, 0.01, {"effect": 0.1, "freedom": 60}, "holds"),
        (3.0, 0.01, {"effect": 0.1, "freedom": 2}, "undecided"),
        (1.02, 0.01, {"effect": 0.1, "fit": 1e-6}, "undecided"),  # the points refuse the fit
        (1.02, 0.01, {"effect": 0.1, "fit": 1e-3}, "holds"),
        (np.nan, 0.01, {"effect": 0.1}, "undecided"),
    ],
)
def test_the_rule(estimate, error, more, want):
    assert part(estimate, error, **more).verdict == want


def test_true_claims_rarely_fail_and_false_ones_rarely_hold():
    rng = np.random.default_rng(0)
    true = [part(1 + 0.01 * z, 0.01, effect=0.09).verdict for z in rng.standard_normal(20_000)]
    false = [part(1.09 + 0.01 * z, 0.01, effect=0.06).verdict for z in rng.standard_normal(20_000)]
    assert true.count(Verdict.FAILS) == 0
    assert true.count(Verdict.HOLDS) > 0.99 * len(true)
    assert false.count(Verdict.HOLDS) == 0
    assert false.count(Verdict.FAILS) > 0.99 * len(false)


@pytest.mark.parametrize(
    ("verdicts", "want"),
    [("HH", "holds"), ("HC", "corrected"), ("HU", "undecided"), ("CU", "undecided"), ("FUCH", "fails")],
)
def test_a_claim_is_as_good_as_its_worst_part(verdicts, want):
    make = {
        "H": part(1.0, 0.01, effect=0.1), "C": part(2.0, 0.01, corrected=2.0),
        "F": part(5.0, 0.01, effect=0.1), "U": part(1.0, 1.0, effect=0.1),
    }  # fmt: skip
    assert together({str(k): make[letter] for k, letter in enumerate(verdicts)}) == want


def test_results_hold_what_the_contract_says():
    findings = Findings({"main": part(1.98, 0.01, corrected=2.0)}, Figure("x", "y", ()), notes=("a note",))
    entry = findings.as_json("claim in words")
    for name, value in {
        "verdict": "corrected", "estimate": 1.98, "standard_error": 0.01, "predicted": 1.0, "corrected": 2.0,
        "text": "claim in words",
    }.items():  # fmt: skip
        assert entry[name] == value
    assert entry["parts"]["main"]["visible_deviation"] == pytest.approx(0.05)


def test_asides_decide_nothing_and_the_deciding_part_is_shown():
    parts = {
        "main": part(1.0, 0.01, effect=0.1),
        "wrong": part(1.98, 0.01, corrected=2.0),
        "aside": part(5.0, 0.01, effect=0.1, aside=True),
    }
    found = Findings(parts, Figure("x", "y", ()))
    entry = found.as_json("")
    assert found.verdict == "corrected"
    assert (found.deciding, entry["estimate"], entry["parts"]["aside"]["verdict"]) == ("wrong", 1.98, "fails")


def test_two_ways_that_disagree_leave_a_claim_undecided():
    parts = {"main": part(1.0, 0.01, effect=0.1)}
    for value, verdict in ((1.02, "holds"), (1.1, "undecided")):
        found = Findings(parts, Figure("x", "y", ()), second=Second(value, 0.005))
        assert found.verdict == verdict
        assert found.as_json("")["second"]["agrees"] == (verdict == "holds")


def test_senseless_parts_are_refused():
    for more, text in (
        ({}, "effect or excludes must be given"),
        ({"effect": 0.0}, "effect must be positive"),
        ({"corrected": 1.0}, "effect must be positive"),
        ({"effect": 0.1, "bias": -1.0}, "error and bias must be >= 0"),
        ({"effect": 0.1, "at_most": True, "at_least": True}, "not both"),
        ({"effect": 0.1, "freedom": 0.0}, "freedom must be positive"),
        ({"excludes": {"less": 0.5}, "at_most": True}, "effect must be positive"),  # a bound excludes what is beyond
    ):
        with pytest.raises(ValueError, match=text):
            part(1.0, 0.1, **more)
    with pytest.raises(ValueError, match="error and bias must be >= 0"):
        part(1.0, np.nan, effect=0.1)
