"""What studies share: chains, heads at low temperature, Gaussian tokens, pairs under MLP blocks."""
