"""Work on many points in chunks: what a chunk needs stays in the cache, and chunks may run on several threads.

The cut depends on the number of points alone, and results are put together in the order of the chunks: the number of
threads never changes a bit (tests/spde/test_many_tokens.py).
"""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from scipy import linalg as _linalg  # noqa: F401 - loads the library of scipy, which is not that of numpy
from threadpoolctl import ThreadpoolController

CHUNK = 1 << 16  # points at most: a few megabytes of work arrays
VARIABLE = "TOKENLAW_THREADS"

T = TypeVar("T")
A = TypeVar("A", bound=np.ndarray[Any, Any])


def threads() -> int:
    """Threads for work on many points, from the environment variable TOKENLAW_THREADS; 1 where it is not set.

    Not OMP_NUM_THREADS: that one also splits the sums of the linear-algebra library, and with them the last bits.
    """
    text = os.environ.get(VARIABLE, "1")
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(f"the environment variable {VARIABLE} must be a whole number >= 1, got {text!r}")
    return int(text)


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """The linear-algebra libraries of numpy and scipy, which are loaded by now; listing them takes milliseconds."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One thread in the linear-algebra library: several would share its sums, and the last bits with them.

    A run is inside (`particles.simulate.run`), so that its numbers do not depend on OMP_NUM_THREADS or on the machine's
    number of cores (tests/tokenlaw/test_reproducible.py).
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


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
