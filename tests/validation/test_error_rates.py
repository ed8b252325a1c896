"""How often the rule errs, on a few of the simulated claims of docs/measure_verdicts.py."""

import pytest

from docs.measure_verdicts import CORRECTED, KINDS, NEITHER, PREDICTED, rates, wrong
from validation import Verdict

TRIALS = 150


@pytest.mark.parametrize("name", [name for name in KINDS if "not done" not in name])
def test_the_rule_rarely_errs(name):
    """False verdicts are rare whatever the data; the right one is the most frequent that is not undecided."""
    found = rates(KINDS[name], TRIALS)
    assert max(wrong(found)) < 0.04
    for truth, right in ((PREDICTED, Verdict.HOLDS), (NEITHER, Verdict.FAILS), (CORRECTED, Verdict.CORRECTED)):
        assert found[truth][right] > 0.6


def test_normal_quantiles_for_few_numbers_err_and_t_quantiles_do_not():
    few = rates(KINDS["mean of 6 numbers, normal quantiles (not done)"], 2000)
    assert max(wrong(few)) > 0.001
    assert max(wrong(rates(KINDS["mean of 6 numbers, t quantiles"], 500))) == 0
