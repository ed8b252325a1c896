"""Power that is lost: what may be on the disk then, in a model of what a system promises.

It promises of a file what was flushed (fsync) and of a folder's names what was flushed with the folder; anything that
came later may be there or not, names one by one and contents block by block, and a file may have any length it had.
The model sees every flush, rename, removal and new folder of a run, and makes disks as they may be found afterwards.
"""

import marshal
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from particles.files import checksum, run_files
from particles.files import recorder as output
from tests.faults.runs import COMMANDS, Bench, Tally, run, words
from tests.tokenlaw.calls import contents

BLOCK = 512
WATCHED = ("fsync", "replace", "unlink", "rmdir", "mkdir")


def _watching(root: Path, log: Path, journals: bool) -> Callable[[], object]:
    """Before and after each call that matters, what is in a folder goes into a log."""

    def look() -> tuple[dict[str, int], dict[int, bytes]]:
        names: dict[str, int] = {}
        files: dict[int, bytes] = {}
        for path in sorted(root.rglob("*")):
            try:
                found = path.lstat()
                names[str(path.relative_to(root))] = found.st_ino
                if path.is_file():
                    files[found.st_ino] = path.read_bytes()
            except FileNotFoundError:
                continue
        return names, files

    def arm() -> None:
        if journals:  # every record to the journal, and to the file at the end
            output.SHARE, output.Recorder.__init__.__defaults__ = 10**9, (None, None, None, 1e-9)

        def note(kind: str, inode: int) -> None:
            with open(log, "ab") as file:
                marshal.dump((kind, inode, *look()), file)

        def watched(name: str) -> Callable[..., object]:
            real = getattr(os, name)

            def call(*arguments: object, **options: object) -> object:
                note("before", 0)
                inode = os.fstat(arguments[0]).st_ino if name == "fsync" else 0
                result = real(*arguments, **options)
                note("flushed" if name == "fsync" else "after", inode)
                return result

            return call

        for name in WATCHED:
            setattr(os, name, watched(name))

    return arm


def _log(path: Path) -> list[tuple[str, int, dict[str, int], dict[int, bytes]]]:
    found = []
    with open(path, "rb") as file:
        while True:
            try:
                found.append(marshal.load(file))
            except EOFError:
                return found


def _torn(now: bytes, durable: bytes, random: Random) -> bytes:
    """Contents of which some blocks have reached the disk."""
    kind = random.randrange(4)
    if kind == 0 or now == durable:
        return durable
    if kind == 1:
        return now
    size = random.choice((len(now), len(durable), random.randint(0, len(now))))
    old, new = (data.ljust(size, b"\0")[:size] for data in (durable, now))
    return b"".join(
        (new if random.random() < 0.5 else old)[at : at + BLOCK] for at in range(0, size, BLOCK)
    )


class Disk:
    """What is promised, and what is only there for now."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.files: dict[int, bytes] = {}
        self.flushed: dict[int, bytes] = {}
        self.numbers: dict[int, int] = {}  # of the system, which gives them again -> ours
        self.count = 0

    def see(self, kind: str, inode: int, names: dict[str, int], files: dict[int, bytes]) -> None:
        """Take one entry of the log."""
        gone = self.numbers.keys() - set(names.values())
        self.numbers = {found: number for found, number in self.numbers.items() if found not in gone}
        for found in names.values():
            if found not in self.numbers:
                self.count += 1
                self.numbers[found] = self.count
        self.names = {name: self.numbers[found] for name, found in names.items()}
        self.files |= {self.numbers[found]: data for found, data in files.items() if found in self.numbers}
        if kind == "flushed":
            number = self.numbers.get(inode, 0)
            if number in self.files:
                self.flushed[number] = self.files[number]
            else:
                folder = next((name for name, found in self.names.items() if found == number), "")
                inside = {name for name in self.names | self.kept if os.path.dirname(name) == folder}
                self.kept = {name: found for name, found in self.kept.items() if name not in inside}
                self.kept |= {name: self.names[name] for name in inside if name in self.names}

    def lost(self, random: Random, into: Path) -> None:
        """A disk as it may be found."""
        for name in sorted(self.names | self.kept):
            found = random.choice((self.names, self.kept)).get(name)
            path = into / name
            if found is None or not path.parent.is_dir():
                continue
            if found in self.files:
                path.write_bytes(_torn(self.files[found], self.flushed.get(found, b""), random))
            else:
                path.mkdir(0o700)


def power_lost(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """At random moments, many disks each; all are judged by their files, one in ten by going on from them."""
    for journals in (False, True):
        tally = Tally("power lost, a model of the disk" + (", with a journal" if journals else ""))
        logs = {}
        for command in COMMANDS:
            out, log = bench.fresh("watched"), bench.fresh("log")
            code, said = run(*words(command, bench.config, out), prepare=_watching(out.parent, log, journals))
            if code:
                tally.add(f"LOSS: {command}: {code}: {said}")
                continue
            logs[command] = (_log(log), out.name)
        for k in range(tries):
            command = COMMANDS[k % 3]
            if command in logs:
                tally.add(_one_disk(bench, random, command, *logs[command], going_on=k % 10 == 0))
        yield tally


def _one_disk(bench: Bench, random: Random, command: str, log: list, name: str, going_on: bool) -> str:
    moment, disk, promised = random.randrange(1, len(log)), Disk(), b""
    for entry in log[:moment]:
        disk.see(*entry)
        if (inode := disk.kept.get(name)) is not None:
            promised = disk.flushed.get(inode, b"")
    made = {data for _, _, names, files in log for inode, data in files.items() if names.get(name) == inode}
    order = sorted(made, key=len)
    out = bench.fresh("lost").with_name(name)
    disk.lost(random, out.parent)
    where = f"{command}, moment {moment} of {len(log)}"
    if not out.exists():
        if promised:
            return f"LOSS: {where}: the file is gone"
    else:
        data = out.read_bytes()
        if data not in made or not checksum.intact(out):
            return f"LOSS: {where}: the file is torn"
        if promised and order.index(data) < order.index(promised):
            return f"LOSS: {where}: the file is older than one that was promised"
        steps = run_files.read_end(out)[1]
        found = steps[-1] if not run_files.recover(out) else run_files.read_end(out)[1][-1]
        if found < steps[-1] or not checksum.intact(out):
            return f"LOSS: {where}: the journal takes back records"
    if going_on:
        code, said = run(*words(command, bench.config, out, "--resume"))
        if (code, said) != (0, []) or contents(out) != contents(bench.reference(command)):
            return f"LOSS: {where}: --resume: {code}: {said[-2:]}"
        left = [path.name for path in out.parent.iterdir() if path != out]
        if left:
            return f"LOSS: {where}: left behind {left}"
    begun = out.exists()
    shutil.rmtree(out.parent)
    return ("resumed" if going_on else "whole") if begun else "no file yet"
