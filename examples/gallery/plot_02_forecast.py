"""
A forecast for one's own architecture
=====================================

How alike do tokens become in a network with random weights, and where do they collapse onto one point? The
forecast needs sizes only, no d x d matrices; ``tokenlaw predict`` prints it from the command line.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from particles import ACTIVATIONS
from particles.networks import MLP, Independent, LayerNorm, LeCun, Network, Normal, PostNorm, RoPE, SelfAttention

mine = Network(
    d=256, layers=16, attention=SelfAttention(heads=8, head_dim=32, causal=True, positions=RoPE()),
    mlp=MLP(ACTIVATIONS["silu"], 683, gated=True), initialisation=LeCun(),
)  # fmt: skip
like_gpt2 = Network(
    d=256, layers=16, attention=SelfAttention(heads=4, head_dim=64, causal=True), mlp=MLP(ACTIVATIONS["gelu"], 1024),
    norm=LayerNorm(), depth_scaled=True, initialisation=Normal(0.02),
)  # fmt: skip

# %%
# The overlap is the cosine of two tokens, averaged over pairs; each thin line is one network.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, network, std, colour in (("mine", mine, 1.0, "#0072B2"), ("like GPT-2", like_gpt2, 0.02, "#D55E00")):
    found = network.chain(Independent(24, std), n_networks=8, seed=0)
    axes.plot(found.layer, found.overlap.T, color=colour, alpha=0.3, linewidth=0.8)
    axes.plot(found.layer, found.overlap.mean("network"), color=colour, marker="o", markersize=3, label=name)
    print(f"{name}: overlap {float(found.overlap[:, -1].mean()):.3f} after {network.layers} layers")
axes.set(xlabel="layer (number)", ylabel="overlap of two tokens, cosine", ylim=(0, 1.02))
axes.legend(frameon=False)

# %%
# What would norms behind the blocks do, or half the residual scale?

for name, other in (
    ("norms behind the blocks", replace(mine, placement=PostNorm())),
    ("half the residual scale", replace(mine, residual_scale=0.5)),
):
    found = other.chain(Independent(24), n_networks=8, seed=0, gradients=True)
    gradient = np.exp(np.log(found.gradient[:, 0]).mean())
    print(f"{name}: overlap {float(found.overlap[:, -1].mean()):.3f}, gradient at the start {float(gradient):.3g}")
