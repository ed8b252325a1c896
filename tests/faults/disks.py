"""Disks that are full, become full, or may not be written."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.faults.runs import COMMANDS, Bench, Tally, no_file_beyond, one_line, run, start, words

INSIDE = "TOKENLAW_FAULTS_INSIDE"


def own_mounts() -> None:
    """Go on in a name space of mounts of its own, where small disks can be made, if there may be one."""
    if INSIDE not in os.environ and shutil.which("unshare"):
        os.environ[INSIDE] = "1"
        if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode == 0:
            os.execvp("unshare", ["unshare", "-Urm", sys.executable, "-m", "tests.faults", *sys.argv[1:]])


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """A folder on a disk of so many bytes; PermissionError where there is no right to make one."""
    folder = Path(tempfile.mkdtemp(prefix="faults-disk-"))
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    except OSError:
        done = None
    if done is None or done.returncode:
        folder.rmdir()
        raise PermissionError("no right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def _moved(bench: Bench, out: Path) -> Path:
    """The output of a run on a disk with room."""
    room = bench.fresh(out.stem)
    if out.exists():
        shutil.copyfile(out, room)
    return room


def full(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """A disk that has no room left, from the start or some time later; what was written goes on elsewhere."""
    tallies = Tally("disk full (a small tmpfs)"), Tally("disk full (limit on the size of files)")
    for k in range(tries):
        command = COMMANDS[k % 3]
        most = 2.2 * bench.reference(command).stat().st_size
        size = int(random.uniform(2e4, most))
        try:
            with small_disk(size) as folder:
                out = folder / "full.nc"
                ending = run(*words(command, bench.config, out))
                left = [path.name for path in folder.iterdir() if path != out]
                tallies[0].add(_judged(bench, command, ending, _moved(bench, out), left))
        except PermissionError:
            tallies[0].outcomes["left out: no right to mount"] += 1
        out = bench.fresh("full")
        ending = run(*words(command, bench.config, out), prepare=no_file_beyond(size // 2))
        left = [path.name for path in out.parent.iterdir() if path != out]
        tallies[1].add(_judged(bench, command, ending, out, left))
    yield from tallies


def _judged(bench: Bench, command: str, ending: tuple[int, list[str]], out: Path, left: list[str]) -> str:
    """One line and a good file, or the whole run."""
    if ending != (0, []) and not one_line(*ending, codes=(3,) if out.exists() else (2,)):
        return f"LOSS: {command}: {ending}"
    if left:
        return f"LOSS: {command}: left behind {left}"
    found = bench.judged(command, out)
    return "there was room" if ending[0] == 0 and found == "resumed" else found


def full_at_last(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """No room for a new file beside an old one: the old one stays, to the byte, be it resumed or begun anew."""
    tally = Tally("disk full, an older file is there")
    for k in range(tries):
        command, out = COMMANDS[k % 3], bench.half(COMMANDS[k % 3])
        before = out.read_bytes()
        limit = no_file_beyond(int(random.uniform(0, 4e4)))
        ending = run(*words(command, bench.config, out, *(["--resume"] if k % 2 else [])), prepare=limit)
        if not one_line(*ending, codes=(2, 3)) or out.read_bytes() != before:
            tally.add(f"LOSS: {command}: {ending}")
        else:
            found = bench.judged(command, out)
            tally.add(found if found.startswith("LOSS") else "one line, old file intact")
    yield tally


def removed(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """The output, or its whole folder, is removed by someone else while the run goes on."""
    tally = Tally("output or its folder removed during the run")
    for k in range(tries):
        command, out = COMMANDS[k % 3], bench.fresh("removed")
        process = start(*words(command, bench.config, out))
        end = time.monotonic() + 30
        while not out.exists() and time.monotonic() < end:
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.5) * bench.duration(command))
        if k % 2:
            out.unlink()
        else:
            shutil.rmtree(out.parent, ignore_errors=True)
        ending = process.finish()
        if ending != (0, []) and not one_line(*ending, codes=(2, 3)):
            tally.add(f"LOSS: {command}: {ending}")
            continue
        out.parent.mkdir(exist_ok=True)
        found = bench.judged(command, out)
        tally.add(found if found.startswith("LOSS") else "one line, " + found if ending[0] else "ended before")
    yield tally


def _without_privileges() -> None:
    """Give up the right to pass over permissions, but not the owner."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version of the call; this process
    nothing = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable
    if os.geteuid() == 0 and libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def not_writable(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Outputs that cannot be: found before any work, and nothing is touched."""
    tally = Tally("output that cannot be written")
    for command in COMMANDS:
        for name, prepare in _impossible(bench, command).items():
            out, restore = prepare()
            before = out.read_bytes() if out.is_file() else None
            for more in ([], ["--resume"]):
                ending = run(*words(command, bench.config, out, *more), prepare=_without_privileges)
                after = out.read_bytes() if out.is_file() else None
                good = one_line(*ending) and before == after
                tally.add("one line, nothing touched" if good else f"LOSS: {command} {name} {more}: {ending}")
            restore()
    yield tally


def _impossible(bench: Bench, command: str) -> dict[str, Callable[[], tuple[Path, Callable[[], object]]]]:
    def folder_without_right() -> tuple[Path, Callable[[], object]]:
        out = bench.half(command)
        out.parent.chmod(0o555)
        return out, lambda: out.parent.chmod(0o755)

    def file_without_right() -> tuple[Path, Callable[[], object]]:
        out = bench.half(command)
        out.chmod(0o444)
        return out, lambda: None

    def directory() -> tuple[Path, Callable[[], object]]:
        out = bench.fresh("directory")
        out.mkdir()
        return out, lambda: None

    def below_a_file() -> tuple[Path, Callable[[], object]]:
        return bench.half(command) / "out.nc", lambda: None

    def pipe() -> tuple[Path, Callable[[], object]]:
        out = bench.fresh("pipe")
        os.mkfifo(out)
        return out, lambda: None

    def dangling() -> tuple[Path, Callable[[], object]]:
        out = bench.fresh("link")
        out.symlink_to(out.parent / "nowhere" / "file.nc")
        return out, lambda: None

    def configuration() -> tuple[Path, Callable[[], object]]:
        return bench.config, lambda: None

    makers = (folder_without_right, file_without_right, directory, below_a_file, pipe, dangling, configuration)
    return {maker.__name__: maker for maker in makers}
