"""Runs: from a configuration to a file."""
