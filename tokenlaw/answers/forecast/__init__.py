"""The forecast of an architecture: options, presets, methods, words.  Numerical packages are imported where used."""
