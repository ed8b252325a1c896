"""Calls of the system that fail in commands that write more than one file: ensembles, studies, forecasts, orders."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import xarray as xr

from particles.files import checksum
from tests.faults.runs import Bench, Tally, run
from tests.faults.system import CALLS, LOADED, armed
from tests.tokenlaw.calls import contents
from validation import Claim, Figure, Findings, Part, Series

SHORT = ("-q", "--set", "layers.t_end=0.04")


def _findings(self: Claim, *, quick: bool, seed: int) -> Findings:
    """Instead of a study: what is written is on trial."""
    curve = Series("curve", np.arange(3.0), np.arange(3.0))
    return Findings({"one": Part("a number", 1.0, 0.1, 1.0, effect=1.0)}, Figure("x", "y", (curve,)), {"x": curve.x})


def _prepared(arm: Callable[[], object]) -> Callable[[], None]:
    def prepare() -> None:
        Claim.run = _findings  # type: ignore[method-assign]
        arm()

    return prepare


def _snapshot(folder: Path) -> dict[str, object]:
    """What is in a folder; of the index and the results, which hold times, the names alone."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): None if path.suffix == ".json" else _inside(path) for path in paths}


def _inside(path: Path) -> object:
    """All that a file holds; RuntimeError, OSError, ValueError where it is torn."""
    if path.name.startswith("member"):
        if not checksum.intact(path):
            raise ValueError(f"{path} is torn")
        return contents(path)
    return repr(xr.load_dataset(path).to_dict()) if path.suffix == ".nc" else path.read_bytes()


def products(bench: Bench, folder: Path) -> dict[str, list[object]]:
    """Command lines that write into a folder."""
    return {
        "ensemble": ["ensemble", bench.config, "--members", 2, "--workers", 1, *SHORT, "--out", folder / "all"],
        "validate": ["validate", "L1", "--quick", "--out", folder / "claims"],
        "converge": [
            "converge", bench.config, "--vary", "layers.dt=0.02,0.01,0.005", "--observable", "mean_overlap",
            "--members", 2, *SHORT, "--out", folder / "order.nc"],
        "predict": [
            "predict", "--d-model", 32, "--heads", 2, "--layers", 3, "--context", 8, "--out", folder / "forecast.png"],
    }  # fmt: skip


def failing_folders(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """The n-th call of each kind fails: one line, no torn file, and the command given again ends as if nothing was."""
    for name in products(bench, bench.folder):
        tally = Tally(f"calls that fail in {name}")
        if LOADED not in os.environ:
            tally.outcomes["left out: no compiler"] += 1
            yield tally
            continue
        folder = bench.fresh("good").parent
        code, said = run(*products(bench, folder)[name], prepare=_prepared(lambda: None))
        if code:
            tally.add(f"LOSS: {name}: {code}: {said}")
            yield tally
            continue
        good = _snapshot(folder)
        for call, errors in CALLS.items():
            for nth in range(1, tries + 1):
                found = _try(bench, name, good, (call, nth, random.choice(errors), False))
                tally.add(found)
                if found == "there was no such call":
                    break
        yield tally


def _try(bench: Bench, name: str, good: dict[str, object], fault: tuple[str, int, int, bool]) -> str:
    folder = bench.fresh("product").parent
    line = products(bench, folder)[name]
    code, said = run(*line, prepare=_prepared(armed(folder, *fault)))
    where = f"{name}, {fault}: {code}: {said[-3:]}"
    if code == 0:
        same = _snapshot(folder) == good
        shutil.rmtree(folder)
        return "there was no such call" if same else f"LOSS: {where}"
    last = said[-1] if said else ""
    if code not in (2, 3) or not last.startswith(("error: ", "stopped: ")) or any("Traceback" in one for one in said):
        return f"LOSS: {where}"
    try:
        for path in folder.rglob("[!.]*.nc"):
            _inside(path)
    except (RuntimeError, OSError, ValueError) as error:
        return f"LOSS: {where}: {error}"
    more = ["--resume"] if name == "ensemble" and (folder / "all").exists() else []
    code, again = run(*line, *more, prepare=_prepared(lambda: None))
    if code:
        return f"LOSS: {where}: again: {code}: {again[-3:]}"
    now = _snapshot(folder)
    shutil.rmtree(folder)
    wrong = sorted(key for key in now.keys() | good.keys() if now.get(key) != good.get(key))
    return f"LOSS: {where}: again differs in {wrong}" if wrong else "one line, given again"
