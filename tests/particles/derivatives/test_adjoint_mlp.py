"""Gradients through MLP blocks, on the sphere and in a residual stream: central differences of the whole map."""

import numpy as np
import pytest

from particles import (
    GaussianHeads,
    MLPBlock,
    Noise,
    PreNorm,
    RandomTransformer,
    Softmax,
    Tokens,
    Uniform,
    WithMLP,
    backward,
    simulate,
    trajectory,
)
from particles.derivatives.gradients import mean_overlap_gradient
from particles.layers.mlp.kernels import ACTIVATIONS


@pytest.mark.parametrize(
    ("activation", "width", "d", "gain"),
    [("tanh", 16, 5, None), ("gelu", 16, 5, 1.0), ("erf", 16, 5, 2.0), ("silu", 0, 3, None), ("tanh", 0, 3, 1.0)],
)
def test_gradients_through_blocks(activation, width, d, gain):
    rng, noise = np.random.default_rng(0), Noise(4)
    chain = RandomTransformer(GaussianHeads(d, 0.6, 0.5, d), Softmax(1.5), 0.4, 2, noise)
    law = WithMLP(chain, MLPBlock(ACTIVATIONS[activation], width, 0.3, 0.2), noise)
    law = law if gain is None else PreNorm(law, gain)
    tokens = Tokens(Uniform(d).sample(rng, 6), rng.uniform(0.5, 2, 6))
    p = backward(tokens, law, n_steps=3, gradient=mean_overlap_gradient)[0]
    v = rng.standard_normal(p.shape)
    v -= np.sum(tokens.points * v, axis=1, keepdims=True) * tokens.points

    def along(s):
        x = tokens.points + s * v
        start = Tokens(x / np.linalg.norm(x, axis=1, keepdims=True), tokens.weights)
        moved = trajectory(start, law, 3)[-1]
        mean = tokens.weights @ (moved / np.linalg.norm(moved, axis=1, keepdims=True))
        return mean @ mean

    h = 4e-4
    slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    assert abs(np.sum(p * v) - slope) < 1e-7 * np.linalg.norm(p) * np.linalg.norm(v)


def test_what_has_no_gradient_says_so():
    noise, block = Noise(4), MLPBlock(ACTIVATIONS["tanh"])
    law = WithMLP(RandomTransformer(GaussianHeads(4, 0.6, 0.5, 4), Softmax(1.0), 0.4, 2, noise), block, noise)
    with pytest.raises(TypeError, match="gradients know no JointPush"):
        backward(Tokens(np.eye(4)), law, n_steps=1, gradient=mean_overlap_gradient)
    law = PreNorm(
        WithMLP(RandomTransformer(GaussianHeads(3, 0.6, 0.5, 3), Softmax(1.0), 0.4, 2, noise), block, noise), 2.0
    )
    with pytest.raises(TypeError, match="gain must be 1, got 2"):
        simulate(Tokens(np.eye(3)), law, n_steps=1)
