"""Common or private noise?  One token cannot tell, two can.

Two systems without attention start from the same cloud.  In the first all tokens move along one random vector field,
P_x dW with W the same for all, of rate c (the bias of a random block): common noise.  In the second each token has a
Brownian motion of its own of strength nu = c/2: private noise.  The annealed density E rho_t is the same, the law of
two tokens E mu x mu is not: common noise keeps tokens together.  Run: python examples/common_or_private.py
"""

from dataclasses import dataclass

import numpy as np

from particles import Layers, Noise, Push, Stream, VonMisesFisherMixture, WithPrivateNoise
from spde import Density, Sphere, solve
from spde.annealed import anneal

C, DT, STEPS, MEMBERS = 0.5, 0.05, 12, 80
START = VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [2.0])


@dataclass(frozen=True)
class Shift(Push):
    """x -> nrm(x + u), one vector u for all."""

    vector: np.ndarray

    def velocity(self, measure):
        return lambda points: np.broadcast_to(self.vector, points.shape)


def common_bias(rate, noise):
    """Layers that move all tokens along one vector, u = (rate dt)^(1/2) xi."""

    def layer(step):
        return Shift(np.sqrt(rate * DT) * noise.generator(Stream.USER, step).standard_normal(3))

    return Layers(layer, d=3, dt=DT)


def run():
    """Common noise in many realizations, and private noise, which leaves the density deterministic."""
    start = Density.from_law(START, Sphere(23))
    common = anneal([
        solve(start, common_bias(C, Noise(0, member)), n_steps=STEPS, save_every=STEPS, remap_every=0)
        for member in range(MEMBERS)
    ])  # fmt: skip
    still = WithPrivateNoise(common_bias(0.0, Noise(0)), C / 2, Noise(0))
    private = solve(start, still, n_steps=STEPS, save_every=STEPS)
    return common, private


def main():
    common, private = run()
    last = common.isel(depth_time=-1)
    pair = private.coefficients.values[-1]
    print(f"depth time {STEPS * DT:g}, rate c = {C:g}, nu = c/2, {MEMBERS} realizations of the common noise")
    print("  l    E rho_l0, common noise      private    C_l, common noise          private    excess in errors")
    for degree in (1, 2, 3):
        mode = int(np.flatnonzero((private.sh_degree.values == degree) & (private.sh_order.values == 0))[0])
        mean, error = last.coefficients.values[mode, 0], last.coefficients_error.values[mode, 0]
        both, spread = last.two_point.values[degree], last.two_point_error.values[degree]
        square = np.where(private.sh_order.values == 0, 1, 2) @ (
            np.sum(pair**2, axis=1) * (private.sh_degree.values == degree)
        )
        alone = 4 * np.pi / (2 * degree + 1) * square
        certain = last.excess.values[degree] / last.excess_error.values[degree]
        print(f"  {degree}    {mean:8.4f} +- {error:.4f}      {pair[mode, 0]:8.4f}"
              f"    {both:8.4f} +- {spread:.4f}      {alone:8.4f}    {certain:6.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
