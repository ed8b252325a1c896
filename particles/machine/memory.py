"""How much memory there is, and a refusal before an allocation that would not fit."""

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from particles.machine.groups import OWN, ROOT, folders, text

NUMBER: Final = 8
"""Bytes of a number in double precision."""
_UNITS: Final = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_UNLIMITED: Final = 1 << 60  # what the kernel writes for "no limit" lies beyond
_CGROUP_FILES: Final = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


class TooLarge(ValueError):
    """Something that does not fit into the memory that is available."""


def available() -> int:
    """Bytes that this process may still allocate: of the machine, of its control group, of its own limit."""
    return max(0, min((*_machine(), *_control_groups(), *_address_space()), default=sys.maxsize))


def refuse_beyond(what: str, need: float) -> None:
    """Raise `TooLarge` where `need` bytes are more than there are; `what` opens the sentence: a key, or a file."""
    there = available()
    if need > there:
        raise TooLarge(f"{what}: needs about {size(need)} of memory, {size(there)} are available")


def size(count: float) -> str:
    """A number of bytes for people."""
    unit, factor = next((pair for pair in _UNITS if count >= pair[1]), _UNITS[-1])
    return f"{count / factor:.3g} {unit}" if count < 1000 * 2**40 else f"{count / 2**40:.1e} TiB"


def _machine() -> Iterator[int]:
    """What the system can give without swapping (caches count as free)."""
    import psutil  # takes as long to load as a tenth of this package

    with suppress(OSError, psutil.Error):
        yield psutil.virtual_memory().available


def _control_groups(root: Path = ROOT, own: Path = OWN) -> Iterator[int]:
    """What the limits of the control groups leave."""
    for folder in folders("memory", root, own):
        yield from _left(folder)


def _left(folder: Path) -> Iterator[int]:
    for limit_file, usage_file in _CGROUP_FILES:
        limit, usage = text(folder / limit_file).strip(), text(folder / usage_file).strip()
        if limit.isdigit() and usage.isdigit() and int(limit) < _UNLIMITED:
            lines = (line.split() for line in text(folder / "memory.stat").splitlines())
            stat = {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2 and parts[1].isdigit()}
            cache = stat.get("total_inactive_file", stat.get("inactive_file", 0))
            yield int(limit) - int(usage) + cache


def _address_space() -> Iterator[int]:
    """What `ulimit -v` leaves."""
    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, psutil.Error):
            yield limit - psutil.Process().memory_info().vms
