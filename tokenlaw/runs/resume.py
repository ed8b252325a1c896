"""Going on from a file: what it holds, and everything that makes a run refuse to go on from it."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from particles import State
from particles.files import BROKEN, attempt, intact, read_end, sealed, versions
from spde import Density
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError
from tokenlaw.runs.build import Experiment


@dataclass(frozen=True, eq=False)
class Old:
    """What a file to be resumed holds: steps of its records, and the state it ends with."""

    steps: list[int]
    state: dict[str, Any]


def resumable(command: str, experiment: Experiment, out: Path) -> Old:
    """Read the file, once it is clear that the run may go on from it."""
    try:
        if not sealed(out):
            raise ConfigError(f"--resume {out}: not a readable file of a run (it does not end with a checksum)")
        if not intact(out):
            raise ConfigError(f"--resume {out}: is damaged: its checksum is not that of its contents; begin anew")
        _try(out)
        attrs, steps, state = read_end(out)
        written_by, text = attrs["command"], str(attrs["configuration"])
        _same_versions(attrs, out)
    except ConfigError:
        raise
    except BROKEN as error:
        raise ConfigError(f"--resume {out}: not a readable file of a run ({type(error).__name__})") from None
    if written_by != command:
        raise ConfigError(f"--resume {out}: was written by tokenlaw {written_by}, not by tokenlaw {command}")
    try:
        before = config.load_text(text, check_files=False)
    except ConfigError as error:
        raise ConfigError(f"--resume {out}: this version does not know its configuration ({error})") from None
    changed = config.changed_keys(before, experiment.configuration)
    if changed:
        raise ConfigError(
            f"--resume {out}: the configuration differs in {', '.join(changed)}; only layers.t_end, layers.depth and "
            "output may change"
        )
    if inputs := changed_inputs(attrs, experiment):
        raise ConfigError(f"--resume {out}: the contents of {inputs} have changed since the run began")
    return Old(steps, state)


def _try(out: Path) -> None:
    try:
        attempt(out, sealed=True)
    except ValueError as error:
        raise ConfigError(f"--resume {error}") from None


def _same_versions(attrs: dict[str, Any], out: Path) -> None:
    """Refuse a file of another version; say where the libraries are others."""
    for name, now in versions().items():
        package, then = name.removesuffix("_version"), attrs[name]
        if then == now:
            continue
        if package == "tokenlaw":
            raise ConfigError(
                f"--resume {out}: was written by tokenlaw {then}, this is tokenlaw {now}; go on with that version, or "
                "begin anew"
            )
        warnings.warn(
            f"--resume {out}: {package} was {then} and is {now} now; last bits may differ from a run in one piece",
            RuntimeWarning,
            stacklevel=2,
        )


def begun_with(old: Old, experiment: Experiment) -> Density | None:
    """The density at depth 0 with the nodes that the run goes on with; None where they are the first ones."""
    level = int(old.state.get("node_level", 0))
    return experiment.density().at_level(level, old.state.get("node_panel")) if level else None


def records_to_keep(old: Old, experiment: Experiment) -> int:
    """How many leading records fit the schedule; a last one off it is dropped."""
    steps, plan = old.steps, experiment.plan
    if steps[-1] > plan.n_steps:
        key = {"transformer": "depth", "recorded": "file"}.get(experiment.configuration.layers.kind, "t_end")
        raise ConfigError(
            f"layers.{key}: ends the run at depth time {plan.n_steps * plan.dt:g}; must be at least "
            f"{steps[-1] * plan.dt:g}, which the file to resume has reached"
        )
    scheduled = set(plan.save_steps)
    kept = 0
    while kept < len(steps) and steps[kept] in scheduled:
        kept += 1
    if kept < len(steps) - 1:
        raise ConfigError(
            f"output.save_every = {experiment.configuration.output.save_every:g}: the file has records at other "
            "depths; resume with the save_every it was begun with"
        )
    return kept


def check_resume(command: str, experiment: Experiment, out: Path) -> None:
    """ConfigError where the run cannot go on from the file."""
    records_to_keep(resumable(command, experiment, out), experiment)


def restored(start: State, restore: Callable[[dict[str, Any]], State], old: Old, out: Path) -> State:
    """The state a file ends with; refused where its arrays do not fit (another version, a damaged file)."""
    for name, array in start.arrays().items():
        if name not in old.state or np.shape(old.state[name]) != np.shape(array):
            raise ConfigError(f"--resume {out}: its state does not fit this configuration ({name})")
    try:
        state = restore(old.state)
    except KeyError as error:
        raise ConfigError(f"--resume {out}: its state lacks {error}") from None
    if not old.steps or state.step != old.steps[-1]:
        raise ConfigError(f"--resume {out}: its state does not belong to its last record")
    return state


def input_sums(experiment: Experiment) -> dict[str, str]:
    """SHA-256 of every input file, by attribute name.

    The file that a section names is on record as SECTION_file_sha256.  Where others were read with it (config.json,
    index and parts of a checkpoint), all of them stand in SECTION_files_sha256, a line each as sha256sum writes it; the
    Python files of an equation in layers_functions_sha256.
    """
    sums, lists = {}, {}
    for section in ("layers", "heads", "initial"):
        path = getattr(getattr(experiment.configuration, section), "file", None)
        read = experiment.inputs.get(section, {})
        if path is None or not read:
            continue
        if Path(path) in read:
            sums[f"{section}_file_sha256"] = read[Path(path)]
        if {*read} != {Path(path)}:
            lists[f"{section}_files_sha256"] = _lines(read)
    if functions := experiment.inputs.get("functions"):
        lists["layers_functions_sha256"] = _lines(functions)
    return sums | lists


def _lines(read: Mapping[Path, str]) -> str:
    return "\n".join(f"{known}  {path.name}" for path, known in read.items())


def changed_inputs(before: Mapping[str, Any], experiment: Experiment) -> str:
    """The inputs that are other files than `input_sums` once said, by name and key; empty where all are the same."""
    now = input_sums(experiment)
    names = [f"{section}_{kind}_sha256" for kind in ("files", "file") for section in ("layers", "heads", "initial")]
    names.append("layers_functions_sha256")
    for name in names:
        then, today = str(before.get(name, "")), now.get(name, "")
        if then == today:
            continue
        key = name.removesuffix("_sha256").replace("_files", "_file").replace("_", ".")
        if name.endswith("_file_sha256"):
            return key
        differ = {line.partition("  ")[2] for line in {*then.splitlines()} ^ {*today.splitlines()}}
        return f"{', '.join(sorted(differ))} of {key}"
    return ""
