"""Residual streams that are normalised before each block, not behind it: pre-norm and RMSNorm.  mathematics, section 8.

    x -> x + B(gain nrm(x)) in R^d,    direction nrm(x) on the sphere, radius |x|

B is the velocity of a block of any law, and its measure the law of gain nrm(x): gain 1 on the unit sphere, gain
d^(1/2) for RMSNorm.  A step moves the direction like a post-norm block of strength 1/|x|, and as the radius grows the
stream slows down.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, singledispatch
from typing import Any

from particles.arrays import Array, check_positive, unit
from particles.attention.base import AttentionPush
from particles.errors import ArgumentError
from particles.layers.base import Around, Layer, LayerLaw, refine_within
from particles.layers.mlp.block import FiniteWidthField
from particles.layers.private import Diffusion, WithPrivateNoise
from particles.measure import AnyTokens, Cloud
from particles.pushes import FieldPush, MakeField, Move, Riders
from particles.retraction import velocity_alone

ON_THE_SPHERE = "which is a diffusion on the sphere and has no place in a residual stream"


@singledispatch
def block(push: Move, gain: float) -> Move:
    """The push that takes nrm(x) to its velocity at gain nrm(x); TypeError where there is none.

    Register a function here for a kind of push whose velocity depends on the length of x.
    """
    changes: dict[str, Any] = {"retraction": velocity_alone}
    if is_dataclass(push) and not isinstance(push, type) and "retraction" in {one.name for one in fields(push)}:
        if gain == 1:
            return replace(push, **changes)
        raise TypeError(f"{type(push).__name__} is known on the unit sphere alone: gain must be 1, got {gain:g}")
    raise TypeError(f"{type(push).__name__} has no velocity that a residual stream could add")


@block.register
def _(push: AttentionPush, gain: float) -> Move:
    """Scores and values are linear in queries, keys and values: the gain goes to the matrices."""
    out, query, key = (gain * matrices for matrices in (push.out, push.query, push.key))
    return AttentionPush(push.kernel, out, query, key, velocity_alone, push.inner, push.parameters)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """x -> U(gain x)."""

    field: FiniteWidthField
    gain: float

    def __call__(self, points: Array) -> Array:
        return self.field(self.gain * points)

    def jacobian(self, points: Array) -> Array:
        return self.gain * self.field.jacobian(self.gain * points)


@block.register
def _(push: FieldPush, gain: float) -> Move:
    if gain != 1 and isinstance(push.field, FiniteWidthField):
        return FieldPush(_Scaled(push.field, gain), velocity_alone)
    if gain != 1:
        raise TypeError(f"the limit field of an MLP is known on the unit sphere alone: gain must be 1, got {gain:g}")
    return FieldPush(push.field, velocity_alone)


@block.register
def _(push: Diffusion, gain: float) -> Move:
    raise TypeError(f"private noise, {ON_THE_SPHERE}")


@dataclass(frozen=True, eq=False)
class ResidualPush:
    """x -> x + B(gain nrm(x)), B the velocity of a push of the sphere under the law of gain nrm(x).

    Attributes
    ----------
    push : the push on the sphere; its retraction is not used.   gain : length of what the block sees.
    """

    push: Move
    gain: float = 1.0

    @cached_property
    def block(self) -> Move:
        """nrm(x) to B(gain nrm(x)), a push of unit vectors."""
        return block(self.push, self.gain)

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """One step of the points x of a measure, and of riders, all in R^d."""
        directions = Cloud(unit(measure.points), measure.weights)
        added, more = self.block.move(directions, tuple(unit(points) for points in riders), make)
        moved = Cloud(measure.points + added.points, measure.weights)
        return moved, tuple(points + one for points, one in zip(riders, more, strict=True))


@dataclass(frozen=True, eq=False)
class PreNorm(Around):
    """The layers of a law as blocks of a residual stream: each push adds its velocity at gain nrm(x) to x in R^d.

    Parameters
    ----------
    law : any law of layers; the retractions of its pushes are not used.
    gain : length of the normalised tokens, 1 (the unit sphere) or d^(1/2) (RMSNorm).

    Examples
    --------
    >>> import numpy as np
    >>> from particles import GaussianHeads, Noise, PreNorm, RandomTransformer, Softmax, Tokens, Uniform, simulate
    >>> tokens = Tokens(Uniform(4).sample(np.random.default_rng(0), 16))
    >>> law = PreNorm(RandomTransformer(GaussianHeads(4), Softmax(2.0), eta=0.5, n_heads=2, noise=Noise(7)), gain=2.0)
    >>> run = simulate(tokens, law, n_steps=10, radius=3.0)
    >>> run.radius.values[0, 0], run.tokens.shape
    (np.float64(3.0), (11, 16, 4))
    """

    law: LayerLaw
    gain: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.gain, "gain")
        if isinstance(self.law, WithPrivateNoise):
            raise ArgumentError("law", "WithPrivateNoise", f"have no private noise, {ON_THE_SPHERE}")

    def refine(self, factor: int) -> "PreNorm":
        """The same path with shorter steps of the law within."""
        return replace(self, law=refine_within(self.law, factor))

    def layer(self, step: int) -> Layer:
        return tuple(ResidualPush(push, self.gain) for push in self.law.layer(step))


def start_points(tokens: AnyTokens, law: LayerLaw, radius: float) -> Array:
    """Points (n, d) that a run begins with: the tokens, in a residual stream of the given length."""
    check_radius(radius, law)
    return radius * tokens.points if isinstance(law, PreNorm) else tokens.points


def check_radius(radius: float, law: LayerLaw) -> None:
    """Refuse a length of the tokens at depth 0 that the layers do not admit."""
    check_positive(radius, "radius")
    if radius != 1 and not isinstance(law, PreNorm):
        text = 'be 1 unless the layers are a residual stream (PreNorm; norm "pre" or "rms")'
        raise ArgumentError("radius", radius, text)
