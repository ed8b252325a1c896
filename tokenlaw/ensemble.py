"""Ensembles: many runs of a configuration, over members and a grid of values, on many processes.

The random numbers of a run are a function of (seed, member, step), so a member's file does not depend on the number of
workers, on the order in which members run, or on how often the ensemble was interrupted.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from distributed import Client, Future, as_completed

from tokenlaw import index as indices
from tokenlaw.cluster import workers
from tokenlaw.config import ConfigError
from tokenlaw.index import Index
from tokenlaw.members import (
    DIED,
    Member,
    Outcome,
    Task,
    check_resume,
    complete,
    ledger,
    run_counted,
    run_member,
)

ATTEMPTS = 2
Tell = Callable[[str], None]


class EnsembleError(RuntimeError):
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
        waiting = [member for member in members if not complete(folder / member.file, member)]
        for member in waiting:
            ledger(folder / member.file).unlink(missing_ok=True)  # of an ensemble that was killed
            if (folder / member.file).exists():
                check_resume(command, folder / member.file, member)
    for file in set(index.entries) - {member.file for member in waiting}:
        index.entries[file].status = indices.DONE
    try:
        folder.mkdir(parents=True, exist_ok=True)
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
    tell: Tell = lambda text: None,
    report: Tell = lambda text: None,
    progress: Callable[[int], None] = lambda done: None,
    work: Callable[[Task], Outcome] = run_member,
) -> None:
    """Run the members that wait, each once more if it fails; the index follows.

    Parameters
    ----------
    tell : receives notes.   report : receives failures.   progress : called with the number of runs that have ended.
    work : what a worker does with a task.

    Raises
    ------
    EnsembleError : some members failed twice; all others are there.
    """
    if waiting:
        fewer = len(waiting) if n_workers is None else min(n_workers, len(waiting))
        with workers(scheduler, None if n_workers is None and scheduler is None else fewer) as client:
            index.save()
            if scheduler is not None and not client.scheduler_info()["workers"]:
                tell(f"--scheduler {scheduler}: no workers yet, waiting for them")
            try:
                _gather(client, index, waiting, tell, report, progress, work)
            finally:
                index.save()
    failed = [entry for entry in index.entries.values() if entry.status == indices.FAILED]
    if failed:
        raise EnsembleError(
            f"{len(failed)} of {len(index.entries)} members failed and are named in {index.folder / indices.NAME}; "
            f"the first is {failed[0].file}: {failed[0].error}"
        )


def _gather(
    client: Client,
    index: Index,
    waiting: Sequence[Member],
    tell: Tell,
    report: Tell,
    progress: Callable[[int], None],
    work: Callable[[Task], Outcome],
) -> None:
    """Submit everything and take the results as they come."""

    def submit(member: Member) -> Future[Outcome]:
        entry = index.entries[member.file]
        path = str((index.folder / member.file).resolve())
        task = Task(index.command, member.configuration, path, member.number, ATTEMPTS - entry.attempts)
        return client.submit(run_counted, task, work, pure=False)

    running = {submit(member): member for member in waiting}
    stream, said, ended = as_completed(list(running)), set[str](), 0
    for future in stream:
        if future.status in ("lost", "pending"):  # it ended, and its worker died before it was heard: done once more
            stream.add(future)
            continue
        member = running.pop(future)
        entry, outcome = index.entries[member.file], _outcome(client, future)
        for note in outcome.notes:
            if note not in said:
                said.add(note)
                tell(f"warning: {member.file}: {note}")
        entry.seconds, entry.error = round(outcome.seconds, 3), outcome.error
        entry.attempts += outcome.deaths + (outcome.error != DIED)
        if outcome.deaths and outcome.error != DIED:
            report(f"{member.file}: {DIED}; tried once more")
        if outcome.error and entry.attempts < ATTEMPTS:
            report(f"{member.file}: {outcome.error}; tried once more")
            again = submit(member)
            running[again] = member
            stream.add(again)
            continue
        entry.status = indices.FAILED if outcome.error else indices.DONE
        if outcome.error:
            report(f"{member.file}: failed: {outcome.error}")
        ended += 1
        progress(ended)
        index.save_at_times()


def _outcome(client: Client, future: "Future[Outcome]") -> Outcome:
    """What came back; a worker that died is a failure of its member, a scheduler that died is the end."""
    if future.status == "finished":
        return future.result()
    if client.status != "running":
        raise EnsembleError("the scheduler is gone; go on with --resume")
    if future.status == "error":
        reason = future.exception()
        died = type(reason).__name__ == "KilledWorker"  # a scheduler with a limit of its own
        return Outcome(DIED, deaths=1) if died else Outcome(f"{type(reason).__name__}: {reason}")
    return Outcome(f"was lost by the scheduler ({future.status})")
