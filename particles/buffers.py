"""Large arrays that come and go in every layer, on memory that is used again.

The system hands out fresh memory page by page and zeroed, which for 10^7 tokens can take a third of a layer's time.
"""

import math
from collections import deque

import numpy as np

from particles.arrays import Array

LARGE = 1 << 22  # numbers (32 MB): below, the C library keeps freed memory by itself
KEPT = 2  # arrays without a user that are kept: the places before a layer, and the angles
_shelf: deque[Array] = deque(maxlen=KEPT)


class _Lease:
    """Memory that goes back to the shelf when the last array on it is gone."""

    def __init__(self, store: Array) -> None:
        self._store = store
        self.__array_interface__ = store.__array_interface__

    def __del__(self) -> None:
        _shelf.append(self._store)


def empty(*shape: int) -> Array:
    """An array of any content; a large one on memory of the same size that nobody uses any more, if there is some."""
    size = math.prod(shape)
    if size < LARGE:
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


def release() -> None:
    """Give unused memory back to the system."""
    _shelf.clear()
