"""`tokenlaw stationary`: file, answer and picture of branches against the onset and the transition in closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from particles import ConvergenceError
from particles.equations import Dot, Exponential, Legendre
from tokenlaw.answers import stationary as module
from tokenlaw.answers.stationary import NAMES, stationary
from tokenlaw.commands.app import run
from tokenlaw.pictures.studies import branches_figure

NEMATIC = str(Path(__file__).parents[3] / "examples" / "equation_nematic.toml")
COLD = "layers.private_noise=0.2,0.28,0.295,0.31"


def test_file_answer_and_picture_of_the_nematic_transition(tmp_path, capsys):
    out = tmp_path / "branches.nc"
    assert run(["stationary", NEMATIC, "--vary", COLD, "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["branches"]) == ["uniform"]
    assert answer["value"] == answer["nu"] == 0.31
    assert out.with_suffix(".png").stat().st_size > 10_000
    with xr.open_dataset(out) as found:
        assert list(found["branch"].values) == list(NAMES)
        assert found["stability"].dims == ("branch", "parameter")
        assert found.attrs["command"] == "stationary"
        assert np.abs(found["onset"] - 4 / 15).max() < 1e-12  # K = 4
        assert np.abs(found["transition"] - 4 / 13.62437697613713).max() < 1e-10  # tests/particles/stationary
        there = np.isfinite(found["order_parameter"].values)
        assert there.tolist() == [[True] * 4, [True] * 3 + [False], [False, True, True, False], [True] + [False] * 3]
        stable = found["stability"].values < 0
        assert stable[0].tolist() == [False, True, True, True]
        assert stable[1, :3].all()
        assert not stable[2:].any()
        assert np.abs(found["coefficients"][:, :, 0].values[there] - (4 * np.pi) ** -0.5).max() < 1e-12
        order = found["coefficients"][1, :3, 2] / (5 / (4 * np.pi)) ** 0.5
        assert np.abs(order - found["order_parameter"][1, :3]).max() < 1e-12
        free = found["free_energy"].values
        assert free[1, 1] < free[0, 1]
        assert free[1, 2] > free[0, 2]
    assert run(["plot", str(out), "--out", str(tmp_path / "again.pdf")]) == 0
    assert run(["info", str(out)]) == 0
    assert "  between" in capsys.readouterr().out
    capsys.readouterr()
    assert run(["stationary", NEMATIC, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "first-order transition at nu = 0.293591407" in told
    strengths = "layers.drift[0].strength=2,4"
    assert run(["stationary", NEMATIC, "--vary", strengths, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["branches"]["ordered"]["stability"] < 0
    with xr.open_dataset(out) as found:
        assert np.abs(found["onset"] - found["parameter"] / 15).max() < 1e-12


def test_one_interaction_for_each_value():
    betas = [0.5, 1.0, 2.0]
    found = stationary([Exponential(beta) for beta in betas], [0.2, 0.2, 0.2], 3, betas)
    assert (found["stability"].sel(branch="ordered") < 0).all()
    assert np.isnan(found["stability"].sel(branch="opposite")).all()
    assert (np.diff(found["onset"]) > 0).all()
    repelled = stationary([Dot(-1.0)], [0.2], 2, [-1.0])
    assert np.isfinite(repelled["stability"].values).sum() == 1
    drawn = branches_figure(found)
    assert len(drawn.axes) == 3
    dashes = {line.get_linestyle() for line in drawn.axes[0].lines}
    assert {"-", "--"} <= dashes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "private_noise=1"], "must be section.key"),
        (["--vary", "model.d=2,3", "--set", 'initial={kind = "uniform"}'], "dimensions have branches of their own"),
        (["--vary", "layers.interpretation=ito"], "with numbers"),
        (["--set", "layers.private_noise=0"], "layers.private_noise: must be positive for stationary laws"),
        (
            ["--set", 'layers={kind = "homogenized", dt = 0.1, t_end = 1.0}', "--set", "model.beta=1"],
            "stationary laws are those of kind",
        ),
        (["--vary", "layers.drift[1].strength=1,2"], "unknown key"),
        (["--set", "layers.drift=[]"], "must be one term"),
        (["--set", 'layers.common_noise=[{kind="rotations", strength=1.0}]'], "must be left out"),
    ],
)
def test_what_is_refused(tmp_path, capsys, arguments, message):
    assert run(["stationary", NEMATIC, "--out", str(tmp_path / "f.nc"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_label_is_cut_off(tmp_path):
    """Free energies of many digits stand beside their name."""
    drift = 'layers.drift=[{kind="zonal", kernel="legendre", coefficients=[0.0, 0.8, 1.0]}]'
    changes = ["--set", "model.d=2", "--set", 'initial={kind="uniform"}', "--set", drift]
    assert run(["stationary", NEMATIC, "--out", str(tmp_path / "f.png"), *changes, "-q"]) == 0
    assert imread(tmp_path / "f.png")[:, :3].min() == 1  # white


def test_out_may_be_a_picture_and_both_are_written(tmp_path, capsys):
    few = ["--vary", "layers.private_noise=0.2", "-q"]
    assert run(["stationary", NEMATIC, "--out", str(tmp_path / "f.pdf"), *few]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.nc", "f.pdf"]
    assert run(["stationary", NEMATIC, "--out", str(tmp_path / "f.txt"), *few]) == 2
    assert "must end in .nc, or in one of" in capsys.readouterr().err


def test_secondary_branches_stand_behind_the_others(tmp_path, capsys):
    """w = cos/2 + cos 2 on the circle: a mixed law leaves that of degree 2 (tests/particles/stationary)."""
    text = (
        "[model]\nd = 2\n[layers]\nkind = 'equation'\ndt = 0.1\nt_end = 1.0\nprivate_noise = 0.3\n"
        "[[layers.drift]]\nkind = 'zonal'\nkernel = 'legendre'\ncoefficients = [0.0, 0.5, 1.0]\n"
        "[initial]\nkind = 'uniform'\n"
    )
    path, out = tmp_path / "mixed.toml", tmp_path / "mixed.nc"
    path.write_text(text)
    vary = ["--vary", "layers.private_noise=0.25,0.3,0.45,0.55"]
    assert run(["stationary", str(path), *vary, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "secondary 1 leaves another branch at nu = 0.39841705" in told
    with xr.open_dataset(out) as found:
        assert list(found["branch"].values) == [*NAMES, "secondary 1"]
        there = np.isfinite(found["order_parameter"].values[[1, 4]])
        assert there.tolist() == [[True] * 3 + [False], [True] * 2 + [False] * 2]
        assert (found["stability"].values[1] < 0).tolist() == [False, False, True, False]
        assert (found["stability"].values[4, :2] < 0).all()
        assert np.isnan(found["leaves"].values[:4]).all()
        assert abs(found["coefficients"].values[4, 0, 1] * (2 * np.pi) ** 0.5) > 0.5
        lines = branches_figure(found).axes[0].lines
        drawn = {line.get_linestyle() for line in lines if np.isfinite(line.get_ydata()).any()}
        assert {"-", "--"} <= drawn
    assert run(["stationary", str(path), "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["branches"]) == {"uniform", "ordered", "secondary 1"}
    assert list(answer["leaves"]) == ["secondary 1"]


def test_interactions_with_and_without_secondary_branches_in_one_file():
    two = [Legendre((0.0, first, 1.0), 2) for first in (0.0, 0.5, 0.8)]
    found = stationary(two, [0.3] * 3, 2, [0.0, 0.5, 0.8])
    assert list(found["branch"].values) == [*NAMES, "secondary 1", "secondary 2"]
    assert np.isfinite(found["leaves"].values[4:]).tolist() == [[False, True, True], [False, False, True]]
    assert found["stability"].sel(branch="secondary 1").values[1:].max() < 0


def test_branches_that_are_lost_are_said_to_be(monkeypatch):
    def lost(branch):
        raise ConvergenceError("lost at nu = 0.1")

    monkeypatch.setattr(module, "secondaries", lost)
    found = stationary([Dot(1.0)], [0.3], 2, [1.0])
    assert found.attrs["secondary"] == "not followed: lost at nu = 0.1"
    assert module.lines(found)[-1] == "secondary branches not followed: lost at nu = 0.1"


def test_the_transition_is_to_a_secondary_branch_where_that_has_it():
    """w = 0.8 cos + cos 2: free energies of 512 angles are equal at a law of the last part of the mixed branch."""
    a, theta = np.array([0.8, 1.0]), 2 * np.pi * np.arange(512) / 512
    w, modes = Legendre((0.0, *a), 2), np.cos(np.outer([1, 2], theta))
    nu = float(stationary([w], [0.45], 2, [0.45])["transition"][0])
    assert 0.5 < nu < 0.51
    law = stationary([w], [nu], 2, [nu]).sel(branch="secondary 1")["coefficients"].values[0]
    waves = np.cos(np.outer(np.arange(1, len(law)), theta))
    rho = 1 / (2 * np.pi) + 2 * law[1:] @ waves / (2 * np.pi) ** 0.5
    m = modes @ rho * (2 * np.pi / 512)
    assert m[0] > 0.3
    free = -0.5 * a @ m**2 + nu * (rho @ np.log(2 * np.pi * rho)) * (2 * np.pi / 512)
    assert abs(free) < 1e-9
