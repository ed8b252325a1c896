"""What all benchmarks share: alternating timings, rows of a table with targets, and results written as JSON.

A benchmark is a script with `run(quick) -> Result`; `benchmarks/all.py` runs them one after the other.  Times are
medians over calls that take turns with those of their reference, so that other work on the machine meets both.
"""

import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("tokenlaw", "numpy", "scipy", "ducc0", "shtns", "xarray", "dask", "distributed", "torch", "dedalus")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what : what was measured.   value, unit : the number and its unit.
    reference : name of what it is compared with, measured in the same run, or "".   ratio : value over reference.
    target : the target in words, or "".   met : whether it was reached; None where there is no target.
    """

    what: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Result:
    """What a benchmark found: its rows, and sentences a reader should know (what was skipped, and why)."""

    name: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)

    def save(self, quick: bool) -> Path:
        """Write benchmarks/results/<name>.json, with the machine and the versions."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        found = {
            "name": self.name, "date": date.today().isoformat(), "quick": quick, "machine": machine(),
            "versions": versions(), "rows": [asdict(row) for row in self.rows], "notes": list(self.notes),
        }  # fmt: skip
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return path

    def show(self) -> None:
        """Print the rows as a table."""
        print(f"\n{self.name}")
        for row in self.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.3g} x {row.reference}"
            met = {None: "", True: "met", False: "NOT met"}[row.met]
            print(f"  {row.what:66s} {row.value:10.4g} {row.unit:14s} {ratio:40s} {row.target:24s} {met}")
        for note in self.notes:
            print(f"  note: {note}")


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, system."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "system": platform.system(), "python": platform.python_version()}


def versions() -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def medians(
    functions: Mapping[str, Callable[[], Any]],
    repeat: int,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each function, called in turns; `time.process_time` counts no time given to other work."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm + repeat):
        for name, function in functions.items():
            start = clock()
            function()
            if turn >= warm:
                times[name].append(clock() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def peer_python(module: str, variable: str, folder: str = "") -> str | None:
    """The Python that has a peer: named by a variable, made by `make peers` in .venv/<folder>, or this one; or None."""
    made = Path(__file__).parent.parent / ".venv" / (folder or module) / "bin" / "python"
    if given := os.environ.get(variable):
        return given
    if made.exists():
        return str(made)
    return sys.executable if importlib.util.find_spec(module) else None


def main(run: Callable[[bool], Result]) -> None:
    """Command line of a benchmark: [--quick]."""
    quick = "--quick" in sys.argv[1:]
    result = run(quick)
    result.show()
    print(f"  {result.save(quick)}")
