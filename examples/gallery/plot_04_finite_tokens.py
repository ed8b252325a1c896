"""
How many tokens make the limit?
===============================

The distance of a token to its twin in the flow of the density falls like n^(-1/2): the tokens sample the law
that moves them. Eight samples for each n, all on the same layers.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import GaussianHeads, Homogenized, Noise, Softmax, Tokens, VonMisesFisherMixture, simulate
from spde import Density, Sphere, solve, spectral_field
from validation.estimates import slope

start = VonMisesFisherMixture([1.0], [[0, 0, 1]], [2.0])
layers = Homogenized(GaussianHeads(3), Softmax(2.0), dt=0.05, nodes=8, noise=Noise(seed=3))
sizes, samples, steps = [32, 64, 128, 256, 512, 1024], 8, 10

clouds = [start.sample(np.random.default_rng((k, n)), n) for n in sizes for k in range(samples)]
density = Density.from_law(start, Sphere(31))
twins = solve(density, layers, n_steps=steps, save_every=steps, passive=np.concatenate(clouds))
twins = np.split(twins.passive.values[-1], np.cumsum([len(cloud) for cloud in clouds])[:-1])

errors = []
for cloud, twin in zip(clouds, twins, strict=True):
    moved = simulate(Tokens(cloud), layers, n_steps=steps, save_every=steps, field=spectral_field(1e-6))
    errors.append(np.mean(np.sum((moved.tokens.values[-1] - twin) ** 2, axis=1)))
errors = np.array(errors).reshape(len(sizes), samples)
rms = np.sqrt(errors.mean(axis=1))
spread = errors.std(axis=1, ddof=1) / samples**0.5 / (2 * rms)

# %%
# The slope comes with its 95 percent interval.

fit = slope(sizes, rms, spread)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.errorbar(sizes, rms, spread, fmt="o", color="#0072B2", capsize=2, label="measured")
axes.plot(sizes, rms[0] * (np.array(sizes) / sizes[0]) ** -0.5, "--", color="#707070", label="slope −1/2")
axes.set(xscale="log", yscale="log", xlabel="number of tokens n", ylabel="token to twin, r.m.s. (radii)")
axes.legend(frameon=False)
print(f"slope {fit.value:.2f}, 95 percent interval [{fit.low:.2f}, {fit.high:.2f}]")
