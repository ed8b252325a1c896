"""Configurations: what may stand in them, read and written."""
