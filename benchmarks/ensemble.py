"""An ensemble on one worker process and on two: speed-up, overhead of a member, start.

    OMP_NUM_THREADS=1 python benchmarks/ensemble.py [--quick]

Members are densities at lmax 31 of a second.  Where other work on the machine shares the cores, wall times say nothing
of the speed-up.  What stands then: members that only wait a second, which need no core and show what handing them out
costs, and the processor time on real members, which shows whether two workers get in each other's way.
"""

import os
import tempfile
import time
from pathlib import Path

from common import Result, Row, main

from tokenlaw.ensemble import member as members
from tokenlaw.ensemble import run as ensemble
from tokenlaw.ensemble.cluster import workers

CONFIG = Path(__file__).parents[1] / "examples" / "quickstart.toml"
SETTINGS = ("solve.lmax=31", "layers.t_end=3", "output.save_every=0.4")


def timed(task):
    """A member; its note is the processor time spent on it."""
    begin = time.process_time()
    outcome = members.run_member(task)
    return outcome._replace(notes=(str(time.process_time() - begin),))


def idle(task):
    """A member that waits a second."""
    time.sleep(1.0)
    return members.Outcome()


def empty(task):
    """A member that does nothing."""
    return members.Outcome()


def run_on(n_workers, planned, work):
    """Seconds from the first task to the last result, of the whole, and of the workers' processors on members."""
    moments, spent = [], []

    def note(text):
        spent.append(float(text.rsplit(": ", 1)[1]))

    def look(*_):
        moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        index, waiting = ensemble.prepare(Path(folder), "solve", (), planned, resume=False)
        begin = time.perf_counter()
        told = ensemble.Told(note=note, progress=look, obey=look)
        ensemble.run(index, waiting, n_workers=n_workers, told=told, work=work)
        whole = time.perf_counter() - begin
    return {"members": moments[-1] - moments[0], "whole": whole, "core": sum(spent)}


def start_up():
    """Seconds until two workers are there and gone again."""
    begin = time.perf_counter()
    with workers(None, 2):
        pass
    return time.perf_counter() - begin


def run(quick):
    load = os.getloadavg()[0]
    n = 40 if quick else 100  # at the end one worker waits for half a member on average
    planned, _ = members.plan(CONFIG, "solve", n, (), SETTINGS)
    one, two = (run_on(n_workers, planned, timed) for n_workers in (1, 2))
    size, goal = f"{n} members of {one['core'] / n:.2g} core seconds", "below 1/1.9"
    few = planned[:16]
    waits = {w: run_on(w, few, idle)["members"] for w in (1, 2)}
    many, _ = members.plan(CONFIG, "solve", 200, (), SETTINGS)
    handed = run_on(1, many, empty)["members"] / len(many)
    rows = [
        Row(f"{size}, two workers: first task to last result", two["members"], "s", "one worker",
            two["members"] / one["members"], goal, two["members"] * 1.9 <= one["members"]),
        Row(f"{size}, two workers: processor time on members", two["core"], "core s", "one worker",
            two["core"] / one["core"], "below 2/1.9", two["core"] * 1.9 <= 2 * one["core"]),
        Row(f"{size}, two workers: start and end included", two["whole"], "s", "one worker",
            two["whole"] / one["whole"]),
        Row(f"{len(few)} members that wait a second, two workers", waits[2], "s", "one worker", waits[2] / waits[1],
            goal, waits[2] * 1.9 <= waits[1]),
        Row("a member that does nothing", 1e3 * handed, "ms", "a second", handed, "below 0.03", handed < 0.03),
        Row("two workers: start and end", start_up(), "s"),
    ]  # fmt: skip
    notes = [
        f"load of the machine when the run began: {load:.1f}; two cores that are shared with other programs cannot "
        "halve a wall time",
    ]
    return Result("ensemble", rows, notes)


if __name__ == "__main__":
    main(run)
