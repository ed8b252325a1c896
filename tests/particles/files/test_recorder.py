"""Files that grow: what is new is what it costs, a journal is taken up where it was left, damage is never sealed."""

import os
import stat
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles.files import WriteError, checksum, journal, netcdf, placing, run_files
from particles.files import recorder as output
from particles.files.placing import Aside, whole
from particles.files.recorder import Recorder
from particles.files.run_files import recover
from tests.tokenlaw.calls import assert_same

ATTRS = {"configuration": "none"}


class Law:
    dt, noise_scale = 0.5, 0.25


def one(step, size=6):
    """A record and its state."""
    points = np.random.default_rng(step).standard_normal((size, 3))
    found = output.record(
        step, Law, {"tokens": (("token", "component"), points, "tokens"), "mass": ((), np.float64(step), "mass")}
    )
    return found, {"step": np.asarray(step), "tokens": points, "none": np.zeros((0, 3))}


def static(size=6):
    return xr.Dataset({"weight": ("token", np.full(size, 1 / size))})


def written(path, steps, size=6, patience=1e9, **more):
    """A file that was written in one piece; with patience 0, record after record."""
    recorder = Recorder(path, static(size), ATTRS, patience, **more)
    for step in steps:
        recorder.append(*one(step, size))
    recorder.flush()
    recorder.patience = 0.0
    return recorder


@pytest.fixture
def clock(monkeypatch):
    """The time, as the recorder sees it."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def slow(path, clock, steps, **more):
    """A run of a hundred records a second whose file takes for ever to copy; it is killed at the end."""
    recorder = Recorder(path, static(), ATTRS, **more)
    for step in steps:
        recorder.append(*one(step))
        clock[0] += 0.01
        recorder._cost = 1e9
    return recorder


@pytest.mark.parametrize("member", [None, 4])
def test_a_run_that_is_killed_loses_a_second(member, tmp_path, clock):
    """However long its file takes to copy; what the journal takes up is the file of a run that wrote each record."""
    path = tmp_path / "a.nc"
    slow(path, clock, range(230), realization=member)
    with xr.open_dataset(path) as dataset:
        assert list(dataset["step"]) == [0]
    kept = recover(path)
    assert 130 <= kept <= 230
    assert recover(path) == 0
    written(tmp_path / "b.nc", range(kept + 1), realization=member)
    assert_same(tmp_path / "b.nc", path)
    assert checksum.intact(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.nc", "b.nc"]


def test_what_is_new_is_what_it_costs(tmp_path, clock, monkeypatch):
    """Bytes that are written in a second do not grow with what is there."""
    path, sizes, real = tmp_path / "a.nc", [], journal.append

    def noting(name, end, *more):
        after = real(name, end, *more)
        sizes.append(after - end)
        return after

    monkeypatch.setattr(journal, "append", noting)
    recorder = slow(path, clock, range(600))
    assert len(sizes) >= 5
    assert max(sizes[1:]) < 1.1 * min(sizes[1:])
    recorder.flush()
    written(tmp_path / "b.nc", range(600))
    assert_same(tmp_path / "b.nc", path)
    assert not placing.folder(path).exists()


def test_a_file_is_copied_for_a_tenth_of_the_time(tmp_path, clock, monkeypatch):
    """And more seldom, the longer it takes; never later than the journal, however much waits."""
    copies, real = [], run_files.replace

    def costly(*arguments):
        copies.append(clock[0])
        found, _ = real(*arguments)
        clock[0] += 0.5
        return found, 0.5

    monkeypatch.setattr(run_files, "replace", costly)
    recorder = Recorder(tmp_path / "a.nc", static(), ATTRS)
    for step in range(1500):
        recorder.append(*one(step))
        clock[0] += 0.01
        assert len(recorder._pending) <= 101
    assert 3 <= len(copies) <= 4
    assert min(np.diff(copies)) >= 5.0


def test_bytes_that_wait_are_bounded(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(output, "WAITING", 100_000)
    recorder = Recorder(tmp_path / "a.nc", static(1000), ATTRS)
    for step in range(40):
        recorder.append(*one(step, 1000))
        recorder._cost = 1e9
        assert recorder._waiting <= 100_000
    recorder.flush()
    written(tmp_path / "b.nc", range(40), 1000)
    assert_same(tmp_path / "b.nc", tmp_path / "a.nc")


def test_a_journal_that_was_cut_or_damaged_gives_what_is_whole(tmp_path, clock):
    """At any byte, with any bit: some entries from the first on, and the state after the last of them."""
    path, rng = tmp_path / "a.nc", np.random.default_rng(0)
    slow(path, clock, range(420))
    before, log = path.read_bytes(), placing.folder(path) / "tokenlaw.journal"
    whole_log, found = log.read_bytes(), set()
    for k in range(16):
        data = bytearray(whole_log)
        place = int(rng.integers(len(data)))
        if k % 2:
            data[place] ^= 1 << int(rng.integers(8))
        else:
            del data[place:]
        placing.folder(path).mkdir(mode=0o700, exist_ok=True)
        log.write_bytes(data)
        path.write_bytes(before)
        kept = recover(path)
        found.add(kept)
        _attrs, steps, state = run_files.read_end(path)
        assert steps == list(range(kept + 1))
        assert int(state["step"]) == kept
        np.testing.assert_array_equal(state["tokens"], one(kept)[0]["tokens"][0])
        assert not log.exists()
    assert len(found) >= 4


def test_a_journal_of_another_file_is_not_taken_up(tmp_path, clock):
    path = tmp_path / "a.nc"
    slow(path, clock, range(320))
    log = (placing.folder(path) / "tokenlaw.journal").read_bytes()
    written(path, range(3))
    before = path.read_bytes()
    placing.folder(path).mkdir(mode=0o700)
    (placing.folder(path) / "tokenlaw.journal").write_bytes(log)
    assert recover(path) == 0
    assert path.read_bytes() == before
    assert not placing.folder(path).exists()


@pytest.mark.parametrize("limit", [netcdf.SMALL, 0], ids=["in memory", "on the disk"])
def test_a_bit_that_turns_between_two_writes_is_never_sealed(limit, tmp_path, monkeypatch):
    """Whichever it is, in the data, in the structure or in the attributes; the file stays for who wants to look."""
    monkeypatch.setattr(netcdf, "SMALL", limit)
    path, rng = tmp_path / "a.nc", np.random.default_rng(1)
    for _ in range(16):
        recorder = written(path, range(3))
        data = bytearray(path.read_bytes())
        data[int(rng.integers(len(data) - checksum.LENGTH))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        with pytest.raises(WriteError, match="has changed since it was written"):
            recorder.append(*one(3))
        assert path.read_bytes() == data
        assert not checksum.intact(path)
        going_on = Recorder(path, static(), ATTRS, 0.0)
        going_on.continue_file(3)
        with pytest.raises(WriteError, match="has changed since it was written"):
            going_on.append(*one(3))
        path.unlink()
    assert not placing.folder(path).exists()


def test_a_bit_that_turns_in_the_journal_stops_the_run(tmp_path, clock):
    path = tmp_path / "a.nc"
    recorder = slow(path, clock, range(300))
    log = placing.folder(path) / "tokenlaw.journal"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 4
    log.write_bytes(data)
    before = path.read_bytes()
    with pytest.raises(WriteError, match="the journal beside it has changed"):
        recorder.flush()
    assert path.read_bytes() == before


def test_going_on_does_not_load_the_file(tmp_path):
    """A file of 24 MiB: nothing like that is in memory; the last record, off the schedule, gives way."""
    path, size = tmp_path / "a.nc", 1 << 15
    written(path, [0], size)
    for begin in range(1, 32, 8):
        recorder = Recorder(path, static(size), ATTRS, 1e9)
        recorder.continue_file(begin)
        for step in range(begin, min(begin + 8, 33)):
            recorder.append(*one(step, size))
        recorder.flush()
    assert path.stat().st_size > 20 << 20
    tracemalloc.start()
    recorder = Recorder(path, static(size), {"configuration": "longer"}, 0.0)
    recorder.continue_file(32)
    recorder.append(*one(40, size))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    attrs, steps, _state = run_files.read_end(path)
    assert attrs["configuration"] == "longer"
    assert steps == [*range(32), 40]


def test_small_records_share_chunks(tmp_path):
    written(tmp_path / "a.nc", [0])
    with netcdf.reading(tmp_path / "a.nc") as file:
        assert file["tokens"].chunking() == [4096 // 144, 6, 3]
        assert file["tokens"].filters()["fletcher32"]


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "file", "folder of another", "link to a folder"])
def test_nothing_is_reached_through_the_name_of_the_folder(kind, tmp_path, monkeypatch):
    foreign, name = tmp_path / "foreign", placing.folder(tmp_path / "a.nc")
    foreign.write_text("of someone else")
    if kind == "symbolic link":
        name.symlink_to(foreign)
    elif kind == "hard link":
        name.hardlink_to(foreign)
    elif kind == "file":
        name.write_text("mine")
    elif kind == "link to a folder":
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "tokenlaw.part").write_text("mine")
        name.symlink_to(tmp_path / "folder")
    else:
        name.mkdir()
        name.chmod(0o777)
        (name / "tokenlaw.part").write_text("theirs")
    before = {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(WriteError, match=r"\.a\.nc\.writing beside it is a link or belongs to someone else"):
        written(tmp_path / "a.nc", [0])
    with pytest.raises(FileExistsError), whole(tmp_path / "a.nc"):
        pass
    assert {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_users_file_in_our_folder_stays(tmp_path):
    name = placing.folder(tmp_path / "a.nc")
    name.mkdir(0o700)
    (name / "notes").write_text("mine")
    written(tmp_path / "a.nc", range(2))
    placing.clear(tmp_path / "a.nc")
    assert [file.name for file in name.iterdir()] == ["notes"]


def test_what_is_replaced_keeps_its_mode_and_owner(tmp_path, monkeypatch):
    path = tmp_path / "a.nc"
    for mode in (0o600, 0o664, 0o640):
        written(path, [0])
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, 12, 34)
        written(path, range(2))
        with whole(path) as part:
            part.write_text("something else")
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        if os.geteuid() == 0:
            assert (found.st_uid, found.st_gid) == (12, 34)
    path.unlink()
    before = os.umask(0o027)
    try:
        written(path, [0])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_group_that_cannot_be_kept_gets_no_rights(tmp_path, monkeypatch):
    path = tmp_path / "a.nc"
    path.write_text("old")
    path.chmod(0o664)

    def never(handle, user, group):
        raise PermissionError

    real = os.fstat
    monkeypatch.setattr(os, "fchown", never)
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result((*real(handle)[:4], 77, *real(handle)[5:])))
    with open(path, "rb") as file:
        placing._liken(file.fileno(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_folder_that_is_in_use_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "PATIENCE", 0.05)
    with Aside(tmp_path / "a.nc") as aside:
        aside.part.write_text("half")
        with pytest.raises(BlockingIOError), Aside(tmp_path / "a.nc"):
            pass
        assert aside.part.read_text() == "half"
    assert not aside.folder.exists()


def test_contents_are_those_of_the_library(tmp_path):
    """The first record as xarray itself would write it."""
    dataset = xr.merge([static(), one(0)[0]])
    netcdf.save(dataset, tmp_path / "a.nc", output.encoding(dataset), ("depth_time",))
    dataset.to_netcdf(tmp_path / "b.nc", encoding=output.encoding(dataset), unlimited_dims=["depth_time"])
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_name_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("a.nc"), range(2))
    assert [file.name for file in tmp_path.iterdir()] == ["a.nc"]
