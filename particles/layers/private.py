"""Private noise: every token takes Brownian steps of its own beside the common noise of the layers.

The generator gains nu times the Laplace-Beltrami operator, and (5) the term nu Lap rho dt (mathematics, section 8):
tokens step by sqrt(2 nu dt) P_x xi with independent normal xi, the density is smoothed by the heat kernel.  Common
noise moves mu_t as a whole; private noise does not make it random at all.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from particles.arrays import Array, check_count, check_not_negative
from particles.layers.base import Around, Layer, LayerLaw, refine_within
from particles.measure import Cloud
from particles.noise import Noise, Stream, check_splits, refined
from particles.pushes import MakeField, Riders, moved_together
from particles.retraction import Retraction, normalize


@dataclass(frozen=True, eq=False)
class Diffusion:
    """x -> T(x, sqrt(2 strength) P_x xi), xi standard normal in R^d, independent from token to token.

    Attributes
    ----------
    strength : nu dt; a smooth density is multiplied by exp(-strength l (l + d - 2)) in degree l.
    noise, step, replica : whose numbers; those of a token depend on its place among the points, not on their number.
    retraction : `geodesic` or `normalize`; both have weak order 1.
    splits : steps that share one step's numbers, split by Brownian bridges (`WithPrivateNoise.refine`).
    """

    strength: float
    noise: Noise
    step: int
    replica: int = 0
    retraction: Retraction = normalize
    splits: int = 1

    def increments(self, points: Array) -> Array:
        """sqrt(2 strength) xi at points (N, d), before the projection."""

        def draw(rng: np.random.Generator) -> Array:
            return rng.standard_normal(points.shape)

        normals = refined(draw, self.noise, Stream.PRIVATE, self.step, self.splits, self.replica)
        return math.sqrt(2 * self.strength) * normals

    def scatter(self, points: Array) -> Array:
        """Points (N, d) after independent steps; the first of more points take the steps that fewer would take."""
        increments = self.increments(points)
        increments -= np.einsum("ij,ij->i", points, increments)[:, None] * points
        return self.retraction(points, increments)

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """One step of the tokens and of riders, all independent of each other."""
        return moved_together(measure, riders, self.scatter)


def parted(layer: Layer) -> list[tuple[Layer, Diffusion | None]]:
    """The pushes of a layer up to a private step, and that step, one after the other; None behind the last pushes."""
    found: list[tuple[Layer, Diffusion | None]] = []
    first = 0
    for place, push in enumerate(layer):
        if isinstance(push, Diffusion):
            found.append((tuple(layer[first:place]), push))
            first = place + 1
    return found if found and first == len(layer) else [*found, (tuple(layer[first:]), None)]


def diffuses(law: LayerLaw) -> bool:
    """Whether layers have private noise, of the law itself or of one within."""
    found: object = law
    while found is not None:
        if getattr(found, "nu", 0.0) > 0:
            return True
        found = getattr(found, "law", None)
    return False


@dataclass(frozen=True, eq=False)
class WithPrivateNoise(Around):
    """The layers of a law with a private Brownian step of variance 2 nu dt per tangent direction behind each.

    Parameters
    ----------
    law : any law of layers on the sphere.
    nu : strength >= 0; 0 leaves the law as it is.
    noise, replica : source of the private numbers (stream PRIVATE); replicas share the common noise, not the private.
    splits : number of steps that share the numbers of one step of the path as it was drawn (set by `refine`).

    Examples
    --------
    >>> import numpy as np
    >>> from particles import GaussianHeads, Homogenized, Noise, Softmax, Tokens, Uniform, WithPrivateNoise, simulate
    >>> common = Homogenized(GaussianHeads(3), Softmax(2.0), dt=0.02, nodes=8, noise=Noise(7))
    >>> law = WithPrivateNoise(common, nu=0.1, noise=Noise(7))
    >>> tokens = Tokens(Uniform(3).sample(np.random.default_rng(0), 100))
    >>> simulate(tokens, law, n_steps=10, save_every=5).sizes["depth_time"]
    3
    """

    law: LayerLaw
    nu: float
    noise: Noise
    replica: int = 0
    retraction: Retraction = normalize
    splits: int = 1

    def __post_init__(self) -> None:
        check_splits(self.splits, "splits")
        check_not_negative(self.nu, "nu")
        if isinstance(self.law, WithPrivateNoise):
            raise ValueError("the layers have private noise already; add the strengths instead")
        if self.nu > 0 and diffuses(self.law):
            raise ValueError("the layers have private noise of their own already; add the strength there instead")
        check_count(self.replica, "replica", least=0)

    def refine(self, factor: int) -> "WithPrivateNoise":
        """The same path with shorter steps: the law's, and each token's own increments split."""
        return replace(self, law=refine_within(self.law, factor), splits=self.splits * factor)

    def layer(self, step: int) -> Layer:
        """Layer number `step`: the law's pushes, then the private step."""
        if self.nu == 0:
            return self.law.layer(step)
        strength = self.nu * self.dt
        private = Diffusion(strength, self.noise, step, self.replica, self.retraction, self.splits)
        return (*self.law.layer(step), private)
