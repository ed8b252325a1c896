"""
A head law of one's own
=======================

A law of heads is anything with ``d`` and ``sample(rng, size)``. Here heads look at one random direction only:
A = β q kᵀ of rank one with q = k, so a token attends to those on its own side. Nothing else has to be
written: the transformer, the attention and the files take it as it is.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from particles import GaussianHeads, Heads, Noise, RandomTransformer, Softmax, Tokens, Uniform, simulate


@dataclass(frozen=True)
class OneDirection:
    """Heads whose query and key are one random unit vector; values Gaussian of variance 1/d."""

    d: int

    def sample(self, rng, size):
        direction = rng.standard_normal((size, 1, self.d))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        return Heads(self.d**-0.5 * rng.standard_normal((size, self.d, self.d)), direction, direction)


tokens = Tokens(Uniform(16).sample(np.random.default_rng(0), 200))
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
laws = {"one direction": OneDirection(16), "gaussian": GaussianHeads(16)}
for (name, law), colour in zip(laws.items(), ("#0072B2", "#D55E00"), strict=True):
    runs = [
        simulate(
            tokens,
            RandomTransformer(law, Softmax(8.0), eta=0.5, n_heads=2, noise=Noise(seed)),
            n_steps=60,
            save_every=2,
        )
        for seed in range(6)
    ]
    for run in runs:
        axes.plot(run.depth_time, run.mean_overlap, color=colour, linewidth=0.7, alpha=0.4)
    axes.plot(
        runs[0].depth_time, np.mean([run.mean_overlap for run in runs], axis=0), color=colour, linewidth=2, label=name
    )
axes.set(xlabel="depth time", ylabel="mean overlap |⟨x⟩|²", ylim=(0, None))
axes.legend(frameon=False, title="six networks each, and their mean")
