"""Threads, memory, interrupts."""

from particles.machine.buffers import empty, scratch
from particles.machine.interrupts import undisturbed
from particles.machine.locks import one_blas_thread
from particles.machine.memory import NUMBER, available, refuse_beyond, size
from particles.machine.parallel import CHUNK, by_chunks, cores, one_thread, product, side_by_side, threads
from particles.machine.processes import in_processes

__all__ = [
    "CHUNK", "NUMBER", "available", "by_chunks", "cores", "empty", "in_processes", "one_blas_thread", "one_thread",
    "product", "refuse_beyond", "scratch", "side_by_side", "size", "threads", "undisturbed",
]  # fmt: skip
