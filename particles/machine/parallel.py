"""Work cut into pieces, on the threads that this process may use.

The cut depends on the size of the work alone, and results are put together in the order of the pieces: the number of
threads never changes a bit (tests/particles/machine/test_parallel.py).  The libraries below stay at one thread.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from particles.arrays import Array
from particles.machine.groups import OWN, ROOT, folders, text

CHUNK = 1 << 16  # points at most: a few megabytes of work arrays
SIDE = 256  # rows or columns of a product in a piece
WORTH = 1 << 25  # multiplications of a product below which cutting it does not pay: a millisecond
VARIABLE = "TOKENLAW_THREADS"

S = TypeVar("S")
T = TypeVar("T")
A = TypeVar("A", bound=np.ndarray[Any, Any])

_alone: ContextVar[bool] = ContextVar("alone", default=False)
_pools: dict[int, ThreadPoolExecutor] = {}  # by their number of threads; a pool does not survive a fork
os.register_at_fork(after_in_child=_pools.clear)


def threads() -> int:
    """Threads of a run: the environment variable TOKENLAW_THREADS, else the cores that this process may use.

    Not OMP_NUM_THREADS: that one also splits the sums of the linear-algebra library, and with them the last bits.
    """
    if _alone.get():
        return 1
    text = os.environ.get(VARIABLE)
    if text is None:
        return cores()
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(f"the environment variable {VARIABLE} must be a whole number >= 1, got {text!r}")
    return int(text)


def cores() -> int:
    """Cores that this process may use: those it may run on, and no more than the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota())))


def _quota(root: Path = ROOT, own: Path = OWN) -> float:
    """Cores of time that the control groups grant; infinite where they say nothing."""
    return min((share for folder in folders("cpu", root, own) for share in _granted(folder)), default=math.inf)


def _granted(folder: Path) -> Iterator[float]:
    """Share of the time, quota over period."""
    one, other = text(folder / "cpu.cfs_quota_us"), text(folder / "cpu.cfs_period_us")
    quota, period = [*(text(folder / "cpu.max") or f"{one} {other}").split(), "", ""][:2]
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        yield int(quota) / int(period)


def alone() -> None:
    """From here on `threads` is 1: in a process that runs beside others like it."""
    _alone.set(True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, `threads` is 1: for what already runs beside others like it."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def side_by_side(work: Callable[[S], T], items: Iterable[S], most: int | None = None) -> list[T]:
    """Results of `work(item)`, in order; it must not matter which is done first.  The first error in order is raised.

    most : threads at most, for memory; 1 where an item takes less than some tenths of a millisecond.

    The caller works too, so calls may stand within each other: who finds no free thread does all by himself.
    """
    todo = list(items)
    workers = min(threads(), len(todo), len(todo) if most is None else most)
    if workers <= 1:
        return [work(item) for item in todo]
    pending, found = deque(enumerate(todo)), dict[int, T]()
    errors = dict[int, BaseException]()

    def some() -> None:
        while True:
            try:
                number, item = pending.popleft()
            except IndexError:
                return
            try:
                found[number] = work(item)
            except BaseException as error:  # an interrupt too: it goes on in the caller
                errors[number] = error
                pending.clear()

    # Each thread sees the caller's numpy.errstate, which lives in the context.
    helpers: list[Future[None]] = [_pool(threads() - 1).submit(copy_context().run, some) for _ in range(workers - 1)]
    try:
        some()
    finally:
        pending.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    if errors:
        raise errors[min(errors)]
    return [found[number] for number in range(len(todo))]


def _pool(size: int) -> ThreadPoolExecutor:
    if size not in _pools:
        _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="tokenlaw")
    return _pools[size]


def product(left: Array, right: Array) -> Array:
    """left (n, k) @ right (k, m); a large one is cut along its longer side."""
    n, m = len(left), right.shape[1]
    if n * m * len(right) < WORTH or max(n, m) <= SIDE:
        return np.asarray(left @ right)
    out: Array = np.empty((n, m), np.result_type(left, right))

    def fill(start: int) -> None:
        part = slice(start, start + SIDE)
        if n >= m:
            np.matmul(left[part], right, out=out[part])
        else:
            np.matmul(left, right[:, part], out=out[:, part])

    side_by_side(fill, range(0, max(n, m), SIDE))
    return out


def chunks(n: int) -> list[slice]:
    """The cut of n points: one chunk, or an even number of chunks of the same size (which two threads share evenly)."""
    count = 1 if n <= CHUNK else 2 * math.ceil(n / (2 * CHUNK))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def by_chunks(work: Callable[[slice], T], n: int) -> list[T]:
    """Results of `work(part)` for every chunk of n points, in order; see `side_by_side`."""
    return side_by_side(work, chunks(n))


def sum_by_chunks(work: Callable[[slice], A], n: int) -> A:
    """Sum of the arrays `work(part)` over all chunks, in their order."""
    first, *rest = by_chunks(work, n)
    for found in rest:
        first += found
    return first
