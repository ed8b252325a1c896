"""
The density and tokens on the same layers
=========================================

In a transformer at initialisation all tokens meet the same few random heads. With many layers and heads the
law of a token, given this common noise, has a density that solves a stochastic Fokker-Planck equation. Here
it is solved on the sphere in R³, and 500 tokens go through the very same layers.
"""

import numpy as np

from particles import GaussianHeads, Homogenized, Noise, Softmax, Tokens, VonMisesFisherMixture
from spde import Density, DensityFlow, Sphere, spectral_field
from tokenlaw.pictures.paper import plot
from validation import PairFlow, distance_steps

start = VonMisesFisherMixture([1.0, 0.5], [[0, 0, 1], [1, 0, 0]], [2.0, 3.0])
layers = Homogenized(GaussianHeads(3), Softmax(2.0), dt=0.02, nodes=16, noise=Noise(seed=7))

# %%
# `PairFlow` carries the density, the tokens, and for each token a twin: a point that starts with it and
# rides on the flow of the density. Two independent samples of the density ride along, to see how far apart
# samples are anyway.

rng = np.random.default_rng(0)
tokens, *samples = (start.sample(rng, 500) for _ in range(3))
records = range(0, 101, 10)
flow = DensityFlow(Sphere(31), layers)
pair = PairFlow(flow, spectral_field(1e-6), distance_steps(records, 6))
state = pair.start(Density.from_law(start, Sphere(31)), Tokens(tokens), tuple(samples))
run = pair.run(state, records).result()

# %%
# Colour is the density, dots are tokens. The blue distance, token to twin, is the error of the limit itself;
# W₂ between the tokens and a sample of the density is to be compared with W₂ between two samples, its floor.

figure = plot(run)
last = run.isel(depth_time=-1)
print(f"mean overlap from {run.mean_overlap.values[0]:.3f} to {float(last.mean_overlap):.3f}")
print(f"token to twin {float(last.coupled_rms):.3f}, W2 {float(last.w2_chordal):.3f}, floor {float(last.w2_floor):.3f}")
