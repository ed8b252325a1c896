"""Grids and transforms on the circle and the sphere."""
