"""MLP blocks behind the layers of any law: x -> nrm(x + sqrt(dt) g(x)).  mathematics, section 3.

g(y) = width^-1/2 Wo act(d^-1/2 Wi y + b_i) + b_o with weights drawn afresh in each layer (Agazzi, Bruno, Mosig
Garcia, Saviozzi and Romito 2604.26898).  Cov(g(x), g(y)) = k(<x, y>) I for every width; infinitely wide blocks give
the Gaussian field with this covariance.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from particles.arrays import Array, check_count, check_not_negative
from particles.errors import ArgumentError
from particles.layers.base import Around, Layer, LayerLaw, coarsen_within, refine_within, regrouped
from particles.layers.mlp.kernels import Activation, DualKernel
from particles.layers.mlp.random_fields import FourierField, HarmonicField, draw
from particles.measure import Cloud
from particles.noise import Noise, Stream, check_splits, refined
from particles.pushes import FieldPush, MakeField, Move, Riders, moved_together
from particles.retraction import Retraction, normalize

BLOCK = 1 << 18  # weights, and activations, held at a time: 2 MB each
MOST_POINTS = 2048  # of a joint draw: a symmetric eigenvalue problem of that size in every layer
SERIES_DEGREE = 63  # of kernels without closed form, which fall below rounding well before


@dataclass(frozen=True)
class MLPBlock:
    """Law of an MLP block with one hidden layer, Gaussian weights and biases.

    Parameters
    ----------
    activation : act, one of `particles.layers.mlp.kernels.ACTIVATIONS` or an `Activation` of one's own.
    width : hidden units; 0 stands for infinitely many, the Gaussian field with the same covariance.
    sigma_r, sigma_w : standard deviations of the inner bias b_i and of the outer bias b_o.
    """

    activation: Activation
    width: int = 0
    sigma_r: float = 0.0
    sigma_w: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"activation must be an Activation (see ACTIVATIONS), got {self.activation!r}")
        check_count(self.width, "width", least=0)
        check_not_negative(self.sigma_r, "sigma_r")
        check_not_negative(self.sigma_w, "sigma_w")

    def kernel(self, d: int) -> DualKernel:
        """k with Cov(g(x), g(y)) = k(<x, y>) I for tokens in R^d; the same for every width."""
        return DualKernel(self.activation, d, self.sigma_r, self.sigma_w)


@dataclass(frozen=True, eq=False)
class FiniteWidthField:
    """scale * g(x), g a block of finite width with the weights of one step.

    The weights are drawn whenever they are wanted, some hidden units at a time: memory does not grow with the width.
    """

    block: MLPBlock
    d: int
    scale: float
    noise: Noise
    step: int

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        velocity = np.tile(self._outer_bias(), (len(points), 1))
        for inner, bias, out in self.units():
            for part in _rows(len(points), len(bias)):
                velocity[part] += self.block.activation.function(points[part] @ inner + bias) @ out
        return velocity

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d)."""
        total = np.zeros((len(points), self.d, self.d))
        for inner, bias, out in self.units():
            for part in _rows(len(points), len(bias)):
                slopes = self.block.activation.derivative(points[part] @ inner + bias)
                total[part] += np.einsum("nu,ui,ju->nij", slopes, out, inner, optimize=True)
        return total

    def _outer_bias(self) -> Array:
        rng = self.noise.generator(Stream.MLP, self.step)
        return self.scale * self.block.sigma_w * rng.standard_normal(self.d)

    def units(self) -> Iterator[tuple[Array, Array, Array]]:
        """Weights of some hidden units at a time: inner (d, size), bias (size,), outer (size, d)."""
        rng, block = self.noise.generator(Stream.MLP, self.step), self.block
        rng.standard_normal(self.d)  # the outer bias
        units = max(1, BLOCK // self.d)
        for start in range(0, block.width, units):
            size = min(units, block.width - start)
            inner = rng.standard_normal((self.d, size)) / math.sqrt(self.d)
            bias = block.sigma_r * rng.standard_normal(size)
            yield inner, bias, self.scale / math.sqrt(block.width) * rng.standard_normal((size, self.d))


def _rows(n: int, size: int) -> Iterator[slice]:
    rows = max(1, BLOCK // size)
    return (slice(first, first + rows) for first in range(0, n, rows))


@dataclass(frozen=True, eq=False)
class JointPush:
    """The Gaussian field of covariance scale^2 k(<x, y>) I, drawn at all points of a measure and its riders at once.

    For dimensions without a series.  The field at a point then depends on which other points there are: it is the same
    in law, not realization by realization, for another set of tokens.  By the symmetric square root of the matrix
    k(<x_i, x_j>), whose rounding hides the relative motion of tokens closer than about 1e-7.
    """

    kernel: DualKernel
    scale: float
    noise: Noise
    step: int
    retraction: Retraction = normalize

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """One step by one realization; ValueError beyond `MOST_POINTS` points."""
        return moved_together(measure, riders, self._moved)

    def _moved(self, points: Array) -> Array:
        check_joint(len(points), self.kernel.d)
        values, vectors = np.linalg.eigh(self._covariance(points))
        roots = np.sqrt(np.maximum(values, 0.0))  # the matrix has no negative eigenvalue but by rounding
        normal = self.noise.generator(Stream.MLP, self.step).standard_normal(points.shape)
        return self.retraction(points, self.scale * (vectors @ (roots[:, None] * (vectors.T @ normal))))

    def _covariance(self, points: Array) -> Array:
        overlap = np.clip(points @ points.T, -1.0, 1.0)  # of unit vectors, beyond 1 by rounding only
        if self.kernel.activation.dual is not None:
            return self.kernel.value(overlap)
        return np.asarray(np.polynomial.legendre.legval(overlap, _series(self.kernel)), dtype=np.float64)


@lru_cache(maxsize=8)
def _series(kernel: DualKernel) -> Array:
    """A kernel without closed form, to be evaluated at very many overlaps."""
    return kernel.legendre(SERIES_DEGREE).coefficients


def check_joint(n: int, d: int) -> None:
    """Refuse a joint draw at too many points."""
    if n > MOST_POINTS:
        most = f"the limit field is drawn jointly for d = {d}, at no more than {MOST_POINTS}"
        raise ArgumentError("width", 0, f"be at least 1 for {n} points: {most}")


@dataclass(frozen=True, eq=False)
class WithMLP(Around):
    """The layers of a law with an MLP block behind each: x -> T(x + sqrt(dt) g(x)), dt the depth time of the layer.

    With `RandomTransformer` of one fixed head and eta = tau/L it is the chain of Agazzi et al. with L layers up to
    depth time tau, and with width 0 a splitting scheme of its limit: (4) with the drift of the head, K = k(<x, y>) I.

    Parameters
    ----------
    law : any law of layers.
    block : law of the MLP block.
    noise : source of randomness; its stream MLP is used.
    retraction : x, U -> T(x) of the block.
    substeps : number of fine steps whose increments are summed into one (set by `coarsen`).
    splits : number of fine steps that share the increment of one step of the path as it was drawn (set by `refine`).

    Examples
    --------
    >>> import numpy as np
    >>> from particles import FixedHeads, Linear, MLPBlock, Noise, RandomTransformer, Tokens, Uniform, WithMLP, simulate
    >>> from particles.layers.mlp.kernels import ACTIVATIONS
    >>> heads = FixedHeads(np.eye(5)[None], np.eye(5)[None], np.eye(5)[None])
    >>> chain = RandomTransformer(heads, Linear(), eta=0.1, n_heads=1, noise=Noise(7))
    >>> law = WithMLP(chain, MLPBlock(ACTIVATIONS["relu"], width=64), Noise(7))
    >>> tokens = Tokens(Uniform(5).sample(np.random.default_rng(0), 16))
    >>> simulate(tokens, law, n_steps=10, save_every=5).sizes["depth_time"]
    3
    """

    law: LayerLaw
    block: MLPBlock
    noise: Noise
    retraction: Retraction = normalize
    substeps: int = 1
    splits: int = 1

    def __post_init__(self) -> None:
        check_splits(self.splits, "splits")
        if not self.block.width:
            self.block.kernel(self.law.d)  # refuses what has no kernel
        check_count(self.substeps, "substeps")

    @property
    def most_points(self) -> int | None:
        """How many points the block can move; None: any number."""
        return None if self.block.width or self.d in (2, 3) else MOST_POINTS

    def coarsen(self, factor: int) -> "WithMLP":
        """The same path with longer steps: increments of the limit field are sums of this law's (width 0, d = 2, 3)."""
        self._needs_series("coarsen")
        substeps, splits = regrouped(self.substeps, self.splits, factor)
        return replace(self, law=coarsen_within(self.law, factor), substeps=substeps, splits=splits)

    def refine(self, factor: int) -> "WithMLP":
        """The same path with shorter steps: increments of the limit field are split (width 0, d = 2, 3).

        Those of a block of finite width are not Gaussian, and no sum of two independent ones like them.
        """
        check_splits(factor, "factor")
        self._needs_series("refine")
        splits, substeps = regrouped(self.splits, self.substeps, factor)
        return replace(self, law=refine_within(self.law, factor), substeps=substeps, splits=splits)

    def _needs_series(self, what: str) -> None:
        if self.block.width:
            raise ArgumentError("width", self.block.width, f"be 0 (the limit field) to {what} a path")
        if self.most_points is not None:
            raise ArgumentError("d", self.d, f"be 2 or 3 to {what} the path of a limit field")

    def layer(self, step: int) -> Layer:
        """Layer number `step`: the law's pushes, then the block's."""
        return (*self.law.layer(step), self._push(step))

    def _push(self, step: int) -> Move:
        d, block, noise = self.d, self.block, self.noise
        scale = math.sqrt(self.dt / self.substeps)
        if block.width:
            return FieldPush(FiniteWidthField(block, d, scale, noise, step), self.retraction)
        kernel = block.kernel(d)
        if d not in (2, 3):
            return JointPush(kernel, scale, noise, step, self.retraction)
        fine = range(step * self.substeps, (step + 1) * self.substeps)
        drawn = [refined(partial(draw, kernel), noise, Stream.MLP, k, self.splits) for k in fine]
        coefficients = scale * np.sum(drawn, axis=0)
        return FieldPush((HarmonicField if d == 3 else FourierField)(coefficients), self.retraction)
