"""Laws of layers of a configuration: what makes one layer, and what stands around it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from particles import (
    ACTIVATIONS,
    RETRACTIONS,
    Ballistic,
    Causal,
    FixedHeads,
    Homogenized,
    IndependentEntries,
    Kernel,
    LayerLaw,
    MLPBlock,
    Modified,
    Noise,
    PreNorm,
    RandomTransformer,
    RecordedLayers,
    Retraction,
    SmoothHeads,
    SmoothTransformer,
    WithMLP,
    WithPrivateNoise,
    read_checkpoint,
)
from particles.attention import KERNELS
from particles.files import is_model, naming, read_layers
from particles.layers import SCHEMES, refine_within
from tokenlaw.config.equations import EquationLayers
from tokenlaw.config.read import ConfigError, Configuration
from tokenlaw.config.told import chosen, telling
from tokenlaw.config.toml import show
from tokenlaw.runs.equations import equation
from tokenlaw.runs.functions import Functions
from tokenlaw.runs.parts import told


def kernel_of(c: Configuration) -> Kernel:
    """The kernel of attention; an equation of one's own has none to ask for."""
    named: Any = chosen(KERNELS, c, "model.attention")
    kernel: Any = named(c.model.beta)
    with telling(c, "model.causal = true"):
        return Causal(kernel) if c.model.causal else kernel


def law_of(c: Configuration, heads: IndependentEntries | FixedHeads | None, functions: Functions) -> LayerLaw:
    """The layers of attention alone, or those of an equation."""
    if c.layers.kind == "equation":
        return equation(c, c.layers, functions)
    layers, kernel, noise = c.layers, kernel_of(c), Noise(c.noise.seed, c.noise.member)
    retraction = chosen(RETRACTIONS, c, "layers.retraction")
    if layers.kind == "recorded":
        return _recorded(c, Path(layers.file), retraction)
    drawn: Any = heads  # the kinds of heads that a law takes were checked with the configuration
    with telling(c, "layers"):
        if layers.kind == "transformer":
            kind = SmoothTransformer if isinstance(heads, SmoothHeads) else RandomTransformer
            return kind(drawn, kernel, layers.eta, layers.heads, noise, retraction)
        if layers.kind == "homogenized":
            eps, fixed = layers.noise_scale, layers.nodes_fixed
            return Homogenized(drawn, kernel, layers.dt, layers.nodes, noise, eps, fixed, retraction)
        scheme = chosen(SCHEMES, c, "layers.scheme")
        if layers.kind == "ballistic":
            return Ballistic(drawn, kernel, layers.dt, layers.nodes, noise, scheme, retraction)
        eps = layers.noise_scale
        return Modified(drawn, kernel, layers.dt, layers.eta, eps, layers.nodes, noise, scheme, retraction)


def _recorded(c: Configuration, path: Path, retraction: Retraction) -> RecordedLayers:
    """Layers from a file, with the kernel of the configuration, of the file's beta."""
    law = told("layers.file", _read_layers, path, retraction)
    beta = c.model.beta
    assert beta is not None  # checked with the configuration
    if law.beta not in (beta, float(np.float32(beta))):  # an attribute may be single
        raise ConfigError(f"model.beta = {beta:g}: must equal the layers file's beta = {law.beta:g}")
    if isinstance(law.kernel, Causal):  # of a decoder, which knows its positions and its window
        wanted = {"model.causal": (c.model.causal, True), "layers.norm": (getattr(c.layers, "norm", "post"), "rms"),
                  "model.attention": (c.model.attention, "softmax")}  # fmt: skip
        for key, (value, right) in wanted.items():
            if value != right:
                raise ConfigError(f"{key} = {show(value)}: must be {show(right)} for the decoder in {path}")
        return law
    return replace(law, kernel=kernel_of(c))


def _read_layers(path: Path, retraction: Retraction) -> RecordedLayers:
    if is_model(path):
        with naming(path, ImportError):
            return read_checkpoint(path).recorded(retraction)
    return read_layers(path, retraction)


def around(c: Configuration, law: LayerLaw) -> LayerLaw:
    """The law with what stands around its attention: an MLP block, private noise, a residual stream, shorter steps."""
    layers, noise = c.layers, Noise(c.noise.seed, c.noise.member)
    if isinstance(layers, EquationLayers):  # whose private noise is its own
        with telling(c, "layers"):
            return law if layers.refine == 1 else refine_within(law, layers.refine)
    retraction = chosen(RETRACTIONS, c, "layers.retraction")
    mlp, nu = getattr(layers, "mlp", None), getattr(layers, "private_noise", 0.0)
    norm, refine = getattr(layers, "norm", "post"), getattr(layers, "refine", 1)
    with telling(c, "layers"):
        if mlp is not None:
            activation = chosen(ACTIVATIONS, c, "layers.mlp.activation")
            law = WithMLP(law, MLPBlock(activation, mlp.width, mlp.sigma_r, mlp.sigma_w), noise, retraction)
        if nu:
            law = WithPrivateNoise(law, nu, noise, c.simulate.replica, retraction)
        if norm != "post":
            law = PreNorm(law, 1.0 if norm == "pre" else law.d**0.5)
        return law if refine == 1 else refine_within(law, refine)
