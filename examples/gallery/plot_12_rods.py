"""
Rods that align
===============

Maier and Saupe's model of a liquid crystal, an equation of one term and one number: rods on the sphere turn towards
each other, head or tail, against the noise of each. Two states without noise in common, found by two starts; between
K/ν = 13.5 and 15 both last, so the transition is of first order. The line is the integral equation.
Where the free energy is said to rise, by millionths, a state has come to rest and the error of dt is left.
"""

import matplotlib.pyplot as plt
import numpy as np

from particles import Noise, VonMisesFisherMixture
from particles.equations import Equation, MaierSaupe, Zonal
from spde import Density, Sphere, solve

t, weights = np.polynomial.legendre.leggauss(80)
c = np.linspace(0.01, 9, 400)[:, None]
density = weights * np.exp(c * (t**2 - 1))
order = (3 * (density @ t**2) / density.sum(axis=1) - 1) / 2  # of rho = exp(c <x, e>^2)/Z
ratio = 2 * c[:, 0] / order  # K/nu, from c = (K/(2 nu)) order
turn = ratio.argmin()

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(ratio[turn:], order[turn:], "k", label="integral equation")
left.plot(ratio[:turn], order[:turn], "k:", label="unstable")
left.plot([11, 15], [0, 0], "k")
left.plot([15, 18], [0, 0], "k:")
for kappa, color, name in ((6.0, "C0", "from order"), (0.8, "C1", "from little order")):
    start = Density.from_law(VonMisesFisherMixture([0.5, 0.5], [[0, 0, 1], [0, 0, -1]], [kappa] * 2), Sphere(17))
    for strength in (12.5, 13.8, 14.3, 14.5, 16.5):
        law = Equation(3, (Zonal(MaierSaupe(strength)),), dt=0.02, noise=Noise(0), nu=1.0)
        run = solve(start, law, n_steps=300, save_every=10)
        found = (3 * np.linalg.eigvalsh(run.second_moment.values).max(axis=1) - 1) / 2
        left.plot(strength, found[-1], "o", color=color, label=name if strength == 12.5 else None)
        if strength in (12.5, 14.3, 16.5):
            right.plot(run.depth_time, found, color=color)
            if kappa > 1:
                right.annotate(f" K/ν = {strength}", (1.2, found[6]), va="bottom", color=color)
left.set(xlabel="K/ν", ylabel="order parameter", xlim=(11, 18))
left.legend(loc="upper left")
right.set(xlabel="depth time", title="at three K/ν", ylim=left.get_ylim())
