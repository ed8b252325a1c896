"""All faults, many times each, and a table of what became of them: exit code 1 where anything was lost."""

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

from tests.faults import crashes, damage, disks, hostile, kills, links, numbers, products, system
from tests.faults.runs import Bench, Tally

FAULTS = (
    (kills.killed, 20),
    (kills.killed_again, 40),
    (kills.killed_at_the_worst, 6),
    (kills.interrupted, 9),
    (kills.two_at_a_time, 9),
    (kills.heavy, 6),
    (crashes.power_lost, 600),
    (system.failing, 60),
    (system.failing_products, 12),
    (products.failing_folders, 12),
    (system.without_locks, 9),
    (links.planted, 1),
    (disks.full, 20),
    (disks.full_at_last, 9),
    (disks.removed, 12),
    (disks.not_writable, 1),
    (damage.damaged, 40),
    (damage.turned_between_writes, 60),
    (damage.seen_by_readers, 20),
    (damage.of_others, 1),
    (hostile.made, 6),
    (hostile.mutated, 300),
    (numbers.broken_layers, 12),
    (numbers.extreme_settings, 60),
)


def tell(tally: Tally, seconds: float) -> None:
    """One row."""
    found = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()) if name != "LOSS")
    tries = sum(tally.outcomes.values())
    print(f"{tally.fault:52s}{tries:6d}{len(tally.losses):8d}{seconds:8.1f}  {found}", flush=True)
    for loss in tally.losses:
        print(f"    LOSS: {loss}", flush=True)


def main() -> int:
    """Run the faults that are wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="tries of every fault, over the usual number")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the places")
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose function has this in its name")
    given = parser.parse_args()
    disks.own_mounts()
    system.preload(*sys.argv[1:])
    warnings.simplefilter("ignore", DeprecationWarning)  # a fork, where a library has threads
    print(f"{'fault':52s}{'tries':>6s}{'losses':>8s}{'s':>8s}  outcomes")
    faults = FAULTS if given.only != "system.few" else ((system.few, 1),)
    lost = 0
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a process that dies needs no disk for that
    with tempfile.TemporaryDirectory(prefix="faults-", dir=fast) as folder:
        bench = Bench(Path(folder))
        for fault, tries in faults:
            if given.only not in f"{fault.__module__}.{fault.__name__}":
                continue
            random, begin = Random(f"{given.seed} {fault.__name__}"), time.monotonic()
            for tally in fault(bench, random, max(1, round(tries * given.scale))):
                tell(tally, time.monotonic() - begin)
                begin = time.monotonic()
                lost += len(tally.losses)
    print(f"losses: {lost or 'none'}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
