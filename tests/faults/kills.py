"""Processes that are killed or asked to end, at random moments and at the worst ones; two at a time on one output."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from particles.files import checksum, netcdf, run_files
from particles.files import recorder as output
from tests.faults.runs import COMMANDS, Bench, Tally, dying, one_line, run, start, words
from tests.tokenlaw.calls import contents

WORST = (
    ("while the state is written", "write_state", run_files, False),
    ("before the copy is flushed", "put_in_place", run_files, False),
    ("before the rename", "replace", os, False),
    ("after the rename", "replace", os, True),
    ("while the file is copied", "copy_contents", checksum, False),
    ("after the file is copied", "copy_contents", checksum, True),
    ("before records are added", "extend", run_files, False),
    ("after records are added", "extend", run_files, True),
    ("while the old file is read", "read_end", run_files, True),
    ("before the state is there", "put", netcdf, True),
)


def killed(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """kill -9 at random moments of a run, from its start to its end."""
    tally = Tally("kill -9 at a random moment")
    for k in range(tries):
        command, out = COMMANDS[k % 3], bench.fresh("killed")
        process = start(*words(command, bench.config, out))
        time.sleep(random.uniform(0, bench.duration(command)))
        process.signal(signal.SIGKILL)
        code, said = process.finish()
        tally.add(bench.judged(command, out) if code in (0, -9) and not said else f"LOSS: {code}: {said}")
    yield tally


def killed_again(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """A run that is killed, resumed, killed while it resumes, and so on until it is complete."""
    tally = Tally("kill -9, and again during --resume, until complete")
    left = tries
    while left > 0:
        command, out = COMMANDS[left % 3], bench.fresh("again")
        while left > 0:
            process = start(*words(command, bench.config, out, *(["--resume"] if out.exists() else [])))
            time.sleep(random.uniform(0.0, 0.6) * bench.duration(command))
            process.signal(signal.SIGKILL)
            code, said = process.finish()
            left -= 1
            if said:
                tally.add(f"LOSS: {command}: {code}: {said}")
            if code != -9:
                break
            tally.outcomes["killed"] += 1
        tally.add(bench.judged(command, out))
    yield tally


def killed_at_the_worst(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """kill -9 inside each part of writing, in a run and in one that is resumed."""
    for text, name, owner, after in WORST:
        tally = Tally(f"kill -9 {text}")
        for k in range(tries):
            command, resumed = random.choice(COMMANDS), bool(k % 2)
            out = bench.half(command) if resumed else bench.fresh("worst")
            process = start(
                *words(command, bench.config, out, *(["--resume"] if resumed else [])),
                prepare=dying(name, owner, after, random.choice((1, 2, 3, 5))),
            )
            code, said = process.finish()
            tally.add(bench.judged(command, out) if code in (0, -9) and not said else f"LOSS: {code}: {said}")
        yield tally


HEAVY = ("layers.t_end=24.0", "output.save_every=0.02", "output.distances=2")
BOUND = 2.0  # seconds of work that may be lost


def heavy(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """kill -9 of runs that record every step, with a file that is not copied again: two seconds are lost at most."""
    tally = Tally("kill -9 of a run that records every step")
    for _ in range(tries):
        out, times = bench.fresh("heavy"), bench.fresh("times")
        line = words("simulate", bench.config, out, settings=HEAVY)
        process = start(*line, prepare=_timed(times), every_record=False)
        made = random.randint(20, 1000)
        _wait(lambda times=times, made=made: times.exists() and times.read_text().count("\n") >= made)
        process.signal(signal.SIGKILL)
        code, said = process.finish()
        if code != -9 or said:
            tally.add(f"LOSS: {code}: {said}" if code or said else "ended before")
            continue
        moments = [float(text) for text in times.read_text().split("\n")[:-1]]
        run_files.recover(out)
        kept = len(run_files.read_end(out)[1])
        lost = moments[-1] - moments[min(kept, len(moments)) - 1]
        code, said = run(*words("simulate", bench.config, out, "--resume", settings=HEAVY), every_record=False)
        same = (code, said) == (0, []) and contents(out) == contents(bench.reference("simulate", HEAVY))
        left = [path.name for path in out.parent.iterdir() if path != out]
        good = same and not left and lost <= BOUND
        where = f"{kept} of {len(moments)} kept, {lost:.2f} s lost, {code}: {said}, {left}"
        tally.add("resumed" if good else f"LOSS: {where}")
    yield tally


def _timed(times: Path) -> Callable[[], object]:
    """When each record was made; the file counts as one that takes for ever to copy."""

    def arm() -> None:
        real = output.Recorder.append
        output.SHARE = 10**9

        def append(self: output.Recorder, *arguments: object) -> None:
            with open(times, "a") as file:
                file.write(f"{time.monotonic()}\n")
            real(self, *arguments)

        output.Recorder.append = append

    return arm


def interrupted(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Ctrl-C, a request to end, a terminal that is closed: exit code 130, one line, resumable."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        tally = Tally(f"{number.name} at a random moment")
        for k in range(tries):
            command, out = COMMANDS[k % 3], bench.fresh("interrupted")
            process = start(*words(command, bench.config, out))
            lock = out.with_name(f".{out.name}.lock")
            _wait(lambda lock=lock, out=out: lock.exists() or out.exists())
            time.sleep(random.uniform(0, 0.8) * bench.duration(command))
            process.signal(number)
            code, said = process.finish()
            good = (code, said) in ((0, []), (130, ["interrupted; go on with --resume"]))
            tally.add(bench.judged(command, out) if good else f"LOSS: {command}: {code}: {said}")
        yield tally


def two_at_a_time(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """A second run on an output that is being written; and one on an output whose run was killed."""
    tally = Tally("two runs on one output")
    for k in range(tries):
        command, resumed = COMMANDS[k % 3], k % 2 == 0
        out = bench.half(command) if resumed else bench.fresh("two")
        line = words(command, bench.config, out, *(["--resume"] if resumed else []))
        first = start(*line)
        lock = out.with_name(f".{out.name}.lock")
        _wait(lock.exists)
        time.sleep(random.uniform(0, 0.3) * bench.duration(command))
        code, said = run(*line)
        ending = first.finish()
        if ending != (0, []):
            tally.add(f"LOSS: {command}: the first run ended with {ending}")
            continue
        refused = one_line(code, said) and "is being written by another run (process" in said[0]
        kept = bench.judged(command, out)
        if not kept.startswith("LOSS") and (code, said) != (0, []):
            kept = "second refused" if refused else f"LOSS: {command}: the second run ended with {code}: {said}"
        tally.add(kept)
    yield tally


def _wait(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not ready() and time.monotonic() < end:
        time.sleep(0.0005)
