"""Links and files of others under the names that a run uses beside its output: none is touched, each is told."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from particles.files import placing
from tests.faults.runs import COMMANDS, Bench, Tally, one_line, run, words
from tests.tokenlaw.calls import contents

NAMES = (".{}.lock", ".{}.writing", ".{}.part", ".{}.writing/tokenlaw.part", ".{}.writing/tokenlaw.journal")


def _symbolic(name: Path, foreign: Path) -> None:
    name.symlink_to(foreign)


def _dangling(name: Path, foreign: Path) -> None:
    name.symlink_to(foreign.with_name("not there"))


def _hard(name: Path, foreign: Path) -> None:
    name.hardlink_to(foreign)


def _file(name: Path, foreign: Path) -> None:
    name.write_text("a file of the user, which is no lock")


def _folder(name: Path, foreign: Path) -> None:
    name.mkdir()
    (name / "mine").write_text("a file of the user")


def _pipe(name: Path, foreign: Path) -> None:
    os.mkfifo(name)


KINDS: tuple[Callable[[Path, Path], None], ...] = (_symbolic, _dangling, _hard, _file, _folder, _pipe)


def _seen(root: Path, out: Path) -> dict[str, tuple[int, str]]:
    """All that is there but the output: kind and contents."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path != out:
            text = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
            found[str(path)] = (path.lstat().st_mode, text)
    return found


def planted(bench: Bench, random: Random, tries: int) -> Iterator[Tally]:
    """Each kind under each name, for runs that begin and that go on."""
    for kind in KINDS:
        tally = Tally(f"planted beside the output: {kind.__name__[1:]}")
        for k in range(tries * len(NAMES) * 2):
            command, resumed = COMMANDS[k % 3], k % 2 == 0
            out = bench.half(command) if resumed else bench.fresh("planted")
            name = out.parent / NAMES[k // 2 % len(NAMES)].format(out.name)
            inside = name.parent == placing.folder(out)
            if inside:
                name.parent.mkdir(0o700)
            foreign = out.with_name("foreign")
            foreign.write_text("of someone else, and longer than what a lock would write there")
            kind(name, foreign)
            before, was = _seen(out.parent, out), out.read_bytes() if resumed else None
            code, said = run(*words(command, bench.config, out, *(["--resume"] if resumed else [])))
            after = _seen(out.parent, out)
            if inside:  # our own folder: what is found there goes, or stops the run; what it points to stays
                before, after = ({str(foreign): seen[str(foreign)]} for seen in (before, after))
            whole = (code, said) == (0, []) and contents(out) == contents(bench.reference(command))
            refused = one_line(code, said) and (out.read_bytes() if out.exists() else None) == was
            good = before == after and not out.with_name("not there").exists() and (whole or refused)
            where = f"{command}, {name.name}, resumed {resumed}: {code}: {said[-2:]}, {before != after}"
            tally.add(("run" if whole else "refused in one line") if good else f"LOSS: {where}")
            shutil.rmtree(out.parent)
        yield tally
