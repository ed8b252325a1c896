"""One run per output: a lock of the operating system on a small file beside it, gone when the process is."""

import fcntl
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from particles.files import WITHOUT_LOCKS, WriteError, clear, is_at, writing
from tokenlaw.config.read import ConfigError

MARK: Final = "process"  # what a lock begins with
LONGEST: Final = 400  # bytes of a lock


@contextmanager
def locked(*outputs: Path) -> Iterator[None]:
    """Hold the right to write these files.

    Raises
    ------
    ConfigError : another run holds it.   WriteError : the folder takes no new files.
    """
    with ExitStack() as stack:
        for out in outputs:
            stack.enter_context(_one(out))
        yield


def free(out: Path) -> bool:
    """Whether no run holds the right to write this file."""
    try:
        with locked(out):
            return True
    except ConfigError:
        return False


@contextmanager
def _one(out: Path) -> Iterator[None]:
    target = Path(os.path.realpath(out))
    path = target.with_name(f".{target.name}.lock")
    handle = _take(path, out)
    try:
        with writing(out):
            clear(target)
        yield
    finally:
        with suppress(OSError):
            if is_at(handle, path):
                path.unlink()  # before the lock is let go: a run that waits for this very file finds that it is gone
        with suppress(OSError):
            os.close(handle)


def _take(path: Path, out: Path) -> int:
    """Open and lock a file that still has its name when the lock is there; what is not our own is left as it is."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if path.is_symlink() or path.is_dir():
                raise _foreign(path, out) from None
            raise WriteError(out, error, begun=False) from None
        try:
            if not _is_lock(handle):
                raise _foreign(path, out)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    who = os.pread(handle, 100, 0).decode(errors="replace").strip()
                    raise ConfigError(
                        f"--out {out}: is being written by another run{f' ({who})' if who else ''}; wait for it, or "
                        "give another name"
                    ) from None
                warnings.warn(f"{out}: locks do not work on this disk; start no second run on it", RuntimeWarning, 2)
            if is_at(handle, path):
                with suppress(OSError):  # for the message of a second run only
                    os.truncate(handle, 0)
                    os.pwrite(handle, f"{MARK} {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
                return handle
        except BaseException:
            with suppress(OSError):
                os.close(handle)
            raise
        with suppress(OSError):
            os.close(handle)


def _is_lock(handle: int) -> bool:
    """Whether an open file is a lock of ours: a plain file without a second name, with what we write there or less.

    After a loss of power there may be less, or zeros.
    """
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        return False
    text = os.pread(handle, LONGEST + 1, 0)
    begin = text.replace(b"\0", b"")[: len(MARK)]
    return len(text) <= LONGEST and MARK.encode().startswith(begin)


def _foreign(path: Path, out: Path) -> ConfigError:
    return ConfigError(f"--out {out}: {path.name} beside it is no lock of tokenlaw; rename or remove that")
