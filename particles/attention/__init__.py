"""How a head averages: kernels, and how their sums are taken."""
