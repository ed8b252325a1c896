"""Calls of the system that fail: writes, closes, flushes, renames, one by one; and disks that know no locks."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from particles.files import checksum
from tests.faults.runs import COMMANDS, Bench, Tally, one_line, run, words
from tests.tokenlaw.calls import contents

CALLS = {
    "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "short": (0,),
    "close": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "fsync": (errno.EIO,),
    "rename": (errno.EIO, errno.ENOSPC),
    "open": (errno.ENOSPC, errno.EMFILE),
    "ftruncate": (errno.EIO,),
    "mkdir": (errno.ENOSPC,),
}
LOADED = "TOKENLAW_FAULTS_SHIM"
SHORT = ("layers.t_end=0.12", "output.distances=100")
SHORTER = ("layers.t_end=0.04", "output.distances=100")


def preload(*arguments: str) -> None:
    """Begin anew with the calls that can fail, where there is a compiler; they are those of every child."""
    if LOADED in os.environ:
        shutil.rmtree(os.environ["LD_PRELOAD"].rpartition("/")[0])
        del os.environ["LD_PRELOAD"]  # it is loaded; programs that are started from here on do without
        return
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return
    library = Path(tempfile.mkdtemp(prefix="faults-")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], capture_output=True)
    if done.returncode == 0:
        os.environ |= {LOADED: "1", "LD_PRELOAD": str(library)}
        os.execv(sys.executable, [sys.executable, "-m", "tests.faults", *arguments])


def armed(folder: Path, call: str, nth: int, error: int, for_ever: bool) -> Callable[[], object]:
    """The n-th call of a kind on something in a folder fails."""

    def arm() -> None:
        ctypes.CDLL(None).faults_arm(str(folder).encode(), call.encode(), nth, error, int(for_ever))

    return arm


def _ready() -> bool:
    return LOADED in os.environ


def failing(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """The n-th call of each kind in each command, in runs and in those that are resumed, once or from then on."""
    for call, errors in CALLS.items():
        tally = Tally(f"{call} fails" if call != "short" else "write is short")
        if not _ready():
            tally.outcomes["left out: no compiler"] += 1
            yield tally
            continue
        for command in COMMANDS:
            for resumed in (False, True):
                nth, missed = 0, 0
                while nth < (tries if call != "short" else min(tries, 8)) and not missed:
                    nth += 1
                    for_ever = call != "short" and random.random() < 0.3
                    found = _try(bench, command, resumed, (call, nth, random.choice(errors), for_ever))
                    missed += found == "there was no such call"
                    tally.add(found)
        yield tally


def few(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """For the suite: closes and writes of one run, and one without locks."""
    for call in ("close", "write"):
        tally = Tally(f"a few calls: {call} fails")
        for nth in range(1, (6 if call == "close" else 3) * _ready() + 1):
            tally.add(_try(bench, "simulate", call == "write", (call, nth, CALLS[call][0], False)))
        yield tally
    yield from without_locks(bench, random, tries)


def _try(bench: Bench, command: str, resumed: bool, fault: tuple[str, int, int, bool]) -> str:
    out = bench.fresh("failing")
    if resumed:
        shutil.copyfile(bench.reference(command, SHORTER), out)
    before = out.read_bytes() if resumed else None
    more = ["--resume"] if resumed else []
    line = words(command, bench.config, out, *more, settings=SHORT)
    code, said = run(*line, prepare=armed(out.parent, *fault))
    where = f"{command}, {fault}, resumed {resumed}: {code}: {said[-3:]}"
    wanted = contents(bench.reference(command, SHORT))
    whole = out.exists() and checksum.intact(out)
    if code == 0:
        good = not said and whole and contents(out) == wanted
        shutil.rmtree(out.parent)
        return "there was no such call" if good and fault[0] != "short" else "whole" if good else f"LOSS: {where}"
    if not one_line(code, said, codes=(2, 3)) or (out.exists() and not whole):
        return f"LOSS: {where}"
    if code == 2 and (out.read_bytes() if out.exists() else None) != before:
        return f"LOSS: {where}: there is another file"
    code, said = run(*words(command, bench.config, out, "--resume", settings=SHORT))
    if (code, said) != (0, []) or contents(out) != wanted:
        return f"LOSS: {where}: --resume: {code}: {said[-3:]}"
    left = [path.name for path in out.parent.iterdir() if path != out]
    shutil.rmtree(out.parent)
    return f"LOSS: {where}: left behind {left}" if left else "one line, resumed"


def failing_products(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """The same for what other commands write beside an older file of that name: the old one, or the new one, whole."""
    source = bench.reference("compare")
    products = {
        "plot": (["plot", source, "--out"], "a.png"),
        "report": (["report", source, "--out"], "a.html"),
        "simulate --record-layers": (
            ["simulate", bench.config, "-q", "--out", bench.fresh("tokens"), "--record-layers"], "a.nc"),
    }  # fmt: skip
    for name, (command, file) in products.items():
        tally = Tally(f"calls that fail in {name}")
        if not _ready():
            tally.outcomes["left out: no compiler"] += 1
            yield tally
            continue
        good = bench.fresh("good").with_name(file)
        code, said = run(*command, good)
        if code:
            tally.add(f"LOSS: {name}: {code}: {said}")
            yield tally
            continue
        for call, errors in CALLS.items():
            for nth in range(1, tries + 1):
                out = bench.fresh("product").with_name(file)
                out.write_bytes(b"old")
                code, said = run(*command, out, prepare=armed(out.parent, call, nth, random.choice(errors), False))
                found, left = out.read_bytes(), [path for path in out.parent.iterdir() if path != out]
                kept = found == b"old" and one_line(code, said, codes=(2, 3))
                made = code == 0 and found == good.read_bytes()
                where = f"{name}, {call} {nth}: {code}: {said[-2:]}, {len(found)} bytes, {left}"
                tally.add(f"LOSS: {where}" if left or not (kept or made) else "old file" if kept else "new file")
                shutil.rmtree(out.parent)
                if made and call != "short":
                    break
        yield tally


def without_locks(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Disks that know no locks: a warning, and the run."""
    tally = Tally("disk without locks")
    if not _ready():
        tally.outcomes["left out: no compiler"] += 1
    for k in range(tries * _ready()):
        command, number = COMMANDS[k % 3], (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)[k // 3 % 3]
        out = bench.half(command) if k % 2 else bench.fresh("unlocked")
        more = ["--resume"] if k % 2 else []
        code, said = run(*words(command, bench.config, out, *more), prepare=armed(Path("/"), "flock", 1, number, True))
        told = len(said) == 1 and "locks do not work on this disk" in said[0]
        same = code == 0 and contents(out) == contents(bench.reference(command))
        tally.add("a warning, and the run" if told and same else f"LOSS: {command}: {code}: {said[-3:]}")
    yield tally
