"""The transposed derivative of a layer, all tokens moving: p -> (DT)^T p.

With scores S_ij = beta <A x_i, x_j>, weights P_ij = w_j e^{S_ij} / sum_k w_k e^{S_ik} and m_i = sum_j P_ij x_j, a token
acts as query (S_i.), as key (S_.j) and as value.
"""

from collections.abc import Callable
from functools import singledispatch

import numpy as np

from particles.arrays import Array, unit
from particles.attention import BLOCK, Attention, DirectField, Linear, Softmax, field_of
from particles.layers import Layer
from particles.mlp import FiniteWidthField
from particles.private import Diffusion
from particles.pushes import AttentionPush, DifferentiableField, Field, FieldPush, Push
from particles.residual import ResidualPush, velocity_alone
from particles.retraction import Retraction, geodesic, normalize, translate
from particles.tokens import Cloud, second_moment


def dot(one: Array, other: Array) -> Array:
    """Scalar products of rows, (n, 1)."""
    products: Array = np.einsum("ij,ij->i", one, other)
    return products[:, None]


def unit_vjp(vectors: Array, gradient: Array) -> Array:
    """Transposed derivative of nrm at `vectors` (n, d)."""
    length = np.sqrt(dot(vectors, vectors))
    direction = vectors / length
    return (gradient - dot(direction, gradient) * direction) / length


def _normalize_vjp(points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
    both = unit_vjp(points + velocity, gradient)
    return both, both


def _translate_vjp(points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
    return gradient, gradient


def _geodesic_vjp(points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
    """Of unit(cos(L) x + sin(L)/L t), t = U - <x, U> x, L = |t|."""
    along = dot(points, velocity)
    tangent = velocity - along * points
    length = np.sqrt(dot(tangent, tangent))
    cosine, ratio = np.cos(length), np.sinc(length / np.pi)
    safe = np.where(length > 1e-3, length, 1.0)
    slope = np.where(length > 1e-3, (cosine - ratio) / safe**2, -1 / 3 + length**2 / 30)  # of sin(L)/L, over L
    back = unit_vjp(cosine * points + ratio * tangent, gradient)
    on_tangent = ratio * back + (slope * dot(tangent, back) - ratio * dot(points, back)) * tangent
    inward = dot(points, on_tangent)
    return cosine * back - inward * velocity - along * on_tangent, on_tangent - inward * points


def _velocity_alone_vjp(points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
    return np.zeros_like(gradient), gradient


RETRACTION_VJPS: dict[Retraction, Callable[[Array, Array, Array], tuple[Array, Array]]] = {
    normalize: _normalize_vjp,
    geodesic: _geodesic_vjp,
    translate: _translate_vjp,
    velocity_alone: _velocity_alone_vjp,
}
"""Retraction to its transposed derivative: x, U and the gradient at T to the gradients at x and U."""


def retraction_vjp(retraction: Retraction, points: Array, velocity: Array, gradient: Array) -> tuple[Array, Array]:
    """Gradients (n, d) at x and at U of a gradient at T = retraction(x, U); TypeError where it is not known."""
    if retraction not in RETRACTION_VJPS:
        name = getattr(retraction, "__name__", repr(retraction))
        raise TypeError(f"gradients know the retractions normalize, geodesic and translate, got {name}")
    return RETRACTION_VJPS[retraction](points, velocity, gradient)


@singledispatch
def barycenter_vjp(attention: Attention, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    """Gradient (n, d) at the tokens of a gradient (n, d) at their own barycentres under one head.

    The tokens are queries, keys and values.  Register a function here for a kernel of one's own.
    """
    raise TypeError(f"gradients know softmax and linear attention, got {type(attention).__name__}")


@barycenter_vjp.register
def _(attention: Softmax, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    points, log_weights = measure.points, np.log(measure.weights)
    rows, columns = points @ (attention.beta * query.T), points @ key.T
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
        found[part] += scores @ columns @ (attention.beta * query)  # as queries
        on_columns += scores.T @ rows[part]  # as keys
    return found + on_columns @ key


@barycenter_vjp.register
def _(attention: Linear, measure: Cloud, query: Array, key: Array, gradient: Array) -> Array:
    points, form = measure.points, attention.beta * (key.T @ query)
    outer = form @ points.T @ gradient
    as_values = measure.weights[:, None] * (points @ (outer + outer.T))
    return as_values + gradient @ second_moment(measure) @ form


@singledispatch
def push_vjp(push: Push, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    """(DT)^T gradient, (n, d), for one push of n tokens by their own measure; in R^d, not projected.

    Register a function here for a kind of push of one's own.
    """
    raise TypeError(f"gradients know no {type(push).__name__}; register it with particles.adjoint.push_vjp")


@push_vjp.register
def _(push: AttentionPush, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    velocity = DirectField(attention, push, measure).at(measure.points)
    found, on_velocity = retraction_vjp(push.retraction, measure.points, velocity, gradient)
    for mixing, query, key in zip(push.mixing, push.query, push.key, strict=True):
        found = found + barycenter_vjp(attention, measure, query, key, on_velocity @ mixing)
    return found


@push_vjp.register
def _(push: ResidualPush, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    directions = Cloud(unit(measure.points), measure.weights)
    return gradient + unit_vjp(measure.points, push_vjp(push.block, directions, attention, gradient))


@push_vjp.register
def _(push: Diffusion, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    points, increments = measure.points, push.increments(measure.points)
    inward = dot(points, increments)
    found, on_velocity = retraction_vjp(push.retraction, points, increments - inward * points, gradient)
    return found - dot(points, on_velocity) * increments - inward * on_velocity


@singledispatch
def field_vjp(field: Field, points: Array, gradient: Array) -> Array:
    """(DU)^T gradient, (n, d), at points (n, d) of a field that no token acts on."""
    if not isinstance(field, DifferentiableField):
        raise TypeError(f"gradients know no {type(field).__name__}; register it with particles.adjoint.field_vjp")
    found: Array = np.einsum("nij,ni->nj", field.jacobian(points), gradient)
    return found


@field_vjp.register
def _(field: FiniteWidthField, points: Array, gradient: Array) -> Array:
    found = np.zeros_like(points)
    for inner, bias, out in field.units():
        found += ((gradient @ out.T) * field.block.activation.derivative(points @ inner + bias)) @ inner.T
    return found


@push_vjp.register
def _(push: FieldPush, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    points = measure.points
    found, on_velocity = retraction_vjp(push.retraction, points, push.velocity.at(points), gradient)
    return found + field_vjp(push.velocity, points, on_velocity)


def moved_by(push: Push, measure: Cloud, attention: Attention) -> Cloud:
    """The measure after one push, pairs summed directly."""
    def make(one: AttentionPush | FieldPush, cloud: Cloud) -> Field:
        return field_of(DirectField, attention, one, cloud, len(cloud.points))

    return push.move(measure, (), make)[0]


def layer_vjp(layer: Layer, measure: Cloud, attention: Attention, gradient: Array) -> Array:
    """(DT)^T gradient, (n, d), for a whole layer of pushes.

    On the sphere projected to the tangent spaces; in a residual stream with respect to x in R^d.
    """
    clouds = [measure]
    for push in layer[:-1]:
        clouds.append(moved_by(push, clouds[-1], attention))
    for push, cloud in zip(reversed(layer), reversed(clouds), strict=True):
        gradient = push_vjp(push, cloud, attention, gradient)
    if any(isinstance(push, ResidualPush) for push in layer):
        return gradient
    return gradient - dot(measure.points, gradient) * measure.points
