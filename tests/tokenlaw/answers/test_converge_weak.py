"""Expectations by steps: weak order 1, order 2 by extrapolation, against a known one; what is printed and stored."""

import json
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles import Cloud
from particles.equations import Rotations
from particles.equations.steps import EquationPush
from particles.layers.schemes import RungeKutta4
from particles.pushes import SumPush
from tests.tokenlaw.calls import HOMOGENIZED, call
from tokenlaw.answers import converge_weak
from tokenlaw.answers.converge_weak import weak_of

STRENGTH, REFINES = 0.7, (1, 2, 4, 8, 16)


def one_step(length):
    """E <e_1, T(e_1)> of a step of the law, by Gauss and Hermite; T commutes in law with rotations."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    start, total = Cloud(np.eye(3)[:1], np.ones(1)), 0.0
    for places in product(range(9), repeat=3):
        numbers, weight = nodes[list(places)], weights[list(places)].prod() / weights.sum() ** 3
        push = EquationPush(SumPush((Rotations(STRENGTH).push(np.sqrt(length) * numbers, 3),)), RungeKutta4())
        moved, _ = push.move(start, (), lambda one, measure: one.velocity(measure))
        total += weight * moved.points[0, 0]
    return total


@pytest.fixture(scope="module")
def columns():
    """The mean token of 64 members at depth time 1, steps of 1/4 refined: exact means, and what many paths leave."""
    rng = np.random.default_rng(0)
    common, own = 1e-3 * rng.standard_normal((64, 3)), 2e-5 * rng.standard_normal((len(REFINES), 64, 3))
    means = [one_step(0.25 / refine) ** (4 * refine) * np.eye(3)[0] for refine in REFINES]
    return [(mean + common + noise / refine)[:, None] for mean, noise, refine in zip(means, own, REFINES, strict=True)]


def test_the_order_is_one_and_by_extrapolation_two(columns):
    """E <x, e> = e^{-s^2 t}: rotations in all planes of R^3 have the generator (s^2/2) Lap."""
    exact = np.exp(-(STRENGTH**2))
    found = weak_of("layers.refine", REFINES, columns)
    assert found.slope.low < -1 < found.slope.high
    assert found.extrapolated_slope.low < -2 < found.extrapolated_slope.high < -1.5
    means = [one.mean for one in found.extrapolated]
    assert [one.value for one in found.extrapolated] == [2, 4, 8, 16]
    assert abs(means[-1] - exact) < 4 * found.extrapolated[-1].error + 2e-5


def test_other_weights_are_seen(columns):
    """3 E(h/2) - 2 E(h), whose weights are wrong, has order 1 as E(h) itself: what is asked above would refuse it."""
    shifted = [3 * b - 2 * a for a, b in pairwise(columns)]
    broken = converge_weak._order(REFINES[1:], np.stack([one[:, 0, 0] for one in shifted], axis=1))
    assert -1.3 < broken.low < broken.high < -0.5


@pytest.mark.parametrize(("key", "values"), [
    ("layers.refine", (1, 2, 4)), ("layers.dt", (0.4, 0.2, 0.1)),
])  # fmt: skip
def test_halved_steps_only(key, values):
    rng = np.random.default_rng(0)
    paths = [rng.standard_normal((5, 1, 2)) for _ in values]
    assert weak_of(key, values, paths) is not None
    assert weak_of(key, (*values[:2], 3 * values[2]), paths) is None
    assert weak_of("layers.nodes", values, paths) is None
    assert weak_of(key, values, [one[:1] for one in paths]) is None
    assert weak_of(key, values, [np.zeros_like(one) for one in paths]) is None


EQUATION = """
model = {d = 2}
initial = {kind = "von_mises_fisher", components = [{mean = [1.0, 0.0], kappa = 2.0}]}
simulate = {tokens = 3}
[layers]
kind = "equation"
dt = 0.5
t_end = 1.0
common_noise = [{kind = "kicks", strength = 0.7}]
"""


def test_the_command_says_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(EQUATION)
    words = ["converge", "e.toml", "--vary", "layers.refine=1,2,4,8", "--observable", "mean_overlap", "--members", "5"]
    assert call(*words, "-q", "--out", "e.nc") == 0
    told = capsys.readouterr().out
    assert "error of the expectation: " in told
    assert "error of 2 E(h/2) - E(h): " in told
    assert call(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    levels, weak = found["levels"], found["weak"]
    for one, coarse, fine in zip(weak["extrapolated"], levels, levels[1:], strict=False):
        assert one["value"] == fine["value"]
        assert one["mean"] == pytest.approx(2 * fine["mean"] - coarse["mean"], rel=1e-12)
    assert f"2 E(h/2) - E(h) at layers.refine = 8: {weak['extrapolated'][-1]['mean']:.6g}, standard error" in told
    with xr.open_dataset("e.nc") as stored:
        assert stored.extrapolated.values[1:].tolist() == [one["mean"] for one in weak["extrapolated"]]
        assert np.isnan(stored.extrapolated.values[0])
    assert call("info", "e.nc") == 0
    assert "error of 2 E(h/2) - E(h): " in capsys.readouterr().out


def test_without_noise_there_is_nothing_to_average(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(EQUATION.replace("common_noise", "drift").replace("kicks", "zonal\", kernel = \"dot"))
    Path("h.toml").write_text(HOMOGENIZED)
    for name, vary in (("e.toml", "layers.refine=1,2,4"), ("h.toml", "layers.dt=0.04,0.02,0.01")):
        words = ["converge", name, "--vary", vary, "--observable", "mean_token", "--members", "2", "--json"]
        assert call(*words) == 0
        assert json.loads(capsys.readouterr().out)["weak"] is None  # no noise; or paths that are not one
