"""Prints the numbers in docs/models.md (under a minute).  python docs/measure_mlp.py [PART ...]"""

import sys
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.legendre import legval

from particles import Cloud, MLPBlock, Noise, Uniform, VonMisesFisherMixture, WithMLP
from particles.harmonics import adjoint_at, power
from particles.layers.mlp.kernels import ACTIVATIONS, Activation
from particles.layers.mlp.random_fields import spectrum
from particles.pushes import own_velocity
from spde import Density, DensityFlow, DensityState, Sphere, solve

ZERO = Activation("zero", np.zeros_like, np.zeros_like, lambda c, v: 0 * c, lambda c, v: 0 * c)


@dataclass(frozen=True)
class Still:
    """Layers without attention."""

    d: int
    dt: float
    noise_scale: None = None

    def layer(self, step):
        return ()

    def coarsen(self, factor):
        return replace(self, dt=self.dt * factor)


def walk(law, points, weights, n_steps):
    """Points after some layers of a block alone."""
    cloud = Cloud(points, weights)
    for step in range(n_steps):
        cloud, _ = law.layer(step)[0].move(cloud, (), own_velocity)
    return cloud


def series():
    """The limit field on S^2: degree, error of k over k(1), relative error of k'(1); biases 0."""
    u = np.cos(np.linspace(0, np.pi, 2001))
    for name, activation in ACTIVATIONS.items():
        kernel = MLPBlock(activation).kernel(3)
        a = spectrum(kernel)
        degrees = np.arange(len(a))
        error = np.abs(legval(u, a) - kernel.value(u)).max() / kernel.value(1.0)
        slope = a @ (degrees * (degrees + 1) / 2) / kernel.derivative(1.0) - 1
        print(f"  {name:8s} degree {len(a) - 1:3d}  k {error:.1e}  k'(1) {slope:.1e}")


def linear():
    """E2: largest error of the density after 8 layers of dt = 0.04, lmax 127, against the exact one."""
    for width in (0, 5):
        block = MLPBlock(ACTIVATIONS["linear"], width)
        law, unit = WithMLP(Still(3, 0.04), block, Noise(3)), WithMLP(Still(3, 1.0), block, Noise(3))
        start = Density.from_law(Uniform(3), Sphere(127), (48, 96))
        run = solve(start, law, n_steps=8, save_every=8)
        g = np.eye(3)
        for step in range(8):
            g = (np.eye(3) + 0.2 * unit.layer(step)[0].field(np.eye(3)).T) @ g
        q, x = g @ g.T, start.sphere.points
        exact = np.einsum("ij,jk,ik->i", x, np.linalg.inv(q), x) ** -1.5 / np.sqrt(np.linalg.det(q)) / (4 * np.pi)
        error = np.abs(run.density.values[-1].ravel() - exact).max()
        print(f"  width {width}: error {error:.1e}, density {exact.min():.2f} ... {exact.max():.2f}")


def bias():
    """E4 at t = 0.4, c = 1: C_1, C_2, C_3 with standard errors, 4000 members, dt = 0.05 and 0.1 extrapolated."""
    z, w = np.polynomial.legendre.leggauss(20)
    phi = 2 * np.pi * np.arange(40) / 40
    s = np.sqrt(1 - z**2)
    x = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(z, np.ones(40))], -1).reshape(-1, 3)
    weights, factors = np.repeat(w / 80, 40), 4 * np.pi / (2 * np.arange(4) + 1)
    found = []
    for member in range(4000):
        fine = WithMLP(Still(3, 0.05), MLPBlock(ZERO, 0, 0.0, 1.0), Noise(1, member))
        ends = (walk(fine, x, weights, 8), walk(fine.coarsen(2), x, weights, 4))
        one, two = (factors * power(adjoint_at(end.weights, end.points, 3)) for end in ends)
        found.append((2 * one - two)[1:])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    print("  " + ", ".join(f"{m:.4f} +- {e:.4f}" for m, e in zip(mean, error, strict=True)))


def exponents():
    """Two tokens 1e-4 apart: lambda_1 of log(angle), lambda_bar of E(1 - R), limit field and width 24."""
    cases = (("relu", 5, 0.1, 0.05), ("sigmoid", 64, 0.0, 5e-4), ("tanh", 64, 0.1, 5e-3), ("silu", 128, 0.1, 5e-3))
    for name, d, sigma, dt in cases:
        for width in (0, 24):
            block = MLPBlock(ACTIVATIONS[name], width, sigma, sigma)
            rng = np.random.default_rng(0)
            first = np.eye(d)[:16]
            side = rng.standard_normal(first.shape)
            side -= (side * first).sum(axis=1)[:, None] * first
            side /= np.linalg.norm(side, axis=1)[:, None]
            x = np.stack([first, np.cos(1e-4) * first + np.sin(1e-4) * side], axis=1).reshape(-1, d)
            rows = []
            for member in range(20000 if d == 5 else 8000):
                y = walk(WithMLP(Still(d, dt), block, Noise(0, member)), x, np.full(len(x), 1 / len(x)), 1).points
                ratio = 2 * np.arcsin(np.linalg.norm(y[::2] - y[1::2], axis=1) / 2) / 1e-4
                rows.append([np.log(ratio).mean() / dt, (ratio**2 - 1).mean() / dt])
            mean, error = np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(len(rows))
            k = block.kernel(d)
            one, slope = float(k.value(1.0)), float(k.derivative(1.0))
            want = ((d - 3) / 2 * slope - (d - 1) / 2 * one, (d - 1) * slope - (d - 3) * one)
            print(f"  {name:8s} d {d:3d} width {width:2d}  lambda_1 {mean[0]:.4f} +- {error[0]:.4f} ({want[0]:.4f})"
                  f"  lambda_bar {mean[1]:.4f} +- {error[1]:.4f} ({want[1]:.4f})")  # fmt: skip


def kinks():
    """moment_defect and tail after 20 layers of dt = 0.02, lmax 63: what kinks of relu cost a density."""
    start = Density.from_law(VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [2.0]), Sphere(63), (48, 96))
    for name in ("relu", "gelu", "tanh"):
        for width in (0, 64):
            law = WithMLP(Still(3, 0.02), MLPBlock(ACTIVATIONS[name], width), Noise(2))
            flow = DensityFlow(start.sphere, law)
            state = flow.advance(DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3))), 20)
            density = flow.density(state)
            tail = density.spectral_tail
            print(f"  {name} width {width:2d}: moment_defect {density.moment_defect:.1e}  tail {tail:.1e}")


PARTS = {f.__name__: f for f in (series, linear, bias, exponents, kinks)}

if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    for name in sys.argv[1:] or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name]()
