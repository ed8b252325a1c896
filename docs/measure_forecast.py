"""Forecasts beside finite random transformers: the table of docs/forecast.md.  python docs/measure_forecast.py"""

import numpy as np

from particles import GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, simulate
from particles.initial import Simplex
from particles.reduced import Architecture, forecast

CASES = (  # architecture, overlap at the start, networks
    (Architecture(64, 4, 16, 32, 12, 1.0, 64**-0.5, 1.0, 0.25), 0.1, 100),
    (Architecture(64, 2, 8, 48, 12, 1.0, 64**-0.5, 1.0, 1.0), 0.1, 100),
    (Architecture(32, 1, 4, 24, 8, 1.5, 32**-0.5, 1.0, 2.0), 0.2, 200),
    (Architecture(256, 4, 32, 128, 8, 2.0, 256**-0.5, 1.0, 0.2), 0.0, 12),
    (Architecture(768, 12, 64, 64, 6, 8.0, 768**-0.5, 1.0, 0.125), 0.1, 4),
    (Architecture(768, 12, 64, 256, 6, 8.0, 768**-0.5, 1.0, 0.125), 0.0, 3),
)


def finite(a, start, networks):
    """Mean overlap of pairs: (networks, layers + 1)."""
    found, heads = [], GaussianHeads(a.d, a.sigma_v, a.sigma_a, a.head_dim)
    for network in range(networks):
        law = RandomTransformer(heads, a.eta, a.heads, Noise(1000 + network))
        points = Simplex(a.d, start).sample(np.random.default_rng(network), a.context)
        run = simulate(Tokens(points), law, Softmax(a.beta), n_steps=a.layers)
        w = np.sum(run.tokens.values.mean(axis=1) ** 2, axis=-1)
        found.append((a.context * w - 1) / (a.context - 1))
    return np.array(found)


if __name__ == "__main__":
    print("| d | heads | head_dim | tokens | scores | layer | finite | forecast | spread, finite | forecast |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for a, start, networks in CASES:
        exact, found = finite(a, start, networks), forecast(a, start, realizations=2000)
        for layer in (a.layers // 2, a.layers):
            column = exact[:, layer]
            scores = a.beta * a.sigma_a**2 * a.head_dim**0.5
            print(
                f"| {a.d} | {a.heads} | {a.head_dim} | {a.context} | {scores:.2g} | {layer} | {column.mean():.4f} ± "
                f"{column.std(ddof=1) / len(column) ** 0.5:.4f} | {found.mean[layer]:.4f} | {column.std(ddof=1):.4f} | "
                f"{found.overlap[:, layer].std():.4f} |",
                flush=True,
            )
