"""Faults put into runs on purpose, many times: `python -m tests.faults`, or `make faults`."""
