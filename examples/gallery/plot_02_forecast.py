"""
A forecast for one's own architecture
=====================================

How alike do tokens become in a network with random weights, and where do they collapse onto one point? The
forecast needs sizes only, no matrices; ``tokenlaw predict`` prints it from the command line.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from particles.reduced import Architecture, forecast
from tokenlaw.answers.predict import PRESETS, architecture

mine = Architecture(
    d=512, heads=8, head_dim=64, context=1024, layers=24, eta=2.0, sigma_v=512**-0.5, sigma_a=1.0, beta=64**-0.5
)
gpt2 = architecture(PRESETS["gpt2"].settings())

# %%
# The overlap is the cosine of two tokens; the band holds nine of ten networks.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, sizes, colour in (("mine", mine, "#0072B2"), ("GPT-2 small", gpt2, "#D55E00")):
    found = forecast(sizes, 0.1, seed=0)
    low, high = found.band
    depth = np.arange(sizes.layers + 1)
    axes.fill_between(depth, low, high, color=colour, alpha=0.2)
    axes.plot(depth, found.mean, color=colour, marker="o", markersize=3, label=name)
    print(f"{name}: overlap {found.mean[-1]:.3f} after {sizes.layers} layers, collapse at layer {found.collapse_layer}")
axes.set(xlabel="layer (number)", ylabel="overlap of two tokens, cosine (1)", ylim=(0, 1.02))
axes.legend(frameon=False)

# %%
# What would half the residual scale do?

gentler = forecast(replace(mine, eta=1.0), 0.1, seed=0)
print(f"half the residual scale: overlap {gentler.mean[-1]:.3f}, exponent {gentler.exponent():+.3g} per layer")
