"""
Do random MLP blocks synchronise tokens?
========================================

A wide random block moves all tokens along one Gaussian field of covariance k(⟨x, y⟩). Two close tokens
approach each other when the exponent λ₁ of their angle is negative. What decides is the dimension, the
activation and the scale of the weights.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import ACTIVATIONS, DualKernel
from particles.reduced import angle_exponent

dimensions = np.array([2, 3, 4, 6, 8, 12, 16, 24, 32])
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
styles = {"relu": ("#0072B2", "o"), "tanh": ("#D55E00", "s"), "gelu": ("#009E73", "^"), "erf": ("#CC79A7", "D")}
for name, (colour, marker) in styles.items():
    exponents = [angle_exponent(DualKernel(ACTIVATIONS[name], int(d), 0.0, 0.0)) for d in dimensions]
    axes.plot(dimensions, exponents, color=colour, marker=marker, markersize=4, label=name)
axes.axhline(0.0, color="#707070", linestyle="--", linewidth=1)
axes.set(
    xscale="log",
    xlabel="dimension d of the tokens",
    ylabel="exponent λ₁ of the angle (per depth time)",
    xticks=dimensions,
)
axes.set_xticklabels(dimensions)
axes.minorticks_off()
axes.legend(frameon=False, title="activation; below 0 tokens meet")
