"""The numbers of docs/models.md.  Run from the repository root: python docs/measure_stream.py [NAME ...]"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from particles import (  # noqa: E402
    Cloud,
    Diffusion,
    DirectField,
    FixedHeads,
    GaussianHeads,
    Noise,
    PreNorm,
    RandomTransformer,
    Softmax,
    Tokens,
    Uniform,
    backward,
    geodesic,
    normalize,
    trajectory,
)
from particles.derivatives.adjoint import push_vjp  # noqa: E402
from particles.derivatives.gradients import mean_overlap_gradient  # noqa: E402
from particles.flow import TokenFlow, TokenState  # noqa: E402
from particles.harmonics import mode_numbers  # noqa: E402
from particles.retraction import translate  # noqa: E402
from spde import Density, DensityFlow, DensityState, SpectralField, Sphere  # noqa: E402
from spde.annealed import average  # noqa: E402
from tests.particles.derivatives import test_adjoint  # noqa: E402
from tests.particles.layers import test_private  # noqa: E402
from tests.spde import test_annealed, test_private_noise  # noqa: E402


def radius():
    """Mean square radius of one token against its exact value."""
    d, eta, sigma, n_heads, start, depth, members = 3, 0.8, 0.9, 2, 1.5, 5, 4000
    heads, token = GaussianHeads(d, sigma, 1.0, d), Tokens(Uniform(d).sample(np.random.default_rng(0), 1))
    noises = (Noise(1, member) for member in range(members))
    laws = (PreNorm(RandomTransformer(heads, Softmax(1.0), eta, n_heads, noise)) for noise in noises)
    squares = np.array([np.sum(trajectory(token, law, depth, start)[-1] ** 2) for law in laws])
    exact = start**2 + depth * eta**2 * sigma**2 * d / n_heads
    print(f"E|x_l|^2 {squares.mean():.4f} +- {squares.std() / members**0.5:.4f}, exact {exact:.4f}")


def heat():
    """Coefficients after 20 smoothings."""
    start = Density.from_law(test_private_noise.START, Sphere(31))
    law = test_private_noise.private(test_private_noise.common(0.0), 0.13)
    flow = DensityFlow(start.sphere, law)
    end = flow.advance(DensityState(0, start.coefficients, start.nodes, np.zeros((0, 3))), 20)
    degree, _ = mode_numbers(31)
    print("heat kernel", np.abs(end.coefficients - start.coefficients * np.exp(-0.13 * degree * (degree + 1))).max())


def private():
    """Mean of tokens that start at one point."""
    for d in (2, 3, 8):
        x = np.tile(np.eye(d)[0], (200_000, 1))
        for step in range(4):
            x = Diffusion(0.03, Noise(11), step, retraction=geodesic).scatter(x)
        scheme, equation = test_private.one_step(geodesic, d, 0.03) ** 4, np.exp(-(d - 1) * 0.12)
        error = x[:, 0].std() / len(x) ** 0.5
        print(f"d = {d}: mean {x[:, 0].mean():.4f} +- {error:.4f}, scheme {scheme:.4f}, equation {equation:.4f}")


def twins():
    """coupled_rms over the number of tokens, with private noise."""
    density, start, rms = Density.from_law(test_private_noise.START, Sphere(15)), test_private_noise.START, []
    sizes = (64, 256, 1024, 4096)
    for n in sizes:
        squares = []
        for replica in range(6):
            law = test_private_noise.private(test_private_noise.common(), 0.2, replica)
            tokens = Tokens(start.sample(np.random.default_rng((n, replica)), n))
            begin = DensityState(0, density.coefficients, density.nodes, tokens.points)
            carried = DensityFlow(density.sphere, law).advance(begin, 5).passive
            field = DirectField if n < 512 else SpectralField
            state = TokenState(0, tokens.points, tokens.weights)
            moved = TokenFlow(law, field).advance(state, 5).points
            squares.append(np.mean(np.sum((moved - carried) ** 2, axis=1)))
        rms.append(np.sqrt(np.mean(squares)))
    print("coupled rms", np.round(rms, 4), "slope", round(np.polyfit(np.log(sizes), np.log(rms), 1)[0], 3))


def bias():
    """C_l of bias noise from the uniform law."""
    members = test_annealed.bias_members(Density.from_law(Uniform(3), Sphere(7), (16, 32)), 1.0, 1000, 0.02, 20)
    value, error = (array[1:4] for array in average(members).two_point)
    print("C_1, C_2, C_3", value.round(4), "+-", error.round(4), "exact", test_annealed.two_point_equation(1.0, 0.4))


def adjoint():
    """<p, J v> against <J^T p, v>."""
    worst = 0.0
    for retraction in (normalize, geodesic, translate):
        for attention in test_adjoint.ATTENTIONS:
            for seed in range(5):
                tokens, law, rng = test_adjoint.made(retraction=retraction, seed=seed)
                cloud = Cloud(tokens.points, tokens.weights)
                v, p = rng.standard_normal((2, *cloud.points.shape))
                if retraction is geodesic:
                    v -= np.sum(cloud.points * v, axis=1, keepdims=True) * cloud.points
                moved = test_adjoint.forward(cloud.points + 1e-30j * v, cloud.weights, law, attention, 1)
                push = replace(law.layer(0)[0], kernel=attention)
                gap = np.sum(p * moved.imag) / 1e-30 - np.sum(push_vjp(push, cloud, p) * v)
                worst = max(worst, abs(gap) / np.linalg.norm(p) / np.linalg.norm(v))
    print("adjoint identity", worst)


def depth():
    """Discrete adjoint against the adjoint equation."""
    rng = np.random.default_rng(5)
    heads = FixedHeads(*rng.standard_normal((3, 1, 3, 3)))
    tokens, beta = Tokens(Uniform(3).sample(rng, 4), rng.uniform(0.5, 2, 4)), test_adjoint.BETA
    want = test_adjoint.adjoint_equation(tokens.points, tokens.weights, heads, 1.0, mean_overlap_gradient)
    steps, errors = [16, 32, 64, 128, 256], []
    for n_steps in steps:
        law = RandomTransformer(heads, Softmax(beta), 1 / n_steps, 1, Noise(0))
        found = backward(tokens, law, n_steps=n_steps, gradient=mean_overlap_gradient)[0]
        errors.append(np.abs(found - want).max() / np.abs(want).max())
    print("adjoint equation", np.round(errors, 4), "slope", round(np.polyfit(np.log(steps), np.log(errors), 1)[0], 3))


if __name__ == "__main__":
    everything = {one.__name__: one for one in (radius, heat, private, twins, bias, adjoint, depth)}
    for name in sys.argv[1:] or everything:
        everything[name]()
