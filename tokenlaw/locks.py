"""One run per output: a lock of the operating system on a small file beside it, gone when the process is."""

import errno
import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from particles.output import WriteError
from tokenlaw.config import ConfigError

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


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
        target.with_name(f".{target.name}.part").unlink(missing_ok=True)  # left by a run that was killed
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before the lock is let go: a run that waits for this very file finds that it is gone
        os.close(handle)


def _take(path: Path, out: Path) -> int:
    """Open and lock a file that still has its name when the lock is there."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise WriteError(out, error, begun=False) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                who = os.pread(handle, 100, 0).decode(errors="replace").strip()
                os.close(handle)
                raise ConfigError(
                    f"--out {out}: is being written by another run{f' ({who})' if who else ''}; wait for it, or give "
                    "another name"
                ) from None
            warnings.warn(f"{out}: locks do not work on this disk; start no second run on it", RuntimeWarning, 2)
        if _is_at(handle, path):
            with suppress(OSError):  # for the message of a second run only
                os.truncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
            return handle
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
