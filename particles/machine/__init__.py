"""Threads, memory, interrupts."""

from particles.machine.buffers import empty
from particles.machine.interrupts import undisturbed
from particles.machine.memory import NUMBER, available, refuse_beyond, size
from particles.machine.parallel import CHUNK, by_chunks, one_blas_thread, threads

__all__ = [
    "CHUNK", "NUMBER", "available", "by_chunks", "empty", "one_blas_thread", "refuse_beyond", "size", "threads",
    "undisturbed",
]  # fmt: skip
