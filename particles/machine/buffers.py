"""Large arrays that come and go in every layer, on memory that is used again.

The system hands out fresh memory page by page and zeroed, which for 10^7 tokens can take a third of a layer's time.
"""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 22  # numbers (32 MB): below, the C library keeps freed memory by itself
KEPT = 2  # arrays without a user that are kept: the places before a layer, and the angles
_shelf: deque[NDArray[np.float64]] = deque(maxlen=KEPT)
_scopes: list[None] = []  # one entry for each `reused` that is open
_lock = Lock()
_own = local()


class _Lease:
    """Memory that goes back to the shelf when the last array on it is gone."""

    def __init__(self, store: NDArray[np.float64]) -> None:
        self._store = store
        self.__array_interface__ = store.__array_interface__

    def __del__(self) -> None:
        if _scopes:
            _shelf.append(self._store)


@contextmanager
def reused() -> Iterator[None]:
    """Within, memory of large arrays from `empty` is used again; what is not in use behind it goes to the system."""
    with _lock:
        _scopes.append(None)
    try:
        yield
    finally:
        with _lock:
            _scopes.pop()
            if not _scopes:
                _shelf.clear()


def empty(*shape: int) -> NDArray[np.float64]:
    """An array of any content; within `reused` a large one may stand on memory that nobody uses any more."""
    size = math.prod(shape)
    if size < LARGE or not _scopes:
        return np.empty(shape)
    for _ in range(len(_shelf)):
        try:
            store = _shelf.popleft()
        except IndexError:  # another thread was faster
            break
        if store.size == size:
            return np.asarray(_Lease(store)).reshape(shape)
        _shelf.append(store)
    return np.asarray(_Lease(np.empty(size))).reshape(shape)


def scratch(size: int) -> NDArray[np.uint8]:
    """(size,) bytes of any content, memory of this thread that the next call takes again.

    Arrays from the system may come page by page, which takes longer than the work on them.
    """
    if getattr(_own, "bytes", np.empty(0)).size < size:
        _own.bytes = np.empty(size, np.uint8)
    kept: NDArray[np.uint8] = _own.bytes[:size]
    return kept
