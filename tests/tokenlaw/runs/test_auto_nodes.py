"""Carried nodes that a run chooses: begun again, told once, named in the file, resumed to the bit, old names read."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.tokenlaw.calls import HOMOGENIZED, assert_same, call
from tokenlaw.contents import held
from tokenlaw.files import opened

AUTO = HOMOGENIZED.replace("carried_nodes = [12, 24]", "moment_tol = 1e-15").replace("t_end = 0.12", "t_end = 0.2")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Few nodes to begin with, and no more than a few thousand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spde.carried.SHARED", 128)
    monkeypatch.setattr("spde.carried.MOST", 1500)
    monkeypatch.setattr("spde.carried.MOST_IN_PANELS", 4000)
    (tmp_path / "c.toml").write_text(AUTO + "distances = 100\n")


@pytest.mark.filterwarnings("ignore:mean and second moment")
@pytest.mark.parametrize("command", ["solve", "compare"])
def test_a_run_begins_again_and_a_resumed_one_is_the_same(command, capsys):
    """Ended before, or after, the record at which it begins again."""
    assert call(command, "c.toml", "--out", "one.nc") == 0
    assert capsys.readouterr().err.count("begins again with finer ones") == 1
    for end in (0.0, 0.08):
        assert call(command, "c.toml", "--out", "two.nc", "-q", layers__t_end=end) == 0
        assert call(command, "c.toml", "--out", "two.nc", "-q", "--resume") == 0
        assert_same("one.nc", "two.nc")
    with xr.open_dataset("one.nc") as run:
        panels = re.fullmatch(r"auto, level \d+: (\d+) panels of 5 x 5", run.attrs["carried_nodes"])
        assert run.sizes["depth_time"] == 6
        if command == "compare":
            assert run.sizes["node"] == 25 * int(panels[1])
            assert np.isclose(run.node_weight.sum(), 1)


@pytest.mark.filterwarnings("ignore:mean and second moment")
def test_members_that_hold_nodes_keep_the_first_ones():
    assert call("ensemble", "c.toml", "--members", 2, "--out", "all", "-q", "--workers", 1) == 0
    with xr.open_dataset("all/member-00000.nc") as run:
        assert "auto, level" in run.attrs["carried_nodes"]
        assert run.area.dims == ("lat", "lon")


@pytest.mark.parametrize("command", ["info", "plot", "report"])
def test_files_of_before_are_read(command, capsys):
    assert call("solve", "c.toml", "--out", "new.nc", "-q", solve__moment_tol=0.1) == 0
    with xr.open_dataset("new.nc") as run:
        run.load().rename(spectral_tail="tail").to_netcdf("old.nc")
    with opened(Path("old.nc")) as run:
        assert "spectral_tail" in held(run)[0]
    where = () if command == "info" else ("--out", "picture.html" if command == "report" else "picture.png")
    assert call(command, "old.nc", *where) == 0
    if command == "info":
        assert "spectral_tail" in capsys.readouterr().out
