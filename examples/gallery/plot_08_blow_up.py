"""
Gaussian tokens that blow up
============================

Without normalisation a layer is x ↦ x + U(x), and Gaussian tokens stay Gaussian. Under softmax attention
their covariance may become infinite after a finite time, under L2 attention it cannot. Transformers of 2,000
tokens follow, until the tails of a sample are no longer those of a Gaussian.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import (
    L2,
    EuclideanTokens,
    FixedHeads,
    Gaussian,
    GaussianClosure,
    Noise,
    RandomTransformer,
    Softmax,
    simulate,
    translate,
)  # fmt: skip

eye = np.eye(2)
query, key = np.diag([0.5, -1.0]), eye
start = Gaussian(np.zeros(2), eye)
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, attention, colour, end in (("softmax", Softmax(1.0), "#0072B2", 0.9), ("L2", L2(1.0), "#D55E00", 1.5)):
    path = GaussianClosure(attention, eye, query, key).solve(start, t_end=1.5, times=np.linspace(0, end, 60))
    axes.semilogy(path.times, path.covariance[:, 0, 0], color=colour, label=f"{name}, closed equation")
    layers = RandomTransformer(
        FixedHeads(eye[None], query[None], key[None]),
        attention,
        eta=0.01,
        n_heads=1,
        noise=Noise(0),
        retraction=translate,
    )
    tokens = EuclideanTokens(start.sample(np.random.default_rng(1), 2000))
    run = simulate(tokens, layers, n_steps=round(end / 0.01), save_every=10)
    spread = run.tokens.values[..., 0].var(axis=1)
    axes.semilogy(run.depth_time, spread, "o", color=colour, markersize=3, label=f"{name}, 2,000 tokens")
    if path.blow_up_time:
        axes.axvline(path.blow_up_time, color=colour, linestyle=":", label=f"infinite at {path.blow_up_time:.3f}")
axes.set(xlabel="depth time", ylabel="variance of the first coordinate")
axes.legend(frameon=False)
