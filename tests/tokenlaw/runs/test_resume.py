"""Runs that end early and go on: every record and the state equal, to the bit, those of a run never interrupted."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from particles.files import checksum, run_files
from particles.files import recorder as output
from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, assert_same, call, contents, start
from tokenlaw.commands import terminal


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED.replace("save_every = 0.04", "save_every = 0.1\ndistances = 100"))
    (tmp_path / "t.toml").write_text(TRANSFORMER.replace("save_every = 0.04", "save_every = 0.5"))


def interrupt_at(monkeypatch, step, kind=KeyboardInterrupt):
    """Ctrl-C after so many layers, deterministically."""

    @contextmanager
    def progress(command, n_steps, quiet):
        def show(now):
            if now == step:
                raise kind

        yield show

    monkeypatch.setattr(terminal, "progress", progress)


def depths(path):
    with xr.open_dataset(path) as dataset:
        return [int(step) for step in dataset["step"].values]


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
@pytest.mark.parametrize("remap_every", [1, 3, 0])
def test_17_and_23_steps_are_40(command, remap_every):
    """The first run ends off the schedule; its last record is not among those of the long run."""
    if command == "simulate" and remap_every != 1:
        pytest.skip("tokens are not remapped")
    settings = {"solve__remap_every": remap_every}
    assert call(command, "c.toml", "--out", "two.nc", "-q", layers__t_end=0.34, **settings) == 0
    assert depths("two.nc") == [0, 5, 10, 15, 17]
    assert call(command, "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8, **settings) == 0
    assert call(command, "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8, **settings) == 0
    assert depths("two.nc") == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert_same("one.nc", "two.nc")


def test_17_and_23_transformer_layers_are_40():
    assert call("simulate", "t.toml", "--out", "two.nc", "-q", layers__depth=17) == 0
    assert call("simulate", "t.toml", "--out", "two.nc", "-q", "--resume", layers__depth=40) == 0
    assert call("simulate", "t.toml", "--out", "one.nc", "-q", layers__depth=40) == 0
    assert_same("one.nc", "two.nc")


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
@pytest.mark.parametrize("often", [False, True], ids=["flush at the end", "flush every record"])
def test_interrupted_runs_go_on(command, often, monkeypatch, capsys):
    """Interrupted twice, the second time before the first new record."""
    if often:
        monkeypatch.setattr(output.Recorder.__init__, "__defaults__", (None, None, None, 0.0))
    run = [command, "c.toml", "--set", "layers.t_end=0.6", "--out"]
    assert call(*run, "one.nc") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 17)
        assert call(*run, "two.nc") == 130
        assert depths("two.nc") == [0, 5, 10, 15]
        interrupt_at(patch, 18)
        before = contents("two.nc")
        assert call(*run, "two.nc", "--resume") == 130
        assert contents("two.nc") == before
    capsys.readouterr()
    assert call(*run, "two.nc", "--resume") == 0
    assert capsys.readouterr().err == "two.nc: going on from depth time 0.3\n"
    assert_same("one.nc", "two.nc")


def test_interrupted_before_the_first_new_record_after_an_early_end(monkeypatch):
    """The record off the schedule goes when there is a new one, and does not come back."""
    assert call("solve", "c.toml", "--out", "two.nc", "-q", layers__t_end=0.34) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 18)
        assert call("solve", "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8) == 130
    assert call("solve", "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.8) == 0
    assert call("solve", "c.toml", "--out", "one.nc", "-q", layers__t_end=0.8) == 0
    assert_same("one.nc", "two.nc")


@pytest.mark.parametrize(("module", "name"), [(os, "replace"), (checksum, "copy_contents")])
def test_interrupted_while_writing(module, name, monkeypatch):
    """Ctrl-C inside a flush: no record is lost and none is there twice."""
    monkeypatch.setattr(output.Recorder.__init__, "__defaults__", (None, None, None, 0.0))
    assert call("solve", "c.toml", "--out", "one.nc", "-q", layers__t_end=0.4) == 0
    real, calls = getattr(module, name), []

    def interrupting(*paths):
        real(*paths)
        calls.append(paths)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupting)
            assert call("solve", "c.toml", "--out", "two.nc", "-q", layers__t_end=0.4) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert call("solve", "c.toml", "--out", "two.nc", "-q", "--resume", layers__t_end=0.4) == 0
    assert_same("one.nc", "two.nc")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_signals_end_a_run_that_goes_on(number, code, tmp_path):
    """A process of its own, ended as soon as its file is there."""
    run = ["simulate", "t.toml", "--set", "layers.depth=4000", "--set", "output.save_every=5.0", "--out"]
    process = start(*run, "two.nc")
    while not (tmp_path / "two.nc").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines() == (["interrupted; go on with --resume"] if code > 0 else [])
    assert 1 <= len(depths("two.nc")) < 81
    assert call(*run, "two.nc", "--resume") == 0
    assert call(*run, "one.nc") == 0
    assert_same("one.nc", "two.nc")
    assert {path.suffix for path in tmp_path.iterdir()} == {".nc", ".toml"}  # nothing half-written is left


def test_a_run_that_stops_keeps_its_last_good_state(capsys):
    """on_unresolved = "stop": exit 3, the last record is the last resolved one, and going on stops there again."""
    settings = ("solve.lmax=8", "layers.t_end=2.0", "initial.components=[{mean=[0,0,1.0],kappa=2.0}]")
    hard = ["solve", "c.toml", *(word for text in settings for word in ("--set", text))]
    assert call(*hard, "--out", "warned.nc", "-q", output__save_every=0.02) == 0
    with xr.open_dataset("warned.nc") as dataset:
        lost = int(np.flatnonzero(dataset["unresolved"])[0])
    assert lost % 5 != 1  # off the schedule
    capsys.readouterr()
    assert call(*hard, "--out", "stopped.nc", "-q", solve__on_unresolved="stop") == 3
    err = capsys.readouterr().err
    assert err.startswith("stopped: the pointwise density is no longer resolved; raise lmax")
    assert err.count("\n") == 1
    assert f"step {lost - 1}, depth time {0.02 * (lost - 1):g}" in err
    with xr.open_dataset("stopped.nc") as dataset, xr.open_dataset("warned.nc") as warned:
        assert int(dataset["step"][-1]) == lost - 1
        assert not dataset["unresolved"].any()
        np.testing.assert_array_equal(dataset["coefficients"][-1], warned["coefficients"][lost - 1])
    before = contents("stopped.nc")
    assert call(*hard, "--out", "stopped.nc", "-q", "--resume", solve__on_unresolved="stop") == 3
    assert contents("stopped.nc") == before
    assert call(*hard, "--out", "stopped.nc", "-q", "--resume") == 2  # another configuration


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_a_state_that_is_not_finite_stops_the_run(command, capsys):
    assert call(command, "c.toml", "--out", "out.nc", heads__sigma_a=1e200) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped: the ")
    with xr.open_dataset("out.nc") as dataset:
        assert list(dataset["step"].values) == [0]
        assert all(np.isfinite(dataset[name].values).all() for name in ("mean_token", "second_moment"))


def test_a_full_disk_stops_the_run(monkeypatch, capsys, tmp_path):
    """Exit 2 where not even the first record can be written, 3 where earlier ones are there."""
    monkeypatch.setattr(output.Recorder.__init__, "__defaults__", (None, None, None, 0.0))
    real, room = run_files.write_state, [0]

    def full(*arguments):
        room[0] -= 1
        if room[0] <= 0:
            raise RuntimeError("NetCDF: HDF error")
        real(*arguments)

    monkeypatch.setattr(run_files, "write_state", full)
    for writes, code, word in ((1, 2, "error"), (3, 3, "stopped")):
        room[0] = writes
        assert call("solve", "c.toml", "--out", "out.nc", "-q", layers__t_end=0.6) == code
        line = f"{word}: {tmp_path / 'out.nc'}: cannot be written (NetCDF: HDF error)\n"
        assert capsys.readouterr().err == line
    assert depths("out.nc") == [0, 5]


def seal_again(path):
    """Give a file the checksum of its contents, as another version would have."""
    checksum.unseal(path)
    checksum.seal(path)


def refused(capsys, *words, **settings):
    """The line with which --resume is refused; the file stays as it is."""
    before = Path("old.nc").read_bytes()
    capsys.readouterr()
    assert call(*words, "--out", "old.nc", "--resume", **settings) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert Path("old.nc").read_bytes() == before
    return line


def test_another_configuration_is_refused(capsys):
    assert call("solve", "c.toml", "--out", "old.nc", "-q") == 0
    for settings, key in (
        ({"solve__lmax": 13}, "solve.lmax"),
        ({"solve__on_unresolved": "stop"}, "solve.on_unresolved"),
        ({"model__beta": 3}, "model.beta"),
        ({"noise__member": 1}, "noise.member"),
        ({"layers__dt": 0.01}, "layers.dt"),
    ):
        assert f"old.nc: the configuration differs in {key}; only layers.t_end" in refused(
            capsys, "solve", "c.toml", **settings
        )
    assert "differs in noise.seed" in refused(capsys, "solve", "c.toml", "--seed", 8)
    line = refused(capsys, "solve", "c.toml", layers__t_end=0.06)
    assert "layers.t_end: ends the run at depth time 0.06; must be at least 0.12" in line
    assert "output.save_every = 0.04: the file has records at other depths" in refused(
        capsys, "solve", "c.toml", output__save_every=0.04, layers__t_end=0.4
    )


def test_another_file_is_refused(capsys, tmp_path):
    assert call("simulate", "c.toml", "--out", "old.nc", "-q", "--record-layers", "layers.nc") == 0
    assert "was written by tokenlaw simulate, not by tokenlaw solve" in refused(capsys, "solve", "c.toml")
    whole = (tmp_path / "old.nc").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", (tmp_path / "layers.nc").read_bytes()):
        (tmp_path / "old.nc").write_bytes(damaged)
        assert "old.nc: not a readable file of a run" in refused(capsys, "simulate", "c.toml")


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda file: file.groups["state"].renameVariable("tokens", "gone"), "state does not fit this configuration"),
        (lambda file: file.groups["state"]["step"].assignValue(3), "state does not belong to its last record"),
        (lambda file: file.delncattr("configuration"), "not a readable file of a run"),
        (lambda file: file.setncattr("configuration", "[new]\n"), "this version does not know its configuration"),
    ],
    ids=["state", "step", "configuration", "version"],
)
def test_a_file_that_does_not_fit_is_refused(damage, reason, capsys):
    """Another program has changed it; and a file that is whole and does not fit."""
    assert call("simulate", "c.toml", "--out", "old.nc", "-q") == 0
    with netCDF4.Dataset("old.nc", "a") as file:
        damage(file)
    assert "checksum" in refused(capsys, "simulate", "c.toml")
    seal_again(Path("old.nc"))
    assert reason in refused(capsys, "simulate", "c.toml")


def test_a_refused_run_leaves_the_layers_file_alone(capsys, tmp_path):
    run = ["simulate", "c.toml", "--record-layers", "layers.nc", "-q"]
    assert call(*run, "--out", "old.nc") == 0
    before = (tmp_path / "layers.nc").read_bytes()
    refused(capsys, *run, noise__seed=8)
    assert (tmp_path / "layers.nc").read_bytes() == before


def test_nothing_to_resume_and_nothing_to_do(capsys):
    assert call("solve", "c.toml", "--out", "new.nc", "--resume") == 0
    assert "new.nc: nothing to resume, starting from depth 0" in capsys.readouterr().err
    before = contents("new.nc")
    assert call("solve", "c.toml", "--out", "new.nc", "--resume") == 0
    assert "new.nc: complete, ends at depth time 0.12" in capsys.readouterr().err
    assert contents("new.nc") == before
    assert call("solve", "c.toml", "--out", "new.nc", "-q", layers__t_end=0.0) == 0  # without --resume: a new file
    assert depths("new.nc") == [0]
