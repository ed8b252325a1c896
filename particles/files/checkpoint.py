"""Layers of a trained model, and a Gaussian model with the same scales beside them.

An encoder in the manner of BERT normalises behind each block: x = gain nrm_d(y) + bias with |nrm_d(y)| = d^(1/2), and
its attention block adds sum_m W_o W_v softmax(<W_q x, W_k x'> head_dim^(-1/2)) x' to x.  For directions of nrm_d(y) on
the unit sphere that is a recorded layer of mathematics (1) with beta = 1 and

    C = W_o W_v diag(gain) / g,    A = d head_dim^(-1/2) diag(gain) W_k^T W_q diag(gain),    g^2 = mean gain^2

where the residual carries g in place of the gain of each component.  Biases, the mean that a layer norm takes away and
the MLP blocks are not part of it.

A decoder (GPT-2, LLaMA, Qwen2, Mistral) normalises in front of each block, and its attention block adds

    sum_m W_o W_v softmax(scale <R_i W_q z_i, R_j W_k z_j>) z_j,   z = gain nrm_d(x),   j <= i

to x_i, R the turns of rotary positions where it has such.  That is a recorded layer under a causal kernel in a residual
stream with gain d^(1/2); of a layer norm, x without its mean.  Biases and MLP blocks are not part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from particles.arrays import Array, as_array
from particles.attention.kernels import Causal, Positions
from particles.attention.softmax import Softmax
from particles.layers.recorded import RecordedLayers
from particles.layers.residual import PreNorm
from particles.noise import Noise, Stream
from particles.retraction import Retraction, normalize

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

MATRICES = ("query", "key", "value", "output")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Attention matrices of an encoder with layer norms behind its blocks.

    Parameters
    ----------
    query, key, value : (L, M, head_dim, d), rows of W_q, W_k, W_v that belong to a head.
    output : (L, M, d, head_dim), columns of W_o that belong to a head.
    gain : (L, d), gains of the layer norm in front of each attention block.
    """

    query: Array
    key: Array
    value: Array
    output: Array
    gain: Array

    def __post_init__(self) -> None:
        n_layers, n_heads, head_dim, d = as_array(self.query, "query", (None, None, None, None)).shape
        for name in MATRICES:
            shape = (n_layers, n_heads, d, head_dim) if name == "output" else (n_layers, n_heads, head_dim, d)
            object.__setattr__(self, name, as_array(getattr(self, name), name, shape))
        object.__setattr__(self, "gain", as_array(self.gain, "gain", (n_layers, d)))
        if not np.abs(self.gain).max(axis=1).min() > 0:
            raise ValueError("gain must not vanish in a layer")

    def layers(self, retraction: Retraction = normalize) -> RecordedLayers | PreNorm:
        """The attention blocks as layers of directions on the unit sphere, beta = 1.

        Test: tests/particles/files/test_checkpoint.py::test_a_layer_is_the_block_of_an_encoder.
        """
        return self.recorded(retraction)

    def recorded(self, retraction: Retraction = normalize) -> RecordedLayers:
        """The same; of a decoder what stands inside its residual stream."""
        head_dim, d = self.query.shape[2:]
        gain = self.gain[:, None, None, :]
        scale = math.sqrt(d / math.sqrt(head_dim))
        mean = np.sqrt(np.mean(gain**2, axis=-1, keepdims=True))
        return RecordedLayers(
            self.output,
            scale * gain * self.query,
            scale * gain * self.key,
            Softmax(1.0),
            retraction,
            inner=gain * self.value / mean,
        )

    def spread(self) -> xr.Dataset:
        """How the entries of the matrices are spread, over layer and matrix, against independent Gaussian entries.

        Returns
        -------
        Dataset with, for each of W_q, W_k, W_v, W_o in full (d rows or columns against M head_dim):
        sigma : standard deviation of the entries, times d^(1/2); the usual start of training has 1 or less.
        excess_kurtosis : fourth cumulant over sigma^4; Gaussian entries give 0 with the error `kurtosis_error`.
        top_singular_value : largest singular value over its limit sigma (rows^(1/2) + columns^(1/2)) for independent
            entries (Marchenko and Pastur); above 1 the matrix has directions that training has made.
        """
        n_layers, n_heads, head_dim, d = self.query.shape
        found = np.empty((3, n_layers, len(MATRICES)))
        for column, name in enumerate(MATRICES):
            for layer, heads in enumerate(getattr(self, name)):
                rows = np.swapaxes(heads, 1, 2) if name == "output" else heads
                matrix = rows.reshape(-1, d)
                sigma = matrix.std()
                cumulant = np.mean((matrix - matrix.mean()) ** 4) / sigma**4 - 3
                edge = sigma * sum(math.sqrt(size) for size in matrix.shape)
                found[:, layer, column] = sigma * math.sqrt(d), cumulant, np.linalg.norm(matrix, 2) / edge
        names = {
            "sigma": "standard deviation of the entries, times d^(1/2)",
            "excess_kurtosis": "excess kurtosis of the entries",
            "top_singular_value": "largest singular value over its value for independent entries",
        }
        return xr.Dataset(
            {
                name: (("layer", "matrix"), values, {"long_name": text, "units": "1"})
                for (name, text), values in zip(names.items(), found, strict=True)
            },
            coords={"layer": np.arange(n_layers), "matrix": list(MATRICES)},
            attrs={"kurtosis_error": math.sqrt(24 / (n_heads * head_dim * d))},
        )

    def gaussian(self, noise: Noise) -> Self:
        """The same model with independent Gaussian entries: of each matrix only the spread of its entries is kept."""
        drawn = {}
        for number, name in enumerate(MATRICES):
            matrices = getattr(self, name)
            sigma = matrices.std(axis=(1, 2, 3), keepdims=True)
            drawn[name] = sigma * noise.generator(Stream.HEADS, number).standard_normal(matrices.shape)
        return replace(self, **drawn)


@dataclass(frozen=True, eq=False)
class CausalCheckpoint(Checkpoint):
    """Attention matrices of a decoder with norms in front of its blocks.

    Parameters
    ----------
    query, output, gain : as in `Checkpoint`.
    key, value : (L, G, head_dim, d), G dividing the number of heads: groups of heads share them.
    scale : of the scores.   positions : what turns queries and keys, or None.
    window : tokens that a token sees at most, or None.   centred : whether its norms take the mean away.
    """

    scale: float = 1.0
    positions: Positions | None = None
    window: int | None = None
    centred: bool = False

    def __post_init__(self) -> None:
        n_layers, n_heads, head_dim, d = as_array(self.query, "query", (None, None, None, None)).shape
        groups = as_array(self.key, "key", (n_layers, None, head_dim, d)).shape[1]
        if n_heads % groups:
            raise ValueError(f"key must have a number of groups that divides the {n_heads} heads, got {groups}")
        shapes = {"output": (n_layers, n_heads, d, head_dim), "query": (n_layers, n_heads, head_dim, d)}
        for name in MATRICES:
            shape = shapes.get(name, (n_layers, groups, head_dim, d))
            object.__setattr__(self, name, as_array(getattr(self, name), name, shape))
        object.__setattr__(self, "gain", as_array(self.gain, "gain", (n_layers, d)))

    def layers(self, retraction: Retraction = normalize) -> RecordedLayers | PreNorm:
        """The attention blocks as layers of a residual stream in R^d, tokens in their order.

        Test: tests/particles/files/test_decoders.py::test_the_stream_is_that_of_the_blocks_written_out.
        """
        return PreNorm(self.recorded(retraction), math.sqrt(self.query.shape[3]))

    def recorded(self, retraction: Retraction = normalize) -> RecordedLayers:
        """Layers that read directions at length 1; `layers` brings these to length d^(1/2)."""
        gain, root = self.gain[:, None, None, :], math.sqrt(self.scale)
        repeats = self.query.shape[1] // self.key.shape[1]
        key, value = (np.repeat(gain * matrices, repeats, axis=1) for matrices in (self.key, self.value))
        output = self.output - self.centred * self.output.mean(axis=2, keepdims=True)
        kernel = Causal(Softmax(1.0), self.positions, self.window)
        return RecordedLayers(output, root * gain * self.query, root * key, kernel, retraction, inner=value)
