"""Limits that the system sets for a group of processes: Linux's control groups, versions 2 and 1."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def folders(controller: str, root: Path = ROOT, own: Path = OWN) -> Iterator[Path]:
    """Folders with limits of a controller ("memory", "cpu"): of this process's group, and of those above it."""
    for line in text(own).splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number != "0" and controller not in names.split(","):
            continue
        base = root if number == "0" else root / controller
        group = PurePosixPath(path.lstrip("/"))
        yield base / group
        yield from (base / above for above in group.parents)


def text(path: Path) -> str:
    """Of a file, "" where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
