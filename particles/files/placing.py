"""A file takes its place whole or not at all: it is made in a folder of its own beside it, and moved by one rename.

The folder, `.NAME.writing`, is private (mode 700), is held by one process at a time, and is never reached through a
link.  Whatever else has its name is left alone, and refused in one line.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

WITHOUT_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a disk says that knows no locks."""
PATIENCE: Final = 10.0  # seconds until another process that is making the same file is no longer waited for
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Aside:
    """The folder beside a file in which its successor is made, as a context; it is gone at the end.

    Attributes
    ----------
    part : name for the successor; what stands there at the end is removed.
    journal : name for records that wait for their file (`particles.files.journal`); the folder stays while it is there.

    Raises
    ------
    FileExistsError : something else has the name of the folder.   BlockingIOError : another process is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = folder(path)
        self.part, self.journal = self.folder / "tokenlaw.part", self.folder / "tokenlaw.journal"
        self._handle = -1

    def __enter__(self) -> Self:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder, 0o700)
            try:
                self._handle = os.open(self.folder, _FOLDER)
            except FileNotFoundError:
                continue  # who was in it has just removed it
            except OSError as error:
                raise self._foreign() from error
            try:
                if self._taken():
                    self.part.unlink(missing_ok=True)  # of a process that was killed
                    return self
                if time.monotonic() > deadline:
                    raise BlockingIOError(errno.EAGAIN, "another process is writing it")
            except BaseException:
                self._close()
                raise
            self._close()
            time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # before it is let go; it stays where something is in it
        self._close()

    def flush(self) -> None:
        """Bring the names in the folder, and its own, to the disk."""
        flush_folder(self.folder)
        flush_folder(self.path.parent)

    def _taken(self) -> bool:
        """Whether the folder, which is open, is ours alone, and still has its name."""
        found = os.fstat(self._handle)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._foreign()
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                return False
        return is_at(self._handle, self.folder)

    def _foreign(self) -> FileExistsError:
        return FileExistsError(
            errno.EEXIST, f"{self.folder.name} beside it is a link or belongs to someone else; rename or remove that"
        )

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._handle)


def folder(path: Path) -> Path:
    """The folder in which the successor of a file is made."""
    return path.with_name(f".{path.name}.writing")


def clear(path: Path) -> None:
    """Remove what a process that was killed has left beside a file, but for its journal."""
    if os.path.lexists(folder(path)):
        with Aside(path):
            pass


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one of that name, and no link to it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def flush_folder(path: Path) -> None:
    """Bring the names in a folder to the disk; where a folder cannot be flushed, the system does it in time."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, where they are missing; a loss of power does not take them with their files."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in missing:
        flush_folder(one.parent)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a whole file over an old one, so that after a loss of power there is the one or the other.

    The new file has the mode and the owner of the old one, as far as there is the right to give it away.
    """
    with open(temporary, "rb") as handle:
        _liken(handle.fileno(), path)
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    flush_folder(path.parent)


def _liken(handle: int, path: Path) -> None:
    """Give an open file the mode and the owner of another; a group that it cannot have gets the rights of others."""
    try:
        old = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(old.st_mode):
        return
    now, mode = os.fstat(handle), old.st_mode & 0o777
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(handle, old.st_uid, old.st_gid)
        except OSError:
            try:
                os.fchown(handle, -1, old.st_gid)
            except OSError:
                mode = mode & 0o707 | (mode & 0o007) << 3
    if now.st_mode & 0o777 != mode:
        os.fchmod(handle, mode)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The name under which to write a file that takes its place at the end, whole or not at all."""
    with Aside(path) as aside:
        yield aside.part
        put_in_place(aside.part, path)
