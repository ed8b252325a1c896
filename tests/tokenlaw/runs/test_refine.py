"""layers.refine: the same path with shorter steps through solve, simulate and compare, records where they were."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, assert_same, call
from tokenlaw.config.read import ConfigError, load_text, steps
from tokenlaw.runs.build import build

MIXTURE = """
model = {d = 3, beta = 2.0}
heads = {kind = "gaussian"}
layers = {kind = "homogenized", dt = 0.04, t_end = 1.0, nodes = 8}
solve = {lmax = 11, carried_nodes = [12, 24]}
simulate = {tokens = 200, sampling = "quadrature"}
output = {save_every = 0.5, distances = 2}
[initial]
kind = "von_mises_fisher"
components = [{mean = [0, 0, 1], kappa = 2.0}, {mean = [1, 1, 0], kappa = 4.0, weight = 0.5}]
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(MIXTURE)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)


@pytest.mark.parametrize(("command", "nodes_fixed"), [("solve", "false"), ("simulate", "false"), ("simulate", "true")])
def test_half_the_step_is_the_same_path(command, nodes_fixed):
    """Without coupling the ends lie .24 to .45 apart; the strong error of the step is a tenth of that."""
    found, factors = {}, (1, 2) if command == "solve" else (1, 2, 4)
    for refine in factors:
        settings = {"layers__refine": refine, "layers__nodes_fixed": nodes_fixed}
        assert call(command, "m.toml", "--out", f"{refine}.nc", "-q", **settings) == 0
        with xr.open_dataset(f"{refine}.nc") as run:
            assert list(run.depth_time.values) == [0.0, 0.48, 0.96, 1.0]
            assert list(run["step"].values) == [refine * step for step in (0, 12, 24, 25)]
            found[refine] = run.mean_token.values
    gaps = [np.linalg.norm(found[one] - found[two], axis=1)[-1] for one, two in pairwise(factors)]
    assert all(0 < gap < 0.037 for gap in gaps)


def test_density_and_tokens_refine_alike():
    for refine in (1, 4):
        settings = {"layers__refine": refine, "layers__t_end": 0.24}
        assert call("compare", "m.toml", "--out", f"{refine}.nc", "-q", **settings) == 0
    with xr.open_dataset("1.nc") as coarse, xr.open_dataset("4.nc") as fine:
        for run in (coarse, fine):
            assert np.abs(run.mean_token.values - run.tokens_mean.values).max() < 1e-3
        assert 1e-4 < np.abs(fine.mean_token.values[-1] - coarse.mean_token.values[-1]).max() < 0.03


def test_a_refined_run_goes_on_to_the_bit():
    assert call("compare", "c.toml", "--out", "two.nc", "-q", layers__refine=2, layers__t_end=0.06) == 0
    assert call("compare", "c.toml", "--out", "two.nc", "-q", "--resume", layers__refine=2) == 0
    assert call("compare", "c.toml", "--out", "one.nc", "-q", layers__refine=2) == 0
    assert_same("one.nc", "two.nc")
    assert call("compare", "c.toml", "--out", "two.nc", "-q", "--resume", layers__refine=4) == 2


def test_the_plan_keeps_the_depths():
    """t_end and save_every are rounded to steps of dt, whatever refine is."""
    for text in (HOMOGENIZED, HOMOGENIZED.replace("0.12", "0.11").replace("0.04", "0.03")):
        one = steps(load_text(text))
        for refine in (2, 8):
            plan = steps(load_text(text, [f"layers.refine={refine}"]))
            assert plan.dt == 0.02 / refine
            assert plan.n_steps == refine * one.n_steps
            assert plan.save_steps == tuple(refine * step for step in one.save_steps)
            assert plan.notes == one.notes
            law = build(load_text(text, [f"layers.refine={refine}"])).law
            assert [step * law.dt for step in plan.save_steps] == [step * 0.02 for step in one.save_steps]


def test_every_law_around_is_refined():
    limit, private, norm = "layers.mlp={width=0}", "layers.private_noise=0.1", "layers.norm=rms"
    for overrides in ([limit], [private], [limit, private], [norm]):
        coarse, fine = (build(load_text(HOMOGENIZED, [*overrides, f"layers.refine={r}"])).law for r in (1, 4))
        assert fine.dt == coarse.dt / 4
    mean = "heads.mean_v=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]"
    for kind in ("kind='ballistic', dt=0.1, t_end=1.0", "kind='modified', dt=0.1, t_end=1.0, eta=0.1"):
        law = build(load_text(HOMOGENIZED, [mean, f"layers={{{kind}, refine=2}}"])).law
        assert law.dt == 0.05


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (HOMOGENIZED, ["layers.refine=3"], "layers.refine = 3: must be a power of two (1, 2, 4, ...)"),
        (HOMOGENIZED, ["layers.refine=0"], "layers.refine = 0: must be a whole number between 1 and 1048576"),
        (TRANSFORMER, ["layers.refine=2"], 'layers.refine = 2: belongs to layers.kind = "homogenized" or'),
        (HOMOGENIZED, ["layers={kind='recorded', refine=2}"], 'layers.refine = 2: belongs to layers.kind = "hom'),
        (HOMOGENIZED, ["layers.refine=2", "layers.mlp={width=4}"], "layers.mlp.width = 4: must be 0 (the limit field"),
        (
            HOMOGENIZED.replace("[0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 1.0]"),
            ["layers.refine=2", "layers.mlp={width=0}", "model.d=4"],
            "model.d = 4: must be 2 or 3 to refine the path of a limit field",
        ),
        (HOMOGENIZED, ["layers.refine=1048576", "layers.dt=1e-5", "layers.t_end=0.1"], "layers.dt = 1e-05: must be so"),
    ],
)  # fmt: skip
def test_what_cannot_be_refined(text, overrides, message):
    with pytest.raises(ConfigError) as caught:
        build(load_text(text, overrides))
    assert str(caught.value).startswith(message)
