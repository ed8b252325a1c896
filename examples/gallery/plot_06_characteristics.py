"""
A density beyond the resolution of its grid
===========================================

Once a cluster is smaller than the grid can show, the series rings and the run says ``unresolved``. The
density along the paths of the carried nodes (24 × 48 here) goes on: log ρ at a node is what it was at its
start, less the sum of log det DT.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
from spde import Density, Sphere, solve

warnings.simplefilter("ignore", RuntimeWarning)  # the run says that the density is lost, as it should
heads = GaussianHeads(3, 3**-0.5, 3**-0.5, 3, np.eye(3))  # values of mean I gather the tokens
layers = Homogenized(heads, Softmax(3.0), dt=0.05, nodes=8, noise=Noise(seed=7), noise_scale=0.05)
start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1]], [2.0]), Sphere(31), carried=(24, 48))
run = solve(start, layers, n_steps=80, save_every=2, characteristics=True)

# %%
# The largest density on the grid stops at what degree 31 can hold; at the nodes it grows exponentially, as in
# exact arithmetic.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
left.semilogy(run.depth_time, np.exp(run.node_log_density.max("node")), color="#0072B2", label="at the carried nodes")
left.semilogy(run.depth_time, run.density.max(("lat", "lon")), "--", color="#D55E00", label="on the grid")
first = float(run.depth_time[int(run.unresolved.values.argmax())])
left.axvline(first, color="#707070", linewidth=1, linestyle=":", label="unresolved from here on")
left.set(xlabel="depth time", ylabel="largest density ρ (per unit area)")
left.legend(frameon=False)
right.plot(run.depth_time, run.entropy, color="#0072B2")
right.axhline(np.log(4 * np.pi), color="#707070", linestyle="--", label="uniform law")
right.set(xlabel="depth time", ylabel="entropy −∫ρ log ρ (nats)")
right.legend(frameon=False)
