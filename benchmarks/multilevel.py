"""Multilevel Monte Carlo on examples/multilevel.py: cost at several errors, beside plain Monte Carlo.

    OMP_NUM_THREADS=1 python benchmarks/multilevel.py [--quick]

Costs are core seconds.  Those of multilevel are the numbers of samples that were drawn times the time of a sample,
those of plain Monte Carlo follow from variance and time on the finest level, at the same bias and standard error.
"""

import importlib.util
from pathlib import Path

from common import Result, Row, main

from validation.estimates import Measured, multilevel

SCRIPT = Path(__file__).parents[1] / "examples" / "multilevel.py"


def example():
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("multilevel_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(quick):
    levels = example().LEVELS
    ladder = Measured(levels)
    rows, notes = [], []
    for error in (1e-2, 5e-3) if quick else (1e-2, 5e-3, 2e-3, 1e-3):
        found = multilevel(ladder, error)
        ratio = found.cost / found.plain_cost
        goal = ("below 1/5", ratio < 0.2) if error <= 1e-3 else ("", None)
        steps = levels.size(len(found.levels) - 1)[0]
        rows.append(
            Row(f"mean overlap to {error:g}, finest level {steps} steps", found.cost, "core s", "plain Monte Carlo",
                ratio, *goal)
        )  # fmt: skip
        notes.append(f"error {error:g}: {found.value:.5f} +- {found.error:.5f}, bias about {found.bias:.5f}")
    if quick:
        notes.append("errors of 2e-3 and 1e-3, where the target stands, are measured at full size only")
    return Result("multilevel", rows, notes)


if __name__ == "__main__":
    main(run)
