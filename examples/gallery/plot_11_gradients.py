"""
Gradients through depth
=======================

What the backward pass of a network sees at initialisation: the gradient of an observable of the last tokens
with respect to the tokens of each layer. Where tokens collapse, so does what earlier layers can still change.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, Uniform, gradient_norms
from particles.derivatives.gradients import random_cotangent

tokens = Tokens(Uniform(16).sample(np.random.default_rng(0), 64))
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
for eta, colour, marker in ((0.25, "#0072B2", "o"), (0.5, "#D55E00", "s"), (1.0, "#009E73", "^")):
    layers = RandomTransformer(GaussianHeads(16), Softmax(2.0), eta=eta, n_heads=2, noise=Noise(7))
    found = gradient_norms(
        tokens, layers, n_steps=60, gradient=random_cotangent(np.random.default_rng(1))
    )
    axes.semilogy(found.gradient_norm, color=colour, marker=marker, markersize=3, markevery=6, label=f"η = {eta:g}")
axes.set(xlabel="layer (number)", ylabel="norm of the gradient there")
axes.legend(frameon=False, title="residual step")
