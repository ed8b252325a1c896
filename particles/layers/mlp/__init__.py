"""MLP blocks: finite width, and the Gaussian fields of infinitely many hidden units."""
