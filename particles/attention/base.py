"""Attention: barycentres m_A[mu](x) of a weighted measure, in blocks of bounded memory.  mathematics (1)."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from particles.arrays import Array, cast
from particles.attention.tiles import PAIRS
from particles.errors import made
from particles.machine import product, side_by_side
from particles.measure import Cloud, Measure
from particles.pushes import Field, Push, SumField, SumPush
from particles.retraction import Retraction, normalize

TOGETHER = 8  # heads at work at a time, whatever the number of threads: memory
BLOCK = 1 << 16  # exponentials per block: 512 kB, so that a block stays in the second-level cache


class Kernel(Protocol):
    """How a head averages a measure.

    A head comes as query and key, (head_dim, d), with the scores s(x, y) = beta <query x, key y> = beta <Ax, y>.  All
    scales between tokens, queries and keys are in these: beta is the kernel's and stands beside A, nothing is divided
    by the root of head_dim, and a gain of normalised tokens (`PreNorm`) has gone into query and key before the kernel
    sees them.  So (beta, A) and (1, beta A) are one head, and L2 has |query x - key y|^2 beside beta likewise.
    """

    def barycenter(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Barycentre of one head at `points`: (N, d)."""
        ...


@runtime_checkable
class KernelOfHeads(Kernel, Protocol):
    """A kernel that differs from head to head, by parameters that heads carry."""

    def of_head(self, parameters: Array) -> Kernel:
        """The kernel of a head with these parameters, (p,)."""
        ...


@runtime_checkable
class DifferentiableKernel(Kernel, Protocol):
    """A kernel whose barycentres have a derivative in closed form."""

    def derivative(self, points: Array, measure: Measure, query: Array, key: Array) -> Array:
        """Derivative of the barycentre of one head at `points`: (N, d, d), [n, i, j] = dm_i/dx_j."""
        ...


@runtime_checkable
class ValueKernel(Kernel, Protocol):
    """A kernel that averages values instead of positions, in the precision of its arguments."""

    def averages(self, points: Array, measure: Measure, query: Array, key: Array, inner: Array) -> Array:
        """Averages of inner_m y, inner (M, k, d), by M heads at `points`, side by side: (N, M k)."""
        ...


class FieldFactory(Protocol):
    """What makes a field: injected into the time loops."""

    def __call__(self, push: "AttentionPush", measure: Measure, n_targets: int) -> Field:
        """Return U of `push` and `measure`; `n_targets` says at how many points it will be wanted."""
        ...


@runtime_checkable
class WiderFactory(FieldFactory, Protocol):
    """A factory that knows faster ways for pushes without attention, too."""

    def faster(self, push: Push, measure: Measure, n_targets: int) -> Field | None:
        """U of a push without attention; None where the push's own way is the one."""
        ...


@dataclass(frozen=True, eq=False)
class DirectField:
    """U(x) = sum_m C_m m_{A_m}[mu](x) summed over all points of the measure.  mathematics (2).  Any d; O(n) a point.

    Where C_m = out_m inner_m has rank k < d and the attention allows it, a head averages inner_m y: k entries, not d.
    Single precision is that of scores, averages and U; the tokens stay in double (`direct_field`).
    """

    push: "AttentionPush"
    measure: Measure
    n_targets: int = 0
    precision: type = np.float64

    def __post_init__(self) -> None:
        if self.precision not in (np.float64, np.float32):
            raise ValueError(f"precision must be numpy.float64 or numpy.float32, got {self.precision!r}")
        if self.precision != np.float64 and not isinstance(self.push.kernel, ValueKernel):
            raise TypeError(f"single precision is for softmax attention, got {type(self.push.kernel).__name__}")

    def __call__(self, points: Array) -> Array:
        """U at points (N, d)."""
        to, push, kernel = self.precision, self.push, self.push.kernel
        sources = Cloud(cast(self.measure.points, to), self.measure.weights)
        targets = sources.points if points is self.measure.points else cast(points, to)
        query, key = cast(push.query, to), cast(push.key, to)
        low = push.inner is not None and push.rank < points.shape[1] and push.parameters is None
        if low and push.inner is not None and isinstance(kernel, ValueKernel):
            averages = kernel.averages(targets, sources, query, key, cast(push.inner, to))
            out = cast(push.out, to).transpose(0, 2, 1).reshape(-1, points.shape[1])  # (M k, d)
            return cast(product(averages, out), np.float64)
        kernels = push.kernels
        velocity: Array = np.zeros(points.shape, to)

        def head(m: int) -> Array:
            found = kernels[m].barycenter(targets, sources, query[m], key[m])
            return product(found, cast(push.mixing[m], to).T)

        together = TOGETHER if len(points) * len(sources.points) >= PAIRS else 1
        for start in range(0, len(kernels), together):
            for found in side_by_side(head, range(len(kernels))[start : start + together]):
                velocity += found
        return cast(velocity, np.float64)

    def jacobian(self, points: Array) -> Array:
        """DU at points (N, d), shape (N, d, d)."""
        push, total = self.push, np.zeros((*points.shape, points.shape[1]))
        for kernel, mixing, query, key in zip(push.kernels, push.mixing, push.query, push.key, strict=True):
            if not isinstance(kernel, DifferentiableKernel):
                raise TypeError(f"characteristics need attention with a derivative; {type(kernel).__name__} has none")
            total += mixing @ kernel.derivative(points, self.measure, query, key)
        return total


def direct_field(precision: type = np.float64) -> FieldFactory:
    """Factory of direct fields that compute in the given precision, numpy.float64 or numpy.float32.

    In single precision U is right to about 1e-6 (1 + beta |A|) of its size, at half the time and memory
    (tests/particles/attention/test_low_rank.py).
    """
    return partial(DirectField, precision=precision)


@made("the kernel comes first: AttentionPush(Softmax(beta), out, query, key)")
@dataclass(frozen=True, eq=False)
class AttentionPush(Push):
    """U(x) = sum_m C_m m_{A_m}[mu](x), then a retraction.  mathematics (2).

    Attributes
    ----------
    kernel : how the heads average.
    out : (M, d, d), the C_m; or (M, d, k), their left factors, beside `inner`.
    query, key : (M, head_dim, d), A_m = key_m^T query_m.
    retraction : x, U -> T(x).
    inner : (M, k, d), the right factors: C_m = out_m inner_m, and a head averages the k entries of inner_m y instead
        of the d entries of y.  None stands for the identity.
    parameters : (M, p), those of the kernel in each head (`KernelOfHeads`); None where all heads have the same.
    """

    kernel: Kernel
    out: Array
    query: Array
    key: Array
    retraction: Retraction = normalize
    inner: Array | None = None
    parameters: Array | None = None

    def __post_init__(self) -> None:
        if self.parameters is not None and not isinstance(self.kernel, KernelOfHeads):
            raise TypeError(f"heads have parameters, and {type(self.kernel).__name__} takes none: it lacks of_head")

    @property
    def kernels(self) -> list[Kernel]:
        """The kernel of each head."""
        if self.parameters is None or not isinstance(self.kernel, KernelOfHeads):
            return [self.kernel] * len(self.query)
        return [self.kernel.of_head(one) for one in self.parameters]

    @property
    def rank(self) -> int:
        """k, the largest rank that the C_m can have; d where they are not factored."""
        return int(self.out.shape[2])

    @cached_property
    def mixing(self) -> Array:
        """The C_m in full, (M, d, d)."""
        return self.out if self.inner is None else self.out @ self.inner

    def only(self, heads: "slice | NDArray[np.bool_]") -> "AttentionPush":
        """Some of the heads, not factored."""
        parameters = None if self.parameters is None else self.parameters[heads]
        mixing, query, key = self.mixing[heads], self.query[heads], self.key[heads]
        return AttentionPush(self.kernel, mixing, query, key, self.retraction, parameters=parameters)

    def velocity(self, measure: Cloud) -> Field:
        """U by direct sums; the time loops may have a faster way."""
        return DirectField(self, measure)


def field_of(factory: FieldFactory, push: Push, measure: Cloud, n_targets: int) -> Field:
    """The velocity of a push, for the time loops: made by the factory where it knows how, else the push's own.

    It is made by the factory for attention, for sums part by part, and for what a `WiderFactory` knows.
    """
    if isinstance(push, SumPush):
        return SumField(tuple(field_of(factory, part, measure, n_targets) for part in push.parts))
    if isinstance(push, AttentionPush):
        if not callable(factory):
            got = type(factory).__name__
            raise TypeError(f"field must make a velocity field, as DirectField does, got {got}; a kernel is the law's")
        return factory(push, measure, n_targets)
    faster = factory.faster(push, measure, n_targets) if isinstance(factory, WiderFactory) else None
    field = push.velocity(measure) if faster is None else faster
    if not callable(field):
        got = type(field).__name__
        raise TypeError(f"{type(push).__name__}.velocity(measure) must give a function of points, got {got}")
    return field
