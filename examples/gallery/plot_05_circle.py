"""
Two fates on the circle
=======================

The same start, the same law of the layers, two realizations of the noise: tokens share their noise, so the
density itself is random. On the circle a run takes a second.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from spde import Circle, Density, solve

start = Density.from_law(VonMisesFisherMixture([1.0, 0.5], [[0, 1], [1, 0]], [4.0, 6.0]), Circle(127), (16, 32))
figure, rows = plt.subplots(2, 1, figsize=(7, 5), layout="constrained", sharex=True)
for axes, seed in zip(rows, (6, 1), strict=True):
    layers = Homogenized(GaussianHeads(2), Softmax(3.0), dt=0.02, nodes=8, noise=Noise(seed))
    run = solve(start, layers, n_steps=75, save_every=1)
    picture = axes.pcolormesh(
        run.depth_time, run.lon, np.maximum(run.density.values.T, 0) ** 0.4, cmap="viridis", vmin=0, shading="nearest"
    )
    bar = figure.colorbar(picture, ax=axes, label="density ρ (per radian)")
    ticks = np.array([0, 0.1, 0.5, 1, 2, 4])
    ticks = ticks[ticks < run.density.values.max()]
    bar.set_ticks(ticks**0.4, labels=[f"{tick:g}" for tick in ticks])
    axes.set(
        ylabel="angle (degrees)",
        title=f"seed {seed}: mean overlap {run.mean_overlap.values[-1]:.2f} at the end",
        yticks=[0, 90, 180, 270, 360],
    )
rows[-1].set_xlabel("depth time")
