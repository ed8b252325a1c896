"""Gradients through depth: p_l = (D_x T_l)^T p_{l+1} for the gradient p_L of an observable of the last tokens.

For small layers p_l tends to the adjoint equation p' = -(Db)^T p, b the velocity of all tokens (Gibson and Reisinger
2605.11059).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from particles.arrays import Array, unit
from particles.derivatives.adjoint import layer_vjp, moved_by
from particles.errors import called
from particles.files.recorder import record
from particles.files.run_files import AXIS
from particles.flow import TokenFlow
from particles.layers.base import Layer, LayerLaw
from particles.layers.residual import PreNorm, ResidualPush
from particles.measure import Cloud, Tokens, mean_token
from particles.retraction import dot, unit_vjp

if TYPE_CHECKING:
    import xarray as xr
else:
    from particles.files import late_xarray as xr

ObservableGradient = Callable[[Array, Array], Array]
"""Points (n, d) and weights (n,) to the gradient of an observable at the points, (n, d)."""


@called("the kernel is the law's: trajectory(tokens, law, n_steps)")
def trajectory(tokens: Tokens, law: LayerLaw, n_steps: int, radius: float = 1.0) -> Array:
    """Tokens after 0, 1, ..., n_steps layers, shape (n_steps + 1, n, d); radius as in `simulate`."""
    flow = TokenFlow(law)
    states = accumulate(range(1, n_steps + 1), flow.advance, initial=flow.start(tokens, radius))
    return np.stack([state.points for state in states])


@called("the kernel is the law's: backward(tokens, law, n_steps=..., gradient=...)")
def backward(
    tokens: Tokens,
    law: LayerLaw,
    *,
    n_steps: int,
    gradient: Array | ObservableGradient,
    radius: float = 1.0,
    states: Array | None = None,
) -> Array:
    """Gradients p_l of an observable of the tokens after `n_steps` layers with respect to those after l layers.

    Parameters
    ----------
    tokens : n tokens at depth 0, with their weights.
    law : layers; pairs are summed directly, in blocks of rows.
    gradient : p_L (n, d), or a function of the last points and the weights that gives it, in a residual stream of the
        last directions.
    radius : length of the tokens at depth 0 in a residual stream.
    states : result of `trajectory`, if it is there already; (n_steps + 1) n d numbers are held.

    Returns
    -------
    (n_steps + 1, n, d), tangent to the sphere: <p_l, x_l> = 0 for every token; in a residual stream with respect to
    x in R^d.  For a token of weight w, p is of order w; p/w is the gradient of mean-field theory.

    Notes
    -----
    Accuracy: rounding (tests/particles/derivatives/test_adjoint.py).

    Examples
    --------
    >>> import numpy as np
    >>> from particles import GaussianHeads, Noise, RandomTransformer, Softmax, Tokens, Uniform
    >>> from particles.derivatives.gradients import backward, mean_overlap_gradient
    >>> tokens = Tokens(Uniform(4).sample(np.random.default_rng(0), 16))
    >>> law = RandomTransformer(GaussianHeads(4), Softmax(2.0), eta=0.1, n_heads=2, noise=Noise(7))
    >>> backward(tokens, law, n_steps=10, gradient=mean_overlap_gradient).shape
    (11, 16, 4)
    """
    states = trajectory(tokens, law, n_steps, radius) if states is None else states
    last = unit(states[-1])
    found = gradient(last, tokens.weights) if callable(gradient) else np.asarray(gradient, dtype=np.float64)
    if found.shape != last.shape:
        raise ValueError(f"gradient must have shape {last.shape}, got {found.shape}")
    if callable(gradient) or not isinstance(law, PreNorm):
        found = unit_vjp(states[-1], found)
    gradients = np.empty_like(states)
    gradients[-1] = found
    for step in reversed(range(n_steps)):
        cloud = Cloud(states[step], tokens.weights)
        gradients[step] = layer_vjp(law.layer(step), cloud, gradients[step + 1])
    return gradients


def mean_overlap_gradient(points: Array, weights: Array) -> Array:
    """Gradient of the mean overlap |sum_j w_j x_j|^2."""
    return 2 * weights[:, None] * (weights @ points)


def random_cotangent(rng: np.random.Generator) -> ObservableGradient:
    """A random direction in the tangent space of all tokens, of length 1: the gradient of a generic observable."""

    def draw(points: Array, weights: Array) -> Array:
        vector = rng.standard_normal(points.shape)
        vector -= dot(points, vector) * points
        return vector / np.linalg.norm(vector)

    return draw


@called("the kernel is the law's: gradient_norms(tokens, law, n_steps=...)")
def gradient_norms(
    tokens: Tokens,
    law: LayerLaw,
    *,
    n_steps: int,
    gradient: Array | ObservableGradient = mean_overlap_gradient,
    radius: float = 1.0,
    rng: np.random.Generator | None = None,
    probes: int = 1,
) -> xr.Dataset:
    """How the gradient of an observable of the last tokens changes with depth.

    Parameters
    ----------
    tokens, law, n_steps, gradient, radius : as in `backward`; default the mean overlap of the last tokens.
    rng, probes : with a generator, each layer is also probed with that many random unit cotangents.

    Returns
    -------
    xarray.Dataset over depth_time (every layer):
        gradient_norm : (sum_i |p_i|^2)^1/2.
        gradient_rms : (sum_i w_i |p_i/w_i|^2)^1/2, per token and free of their number.
        mean_overlap : |sum_i w_i nrm(x_i)|^2.

        layer_growth : with `rng`, r.m.s. over probes v of |J^T v| for the layer that begins there, an estimate of
            |J|_F / (dimension)^1/2, 1 for a layer that does nothing; NaN at the last depth, which has no layer.  The
            probes are tangent on the sphere, anything in a residual stream.
    """
    states = trajectory(tokens, law, n_steps, radius)
    gradients = backward(tokens, law, n_steps=n_steps, gradient=gradient, states=states)
    weights = tokens.weights
    squares = np.einsum("lij,lij->li", gradients, gradients)
    means = np.array([mean_token(Cloud(unit(points), weights)) for points in states])
    columns = {
        "gradient_norm": (np.sqrt(squares.sum(axis=1)), "norm of the gradient with respect to the tokens here"),
        "gradient_rms": (np.sqrt(squares @ (1 / weights)), "root mean square over tokens of gradient over weight"),
        "mean_overlap": (np.einsum("li,li->l", means, means), "squared length of the mean token"),
    }
    if rng is not None:
        clouds = [Cloud(points, weights) for points in states[:-1]]
        growth = [_layer_growth(law.layer(k), cloud, rng, probes) for k, cloud in enumerate(clouds)]
        text = "root mean square growth of a random cotangent through the layer that begins here, backwards"
        columns["layer_growth"] = (np.array([*growth, np.nan]), text)
    records = [
        record(step, law, {name: ((), values[step], text) for name, (values, text) in columns.items()})
        for step in range(n_steps + 1)
    ]
    return xr.concat(records, AXIS, data_vars="all", coords="minimal")


def _layer_growth(
    layer: Layer, measure: Cloud, rng: np.random.Generator, probes: int
) -> float:
    """(mean over probes of |J^T v|^2)^1/2, v uniform among unit cotangents at the moved tokens."""
    moved = measure
    for push in layer:
        moved = moved_by(push, moved)
    stream = any(isinstance(push, ResidualPush) for push in layer)
    normals = np.zeros_like(moved.points) if stream else moved.points  # what cotangents have no part of
    draw, squares = random_cotangent(rng), []
    for _ in range(probes):
        squares.append(np.sum(layer_vjp(layer, measure, draw(normals, measure.weights)) ** 2))
    return float(np.sqrt(np.mean(squares)))
