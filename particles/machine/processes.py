"""Runs that have nothing in common, each in a process of its own: small arrays leave threads waiting for Python's lock.

A process is a fork of this one and finds the work where it was, so that only results travel.
"""

import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from particles.arrays import RunError
from particles.machine.parallel import alone, threads

S = TypeVar("S")
T = TypeVar("T")

ENDS_WITH_ITS_PARENT: Final = 1  # PR_SET_PDEATHSIG of Linux

_work: tuple[Callable[[Any], Any], list[Any]]  # of the processes that are forked next


def in_processes(work: Callable[[S], T], items: Iterable[S]) -> Iterator[tuple[int, T]]:
    """Pairs (number, work(item)) as they are done, as many at a time as `threads` says; within, `threads` is 1.

    Results must be such that they can be pickled.  The first error ends all; so does closing the iterator, or an
    interrupt.  With one thread, or where forks are not safe (elsewhere than on Linux), one after the other in this
    process.
    """
    global _work
    todo = list(items)
    workers = min(threads(), len(todo))
    if workers <= 1 or sys.platform != "linux":
        for number, item in enumerate(todo):
            yield number, work(item)
        return
    _work = work, todo
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin)
    try:
        futures = {pool.submit(_one, number): number for number in range(len(todo))}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
        if isinstance(error, BrokenProcessPool):
            raise RunError("a process was ended from outside, perhaps for want of memory") from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a child: it ends with its parent, whose interrupts are not its own; open files and locks end with both."""
    ctypes.CDLL(None).prctl(ENDS_WITH_ITS_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    alone()


def _one(number: int) -> Any:
    work, todo = _work
    return work(todo[number])
