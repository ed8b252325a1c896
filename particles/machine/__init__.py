"""Threads, memory, interrupts."""
