"""The index of an ensemble: index.json says of every run where it is, what it is and how it went."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from particles.files import BROKEN, versions, whole, writing
from tokenlaw.config import read as config
from tokenlaw.config.read import ConfigError
from tokenlaw.ensemble.member import Member

NAME = "index.json"
WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass
class Entry:
    """What the index says of one run.

    Attributes
    ----------
    file : relative to the index.   member : noise.member.   point : swept keys and values.
    status : waiting, done or failed.   attempts : of the last call that ran it.   seconds : of the last attempt.
    error : why it failed.   warnings : of the last attempt.
    """

    file: str
    member: int
    point: Mapping[str, Any]
    status: str = WAITING
    attempts: int = 0
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Index:
    """The index in memory; `save` writes it, `save_at_times` not more than a tenth of the time."""

    folder: Path
    command: str
    sweep: Sequence[str]
    configuration: str
    entries: dict[str, Entry]
    _last: float = field(default=-1e9, repr=False)
    _cost: float = field(default=0.0, repr=False)

    @classmethod
    def of(cls, folder: Path, command: str, sweep: Sequence[str], members: Sequence[Member]) -> "Index":
        """A new index: all runs are waiting."""
        entries = {member.file: Entry(member.file, member.number, member.point) for member in members}
        return cls(folder, command, tuple(sweep), members[0].configuration, entries)

    def count(self, status: str) -> int:
        """Number of runs with this status."""
        return sum(entry.status == status for entry in self.entries.values())

    def save_at_times(self) -> None:
        """Write the index, unless that was done a moment ago."""
        if time.monotonic() - self._last >= max(1.0, 10 * self._cost):
            self.save()

    def save(self) -> None:
        """Write the index: a new file in place of the old one."""
        begin, path = time.monotonic(), self.folder / NAME
        found = {
            "title": "ensemble",
            "command": self.command,
            "sweep": list(self.sweep),
            "runs": len(self.entries),
            **{status: self.count(status) for status in (DONE, FAILED, WAITING)},
            "versions": versions(),
            "configuration": self.configuration,
            "entries": [asdict(entry) for entry in self.entries.values()],
        }
        with writing(path, begun=True), whole(path) as part:
            part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        self._last = time.monotonic()
        self._cost = self._last - begin


def check_same(folder: Path, command: str, sweep: Sequence[str], members: Sequence[Member]) -> None:
    """Refuse to go on from an ensemble that is not this one; more members and a longer run are allowed."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        was, swept = found["command"], list(found["sweep"])
        before = config.load_text(found["configuration"], check_files=False)
        numbers = [entry["member"] for entry in found["entries"]]
    except BROKEN as error:
        raise ConfigError(f"--resume {path}: not an index of an ensemble ({type(error).__name__})") from None
    if was != command:
        raise ConfigError(f"--resume {folder}: holds runs of tokenlaw {was}, not of tokenlaw {command} (--run {was})")
    if swept != list(sweep):
        words = ("sweeps " + ", ".join(swept)) if swept else "no sweep"
        raise ConfigError(f"--resume {folder}: holds an ensemble with {words}; go on with the same --sweep")
    now = config.load_text(members[0].configuration)
    changed = config.changed_keys(before, now)
    changed += [] if before.output == now.output else ["output"]
    if changed:
        raise ConfigError(
            f"--resume {folder}: the configuration differs in {', '.join(changed)}; only layers.t_end, layers.depth "
            "and the number of members may change"
        )
    if missing := set(numbers) - {member.number for member in members}:
        raise ConfigError(f"--members: must be at least {len(set(numbers))}, as in {path}; lacks {min(missing)}")
