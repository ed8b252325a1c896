"""The overlap of two tokens as a chain and as a diffusion, and what D1 makes of errors of known order."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from particles.reduced import TwoTokens
from validation.estimates import control_mean
from validation.studies import d1_weak_error as d1
from validation.studies.shared import overlap_chain
from validation.studies.shared.chains import Ensemble, mean_overlap
from validation.studies.shared.overlap_chain import OverlapChain, products

RNG = np.random.default_rng
PULLED = OverlapChain(4, 1.5, 0.6, 0.9, 3, 0.8)


def test_the_generator_is_that_of_the_closed_form():
    chain, law = OverlapChain(5, 2.0, 5**-0.5, 0.8, 4), TwoTokens(5, 2.0, 0.8, 4)
    overlap = np.linspace(-0.95, 0.95, 9)
    turn, square = products(overlap, chain.covariance(overlap, 1.0), 5)
    assert np.abs(turn - law.drift(overlap)).max() < 1e-4
    assert np.abs(square - law.variance(overlap)).max() < 1e-4


def test_more_nodes_change_nothing_that_is_seen(monkeypatch):
    ends = []
    for nodes in (overlap_chain.NODES, 60):
        monkeypatch.setattr(overlap_chain, "NODES", nodes)
        chain = OverlapChain(3, 1.0, 3**-0.5, 1.0, 3)
        ends.append(float(chebyshev.chebval(d1.START, chain.backward(1.0, 0.8, 4)[-1])))
    assert abs(ends[0] - ends[1]) < 1e-7  # errors of chains are 3e-4 and more


def test_the_limit_is_where_chains_of_whole_matrices_go():
    """E w of chains of one token pair, all matrices drawn whole, at small eta, against the backward equation."""
    chain = OverlapChain(3, 1.0, 0.5, 1.0, 3, 1.0)
    start = np.array([[1.0, 0.0, 0.0], [-0.13, np.sqrt(1 - 0.13**2), 0.0]])
    whole = Ensemble(start, 1.0, 0.5, 1.0, 3, 1 / 64, 64, np.eye(3))
    w = mean_overlap(whole.run(RNG(0), 3000, (1,))[1])
    limit = float(chebyshev.chebval(-0.13, chain.backward(1 / 64, 1.0, 1)[-1]))
    assert abs(w.mean() + 0.126 / 64 - limit) < 4 * w.std() / 3000**0.5 + 1e-3


@pytest.mark.parametrize("heads", [1, 3])
def test_one_layer_has_the_moments_of_whole_matrices(heads):
    size, overlap, eta = 100_000, 0.2, 0.3
    start = np.eye(2, 4)
    start[1] = [overlap, np.sqrt(1 - overlap**2), 0, 0]
    whole = Ensemble(start, 1.5, 0.6, 0.9, 3, eta / heads, heads, 0.8 * np.eye(4))
    moved = whole.run(RNG(1), size, (heads,))[heads]
    want = np.einsum("ri,ri->r", moved[:, 0], moved[:, 1])
    found = PULLED.layer(RNG(2), np.full(size, overlap), eta, heads)[0]
    for power in (1, 2, 3):
        spread = np.hypot(np.std(found**power), np.std(want**power)) / size**0.5
        assert abs(np.mean(found**power) - np.mean(want**power)) < 4 * spread


@pytest.mark.parametrize(("chain", "eta"), [(PULLED, 0.25), (OverlapChain(3, 1.0, 0.6, 1.0, 3), 0.3)])
def test_controls_have_mean_zero_and_take_most_of_the_spread_away(chain, eta):
    values, controls = chain.weak_error(RNG(3), -0.1, eta, 2, 4, 40_000)
    assert np.all(np.abs(controls.mean(axis=0)) < 4 * controls.std(axis=0) / 200)
    assert control_mean(values, controls, 0.0).error < 0.35 * values.std() / 200


@pytest.mark.parametrize("name", ["drift", "centred"])
def test_errors_of_order_eta_and_of_order_eta_squared_over_heads_are_told_apart(name):
    """Synthetic errors of either order; the wrong one is refused, and noise of the study's size allowed for."""
    case = d1.CASES[name]
    places = [(float(h), float(n), case.eta(h, n)) for h, counts in case.layers.items() for n in counts]
    heads, layers, eta = np.array(places).T
    for right in (True, False):
        of_eta = right == (name == "drift")
        error = 0.03 * (eta if of_eta else eta**2 / heads) * (1 + 0.3 * eta**case.order)
        rows = np.column_stack([heads, layers, eta, error, 0.01 * error])
        rows[:, 3] *= 1 + 0.01 * RNG(4).standard_normal(len(eta))
        verdicts = [part.verdict for key, part in d1.parts_of(name, case, rows).items() if "_H" not in key]
        assert verdicts == (["holds"] * 2 if right else ["fails"] * 2)
