"""Laws of layers: what a step does to a measure.  mathematics, sections 1 to 3.

A layer is a tuple of pushes; a push holds everything random and every step size.  Every law's layer(step) is a
pure function of (seed, member, step).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from particles.arrays import Array, check_count, check_positive
from particles.attention.base import Kernel
from particles.errors import ArgumentError
from particles.heads import FixedHeads, HeadLaw
from particles.measure import Cloud
from particles.pushes import Move

Layer = tuple[Move, ...]
Variables = dict[str, tuple[tuple[str, ...], Array, str]]
"""What a record says beside the moments: name -> (dimensions, values, long_name)."""


class LayerLaw(Protocol):
    """A sequence of layers: layer(step) moves the measure by dt in depth time."""

    @property
    def dt(self) -> float:
        """Depth time of a layer."""
        ...

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        ...

    @property
    def noise_scale(self) -> float | None:
        """eps, the ratio of diffusive time to depth time; None where there is none."""
        ...

    def layer(self, step: int) -> Layer:
        """The layer number `step`, counted from 0."""
        ...


@runtime_checkable
class Telling(LayerLaw, Protocol):
    """A law with something to say of a measure that goes through it."""

    def variables(self, measure: Cloud) -> Variables:
        """What a record says of a measure beside its moments."""
        ...


@runtime_checkable
class Refinable(LayerLaw, Protocol):
    """A law whose path is known with shorter steps too."""

    def refine(self, factor: int) -> "Refinable":
        """The same path with steps `factor` times as short, a power of two."""
        ...


def refine_within(law: LayerLaw, factor: int) -> Refinable:
    """The same path of a law with shorter steps; ValueError where there is none."""
    if not isinstance(law, Refinable):
        raise ValueError(f"{type(law).__name__} cannot be refined: its steps are its layers")
    return law.refine(factor)


@runtime_checkable
class Coarsened(LayerLaw, Protocol):
    """A law whose path is known with longer steps too."""

    def coarsen(self, factor: int) -> "Coarsened":
        """The same path with steps `factor` times as long."""
        ...


def coarsen_within(law: LayerLaw, factor: int) -> Coarsened:
    """The same path of a law with longer steps; ValueError where there is none."""
    if not isinstance(law, Coarsened):
        raise ValueError(f"{type(law).__name__} cannot be coarsened")
    return law.coarsen(factor)


class OfHeads:
    """A law of layers of heads, whose dimension it has."""

    heads: HeadLaw | FixedHeads

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.heads.d


def regrouped(taken: int, given: int, factor: int) -> tuple[int, int]:
    """Steps of a path in groups `factor` times as large: `given` groups are opened first, the rest is `taken` more."""
    undone = math.gcd(factor, given)
    return taken * (factor // undone), given // undone


class Around:
    """A law around another law, whose step, dimension and noise scale it has."""

    law: LayerLaw

    @property
    def dt(self) -> float:
        """Depth time of a layer."""
        return self.law.dt

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.law.d

    @property
    def noise_scale(self) -> float | None:
        """eps of the law within."""
        return self.law.noise_scale

    @property
    def kernel(self) -> Kernel:
        """Kernel of the law within; AttributeError where it has none."""
        return self.law.kernel  # type: ignore[attr-defined, no-any-return]


@dataclass(frozen=True, eq=False)
class Layers:
    """A law of layers of one's own.

    Parameters
    ----------
    function : step to a push or a tuple of pushes, a pure function; random ones draw from
        `noise.generator(Stream.USER, step)`.
    d : dimension of the tokens.   dt : depth time of a layer.   noise_scale : eps, where there is one.

    Examples
    --------
    See `Push`.
    """

    function: Callable[[int], Move | Layer]
    d: int
    dt: float
    noise_scale: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentError("function", self.function, "be a function of the step that gives a push")
        check_count(self.d, "d", 2)
        check_positive(self.dt, "dt")

    def layer(self, step: int) -> Layer:
        found = self.function(step)
        layer = found if isinstance(found, tuple) else (found,)
        for push in layer:
            if not hasattr(push, "move"):
                what = type(push).__name__
                raise TypeError(f"layer {step} must be a push (particles.Push), or a tuple of them; {what} is none")
        return layer
