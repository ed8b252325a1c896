"""Ensembles: many runs of a configuration, over members and a grid of values, on many processes.

The random numbers of a run are a function of (seed, member, step), so a member's file does not depend on the number of
workers, on the order in which members run, or on how often the ensemble was interrupted.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from dask.system import CPU_COUNT
from distributed import Client, Future
from distributed.protocol.pickle import dumps

from particles import RunError
from particles.files import make_folder
from particles.machine import available, size
from tokenlaw.config.read import ConfigError
from tokenlaw.ensemble import index as indices
from tokenlaw.ensemble.cluster import workers
from tokenlaw.ensemble.index import Entry, Index
from tokenlaw.ensemble.member import (
    DIED,
    VERSION,
    Member,
    Outcome,
    Task,
    check_resume,
    complete,
    count,
    ledger,
    run_counted,
    run_member,
)
from tokenlaw.runs import memory
from tokenlaw.runs.locks import locked

ATTEMPTS = 2
PATIENCE = 0.2  # seconds between two looks at whether to stop
# What a worker is sent is unpacked by the task itself: a worker ends without a word on what it cannot unpack before.
DO = "(lambda do, *arguments: do(*arguments))(*__import__('pickle').loads(sent))"
SILENCE = 120.0  # seconds without a sign of life after which a worker is spoken of
FAREWELL = 10.0  # seconds until members that are told to stop are left to themselves


@dataclass(frozen=True)
class Told:
    """Who hears of an ensemble while it runs.

    Attributes
    ----------
    note : receives notes and warnings.   failure : receives failures.
    progress : called with the number of runs that have ended.
    obey : called a few times a second, to raise what shall end the ensemble.
    """

    note: Callable[[str], None] = lambda text: None
    failure: Callable[[str], None] = lambda text: None
    progress: Callable[[int], None] = lambda done: None
    obey: Callable[[], None] = lambda: None


class EnsembleError(RunError):
    """Some runs failed, or the workers are gone; the index says which."""


def prepare(
    folder: Path, command: str, sweep: Sequence[str], members: Sequence[Member], *, resume: bool
) -> tuple[Index, list[Member]]:
    """The index, and the members that are still to be run; a folder that holds something else is refused."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder}: is a file, must be the name of a folder")
    index, waiting = Index.of(folder, command, sweep, members), list(members)
    if folder.exists() and any(folder.iterdir()):
        if not (folder / indices.NAME).is_file():
            raise ConfigError(f"--out {folder}: is not empty and holds no ensemble; give another folder")
        if not resume:
            raise ConfigError(f"--out {folder}: holds an ensemble already; go on with --resume or give another folder")
        indices.check_same(folder, command, sweep, members)
        with locked(folder / indices.NAME):
            for member in members:  # complete ones too: inputs and versions must be those of the members to come
                count(ledger(folder / member.file), 0)  # of an ensemble that was killed
                if (folder / member.file).exists():
                    check_resume(command, folder / member.file, member)
        waiting = [member for member in members if not complete(folder / member.file, member)]
    for file in set(index.entries) - {member.file for member in waiting}:
        index.entries[file].status = indices.DONE
    try:
        make_folder(folder)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot make the folder ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {folder}: is not writable")
    return index, waiting


def run(
    index: Index,
    waiting: Sequence[Member],
    *,
    scheduler: str | None = None,
    n_workers: int | None = None,
    told: Told = Told(),
    work: Callable[[Task], Outcome] = run_member,
) -> None:
    """Run the members that wait, each once more if it fails; the index follows.

    Parameters
    ----------
    scheduler, n_workers : as `tokenlaw.ensemble.cluster.workers` takes them.   told : who hears of it.
    work : what a worker does with a task.

    Raises
    ------
    EnsembleError : some members failed twice; all others are there.
    ConfigError : workers or a scheduler that cannot be used, or another command at work in the folder.
    """
    with locked(index.folder / indices.NAME):
        if waiting:
            try:
                with workers(scheduler, _workers(waiting, n_workers, scheduler is not None, told)) as client:
                    try:
                        _gather(client, index, waiting, told, work)
                    finally:
                        index.save()
            except BaseException:
                if scheduler is not None:  # it goes on, and tells its workers to stop what they run for this client
                    _wait_for_ends(index, waiting)
                raise
        else:
            index.save()
    failed = [entry for entry in index.entries.values() if entry.status == indices.FAILED]
    if failed:
        raise EnsembleError(
            f"{len(failed)} of {len(index.entries)} members failed and are named in {index.folder / indices.NAME}; "
            f"the first is {failed[0].file}: {failed[0].error}"
        )


def _workers(waiting: Sequence[Member], wanted: int | None, elsewhere: bool, told: Told) -> int:
    """Number of processes: those that are wanted, or as many as fit into memory; the others wait for their turn."""
    number, need = min(wanted or CPU_COUNT, len(waiting)), max(member.need for member in waiting)
    fits = memory.at_a_time(need)
    if elsewhere or fits >= number:
        return number
    told.note(
        f"{max(fits, 1)} of {number} workers at a time: a run needs about {size(need)} of memory, "
        f"{size(available())} are available"
    )
    return max(fits, 1)


def _gather(
    client: Client, index: Index, waiting: Sequence[Member], told: Told, work: Callable[[Task], Outcome]
) -> None:
    """Submit everything and take the results as they come."""
    ends: SimpleQueue[Future[Outcome]] = SimpleQueue()
    running: dict[Future[Outcome], Member] = {}

    def submit(member: Member) -> None:
        tries = ATTEMPTS - index.entries[member.file].attempts
        path = (index.folder / member.file).resolve()
        make_folder(path.parent)
        task = Task(index.command, member.configuration, str(path), member.number, tries, member.inputs, member.code)
        sent = dumps((run_counted, task, work, VERSION))
        future: Future[Outcome] = client.submit(eval, DO, {"sent": sent}, pure=False)
        future.add_done_callback(ends.put)
        running[future] = member

    index.save()
    for member in waiting:
        submit(member)
    watch = _Watch()
    while running:
        told.obey()
        try:
            future = ends.get(timeout=PATIENCE)
        except Empty:
            for note in watch.look(client, {str(future.key): member.file for future, member in running.items()}):
                told.note(note)
            continue
        if future.status in ("lost", "pending"):  # it ended, and its worker died before it was heard: done once more
            future.add_done_callback(ends.put)
            continue
        member = running.pop(future)
        count(ledger(index.folder / member.file), 0)
        _enter(index.entries[member.file], _outcome(client, future), told)
        if index.entries[member.file].status == indices.WAITING:
            submit(member)
        else:
            told.progress(len(waiting) - len(running))
            index.save_at_times()


class _Watch:
    """Which workers give signs of life: a process that hangs, or is stopped, keeps its member without a word."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # sign of life, by the clock there; when it was new, by ours

    def look(self, client: Client, files: Mapping[str, str]) -> Iterator[str]:
        """What is to be said; files: those of the members by the keys of their tasks."""
        workers = client.scheduler_info(n_workers=-1)["workers"]
        # Not of these: what comes back may just have been renewed without the workers.
        if client.cluster is None and not client.nthreads():
            yield "the scheduler has no workers; waiting for them"
        now = time.monotonic()
        for address, worker in workers.items():
            sign, since = self._seen.get(address, (None, now))
            if sign != worker["last_seen"]:
                self._seen[address] = (worker["last_seen"], now)
            elif now - since > SILENCE:
                self._seen[address] = (worker["last_seen"], now)
                here = [files[key] for key in client.processing([address]).get(address, ()) if key in files]
                yield (
                    f"no sign of life from the worker {address} for {SILENCE:g} s, with "
                    f"{', '.join(here) or 'no member'}; if it hangs, end its process: its members are tried once more"
                )


def _wait_for_ends(index: Index, waiting: Sequence[Member]) -> None:
    """Wait for members that are told to stop, so that their files are free for those who go on from them."""
    deadline = time.monotonic() + FAREWELL
    begun = [path for member in waiting if (path := ledger(index.folder / member.file)).exists()]
    while any(path.exists() for path in begun) and time.monotonic() < deadline:
        time.sleep(PATIENCE)


def _enter(entry: Entry, outcome: Outcome, told: Told) -> None:
    """Write an outcome down; the entry goes on waiting where the run is to be tried again."""
    entry.seconds, entry.error, entry.warnings = round(outcome.seconds, 3), outcome.error, outcome.notes
    entry.attempts += outcome.deaths + (outcome.error != DIED)
    for note in outcome.notes:
        told.note(f"warning: {entry.file}: {note}")
    if outcome.deaths and outcome.error != DIED:
        told.failure(f"{entry.file}: {DIED}; tried once more")
    if not outcome.error:
        entry.status = indices.DONE
    elif entry.attempts < ATTEMPTS:
        told.failure(f"{entry.file}: {outcome.error}; tried once more")
    else:
        entry.status = indices.FAILED
        told.failure(f"{entry.file}: failed: {outcome.error}")


def _outcome(client: Client, future: "Future[Outcome]") -> Outcome:
    """What came back; a worker that died is a failure of its member, one that can run none is the end."""
    if future.status == "finished":
        return future.result()
    if client.status != "running":
        raise EnsembleError("the scheduler is gone; go on with --resume")
    if future.status == "error":
        reason = future.exception()
        if isinstance(reason, ConfigError):
            raise reason
        if isinstance(reason, ImportError):
            raise ConfigError(f"a worker cannot import tokenlaw ({_line(reason)}); install it there")
        died = type(reason).__name__ == "KilledWorker"  # a scheduler with a limit of its own
        return Outcome(DIED, deaths=1) if died else Outcome(_line(reason))
    return Outcome(f"was lost by the scheduler ({future.status})")


def _line(reason: BaseException | None) -> str:
    return " ".join(f"{type(reason).__name__}: {reason}".split())
