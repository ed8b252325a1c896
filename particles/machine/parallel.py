"""Work on many points in chunks: what a chunk needs stays in the cache, and chunks may run on several threads.

The cut depends on the number of points alone, and results are put together in the order of the chunks: the number of
threads never changes a bit (tests/spde/field/test_many_tokens.py).
"""

import _imp
import importlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import scipy
from threadpoolctl import ThreadpoolController

CHUNK = 1 << 16  # points at most: a few megabytes of work arrays
VARIABLE = "TOKENLAW_THREADS"

T = TypeVar("T")
Q = ParamSpec("Q")
A = TypeVar("A", bound=np.ndarray[Any, Any])


def threads() -> int:
    """Threads for work on many points, from the environment variable TOKENLAW_THREADS; 1 where it is not set.

    Not OMP_NUM_THREADS: that one also splits the sums of the linear-algebra library, and with them the last bits.
    """
    text = os.environ.get(VARIABLE, "1")
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(f"the environment variable {VARIABLE} must be a whole number >= 1, got {text!r}")
    return int(text)


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


def chunks(n: int) -> list[slice]:
    """The cut of n points: one chunk, or an even number of chunks of the same size (which two threads share evenly)."""
    count = 1 if n <= CHUNK else 2 * math.ceil(n / (2 * CHUNK))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def by_chunks(work: Callable[[slice], T], n: int) -> list[T]:
    """Results of `work(part)` for every chunk of n points, in order; `work` must not care which chunk is done first."""
    parts = chunks(n)
    workers = min(threads(), len(parts))
    if workers <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(workers) as pool:  # made anew: a pool does not survive a fork
        # Each chunk sees the caller's numpy.errstate, which lives in the context.
        futures = [pool.submit(copy_context().run, work, part) for part in parts]
        return [future.result() for future in futures]


def sum_by_chunks(work: Callable[[slice], A], n: int) -> A:
    """Sum of the arrays `work(part)` over all chunks, in their order."""
    first, *rest = by_chunks(work, n)
    for found in rest:
        first += found
    return first
