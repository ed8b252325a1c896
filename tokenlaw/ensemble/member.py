"""Members of an ensemble: which runs there are, which of them are complete, and one run in a worker process."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import dask

from particles import RunError
from particles.files import BROKEN, reading, versions
from particles.machine import one_thread
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError
from tokenlaw.config.toml import show, write_value
from tokenlaw.ensemble.sweeps import folder, grid
from tokenlaw.runs import locks, resume
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import Experiment, build
from tokenlaw.runs.functions import functions_of

MOST: Final = 100_000  # runs of one ensemble
HANDOVER: Final = 60.0  # seconds for a worker that closes to write what it has; Dask kills it before
VERSION: Final = versions()["tokenlaw_version"]
ATTEMPTS_COUNTED: Final = 100  # at most
DIED: Final = "its worker process died"
_one_at_a_time = threading.Lock()  # warnings are caught for all threads of a process


@dataclass(frozen=True)
class Member:
    """One run of an ensemble.

    Attributes
    ----------
    file : name of its file in the folder of the ensemble.   number : noise.member.
    point : swept keys and their values.   configuration : whole, as TOML text.
    inputs : SHA-256 of the input files, as `tokenlaw.runs.resume.input_sums` names them.   need : about, bytes.
    code : folder whose Python files it may run.
    """

    file: str
    number: int
    point: Mapping[str, Any]
    configuration: str
    inputs: Mapping[str, str]
    need: float = 0.0
    code: str | None = None


class Task(NamedTuple):
    """What a worker is given.

    Attributes
    ----------
    command : solve, simulate or compare.   configuration : TOML text.   path : file to write.   number : the member.
    tries : attempts that are left, this one included.   inputs : what the member's input files must be, if anything.
    code : folder whose Python files it may run.
    """

    command: str
    configuration: str
    path: str
    number: int
    tries: int = 1
    inputs: Mapping[str, str] | None = None
    code: str | None = None


class Outcome(NamedTuple):
    """What a worker gives back.

    Attributes
    ----------
    error : empty where the file is complete.   seconds : of the attempt.   notes : warnings.
    deaths : how many processes died in the middle of this run.
    """

    error: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    deaths: int = 0


class Stopped(Exception):
    """The worker is asked to end, or nobody waits for the run any more; what it has reached is on disk."""


def plan(
    path: Path,
    command: str,
    members: int,
    sweeps: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    elsewhere: bool = False,
    code: str | None = None,
) -> tuple[list[Member], tuple[str, ...]]:
    """All runs of an ensemble, checked, with what is to be said about them once.

    Members are numbered from noise.member on.  At every point of the grid the first one is made ready to start, so that
    a configuration that cannot run is refused before any work; one too large for this machine unless it runs elsewhere.

    Raises
    ------
    ConfigError : in one line; at a point of a grid with its swept values.
    """
    points, functions = grid(sweeps), functions_of(code)
    if len(points) * members > MOST:
        raise ConfigError(f"--members {members}: makes {len(points) * members} runs; must be at most {MOST}")
    found: list[Member] = []
    notes: dict[str, None] = {}
    for number, point in enumerate(points):
        assigned = [*overrides, *(f"{key}={write_value(value)}" for key, value in point.items())]
        try:
            first = config.load(path, assigned)
            experiment = build(first, functions)
            if not elsewhere:
                runs.refuse_run(command, experiment)
            job = runs.JOBS[command](experiment)
        except ConfigError as error:
            words = ", ".join(f"{key}={show(value)}" for key, value in point.items())
            raise ConfigError(f"--sweep {words}: {error}" if words else str(error)) from None
        inputs = resume.input_sums(experiment)
        notes |= dict.fromkeys((*experiment.plan.notes, *job.notes))
        where = f"{folder(point, number)}/" if point else ""
        need = sum(term.need for term in runs.needs(command, experiment))
        for member in range(first.noise.member, first.noise.member + members):
            c = config.load(path, [*assigned, f"noise.member={member}"])
            c = c.model_copy(update={"heads": experiment.configuration.heads})  # with the numbers of its defaults
            file = f"{where}member-{member:05d}.nc"
            found.append(Member(file, member, point, config.dumps(c), inputs, need, code))
    return found, tuple(notes)


def complete(path: Path, member: Member) -> bool:
    """Whether the file, which `check_resume` has found sound, holds the whole run of just this configuration."""
    try:
        with reading(path) as file:
            if file.getncattr("configuration") != member.configuration:
                return False
            last = int(file.variables["step"][-1])
    except BROKEN:
        return False
    return last == _built(member).plan.n_steps


def check_resume(command: str, path: Path, member: Member) -> None:
    """ConfigError where the run cannot go on from its file."""
    resume.check_resume(command, _built(member), path)


def _built(member: Member | Task) -> Experiment:
    return build(config.load_text(member.configuration), functions_of(member.code))


def ledger(path: Path) -> Path:
    """File beside a run's own in which attempts are counted while it runs: a byte each."""
    return path.with_name(f".{path.name}.tries")


def run_counted(task: Task, work: Callable[[Task], Outcome], version: str) -> Outcome:
    """Do a task, unless the processes that did it died as often as it may be tried.

    A scheduler gives the task of a process that died to another one, and cannot tell it from tasks that waited there.

    Raises
    ------
    ConfigError : this process can do no task: its tokenlaw is not of this version, or it does not see the folder.
    """
    path, host = Path(task.path), os.uname().nodename
    if version != VERSION:
        raise ConfigError(f"a worker on {host} has tokenlaw {VERSION}, not {version}; install the same there")
    if not path.parent.is_dir():
        raise ConfigError(f"a worker on {host} does not see the folder {path.parent}; give one that all workers share")
    tries = ledger(path)
    _wait_for_handover(path)
    deaths = deaths_of(tries)
    try:
        if deaths >= task.tries:
            return Outcome(DIED, deaths=deaths)
        count(tries, deaths + 1)
        return work(task)._replace(deaths=deaths)
    finally:  # deaths are kept until they are heard of: what comes back may be lost with this process, and done again
        count(tries, deaths)


def deaths_of(tries: Path) -> int:
    """How many attempts a ledger counts; ConfigError where what has its name is none, which is left as it is."""
    try:
        handle = os.open(tries, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:
        raise ConfigError(f"{tries}: is no count of attempts; rename or remove it") from None
    try:
        found, text = os.fstat(handle), os.read(handle, ATTEMPTS_COUNTED)
    except OSError:
        text = b"?"
    finally:
        os.close(handle)
    if text.strip(b".") or found.st_size != len(text) or found.st_nlink > 1:
        raise ConfigError(f"{tries}: is no count of attempts; rename or remove it")
    return len(text)


def count(tries: Path, attempts: int) -> None:
    """Write a number of attempts down, as a new file; none removes it."""
    if deaths_of(tries) or os.path.lexists(tries):
        tries.unlink()
    if attempts:
        handle = os.open(tries, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            os.write(handle, b"." * attempts)
        finally:
            os.close(handle)


def _wait_for_handover(path: Path) -> None:
    """Wait for a worker that is closing and writes what it has of this run; one that died holds no lock."""
    deadline, held = time.monotonic() + HANDOVER, True
    while held and ledger(path).exists() and time.monotonic() < deadline:
        held = not locks.free(path)
        time.sleep(0.2)


def run_member(task: Task) -> Outcome:
    """Run a member in this process, going on from its file if there is one; nothing is raised but a request to stop."""
    begin = time.monotonic()
    path = Path(task.path)
    # Without a scheduler named, xarray looks for one when it writes and leaves a client behind in the worker.
    alone = dask.config.set(scheduler="synchronous")
    with _one_at_a_time, one_thread(), alone, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        try:
            experiment = _built(task)
            if task.inputs is not None and (changed := resume.changed_inputs(task.inputs, experiment)):
                raise ConfigError(f"the contents of {changed} have changed since the ensemble began")
            runs.execute(task.command, experiment, path, resume=True, progress=_obey(), realization=task.number)
            error = ""
        except Stopped:
            raise
        except Exception as reason:  # whatever it is, the others go on and the index says so
            known = isinstance(reason, ValueError | OSError | RunError)
            error = " ".join((str(reason) if known else f"{type(reason).__name__}: {reason}").split())
    notes = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return Outcome(error, time.monotonic() - begin, tuple(notes))


def _obey() -> Callable[[int], None]:
    """Called after each layer: ends the run where its worker is asked to close, or the ensemble is gone."""
    from distributed import Status, get_worker

    try:
        worker = get_worker()
    except ValueError:  # not in a worker
        return lambda step: None
    key = worker.get_current_task()

    def obey(step: int) -> None:
        closing = worker.status in (Status.closing, Status.closed, Status.stopping, Status.failed)
        if closing or getattr(worker.state.tasks.get(key), "state", None) == "cancelled":
            raise Stopped

    return obey
