"""Two tokens in random MLP blocks: x+ = nrm(x + sqrt(h) g(x)), g of finite width.

By rotational invariance the overlap is a Markov chain: x = e_1, y = cos(a) e_1 + sin(a) e_2, and of the inner matrix
only two columns matter; given the hidden layers, (g(x), g(y) - g(x)) is Gaussian with their Gram matrix.
"""

from dataclasses import dataclass

import numpy as np

from particles import ACTIVATIONS, Array, DualKernel


@dataclass(frozen=True)
class Block:
    """A law of blocks: activation by name, dimension, standard deviations of inner and outer biases, width."""

    activation: str
    d: int
    sigma_r: float = 0.0
    sigma_w: float = 0.0
    width: int = 8

    @property
    def kernel(self) -> DualKernel:
        """Its exact covariance k."""
        return DualKernel(ACTIVATIONS[self.activation], self.d, self.sigma_r, self.sigma_w)

    def fields(self, rng: np.random.Generator, gap: Array) -> tuple[Array, Array, Array]:
        """g(x) and g(y) - g(x), (size, d), and y - x as (size, 2), for pairs with 1 - R = gap (size,)."""
        size, act = len(gap), ACTIVATIONS[self.activation].function
        move = np.column_stack([-gap, np.sqrt(gap * np.maximum(2 - gap, 0.0))])  # beyond 2 by rounding only
        first, second, bias = rng.standard_normal((3, size, self.width))
        inner = first / np.sqrt(self.d) + self.sigma_r * bias
        hidden = act(inner)
        change = act(inner + (move[:, :1] * first + move[:, 1:] * second) / np.sqrt(self.d)) - hidden
        length = np.sqrt(np.mean(hidden**2, axis=1))
        along = np.mean(hidden * change, axis=1) / np.where(length > 0, length, 1.0)
        across = np.sqrt(np.maximum(np.mean(change**2, axis=1) - along**2, 0.0))  # below zero by rounding only
        one, two, outer = rng.standard_normal((3, size, self.d))
        return (
            length[:, None] * one + self.sigma_w * outer,
            along[:, None] * one + across[:, None] * two,
            move,
        )

    def layer(self, rng: np.random.Generator, gap: Array, step: float) -> tuple[Array, Array]:
        """1 - R after one layer, with g and with -g, (size,) each."""
        here, change, move = self.fields(rng, gap)
        ends = []
        for sign in (1.0, -1.0):
            x, shift = sign * np.sqrt(step) * here, sign * np.sqrt(step) * change
            x[:, 0] += 1
            shift[:, :2] += move
            y = x + shift
            x_length, y_length = (np.sqrt(np.einsum("ij,ij->i", z, z)) for z in (x, y))
            # |x/|x| - y/|y||^2 = (|x - y|^2 - (|x| - |y|)^2)/(|x| |y|), and |y| - |x| without cancellation
            longer = (np.einsum("ij,ij->i", shift, x + y)) / (x_length + y_length)
            ends.append(0.5 * (np.einsum("ij,ij->i", shift, shift) - longer**2) / (x_length * y_length))
        return ends[0], ends[1]


REPORTED = {  # lambda_1 and lambda_bar as printed, as reported
    Block("relu", 5, 0.1, 0.1): ("-0.13", "0.17"),
    Block("sigmoid", 64): ("-7.876", "-15.248"),
    Block("tanh", 64, 0.1, 0.1): ("-0.6295", "-1.1603"),
    Block("silu", 128, 0.1, 0.1): ("-0.7973", "-1.5616"),
}
