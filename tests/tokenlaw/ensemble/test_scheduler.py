"""tokenlaw ensemble --scheduler: the workers of a Dask scheduler that is already there."""

import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

import pytest
import xarray as xr
from distributed import Client, LocalCluster

from tests.tokenlaw.calls import HOMOGENIZED, TRANSFORMER, assert_same, call, start, tokens_file, until
from tokenlaw.config import read as config
from tokenlaw.ensemble import cluster
from tokenlaw.ensemble import member as members
from tokenlaw.ensemble import run as ensemble
from tokenlaw.ensemble.member import Outcome, Task, run_counted, run_member
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import build
from tokenlaw.runs.locks import locked

SERVE = """
import sys
from distributed import LocalCluster
exec(sys.argv[1])
with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0") as found:
    print(found.scheduler_address, flush=True)
    sys.stdin.read()
"""
RUN = ("ensemble", "c.toml", "--run", "simulate", "--out", "e", "--members")


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Start a scheduler with a worker in a process and a folder of its own, once it has run some code: the address."""
    started = []

    def begin(code=""):
        words = [sys.executable, "-c", SERVE, code]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("elsewhere")
        )
        started.append(process)
        return process.stdout.readline().strip()

    yield begin
    for process in started:
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def scheduler(serve):
    return serve()


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    (tmp_path / "t.toml").write_text(TRANSFORMER)


def refusal(capsys):
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


def test_its_workers_write_the_same_bits(scheduler, capsys):
    """They work in another folder, and names of files in the configuration and of --out are relative."""
    tokens_file("x.nc")
    initial = '{kind="tokens", file="x.nc"}'
    assert call(*RUN, "2", "--sweep", "model.beta=1,2", "--scheduler", scheduler, initial=initial) == 0
    assert capsys.readouterr().err == ""
    for beta in (1, 2):
        for member in (0, 1):
            words = [f"model.beta={beta}", f"noise.member={member}", f"initial={initial}"]
            runs.execute("simulate", build(config.load("c.toml", words)), Path("one.nc"), realization=member)
            assert_same("one.nc", f"e/model.beta={beta}/member-0000{member}.nc")
            Path("one.nc").unlink()


def test_its_failing_members_are_tried_twice(scheduler, capsys):
    assert call(*RUN, "1", "--scheduler", scheduler, heads__sigma_a=1e200) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("; tried once more")
    assert lines[2].startswith("stopped: 1 of 1 members failed")
    assert json.loads(Path("e/index.json").read_text())["entries"][0]["attempts"] == 2


def test_an_interrupted_ensemble_leaves_its_workers_free(scheduler):
    """The member that runs ends after its layer, its file is whole, and the scheduler serves the next one."""
    words = ["--set", "layers.depth=1000000", "--set", "output.save_every=100.0"]
    process = start("ensemble", "t.toml", "--run", "simulate", "--members", "2", "--out", "e", *words,
                    "--scheduler", scheduler)  # fmt: skip
    while not Path("e/member-00000.nc").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=300) == ("", "interrupted; go on with --resume\n")
    assert process.returncode == 130
    until(lambda: not members.ledger(Path("e/member-00000.nc")).exists())  # it ends after its layer, however slow
    assert sorted(path.name for path in Path("e").iterdir()) == ["index.json", "member-00000.nc"]
    with xr.open_dataset("e/member-00000.nc") as dataset:
        assert int(dataset["step"][-1]) < 1000000
    assert call("ensemble", "c.toml", "--members", "1", "--out", "f", "--scheduler", scheduler) == 0


def test_no_lack_of_workers_is_told_where_there_are_some(scheduler, monkeypatch, capsys):
    """The client renews what it knows of the scheduler now and then, without the workers."""
    monkeypatch.setattr(Client, "scheduler_info", lambda self, **_: {"workers": {}})
    monkeypatch.setattr(ensemble, "PATIENCE", 1e-4)
    assert call(*RUN, "1", "--scheduler", scheduler) == 0
    assert capsys.readouterr().err == ""


def test_a_worker_without_tokenlaw_is_named(serve, capsys):
    """Neither it nor the scheduler is brought down by what it cannot import."""
    address = serve("sys.modules['tokenlaw'] = None")
    for words in ((), ("--resume",)):
        assert call(*RUN, "3", "--scheduler", address, *words) == 2
        assert refusal(capsys).startswith("error: a worker cannot import tokenlaw (ModuleNotFoundError: ")


def test_a_worker_of_another_version_is_named(scheduler, monkeypatch, capsys):
    monkeypatch.setattr(ensemble, "VERSION", "0.0.7")
    assert call(*RUN, "3", "--scheduler", scheduler) == 2
    assert f"has tokenlaw {members.VERSION}, not 0.0.7; install the same there" in refusal(capsys)
    assert not list(Path("e").glob("*.nc"))


def test_a_worker_that_does_not_see_the_folder(tmp_path):
    task = Task("simulate", "", str(tmp_path / "e" / "member-00000.nc"), 0)
    with pytest.raises(config.ConfigError, match=f"does not see the folder {tmp_path}/e; give one that all workers"):
        run_counted(task, run_member, members.VERSION)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("closing", [True, False])
def test_a_run_is_handed_over(closing, tmp_path):
    """A worker that closes still writes for a moment: that is no death; one that died holds no lock."""
    path = tmp_path / "member-00000.nc"
    tries = members.ledger(path)
    tries.write_bytes(b".")
    task = Task("simulate", "", str(path), 0, tries=2)
    with ExitStack() as stack:
        if closing:
            stack.enter_context(locked(path))
            threading.Timer(0.5, lambda: [stack.close(), tries.unlink()]).start()
        outcome = run_counted(task, lambda task: Outcome(), members.VERSION)
    assert outcome.deaths == (not closing)
    assert tries.exists() != closing


class Other(socketserver.BaseRequestHandler):
    """A server of another kind: it greets, listens, and after five seconds of silence hangs up."""

    def handle(self):
        self.request.settimeout(5)
        with suppress(OSError):
            self.request.sendall(self.server.greeting)
            while self.request.recv(10000):
                pass


@pytest.mark.parametrize("greeting", [None, b"", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"])
def test_an_address_without_a_scheduler(greeting, monkeypatch, capsys):
    """Nobody listens; a server that says nothing; one whose greeting reads as a length beyond all memory."""
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with socketserver.TCPServer(("127.0.0.1", 0), Other) as server:
        address = f"tcp://127.0.0.1:{server.server_address[1]}"
        server.greeting = greeting
        if greeting is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever).start()
        begin = time.monotonic()
        assert call(*RUN, "1", "--scheduler", address) == 2
        assert time.monotonic() - begin < 4
        if greeting is not None:
            server.shutdown()
    assert refusal(capsys) == (
        f"error: --scheduler {address}: no scheduler answers there; must be an address like tcp://host:8786\n"
    )


@pytest.mark.parametrize("ends", [True, False])
def test_an_interrupt_waits_for_members_that_are_told_to_stop(ends, monkeypatch):
    """Those who go on find their files free; a member in a long layer is not waited for without end."""
    planned, _ = members.plan(Path("c.toml"), "simulate", 1)
    index, waiting = ensemble.prepare(Path("e"), "simulate", (), planned, resume=False)
    running = members.ledger(Path("e") / planned[0].file)

    def gather(*_):
        running.touch()
        if ends:
            threading.Timer(0.3, running.unlink).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "_gather", gather)
    monkeypatch.setattr(ensemble, "workers", lambda *_: nullcontext())
    monkeypatch.setattr(ensemble, "FAREWELL", 10.0 if ends else 0.1)
    with pytest.raises(KeyboardInterrupt):
        ensemble.run(index, waiting, scheduler="tcp://somewhere:8786")
    assert running.exists() != ends


def test_the_address_of_a_worker(scheduler, capsys):
    with Client(scheduler) as client:
        (address,) = client.scheduler_info()["workers"]
    assert call(*RUN, "1", "--scheduler", address) == 2
    assert refusal(capsys).startswith(f"error: --scheduler {address}: a worker answers there, no scheduler; ")


def test_a_scheduler_without_workers():
    """It says that it waits, and hears while it does."""
    planned, _ = members.plan(Path("c.toml"), "simulate", 1)
    index, waiting = ensemble.prepare(Path("e"), "simulate", (), planned, resume=False)
    said, end = [], time.monotonic() + 5

    def obey():
        if said or time.monotonic() > end:
            raise KeyboardInterrupt

    told = ensemble.Told(note=said.append, obey=obey)
    none = LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0")
    with none, pytest.raises(KeyboardInterrupt):
        ensemble.run(index, waiting, scheduler=none.scheduler_address, told=told)
    assert said == ["the scheduler has no workers; waiting for them"]
