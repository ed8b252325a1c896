"""Numbers that go wrong: layers that become NaN in the middle of a run, and settings beyond all sense."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import xarray as xr

from particles import Homogenized
from tests.faults.runs import COMMANDS, SETTINGS, Bench, Tally, one_line, run, words

MAY_BE_NAN = {
    "moment_defect", "moment_error", "w2_chordal", "w1_geodesic", "w2_floor", "w1_floor", "coupled_rms", "lyapunov",
}
EXTREMES = (
    "heads.sigma_v=1e10", "heads.sigma_v=1e150", "heads.sigma_v=1e300", "heads.sigma_v=1e-300", "heads.sigma_a=1e10",
    "heads.sigma_a=1e150", "heads.sigma_a=1e300", "heads.sigma_a=1e-300", "model.beta=0.0", "model.beta=1e4",
    "model.beta=1e12", "model.beta=1e300", "model.beta=1e-300", "model.attention='linear'", "model.attention='l2'",
    "layers.dt=2.0", "layers.dt=1e6", "layers.dt=1e300", "layers.noise_scale=1e10", "layers.noise_scale=1e-10",
    "layers.noise_scale=1e300", "layers.mlp={activation='gelu',sigma_w=1e10}", "layers.retraction='geodesic'",
    "layers.mlp={activation='relu',sigma_r=1e200,sigma_w=1e200}", "layers.private_noise=1e3",
    "layers.private_noise=1e300", "initial.components=[{mean=[0,0,1.0],kappa=1e5}]", "solve.lmax=2",
    "simulate.tokens=1", "solve.field_tol=1e-300", "heads.mean_v=[[1e200,0,0],[0,0,0],[0,0,-1e200]]",
    "layers={kind='ballistic',dt=0.05,t_end=0.2,scheme='rk4',nodes=2}", "layers.eta=1e200", "layers.depth=3",
    "layers={kind='modified',dt=0.05,t_end=0.2,eta=0.1,nodes=2}", "layers.scheme='rk4'",
    "layers={kind='transformer',eta=0.1,heads=2,depth=9}", "layers.norm='pre'", "heads={kind='smooth',modes=4}",
    "solve.remap_every=7", "solve.remap_every=0", "solve.characteristics=true", "solve.on_unresolved='stop'",
    "initial.components=[{mean=[1e-300,0,0],kappa=1e-300},{weight=1e-300,mean=[0,1.0,0],kappa=9.0}]",
    "solve.carried_nodes=[2,4]", "simulate.tokens=1000", "simulate.field='direct'", "simulate.field='spectral'",
)  # fmt: skip


def _bad_layers(step: int, name: str, value: float) -> Callable[[], None]:
    """One entry of one layer is no number, or one that leaves the range of numbers."""

    def arm() -> None:
        real = Homogenized.layer

        def layer(self: Homogenized, at: int) -> Any:
            pushes = real(self, at)
            if at != step:
                return pushes
            array = getattr(pushes[0], name).copy()
            array.flat[0] = value
            return (replace(pushes[0], **{name: array}), *pushes[1:])

        Homogenized.layer = layer  # type: ignore[method-assign]

    return arm


def broken_layers(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """The run stops at that step, says so, and its file ends with the state before it, which is finite."""
    tally = Tally("NaN or infinity in a layer")
    for k in range(tries):
        command, step, out = COMMANDS[k % 3], random.randrange(20), bench.fresh("broken")
        name, value = random.choice(("out", "query", "key")), random.choice((np.nan, np.inf, -np.inf))
        code, said = run(*words(command, bench.config, out), prepare=_bad_layers(step, name, value))
        told = f"(step {step}, depth time {step * 0.02:g})"
        where = f"{command}, {value} in {name} of layer {step}"
        if code != 3 or not said or told not in said[-1] or _bad(said):
            tally.add(f"LOSS: {where}: {code}: {said}")
            continue
        with xr.open_dataset(out) as dataset:
            last, finite = int(dataset["step"][-1]), not _not_finite(dataset)
        if last != step or not finite:
            tally.add(f"LOSS: {where}: the file ends at step {last}, finite: {finite}")
        else:
            found = bench.judged(command, out)
            tally.add(found if found.startswith("LOSS") else "stopped, resumed")
    yield tally


def extreme_settings(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """One to three settings beyond all sense at a time: a file of finite numbers, a stop, or a refusal."""
    tally = Tally("settings beyond all sense")
    for k in range(tries):
        command, out = COMMANDS[k % 3], bench.fresh("extreme")
        # the first ones alone, then some at a time, on the sphere and on the circle; a kind of layers comes first
        chosen = [EXTREMES[k]] if k < len(EXTREMES) else random.sample(EXTREMES, random.choice((2, 3, 4)))
        chosen.sort(key=lambda text: "={" not in text)
        config = bench.config if k < len(EXTREMES) or k % 2 else bench.circle
        code, said = run(*words(command, config, out, settings=(*SETTINGS[1:], "layers.t_end=0.2", *chosen)))
        tally.add(_judged(out, code, said, f"{command} {config.stem} {chosen}"))
        shutil.rmtree(out.parent)
    yield tally


def _judged(out: Path, code: int, said: list[str], where: str) -> str:
    if code == 2 and one_line(code, [said[-1]] if said else []) and not _bad(said):
        return f"LOSS: {where}: refused, and there is a file" if out.exists() else "refused"
    if code not in (0, 3) or _bad(said):
        return f"LOSS: {where}: {code}: {said[-3:]}"
    with xr.open_dataset(out) as dataset:
        wrong = _not_finite(dataset)
    if wrong:
        return f"LOSS: {where}: not finite: {wrong}"
    return ("stopped, file finite" if code else "finished, file finite") + (", warned" if said[code // 3 :] else "")


def _bad(said: list[str]) -> bool:
    """Whether anything but warnings and one last line was said."""
    known = ("warning: ", "error: ", "stopped: ")
    return not all(line.startswith(known) for line in said) or any(not line.startswith(known[0]) for line in said[:-1])


def _not_finite(dataset: xr.Dataset) -> list[str]:
    return [
        str(name) for name, variable in dataset.variables.items()
        if variable.dtype.kind == "f" and name not in MAY_BE_NAN and not np.isfinite(variable.values).all()
    ]  # fmt: skip
