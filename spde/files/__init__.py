"""Densities and records in files."""
