"""tokenlaw ensemble: files that do not depend on workers or restarts, one index, failures that are named."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import Client, Status

from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, assert_same, call, contents, start, until
from tokenlaw.commands import terminal
from tokenlaw.config import read as config
from tokenlaw.ensemble import cluster
from tokenlaw.ensemble import member as members
from tokenlaw.ensemble import run as ensemble
from tokenlaw.ensemble.member import Outcome, Stopped, Task, run_member
from tokenlaw.runs import locks
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import build

RUN = ("ensemble", "c.toml", "--run", "simulate", "--members")


@pytest.fixture(scope="module")
def client():
    """Workers within this process: nothing has to be started."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


@pytest.fixture
def here(client, monkeypatch):
    """Ensembles on the workers of this process."""

    @contextmanager
    def workers(scheduler, n_workers):
        yield client

    monkeypatch.setattr(ensemble, "workers", workers)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    (tmp_path / "t.toml").write_text(TRANSFORMER)


STRANGER = """
import sys
from distributed import Client, Security
for address in sys.argv[1:]:
    for security in (None, Security.temporary()):
        try:
            with Client(address, timeout=5, security=security) as client:
                print("let in by", address, client.run_on_scheduler(lambda: 1))
        except Exception as error:
            print("refused:", type(error).__name__)
"""


def listeners():
    """Addresses (host, port) at which this process and those it has started listen."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {one.laddr for each in family for one in each.net_connections() if one.status == "LISTEN"}


def test_a_stranger_on_this_machine_is_refused():
    """No server of the embedded cluster lets anybody in without its certificate, and none tells anything."""
    before = listeners()
    with cluster.workers(None, 1) as client:
        assert client.submit(int, "7").result() == 7
        address = client.scheduler.address
        told = subprocess.run(
            [sys.executable, "-c", STRANGER, address, address.replace("tls:", "tcp:")], capture_output=True, text=True
        ).stdout
        assert len(told.splitlines()) == 4, told
        assert "let in" not in told
        opened = listeners() - before
        assert {host for host, _ in opened} == {"127.0.0.1"}
        for _, port in opened:
            for page in ("/info/main/workers.html", "/json/counts.json", "/metrics", "/health"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                with suppress(OSError, http.client.HTTPException):  # servers that speak TLS only hang up
                    connection.request("GET", page)
                    assert connection.getresponse().status == 404, (port, page)
                connection.close()


def index(folder):
    return json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))


def alone(command, member, path, *overrides):
    """The run of a member outside of any ensemble."""
    experiment = build(config.load("c.toml", [*overrides, f"noise.member={member}"]))
    runs.execute(command, experiment, Path(path), realization=member)


def works_or_dies(task: Task) -> Outcome:
    """Member 1 ends its process the first time, member 2 every time."""
    marker = Path(task.path).with_suffix(".died")
    if task.number == 2 or (task.number == 1 and not marker.exists()):
        marker.touch()
        os._exit(1)
    return run_member(task)


def use(monkeypatch, work):
    monkeypatch.setitem(ensemble.run.__kwdefaults__, "work", work)


def test_processes_that_die_are_named_and_the_others_are_as_alone(monkeypatch, capsys):
    """Two worker processes of the embedded cluster; a member that loses its worker is repeated once."""
    use(monkeypatch, works_or_dies)
    assert call(*RUN, "4", "--out", "e", "--workers", "2") == 3
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines[:2]) == [
        "member-00001.nc: its worker process died; tried once more",
        "member-00002.nc: failed: its worker process died",
    ]
    assert lines[2:] == [
        "stopped: 1 of 4 members failed and are named in e/index.json; "
        "the first is member-00002.nc: its worker process died"
    ]
    found = index("e")
    assert (found["done"], found["failed"], found["waiting"]) == (3, 1, 0)
    assert [entry["attempts"] for entry in found["entries"]] == [1, 2, 2, 1]
    assert [entry["status"] for entry in found["entries"]] == ["done", "done", "failed", "done"]
    assert not Path("e/member-00002.nc").exists()
    for member in (0, 1, 3):
        alone("simulate", member, "one.nc")
        assert_same("one.nc", f"e/member-{member:05d}.nc")
    use(monkeypatch, run_member)
    with monkeypatch.context() as patch:  # going on runs what is missing, and nothing else
        patch.setattr(ensemble, "_gather", lambda client, index, waiting, *rest: pytest.fail(waiting[0].file))
        with pytest.raises(pytest.fail.Exception, match=r"member-00002\.nc"):
            call(*RUN, "4", "--out", "e", "--workers", "2", "--resume")


@pytest.mark.parametrize("command", ["solve", "simulate", "compare"])
def test_members_open_together(here, command, capsys):
    finer = {"solve__lmax": 16}
    assert call("ensemble", "c.toml", "--run", command, "--members", "3", "--out", "e", noise__member=4, **finer) == 0
    assert capsys.readouterr().err == ""
    with xr.open_mfdataset("e/*.nc") as together:
        assert list(together["realization"].values) == [4, 5, 6]
        assert together["realization"].attrs["standard_name"] == "realization"
        assert "axis" not in together["realization"].attrs
        assert all(variable.dims[0] == "realization" for variable in together.data_vars.values())
        with xr.open_dataset("e/member-00005.nc") as alone:
            assert all(variable.dims[0] == "realization" for variable in alone.data_vars.values())
            assert alone.sizes["realization"] == 1
        assert call(command, "c.toml", "--out", "one.nc", noise__member=5, **finer) == 0
        with xr.open_dataset("one.nc") as one:
            for name in ({*one.data_vars, "node"} & {*one.variables}) - {"area"}:  # the same for all members
                np.testing.assert_array_equal(one[name].values, together[name].values[1], err_msg=str(name))
    if command == "compare":
        assert call("plot", "e/member-00005.nc", "--out", "p.png") == 0
        assert call("report", "e/member-00005.nc", "--out", "p.html") == 0
    assert call("info", "e/member-00005.nc") == 0
    assert "depth time: 0 to 0.12 in 4 records" in capsys.readouterr().out


def test_a_members_file_is_a_start(here):
    assert call(*RUN, "1", "--out", "e") == 0
    settings = {"initial": '{kind="tokens",file="e/member-00000.nc"}'}
    assert call("simulate", "c.toml", "--out", "on.nc", **settings) == 0
    assert call("ensemble", "c.toml", "--members", "1", "--out", "s") == 0
    settings = {"initial": '{kind="density",file="s/member-00000.nc"}'}
    assert call("solve", "c.toml", "--out", "on.nc", **settings) == 0


def test_a_grid_of_values(here):
    words = ("--sweep", "model.beta=1,2.5", "--sweep", "model.attention=softmax,l2")
    assert call(*RUN, "2", "--out", "e", *words) == 0
    found = index("e")
    assert found["done"] == 8
    assert [entry["point"] for entry in found["entries"]][::2] == [
        {"model.beta": beta, "model.attention": kernel} for beta in (1, 2.5) for kernel in ("softmax", "l2")
    ]
    alone("simulate", 1, "one.nc", "model.beta=2.5", "model.attention=l2")
    assert_same("one.nc", "e/model.beta=2.5,model.attention=l2/member-00001.nc")
    assert Path("e", found["entries"][-1]["file"]).exists()


def test_values_that_cannot_name_a_folder(here):
    words = ("--sweep", "heads.mean_v=[[0,0,0],[0,0,0],[0,0,0]],[[0.1,0,0],[0,0,0],[0,0,0]]",
             "--sweep", "model.beta=1.5")  # fmt: skip
    assert call(*RUN, "1", "--out", "e", *words) == 0
    assert [entry["file"] for entry in index("e")["entries"]] == [
        "point-0000/member-00000.nc", "point-0001/member-00000.nc",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_going_on_gives_the_same_bits(here, command, capsys):
    """A member that stopped between two records, one that is missing, one that is complete, and two that are new."""
    base = ("ensemble", "c.toml", "--run", command, "--out", "e")
    assert call(*base, "--members", "3") == 0
    Path("e/member-00001.nc").unlink()
    Path("e/member-00002.nc").unlink()
    for member in range(5):
        alone(command, member, f"{member}.nc")
    with monkeypatched_stop(5):
        with pytest.raises(Stopped):
            run_member(Task(command, index("e")["configuration"].replace("member = 0", "member = 1"),
                            "e/member-00001.nc", 1))  # fmt: skip
    before = contents("e/member-00001.nc")
    assert before["/step"][0] == (3,)
    untouched = os.stat("e/member-00000.nc").st_mtime_ns
    assert call(*base, "--members", "5", "--resume") == 0
    assert capsys.readouterr().err == "e: 1 of 5 members are complete\n"
    assert os.stat("e/member-00000.nc").st_mtime_ns == untouched
    for member in range(5):
        assert_same(f"{member}.nc", f"e/member-{member:05d}.nc")
    assert index("e")["done"] == 5


@contextmanager
def monkeypatched_stop(at):
    """A worker that is asked to close after so many layers."""

    def obey():
        def stop(step):
            if step == at:
                raise Stopped

        return stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "_obey", obey)
        yield


@pytest.mark.parametrize("end", ["its worker closes", "nobody waits for it"])
def test_a_run_ends(end, monkeypatch):
    task = SimpleNamespace(state="executing")
    worker = SimpleNamespace(
        status=Status.running, state=SimpleNamespace(tasks={"me": task}), get_current_task=lambda: "me"
    )
    monkeypatch.setattr("distributed.get_worker", lambda: worker)
    stop = members._obey()
    stop(1)
    if end == "its worker closes":
        worker.status = Status.closing
    else:
        task.state = "cancelled"
    with pytest.raises(Stopped):
        stop(2)


def test_a_file_of_another_configuration_is_not_complete(tmp_path):
    (member,), _ = members.plan(Path("c.toml"), "simulate", 1)
    (other,), _ = members.plan(Path("c.toml"), "simulate", 1, (), ("model.beta=1",))
    alone("simulate", 0, "one.nc")
    assert members.complete(Path("one.nc"), member)
    assert not members.complete(Path("one.nc"), other)
    assert not members.complete(Path("none.nc"), member)


def test_a_longer_run_goes_on_from_the_shorter_one(here):
    assert call(*RUN, "2", "--out", "e") == 0
    assert call(*RUN, "2", "--out", "e", "--resume", layers__t_end=0.2) == 0
    alone("simulate", 1, "one.nc", "layers.t_end=0.2")
    assert_same("one.nc", "e/member-00001.nc")


def test_members_to_come_have_the_inputs_of_those_that_are_complete(here, capsys):
    def tokens(x):
        points = np.tile([x, 0.0, np.sqrt(1 - x * x)], (4, 1))
        xr.Dataset({"tokens": (("token", "component"), points)}).to_netcdf("x.nc")

    tokens(0.6)
    initial = '{kind="tokens", file="x.nc"}'
    assert call(*RUN, "1", "--out", "e", initial=initial) == 0
    tokens(0.8)
    assert call(*RUN, "2", "--out", "e", "--resume", initial=initial) == 2
    assert "the contents of initial.file have changed since the run began" in capsys.readouterr().err
    assert not Path("e/member-00001.nc").exists()


def test_members_that_stop_are_tried_twice(here, capsys):
    """A state that is not finite: the last good one is on disk, the index says why."""
    assert call(*RUN, "2", "--out", "e", heads__sigma_a=1e200) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("member-00000.nc: the ")
    assert lines[0].endswith("; tried once more")
    assert lines[-1].startswith("stopped: 2 of 2 members failed and are named in e/index.json; the first is")
    found = index("e")
    assert [(entry["status"], entry["attempts"]) for entry in found["entries"]] == [("failed", 2)] * 2
    assert all("step 0" in entry["error"] for entry in found["entries"])
    with xr.open_dataset("e/member-00001.nc") as dataset:
        assert list(dataset["step"].values) == [0]


def test_warnings_of_members_are_told_once(here, capsys):
    hard = {"solve__lmax": 8, "layers__t_end": 0.2, "initial__components": "[{mean=[0,0,1.0],kappa=6.0}]"}
    assert call("ensemble", "c.toml", "--members", "3", "--out", "e", **hard) == 0
    lines = capsys.readouterr().err.splitlines()
    warned = [entry["warnings"] for entry in index("e")["entries"]]
    assert all("the pointwise density is not resolved" in warnings[0] for warnings in warned)
    assert len({warnings[0] for warnings in warned}) == 3  # they differ in numbers
    assert len(lines) == 1
    assert lines[0].startswith("warning: member-0000")


def test_an_interrupted_ensemble_leaves_no_process(tmp_path):
    run = ["ensemble", "t.toml", "--run", "simulate", "--members", "3", "--set", "layers.depth=300000",
           "--set", "output.save_every=100.0", "--out"]  # fmt: skip
    process = start(*run, "e", "--workers", "2")
    while not list((tmp_path / "e").glob("*.nc")):
        assert process.poll() is None
        time.sleep(0.01)
    names = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    children = [int(word) for word in names.stdout.split()]
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (130, "", "interrupted; go on with --resume\n")
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    # Dask kills a worker that has not closed after four seconds: hidden files may be left, which --resume takes away.
    kept = {path.suffix for path in (tmp_path / "e").iterdir() if not path.name.startswith(".")}
    assert kept == {".nc", ".json"}
    began = [path.name for path in (tmp_path / "e").glob("*.nc")]
    with xr.open_dataset(tmp_path / "e" / began[0]) as dataset:
        last = int(dataset["step"][-1])
    assert last < 300000


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--sweep", "beta=1"], '--sweep "beta=1": must be section.key=v1,v2,...'),
        (["--sweep", "model.beta="], '--sweep "model.beta=": must be section.key=v1,v2,...'),
        (["--sweep", "model.beta=1,1"], '--sweep "model.beta=1,1": must be different values'),
        (["--sweep", "noise.member=1,2"], '--sweep "noise.member=1,2": noise.member cannot be swept'),
        (["--sweep", "model.beta=1", "--sweep", "model.beta=2"], "--sweep: a key is given twice"),
        (["--sweep", "model.bet=1,2"], "--sweep model.bet=1: model.bet: unknown key; did you mean model.beta?"),
        (["--sweep", "model.beta=1,-2"], "--sweep model.beta=-2: model.beta = -2"),
        (["--set", "model.causal=true"], "model.causal = true: must be false for densities"),
        (["--out", "c.toml"], "--out c.toml: is a file, must be the name of a folder"),
        (["--out", "full"], "--out full: is not empty and holds no ensemble"),
        (["--members", "100001"], "--members 100001: makes 100001 runs; must be at most 100000"),
        (["--members", "0"], "Invalid value for '--members'"),
        (["--run", "plot"], "Invalid value for '--run'"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "--workers 2: belongs to the embedded cluster"),
        (["--scheduler", "nowhere"], "--scheduler nowhere: "),
    ],
)
def test_refusals(words, line, capsys, tmp_path):
    """Before any work: one line, exit 2, nothing written."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other.nc").touch()
    assert call("ensemble", "c.toml", "--members", "2", "--out", "e", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("e/*"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "--out e: holds an ensemble already; go on with --resume"),
        (["--resume", "--run", "solve"], "--resume e: holds runs of tokenlaw simulate, not of tokenlaw solve"),
        (["--resume", "--sweep", "model.beta=1,2"], "--resume e: holds an ensemble with no sweep"),
        (["--resume", "--set", "model.beta=1"], "--resume e: the configuration differs in model.beta"),
        (["--resume", "--set", "output.save_every=0.02"], "--resume e: the configuration differs in output"),
        (["--resume", "--set", "layers.t_end=0.06"], "layers.t_end: ends the run at depth time 0.06"),
        (["--resume", "--members", "1"], "--members: must be at least 2, as in e/index.json"),
    ],
)
def test_another_ensemble_is_not_touched(here, words, line, capsys):
    assert call(*RUN, "2", "--out", "e") == 0
    before = {path: path.read_bytes() for path in Path("e").iterdir()}
    capsys.readouterr()
    assert call(*RUN, "2", "--out", "e", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path("e").iterdir()} == before


def test_workers_with_threads_are_refused(client, capsys):
    """The NetCDF library takes one thread; a scheduler of ours is used as it is."""
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as many:
        address = many.scheduler_info()["address"]
        assert call(*RUN, "1", "--out", "e", "--scheduler", address) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --scheduler {address}: the worker ")
    assert "has 2 threads; start workers with one thread each" in err
    assert call(*RUN, "1", "--out", "e", "--scheduler", client.scheduler_info()["address"]) == 0
    assert index("e")["done"] == 1


def test_a_bar_on_a_terminal_only(here, monkeypatch, capsys):
    seen = []

    @contextmanager
    def progress(command, n_steps, quiet, unit):
        assert (command, n_steps, unit) == ("ensemble", 3, "members")
        yield seen.append

    with monkeypatch.context() as patch:
        patch.setattr(terminal, "progress", progress)
        assert call(*RUN, "3", "--out", "e") == 0
    assert seen == [1, 2, 3]
    assert call(*RUN, "1", "--out", "f") == 0
    assert capsys.readouterr() == ("", "")


def test_one_command_at_a_time_works_in_a_folder(here, capsys, monkeypatch):
    """The folder is held while members run; a second command changes nothing in it, and later goes on."""
    held, gather = [], ensemble._gather

    def looking(*arguments):
        held.append(not locks.free(Path("e/index.json")))
        gather(*arguments)

    monkeypatch.setattr(ensemble, "_gather", looking)
    assert call(*RUN, "2", "--out", "e", "--quiet") == 0
    assert held == [True]
    assert sorted(path.name for path in Path("e").iterdir()) == ["index.json", "member-00000.nc", "member-00001.nc"]
    capsys.readouterr()
    Path("e/.member-00001.nc.tries").write_text(".")
    with locks.locked(Path("e/index.json")):
        assert call(*RUN, "2", "--out", "e", "--resume") == 2
    assert "e/index.json: is being written by another run" in capsys.readouterr().err
    assert Path("e/.member-00001.nc.tries").exists()
    assert call(*RUN, "2", "--out", "e", "--resume", "--quiet") == 0


def hangs(task: Task) -> Outcome:
    os.kill(os.getpid(), signal.SIGSTOP)
    return Outcome("")


def test_a_worker_that_hangs_is_spoken_of(tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "SILENCE", 2.0)
    notes = []

    def note(text):
        notes.append(text)
        for process in psutil.Process().children(recursive=True):
            if process.status() == psutil.STATUS_STOPPED:
                process.send_signal(signal.SIGCONT)

    text = config.dumps(config.load("c.toml"))
    chosen = [members.Member("m0.nc", 0, {}, text, {})]
    listed, waiting = ensemble.prepare(tmp_path / "e", "simulate", (), chosen, resume=False)
    ensemble.run(listed, waiting, n_workers=1, told=ensemble.Told(note=note), work=hangs)
    assert len(notes) == 1
    assert "no sign of life from the worker tls://127.0.0.1:" in notes[0]
    assert "for 2 s, with m0.nc;" in notes[0]
