"""Runs as processes of their own that can be killed, and the judgement of what a fault has left behind."""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from particles.files import recorder as output
from tests.tokenlaw.calls import HOMOGENIZED, contents
from tokenlaw import files
from tokenlaw.commands import app
from tokenlaw.pictures import paper as plots
from tokenlaw.runs import run as commands

COMMANDS = tuple(commands.JOBS)
READERS = (files.describe, plots.plot)  # imported here, so that a child need not do it
SETTINGS = ("layers.t_end=0.4", "output.distances=100")
HALF = ("layers.t_end=0.2", "output.distances=100")
PATIENCE = 60.0  # seconds after which a process that has not ended counts as hung


@dataclass
class Tally:
    """What became of the tries of one fault."""

    fault: str
    outcomes: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def add(self, outcome: str) -> None:
        """Count one try; what begins with LOSS is told at the end."""
        kind, _, text = outcome.partition(": ")
        self.outcomes[kind] += 1
        if kind == "LOSS":
            self.losses.append(text)


@dataclass
class Process:
    """A command in a child of this process."""

    pid: int
    said: Path

    def finish(self) -> tuple[int, list[str]]:
        """Exit code (negative: the signal that ended it; 99: it hung) and the lines it said."""
        end = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                code = 99
                break
            time.sleep(0.001)
        lines = self.said.read_text(errors="replace").splitlines()
        self.said.unlink()
        return code, lines

    def signal(self, number: int) -> None:
        """Send a signal; nothing where the process has ended (it is not waited for yet, so the number is its own)."""
        os.kill(self.pid, number)


def start(*words: object, prepare: Callable[[], object] = lambda: None, every_record: bool = True) -> Process:
    """Begin a command; it writes after every record, and `prepare` is called in the child before it."""
    handle, name = tempfile.mkstemp(prefix="faults-", suffix=".said")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(handle)
        return Process(pid, Path(name))
    code = 70
    try:
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if every_record:
            output.Recorder.__init__.__defaults__ = (None, None, None, 0.0)
        sys.argv = ["tokenlaw", *map(str, words)]
        prepare()
        app.main()
    except SystemExit as ending:
        code = int(ending.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(
    *words: object, prepare: Callable[[], object] = lambda: None, every_record: bool = True
) -> tuple[int, list[str]]:
    """A command from beginning to end: exit code and lines."""
    return start(*words, prepare=prepare, every_record=every_record).finish()


def words(command: str, config: Path, out: Path, *more: str, settings: tuple[str, ...] = SETTINGS) -> list[object]:
    """The command line of a run."""
    return [command, config, "--out", out, "-q", *more, *(word for text in settings for word in ("--set", text))]


@dataclass(frozen=True)
class Bench:
    """A folder with a configuration, and what every run should end with."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        path = self.folder / "c.toml"
        if not path.exists():
            path.write_text(HOMOGENIZED)
        return path

    @property
    def circle(self) -> Path:
        """The configuration on the circle."""
        path = self.folder / "circle.toml"
        if not path.exists():
            path.write_text(HOMOGENIZED.replace("d = 3", "d = 2").replace("[0.0, 0.0, 1.0]", "[0.0, 1.0]"))
        return path

    @cache  # noqa: B019 - a bench lives as long as the process
    def reference(self, command: str, settings: tuple[str, ...] = SETTINGS) -> Path:
        """File of a run that nothing happened to; tables it needs are then there for every child."""
        assert app.run([*map(str, words(command, self.config, self.fresh("warm"), settings=settings))]) == 0
        out = self.folder / f"reference-{command}-{abs(hash(settings))}.nc"
        code, said = run(*words(command, self.config, out, settings=settings), every_record=False)
        assert (code, said) == (0, []), said
        return out

    @cache  # noqa: B019
    def duration(self, command: str) -> float:
        """Seconds that a run takes."""
        self.reference(command)
        begin = time.monotonic()
        code, said = run(*words(command, self.config, self.fresh("timed")))
        assert code == 0, said
        return time.monotonic() - begin

    def fresh(self, name: str) -> Path:
        """A name for an output, in a new folder."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / f"{name}.nc"

    def half(self, command: str) -> Path:
        """A copy of a run's file that ends half way."""
        out = self.fresh("half")
        shutil.copyfile(self.reference(command, HALF), out)
        return out

    def judged(self, command: str, out: Path) -> str:
        """What --resume makes of an output after a fault: it must end as the reference does."""
        outcome = "resumed" if out.exists() else "begun anew"
        code, said = run(*words(command, self.config, out, "--resume"))
        if code or said:
            return f"LOSS: {command}: --resume ended with {code}: {said}"
        want, have = contents(self.reference(command)), contents(out)
        differing = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
        if differing:
            return f"LOSS: {command}: the resumed file differs in {', '.join(differing)}"
        left = [path.name for path in out.parent.iterdir() if path.name.startswith(".")]
        shutil.rmtree(out.parent)
        return f"LOSS: {command}: left behind {left}" if left else outcome


def one_line(code: int, said: list[str], codes: tuple[int, ...] = (2,)) -> bool:
    """Whether a command ended as promised: one of the exit codes, and one line that says why."""
    return code in codes and len(said) == 1 and said[0].startswith(("error: ", "stopped: "))


def no_file_beyond(size: int) -> Callable[[], object]:
    """A limit on the size of files, as a disk that becomes full."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def dying(name: str, owner: object, after: bool, call: int) -> Callable[[], object]:
    """The process kills itself at the given call of a function, before or after its work."""

    def arm() -> None:
        real, calls = getattr(owner, name), []

        def deadly(*arguments: object, **options: object) -> object:
            calls.append(None)
            if len(calls) == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if len(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, deadly)

    return arm


