"""A few of each fault: kills, locks, full disks, damage, broken numbers.  `make faults` has many of each."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from random import Random

import netCDF4
import numpy as np
import pytest
import xarray as xr

from particles.files import checksum, run_files
from particles.files import recorder as output
from particles.files.placing import Aside
from tests.faults import crashes, damage, disks, kills, numbers
from tests.faults.runs import Bench
from tests.tokenlaw.calls import HOMOGENIZED, assert_same, call, contents, tokens_file
from tests.tokenlaw.runs.test_resume import seal_again
from tokenlaw.commands import app, terminal
from tokenlaw.config.read import ConfigError
from tokenlaw.runs.locks import locked

FEW = ((kills.killed, 3), (kills.two_at_a_time, 1), (disks.full_at_last, 2), (damage.damaged, 2),
       (numbers.broken_layers, 3), (crashes.power_lost, 12), (damage.turned_between_writes, 2))  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(HOMOGENIZED)
    return tmp_path


@pytest.mark.parametrize(("fault", "tries"), FEW, ids=[fault.__name__ for fault, _ in FEW])
def test_nothing_is_lost(fault, tries, bench):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork, where a library has threads
        for tally in fault(bench, Random(1), tries):
            assert tally.losses == [], tally.fault
            assert sum(tally.outcomes.values()) >= tries


def refusal(capsys, *words, **settings):
    """The one line with which a command is refused."""
    capsys.readouterr()
    assert call(*words, **settings) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_second_run_on_an_output_is_refused(folder, capsys):
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    before = Path("a.nc").read_bytes()
    with locked(Path("a.nc")):
        for more in ([], ["--resume"]):
            said = refusal(capsys, "solve", "c.toml", "--out", "a.nc", *more)
            assert f"a.nc: is being written by another run (process {os.getpid()} on " in said
        Path("link.nc").symlink_to("a.nc")
        assert "link.nc: is being written" in refusal(capsys, "solve", "c.toml", "--out", "link.nc")
        assert "is being written" in refusal(
            capsys, "simulate", "c.toml", "--out", "b.nc", "--record-layers", "a.nc"
        )
        assert call("solve", "c.toml", "--out", "other.nc", "-q") == 0
    assert Path("a.nc").read_bytes() == before
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def _left_behind():
    aside = Aside(Path("a.nc"))
    aside.folder.mkdir(0o700)
    aside.part.write_bytes(b"half")


def test_a_lock_that_was_left_behind_is_none(folder):
    """The file of a lock without its process, and a copy that was half written."""
    Path(".a.nc.lock").write_text("process 1 on another\n")
    _left_behind()
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    _left_behind()
    assert call("solve", "c.toml", "--out", "a.nc", "-q", "--resume") == 0  # complete: nothing is written
    assert sorted(path.name for path in folder.iterdir()) == ["a.nc", "c.toml"]


def test_a_file_is_never_changed_in_place(folder):
    """Who has the old file open keeps it whole."""
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    before = Path("a.nc").read_bytes()
    with open("a.nc", "rb") as old:
        assert call("solve", "c.toml", "--out", "a.nc", "-q", "--resume", layers__t_end=0.2) == 0
        assert old.read() == before
    assert Path("a.nc").read_bytes() != before


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(folder, monkeypatch):
    """The first run ends between our opening of its file and our lock on it."""
    real, calls = fcntl.flock, []

    def late(handle, how):
        if not calls:
            Path(".a.nc.lock").unlink()
        calls.append(handle)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(Path("a.nc")):
        assert len(calls) == 2
        monkeypatch.undo()
        with pytest.raises(ConfigError, match="is being written"), locked(folder / "a.nc"):
            pass


def test_disks_without_locks_warn(folder, monkeypatch):
    def none(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(RuntimeWarning, match="locks do not work on this disk"), locked(Path("a.nc")):
        pass


def test_a_turned_bit_is_found_by_every_reader(folder, capsys):
    """In the data of a record: SHA-256 for our commands, Fletcher's sum for other readers."""
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    with xr.open_dataset("a.nc") as dataset:
        wanted = dataset["density"].values[1].tobytes()[800:816]
    data = bytearray(Path("a.nc").read_bytes())
    data[data.index(wanted)] ^= 1
    Path("a.nc").write_bytes(data)
    for words in (["plot", "a.nc", "--out", "a.png"], ["solve", "c.toml", "--out", "a.nc", "--resume"]):
        assert "a.nc: is damaged: its checksum is not that of its contents" in refusal(capsys, *words)
    assert Path("a.nc").read_bytes() == data
    with xr.open_dataset("a.nc") as dataset, pytest.raises(RuntimeError, match="NetCDF"):
        dataset["density"].load()
    checksum.unseal(Path("a.nc"))
    assert "a.nc: is damaged and cannot be read" in refusal(capsys, "plot", "a.nc", "--out", "a.png")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.groups["state"]["node"].__setitem__((0, 0), 0.5),
        lambda file: file["mass"].__setitem__(1, 1 + 1e-15),
        lambda file: file["lat"].__setitem__(0, 89.0),
        lambda file: file.setncattr("seed", "8"),
        lambda file: file["mass"].setncattr("units", "m"),
    ],
    ids=["state", "record", "grid", "attribute", "unit"],
)
def test_every_change_is_found(change, folder, capsys):
    """Changes that HDF5 itself takes for good ones, in every part of a file, with the line behind it and without."""
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    line = Path("a.nc").read_bytes()[-checksum.LENGTH :]
    assert line.startswith(checksum.MARK)
    with netCDF4.Dataset("a.nc", "a") as file:
        change(file)
    assert not checksum.sealed(Path("a.nc")) or not checksum.intact(Path("a.nc"))
    checksum.unseal(Path("a.nc"))
    assert "a.nc: not a readable file of a run (it does not end with a checksum)" in refusal(
        capsys, "solve", "c.toml", "--out", "a.nc", "--resume"
    )
    with open("a.nc", "ab") as file:
        file.write(line)
    assert "a.nc: is damaged: its checksum" in refusal(capsys, "solve", "c.toml", "--out", "a.nc", "--resume")


def test_what_hdf5_hangs_on_is_not_shown_to_it(folder, capsys, monkeypatch):
    """A sector of its structure that was zeroed: some readers would never come to an end."""
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    data = bytearray(Path("a.nc").read_bytes())
    data[4096:4608] = bytes(512)
    Path("a.nc").write_bytes(data)
    monkeypatch.setattr(xr, "open_dataset", lambda *_, **__: pytest.fail("was opened"))
    monkeypatch.setattr(netCDF4, "Dataset", lambda *_, **__: pytest.fail("was opened"))
    resume = ["solve", "c.toml", "--out", "a.nc", "--resume"]
    for words in (["info", "a.nc"], ["plot", "a.nc", "--out", "a.png"], resume):
        assert "a.nc: is damaged: its checksum is not that of its contents" in refusal(capsys, *words)


def test_the_checksum_goes_on_with_the_file(folder, monkeypatch):
    """Written at once, or record after record, or in two runs: one line, at the end."""
    more = {"layers__t_end": 0.24}
    assert call("solve", "c.toml", "--out", "once.nc", "-q", **more) == 0
    monkeypatch.setattr(output.Recorder.__init__, "__defaults__", (None, None, None, 0.0))
    assert call("solve", "c.toml", "--out", "often.nc", "-q", **more) == 0
    assert call("solve", "c.toml", "--out", "twice.nc", "-q") == 0
    assert call("solve", "c.toml", "--out", "twice.nc", "-q", "--resume", **more) == 0
    for name in ("once.nc", "often.nc", "twice.nc"):
        assert checksum.intact(Path(name))
        assert Path(name).read_bytes().count(checksum.MARK) == 1


def test_another_version_is_refused_and_other_libraries_are_told(folder, capsys):
    assert call("solve", "c.toml", "--out", "a.nc", "-q") == 0
    assert call("solve", "c.toml", "--out", "b.nc", "-q", layers__t_end=0.2) == 0
    with netCDF4.Dataset("a.nc", "a") as file:
        ours = file.numpy_version
        file.numpy_version = "1.0"
    seal_again(Path("a.nc"))
    capsys.readouterr()
    assert call("solve", "c.toml", "--out", "a.nc", "-q", "--resume", layers__t_end=0.2) == 0
    said = capsys.readouterr().err
    assert said == (f"warning: --resume a.nc: numpy was 1.0 and is {ours} now; last bits may differ from a run in one "
                    "piece\n")  # fmt: skip
    assert_same("b.nc", "a.nc")
    with netCDF4.Dataset("a.nc", "a") as file:
        file.tokenlaw_version = "99.0"
    seal_again(Path("a.nc"))
    said = refusal(capsys, "solve", "c.toml", "--out", "a.nc", "--resume")
    assert "a.nc: was written by tokenlaw 99.0, this is tokenlaw " in said


def test_an_input_that_has_changed_is_refused(folder, capsys):
    tokens_file(folder / "tokens.nc", seed=1)
    lines = HOMOGENIZED.replace('"von_mises_fisher"', '"tokens"\nfile = "tokens.nc"').splitlines()
    Path("t.toml").write_text("\n".join(line for line in lines if not line.startswith("components")))
    assert call("simulate", "t.toml", "--out", "a.nc", "-q") == 0
    assert call("simulate", "t.toml", "--out", "a.nc", "-q", "--resume", layers__t_end=0.2) == 0
    tokens_file(folder / "tokens.nc", seed=2)
    said = refusal(capsys, "simulate", "t.toml", "--out", "a.nc", "--resume", layers__t_end=0.4)
    assert "a.nc: the contents of initial.file have changed since the run began" in said


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files.shutil, "disk_usage", lambda path: type("", (), {"free": 512}))
    text = str(run_files.WriteError(tmp_path / "a.nc", RuntimeError("NetCDF: HDF error"), begun=True))
    assert text.endswith("a.nc: cannot be written (NetCDF: HDF error; 512 bytes are free on the disk)")


def test_the_folder_is_flushed_behind_the_rename(folder, monkeypatch):
    """Power that fails afterwards must not bring the old name back."""
    order, rename, flush = [], os.replace, os.fsync

    def replacing(*names):
        order.append("rename")
        rename(*names)

    def flushing(handle):
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        flush(handle)

    monkeypatch.setattr(os, "replace", replacing)
    monkeypatch.setattr(os, "fsync", flushing)
    assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0
    assert order[:3] == ["file", "rename", "folder"]


def test_nobody_listens(folder, monkeypatch):
    """Warnings and notes that cannot be said do not end a run."""

    class Closed:
        def write(self, text):
            raise BrokenPipeError

        flush = isatty = lambda self: False

    monkeypatch.setattr("sys.stderr", Closed())
    assert call("solve", "c.toml", "--out", "a.nc", layers__dt=2.0, layers__t_end=4.0, layers__nodes=2) == 0


def test_a_terminal_that_is_closed_ends_a_run_like_a_request_to_end(monkeypatch):
    handled = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: handled.append((number, handler)))
    monkeypatch.setattr(app, "run", lambda: 0)
    with pytest.raises(SystemExit):
        app.main()
    wanted = {number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
              if signal.getsignal(number) is not signal.SIG_IGN}  # fmt: skip
    assert {number for number, handler in handled if handler is terminal.interrupt} == wanted


def test_points_that_are_not_finite_stop_a_run_inside_a_layer(folder, capsys):
    """The second push of a layer meets them before the end of the layer does."""
    words = ["compare", "c.toml", "--out", "a.nc", "-q", "--set", "layers.mlp={activation='gelu',sigma_w=1e10}"]
    assert call(*words, heads__sigma_a=1e300, solve__remap_every=7) == 3
    assert capsys.readouterr().err == "stopped: the state is no longer finite (step 0, depth time 0)\n"
    with xr.open_dataset("a.nc") as dataset:
        assert list(dataset["step"].values) == [0]
        assert np.isfinite(dataset["second_moment"].values).all()


def test_stopping_needs_something_resolved(folder, capsys):
    settings = {"solve__on_unresolved": "stop", "solve__remap_every": 0}
    assert 'solve.on_unresolved = "stop": must be "warn" with remap_every = 0' in refusal(
        capsys, "solve", "c.toml", "--out", "a.nc", **settings
    )


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_long_steps_are_told_once(command, folder, capsys):
    settings = {"layers__dt": 9.0, "layers__t_end": 360.0, "simulate__tokens": 300}
    assert call(command, "c.toml", "--out", "a.nc", "-q", **settings) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "|U|" in line]
    assert len(said) == 1
    assert "lower dt" in said[0]


def test_long_steps_of_causal_tokens_are_told(folder, capsys):
    """Causal attention is known at the tokens alone, all of them."""
    settings = {"layers__dt": 9.0, "layers__t_end": 18.0, "simulate__tokens": 300, "model__causal": "true"}
    assert call("simulate", "c.toml", "--out", "a.nc", "-q", **settings) == 0
    assert capsys.readouterr().err.count("|U|") == 1


def test_a_transformer_has_the_steps_it_has(folder, capsys):
    layers = '{kind="transformer", eta=4.0, heads=1, depth=20}'
    assert call("simulate", "c.toml", "--out", "a.nc", "-q", layers=layers) == 0
    assert capsys.readouterr().err == ""


def test_contents_of_a_refused_file_are_compared(folder):
    """The instrument: a file that differs in one bit is another one."""
    assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0
    before = contents("a.nc")
    with netCDF4.Dataset("a.nc", "a") as file:
        file["tokens"][0, 0, 0] = np.nextafter(file["tokens"][0, 0, 0], 2)
    assert contents("a.nc") != before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_the_file_is_whole(number, folder, monkeypatch):
    """In the middle of a library it would leave a lock behind, and the last records would wait for it for ever."""
    real, log = run_files.put_in_place, []

    def interrupted(*names):
        log.append("begun")
        if len(log) == 1:
            signal.raise_signal(number)
        real(*names)
        log.append("whole")

    def asked(*_):
        log.append("heard")
        raise KeyboardInterrupt

    monkeypatch.setattr(run_files, "put_in_place", interrupted)
    before = signal.signal(number, asked)
    try:
        assert call("solve", "c.toml", "--out", "a.nc", "-q") == 130
        assert signal.getsignal(number) is asked
    finally:
        signal.signal(number, before)
    assert log == ["begun", "whole", "heard"]
    assert call("solve", "c.toml", "--out", "a.nc", "-q", "--resume") == 0
    assert call("solve", "c.toml", "--out", "b.nc", "-q") == 0
    assert_same("b.nc", "a.nc")


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "text", "folder", "pipe"])
@pytest.mark.parametrize("resumed", [False, True])
def test_what_has_the_name_of_the_lock_is_left_alone(kind, resumed, folder, capsys):
    """It was emptied, written to and removed, or followed to another file."""
    if resumed:
        assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0
    foreign, lock = Path("foreign"), Path(".a.nc.lock")
    foreign.write_text("process 1 of someone else")
    {
        "symbolic link": lambda: lock.symlink_to(foreign),
        "hard link": lambda: lock.hardlink_to(foreign),
        "text": lambda: lock.write_text("a text of the user"),
        "folder": lock.mkdir,
        "pipe": lambda: os.mkfifo(lock),
    }[kind]()
    before = lock.lstat()
    said = refusal(capsys, "simulate", "c.toml", "--out", "a.nc", *(["--resume"] if resumed else []))
    assert ".a.nc.lock beside it is no lock of tokenlaw; rename or remove that" in said
    assert os.path.samestat(before, lock.lstat())
    assert foreign.read_text() == "process 1 of someone else"
    assert kind != "text" or lock.read_text() == "a text of the user"


def test_a_file_with_the_old_name_of_the_copy_is_left_alone(folder):
    for name in (".a.nc.part", ".a.png.part"):
        Path(name).write_text("a text of the user")
    assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0
    assert call("plot", "a.nc", "--out", "a.png") == 0
    assert Path(".a.nc.part").read_text() == Path(".a.png.part").read_text() == "a text of the user"


@pytest.mark.parametrize("left", [b"", bytes(30), b"proc", b"process 1 on another\n"])
def test_a_lock_of_which_little_is_left_is_one(left, folder):
    """After a loss of power."""
    Path(".a.nc.lock").write_bytes(left)
    with locked(Path("a.nc")):
        pass
    assert not Path(".a.nc.lock").exists()


def test_a_lock_that_cannot_be_closed_ends_nothing(folder, monkeypatch):
    """The run has ended well, and its file is in place."""
    real = os.close

    def close(handle):
        name = os.readlink(f"/proc/self/fd/{handle}")
        real(handle)
        if ".lock" in name:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", close)
    assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0


def test_what_a_killed_run_had_not_put_into_its_file_is_taken_up(folder, monkeypatch, capsys):
    """Its journal: records are there again, nothing is computed twice, and the end is that of a run in one piece."""
    monkeypatch.setattr(output, "SHARE", 1e9)
    monkeypatch.setattr(output.Recorder.__init__, "__defaults__", (None, None, None, 1e-9))
    run = ["simulate", "c.toml", "-q", "--set", "output.save_every=0.02", "--set", "layers.t_end=0.4", "--out"]
    with monkeypatch.context() as patch:
        real = output.Recorder.flush
        patch.setattr(output.Recorder, "flush", lambda self: None if self._written else real(self))
        assert call(*run, "a.nc") == 0
    with xr.open_dataset("a.nc") as dataset:
        assert list(dataset["step"].values) == [0]
    assert Path(".a.nc.writing/tokenlaw.journal").exists()
    steps = []
    monkeypatch.setattr(terminal, "progress", lambda *_: nullcontext(steps.append))
    assert call(*run, "a.nc", "--resume") == 0
    assert steps == []  # all of it was in the journal
    assert call(*run, "b.nc") == 0
    assert_same("b.nc", "a.nc")
    assert sorted(path.name for path in folder.iterdir()) == ["a.nc", "b.nc", "c.toml"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a compiler")
def test_calls_of_the_system_that_fail():
    """Every close and write of a run fails once, in turn: one line, exit code 2 or 3, the old file or the new one.

    The library of NetCDF ends the process where it cannot close a file; disks without locks end in a warning.
    """
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--only", "system.few"], capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert "losses: none" in said.stdout
