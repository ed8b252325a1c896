"""The homogenized equation: the limit of many layers with many heads.  mathematics (5)."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from particles.arrays import Array, check_count, check_positive
from particles.attention.base import AttentionPush, Kernel
from particles.errors import ArgumentError, made
from particles.given import check_values_apart, must_average
from particles.heads import ValuesApart
from particles.layers.base import Layer, OfHeads, regrouped
from particles.noise import Noise, Stream, check_splits, refined
from particles.retraction import Retraction, normalize


@made("the kernel is behind the heads: Homogenized(heads, Softmax(beta), dt=..., nodes=..., noise=...)")
@dataclass(frozen=True, eq=False)
class Homogenized(OfHeads):
    """Euler-Maruyama layers of the homogenized equations (4) and (5), mathematics (6).

    Parameters
    ----------
    heads : law of one head with V = Vbar + V', V' independent of A.   kernel : how it averages.
    dt : step in depth time.
    nodes : number M of nodes A_m, weights 1/M.
    noise : source of randomness.
    noise_scale : eps.
    fixed : draw the nodes once (pathwise studies; `coarsen` needs it) instead of at every step.
    retraction : `normalize` integrates (4) with the drift b - eps P K x, `geodesic` with b; the same for Vbar = 0.
    substeps : number of fine steps whose increments are summed into one (set by `coarsen`).
    splits : number of fine steps that share the increments, and fresh nodes, of one step of the path as it was drawn;
        a power of two (set by `refine`).
    """

    heads: ValuesApart
    kernel: Kernel
    dt: float
    nodes: int
    noise: Noise
    noise_scale: float = 1.0
    fixed: bool = False
    retraction: Retraction = normalize
    substeps: int = 1
    splits: int = 1

    def __post_init__(self) -> None:
        must_average(self.kernel)
        check_positive(self.dt, "dt")
        check_positive(self.noise_scale, "noise_scale")
        check_count(self.nodes, "nodes")
        check_values_apart(self.heads, self.nodes)
        check_count(self.substeps, "substeps")
        check_splits(self.splits, "splits")
        if self.heads.mean_value.any() and not self.fixed:
            if self.nodes < 2:
                raise ArgumentError("nodes", self.nodes, "be at least 2 when mean_v is not zero")
            if not self._drawn_dt <= self.nodes * self.noise_scale:
                most = f"be at most nodes * noise_scale = {self.nodes * self.noise_scale:g} when mean_v is not zero"
                raise ArgumentError("dt", self._drawn_dt, most)

    @property
    def _drawn_dt(self) -> float:
        """Step of the path as it was drawn: the step that fresh nodes serve for."""
        return self.dt * self.splits / self.substeps

    def coarsen(self, factor: int) -> "Homogenized":
        """The same path with steps `factor` times as long: its increments are sums of this law's.

        Fresh nodes allow it as far as `refine` went before: they change from one step of the path as drawn to the next.
        """
        check_count(factor, "factor")
        substeps, splits = regrouped(self.substeps, self.splits, factor)
        if not self.fixed and substeps > self.substeps:
            raise ValueError("only layers with fixed nodes can be coarsened; set fixed=True (nodes_fixed = true)")
        return replace(self, dt=self.dt * factor, substeps=substeps, splits=splits)

    def refine(self, factor: int) -> "Homogenized":
        """The same path with steps `factor` times as short, a power of two: fixed and fresh nodes.

        The Gaussian increments of a step are split by Brownian bridges (`particles.noise.refined`), so those of
        the fine steps sum to them; its fine steps keep its nodes.  With fresh nodes and a mean of the values c stays
        that of the step as drawn: mean and covariance of (4) hold over each of its steps, for every factor.
        """
        check_splits(factor, "factor")
        splits, substeps = regrouped(self.splits, self.substeps, factor)
        return replace(self, dt=self.dt / factor, substeps=substeps, splits=splits)

    def layer(self, step: int) -> Layer:
        """Layer number `step`; C_m from mathematics (6)."""
        query, key = self._nodes(step)
        mixing = np.zeros((self.nodes, self.d, self.d))
        for fine in range(step * self.substeps, (step + 1) * self.substeps):
            mixing += self._mixing(fine)
        return (AttentionPush(self.kernel, mixing, query, key, self.retraction),)

    def _nodes(self, step: int) -> tuple[Array, Array]:
        if not self.fixed:
            return self.heads.sample_query_key(self.noise.generator(Stream.HEADS, step // self.splits), self.nodes)
        return self._fixed_nodes

    @cached_property
    def _fixed_nodes(self) -> tuple[Array, Array]:
        return self.heads.sample_query_key(self.noise.generator(Stream.HEADS), self.nodes)

    def _mixing(self, step: int) -> Array:
        dt, weight, eps = self.dt / self.substeps, 1.0 / self.nodes, self.noise_scale
        numbers = refined(self._normals, self.noise, Stream.MIXING, step, self.splits)
        matrices, scalars = numbers[: -self.nodes].reshape(self.nodes, self.d, self.d), numbers[-self.nodes :]
        mixing: Array = math.sqrt(eps * dt * weight) * self.heads.sigma_v * matrices
        mean = self.heads.mean_value
        if mean.any():
            factor = 1.0 if self.fixed else math.sqrt((self.nodes - self._drawn_dt / eps) / (self.nodes - 1))
            spread = math.sqrt(weight) * (scalars - scalars.mean())
            mixing += (dt * weight + factor * math.sqrt(eps * dt) * spread)[:, None, None] * mean
        return mixing

    def _normals(self, rng: np.random.Generator) -> Array:
        """Those of the matrices G_m, then those of the scalars z_m."""
        return rng.standard_normal(self.nodes * self.d**2 + self.nodes)
