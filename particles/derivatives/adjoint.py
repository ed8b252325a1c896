"""The transposed derivative of a layer, all tokens moving: p -> (DT)^T p.

With scores S_ij = beta <A x_i, x_j>, weights P_ij = w_j e^{S_ij} / sum_k w_k e^{S_ik} and m_i = sum_j P_ij x_j, a token
acts as query (S_i.), as key (S_.j) and as value.
"""

from functools import singledispatch

import numpy as np

from particles.arrays import Array, unit
from particles.attention.base import BLOCK, AttentionPush, DirectField, Kernel
from particles.attention.softmax import Linear, Softmax
from particles.layers.base import Layer
from particles.layers.mlp.block import FiniteWidthField
from particles.layers.private import Diffusion
from particles.layers.residual import ResidualPush
from particles.measure import Cloud, second_moment
from particles.pushes import DifferentiableField, Field, FieldPush, Move, own_velocity
from particles.retraction import dot, known, unit_vjp


@singledispatch
def barycenter_vjp(kernel: Kernel, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    """Gradient (n, d) at the tokens of a gradient (n, d) at their own barycentres under one head.

    The tokens are queries, keys and values.  Register a function here for a kernel of one's own.
    """
    raise TypeError(f"gradients know softmax and linear attention, got {type(kernel).__name__}")


@barycenter_vjp.register
def _(kernel: Softmax, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    points, log_weights = measure.points, np.log(measure.weights)
    rows, columns = points @ (kernel.beta * query.T), points @ key.T
    found, on_columns = np.zeros_like(points), np.zeros_like(columns)
    height = max(1, BLOCK // len(points))
    for start in range(0, len(points), height):
        part = slice(start, start + height)
        weights = rows[part] @ columns.T + log_weights
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        back = gradient[part]
        found += weights.T @ back  # as values
        scores = weights * (back @ points.T - dot(back, weights @ points))
        found[part] += scores @ columns @ (kernel.beta * query)  # as queries
        on_columns += scores.T @ rows[part]  # as keys
    return found + on_columns @ key


@barycenter_vjp.register
def _(kernel: Linear, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    points, form = measure.points, kernel.beta * (key.T @ query)
    outer = form @ points.T @ gradient
    as_values = measure.weights[:, None] * (points @ (outer + outer.T))
    return as_values + gradient @ second_moment(measure) @ form


@singledispatch
def push_vjp(push: Move, measure: Cloud, gradient: Array) -> Array:
    """(DT)^T gradient, (n, d), for one push of n tokens by their own measure; in R^d, not projected.

    Register a function here for a kind of push of one's own.
    """
    raise TypeError(f"gradients know no {type(push).__name__}; register it with particles.derivatives.adjoint.push_vjp")


@push_vjp.register
def _(push: AttentionPush, measure: Cloud, gradient: Array) -> Array:
    velocity = DirectField(push, measure)(measure.points)
    found, on_velocity = known(push.retraction).vjp(measure.points, velocity, gradient)
    for kernel, mixing, query, key in zip(push.kernels, push.mixing, push.query, push.key, strict=True):
        found = found + barycenter_vjp(kernel, measure, query, key, on_velocity @ mixing)
    return found


@push_vjp.register
def _(push: ResidualPush, measure: Cloud, gradient: Array) -> Array:
    directions = Cloud(unit(measure.points), measure.weights)
    return gradient + unit_vjp(measure.points, push_vjp(push.block, directions, gradient))


@push_vjp.register
def _(push: Diffusion, measure: Cloud, gradient: Array) -> Array:
    points, increments = measure.points, push.increments(measure.points)
    inward = dot(points, increments)
    found, on_velocity = known(push.retraction).vjp(points, increments - inward * points, gradient)
    return found - dot(points, on_velocity) * increments - inward * on_velocity


@singledispatch
def field_vjp(field: Field, points: Array, gradient: Array) -> Array:
    """(DU)^T gradient, (n, d), at points (n, d) of a field that no token acts on."""
    if not isinstance(field, DifferentiableField):
        raise TypeError(f"gradients know no {type(field).__name__}; see particles.derivatives.adjoint.field_vjp")
    found: Array = np.einsum("nij,ni->nj", field.jacobian(points), gradient)
    return found


@field_vjp.register
def _(field: FiniteWidthField, points: Array, gradient: Array) -> Array:
    found = np.zeros_like(points)
    for inner, bias, out in field.units():
        found += ((gradient @ out.T) * field.block.activation.derivative(points @ inner + bias)) @ inner.T
    return found


@push_vjp.register
def _(push: FieldPush, measure: Cloud, gradient: Array) -> Array:
    points = measure.points
    found, on_velocity = known(push.retraction).vjp(points, push.field(points), gradient)
    return found + field_vjp(push.field, points, on_velocity)


def moved_by(push: Move, measure: Cloud) -> Cloud:
    """The measure after one push, pairs summed directly."""
    return push.move(measure, (), own_velocity)[0]


def layer_vjp(layer: Layer, measure: Cloud, gradient: Array) -> Array:
    """(DT)^T gradient, (n, d), for a whole layer of pushes.

    On the sphere projected to the tangent spaces; in a residual stream with respect to x in R^d.
    """
    clouds = [measure]
    for push in layer[:-1]:
        clouds.append(moved_by(push, clouds[-1]))
    for push, cloud in zip(reversed(layer), reversed(clouds), strict=True):
        gradient = push_vjp(push, cloud, gradient)
    if any(isinstance(push, ResidualPush) for push in layer):
        return gradient
    return gradient - dot(measure.points, gradient) * measure.points
