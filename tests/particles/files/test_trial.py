"""Files that are damaged, or made to do harm, are met by a child, and by limits, before this process reads them."""

import os
import re
import signal
import threading
import time

import netCDF4
import numpy as np
import pytest
import xarray as xr

from particles.files import checksum, trial
from particles.files.closure import closure_from_file
from particles.files.layers import read_heads, read_layers, read_tokens
from particles.files.trial import examine
from spde.files.read import read_density
from tests.faults.hostile import STORED, stored
from tests.tokenlaw.calls import HOMOGENIZED, call, tokens_file
from tokenlaw.files import opened

TOLD = {
    "coordinate of 8 GiB in 0.4 kB": "variable depth_time of shape (1073741824,): 8 GiB are declared, more than a",
    "variable of 16 GiB in 0.4 kB": "variable mass of shape (2147483648,): 16 GiB are declared, more than a file of",
    "piece of 4 GB in 0.4 kB": "variable mass, in pieces of shape (500000000,): 3.73 GiB are declared, more than a",
    "piece of 32 bytes that unpacks to 1 GiB": "takes more memory to read than a file of its size should",
    "packed twice by deflate": "depth_time is packed twice by the same filter",
    "packed by n-bit": "mass is packed by filter 5 of HDF5, which NetCDF does not write",
    "identifiers of a dimension that fill the stack": "not a readable NetCDF file (",
    "groups that hold themselves": "not a readable NetCDF file (",
    "damaged, reading does not end": "not a readable NetCDF file (reading it does not come to an end)",
    "damaged, reading does not end, packed": "not a readable NetCDF file (reading it does not come to an end)",
    "damaged, reading ends the process": "not a readable NetCDF file (",
    "damaged, text of 400 MB": "takes more memory to read than a file of its size should",
}


@pytest.mark.parametrize("name", TOLD)
def test_what_does_harm_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    path = stored(name, tmp_path / "t.nc")
    with pytest.raises(ValueError, match=re.escape(f"{path}: {TOLD[name]}")) as told:
        examine(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [name for name in STORED if name not in TOLD])
def test_what_is_merely_odd_is_left_to_its_reader(name, tmp_path):
    path = stored(name, tmp_path / "t.nc")
    if "names" in name:  # no text: whether that is refused here or there is up to the library
        with pytest.raises(ValueError, match=re.escape(f"{path}: ")):
            read_tokens(path)
    else:
        examine(path)


def test_every_reader_tries_first(tmp_path, capsys):
    path = stored("coordinate of 8 GiB in 0.4 kB", tmp_path / "t.nc")
    for read in (read_tokens, read_layers, read_heads, read_density, closure_from_file):
        with pytest.raises(ValueError, match="8 GiB are declared"):
            read(path)
    for command, *more in (["info"], ["plot", "--out", "p.png"], ["report", "--out", "p.html"]):
        assert call(command, path, *more) == 2
        assert "8 GiB are declared" in capsys.readouterr().err


def test_the_checksum_of_an_input_is_looked_at_before_the_library_sees_it(tmp_path, monkeypatch, capsys):
    """A file of a run as initial.file, with some of its structure zeroed: HDF5 may never come to an end on it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    assert call("simulate", "c.toml", "--out", "a.nc", "-q") == 0
    assert len(read_tokens(tmp_path / "a.nc").points) == 6
    data = bytearray((tmp_path / "a.nc").read_bytes())
    data[1000:5000] = bytes(4000)
    (tmp_path / "a.nc").write_bytes(data)
    monkeypatch.setattr(netCDF4, "Dataset", lambda *_, **__: pytest.fail("was opened"))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("was tried"))
    for read in (read_tokens, read_layers, read_heads, read_density, closure_from_file):
        with pytest.raises(ValueError, match=r"a\.nc: is damaged: its checksum is not that of its contents"):
            read(tmp_path / "a.nc")
    assert call("simulate", "c.toml", "--out", "b.nc", "--set", "initial={kind='tokens',file='a.nc'}") == 2
    assert "a.nc: is damaged: its checksum is not that of its contents" in capsys.readouterr().err


def test_a_checksum_does_not_make_a_file_a_good_one(tmp_path):
    """Anybody can add it."""
    path = stored("damaged, text of 400 MB", tmp_path / "t.nc")
    checksum.seal(path)
    with pytest.raises(ValueError, match="takes more memory"):
        examine(path)


def test_a_child_that_dies_hangs_or_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    tokens_file(tmp_path / "t.nc")
    ends = {
        "ends the library: SIGSEGV": lambda *_: os.kill(os.getpid(), signal.SIGSEGV),
        "does not come to an end": lambda *_: all(iter(lambda: 1, 0)),
        "ended with code 70": lambda *_: pytest.fail("within"),
        "takes more memory": lambda *_: bytearray(1 << 30),
    }
    for told, end in ends.items():
        monkeypatch.setattr(trial, "_read", end)
        with pytest.raises(ValueError, match=told):
            examine(tmp_path / "t.nc")


def test_an_interrupt_ends_the_child_too(tmp_path, monkeypatch):
    tokens_file(tmp_path / "t.nc")
    monkeypatch.setattr(trial, "_read", lambda *_: time.sleep(600))
    real = os.fork

    def interrupted():
        child = real()
        if child:
            monkeypatch.setattr(trial, "os", _Interrupting(child))
        return child

    monkeypatch.setattr(os, "fork", interrupted)
    with pytest.raises(KeyboardInterrupt):
        examine(tmp_path / "t.nc")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


class _Interrupting:
    """The system, where an interrupt comes while a child is waited for."""

    def __init__(self, child):
        self.child, self.calls = child, 0

    def __getattr__(self, name):
        return getattr(os, name)

    def waitpid(self, child, options):
        self.calls += 1
        if self.calls == 1:
            raise KeyboardInterrupt
        return os.waitpid(child, options)


def test_files_are_tried_from_any_thread(tmp_path):
    for k in range(4):
        tokens_file(tmp_path / f"{k}.nc", seed=k)
    found = []
    threads = [
        threading.Thread(target=lambda k=k: found.append(len(read_tokens(tmp_path / f"{k}.nc").points)))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 4


def test_ordinary_files_are_read_as_before(tmp_path):
    """Packed as it gets: constant numbers; large ones in many pieces; groups, text, old formats, no dimensions."""
    zeros = xr.Dataset({"mass": (("depth_time", "x"), np.zeros((3000, 400)))})
    zeros.to_netcdf(tmp_path / "z.nc", encoding={"mass": {"zlib": True, "complevel": 9}})
    xr.Dataset({"tokens": (("token", "component"), np.eye(3)), "n": 3, "t": "text"}).to_netcdf(tmp_path / "s.nc")
    xr.Dataset({"tokens": (("token", "component"), np.eye(3))}).to_netcdf(tmp_path / "c.nc", format="NETCDF3_CLASSIC")
    for name in ("z.nc", "s.nc", "c.nc"):
        with opened(tmp_path / name) as dataset:
            assert dataset.data_vars


def test_a_child_holds_nothing_open_that_its_parent_holds(tmp_path):
    """The lock of a run among it: a child that outlives a parent that is killed would keep the next run out."""
    with open(tmp_path / "held", "w"):
        names = trial._in_child(lambda: " ".join(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                                                 if os.path.exists(f"/proc/self/fd/{n}")))  # fmt: skip
    assert "held" not in names
    assert "pipe" in names
