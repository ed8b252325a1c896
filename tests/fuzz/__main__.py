"""Fuzz every door and print a table:  python -m tests.fuzz --examples 20000 --seed 0 [--kinds NAME ...]

Each kind runs in a process of its own, so that a crash of the interpreter is seen and the input that did it is told.
Exit code 1 at any loss.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.tally import fuzz
from tests.fuzz.trial import Trial, limit_memory, peak_memory

WIDTHS = {"tried": 8, "taken": 8, "refused": 9, "stopped": 9}
ROOM = 4 << 30  # bytes of address space for a kind


def shares(examples: int, kinds: list[str]) -> dict[str, int]:
    """How many examples each kind gets."""
    total = sum(KINDS[kind][0] for kind in kinds)
    return {kind: max(1, round(examples * KINDS[kind][0] / total)) for kind in kinds}


def child(kind: str, examples: int, seed: int, last: Path) -> None:
    """Run one kind and print its tally as JSON."""
    limit_memory(ROOM)

    def remember(trial: Trial) -> None:
        last.write_text(trial.told, errors="replace")

    tally = fuzz(kind, KINDS[kind][1], examples, seed, remember)
    print(json.dumps({**asdict(tally), "peak": peak_memory()}))


def parent(examples: int, seed: int, kinds: list[str]) -> int:
    """Run the kinds one after the other and print the table."""
    lost = 0
    print(f"{'kind':16s}" + "".join(f"{name:>{width}s}" for name, width in WIDTHS.items()) + "  losses  peak MB")
    total = dict.fromkeys(WIDTHS, 0)
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in shares(examples, kinds).items():
            last = Path(folder) / "last"
            words = ["--child", kind, "--examples", str(count), "--seed", str(seed), "--last", str(last)]
            done = subprocess.run([sys.executable, "-m", "tests.fuzz", *words], capture_output=True, text=True)
            if done.returncode:
                lost += 1
                print(f"{kind}: the interpreter ended with {done.returncode}: {done.stderr[-1500:]}")
                print(f"    last input: {last.read_text() if last.exists() else '?'}")
                continue
            tally = json.loads(done.stdout.splitlines()[-1])
            for name in total:
                total[name] += tally[name]
            losses = sum(count for count, _ in tally["losses"].values())
            lost += losses
            print(f"{_row(kind, tally)}{losses:8d}{tally['peak'] / 1e6:9.0f}", flush=True)
            for loss, (count, told) in tally["losses"].items():
                print(f"    {count} x {loss}\n        " + told.replace("\n", "\n        "))
            if done.stderr.strip():
                print(f"    said aside: {done.stderr.strip()[:500]}")
    print(f"{_row('all', total)}{lost:8d}")
    return 1 if lost else 0


def _row(name: str, counts: Mapping[str, int]) -> str:
    return f"{name:16s}" + "".join(f"{counts[of]:{width}d}" for of, width in WIDTHS.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--last", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.examples, given.seed, given.last)
        return 0
    return parent(given.examples, given.seed, given.kinds)


if __name__ == "__main__":
    sys.exit(main())
