"""Interrupts that wait: a library that is interrupted inside keeps its locks, and the next call of it never returns."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, Ctrl-C and requests to end are put off until the end; those that end the process at once still do.

    xarray holds a lock while it opens and closes files.  Python hears signals in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda number, frame: heard.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for caught in heard[:1]:
            signal.raise_signal(caught)
