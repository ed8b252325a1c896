"""What threads of a process share: files, which one thread at a time may use, and the linear-algebra library."""

import _imp
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import scipy
from threadpoolctl import ThreadpoolController

T = TypeVar("T")
Q = ParamSpec("Q")


class _FileLock:
    """A lock that its holder may take again; sent to another process it is the one of that process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def acquire(self, blocking: bool = True) -> bool:
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> str:
        return "FILES"


FILES = _FileLock()
"""Held while a NetCDF file is opened, read, written, closed: the library ends the process with two threads in it."""


def serially(function: Callable[Q, T]) -> Callable[Q, T]:
    """The function, called by one thread at a time: see `FILES`."""

    @wraps(function)
    def alone(*args: Q.args, **kwargs: Q.kwargs) -> T:
        with FILES:
            return function(*args, **kwargs)

    return alone


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """The linear-algebra libraries of numpy and of scipy, which has its own; listing them takes milliseconds."""
    _ = scipy.linalg  # loaded here, where it is not yet
    return ThreadpoolController()


class _OneBlasThread:
    """How many runs of this process are under way, and what brings the library's threads back after the last."""

    def __init__(self) -> None:
        self.lock, self._inside = threading.Lock(), 0
        self._limit: Any = None

    def enter(self) -> None:
        with self.lock:
            if self._inside == 0:
                self._limit = _libraries().limit(limits=1, user_api="blas")
            self._inside += 1

    def leave(self) -> None:
        with self.lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()


_blas = _OneBlasThread()


def _hold_imports(patience: float = 10.0) -> None:
    """Take the lock of imports at a moment when no other thread is in the middle of one.

    Python takes that lock itself before a fork, but not those of the single modules: a child that imports what a
    thread of its parent was importing waits for ever.  The locks of modules are named nowhere in public; where they
    are not found, nothing is waited for.
    """
    locks: dict[str, Any] = getattr(importlib._bootstrap, "_module_locks", {})
    me, until = threading.get_ident(), time.monotonic() + patience
    while True:
        _imp.acquire_lock()  # no lock of a module is handed out from here on
        time.sleep(1e-4)  # who was just handed one takes it now
        owners = {getattr(lock(), "owner", None) for lock in list(locks.values())}
        if owners <= {None, me} or time.monotonic() > until:
            return
        _imp.release_lock()
        time.sleep(1e-3)


def _before_fork() -> None:
    """Wait for threads at a file, at the loading of the library, in an import: a child would find the locks taken."""
    FILES.acquire()
    _blas.lock.acquire()
    _hold_imports()


def _after_fork() -> None:
    _imp.release_lock()
    _blas.lock.release()
    FILES.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One thread in the linear-algebra library: several would share its sums, and the last bits with them.

    A run is inside (`particles.flow.run`), so that its numbers do not depend on OMP_NUM_THREADS or on the machine's
    number of cores (tests/tokenlaw/runs/test_reproducible.py).  Runs in several threads of one process may overlap.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()
