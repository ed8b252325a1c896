"""Laws of layers: what a step does to a measure.  mathematics, sections 1 to 3.

A layer is a tuple of pushes; a push holds everything random and every step size.  Every law's layer(step) is a
pure function of (seed, member, step).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from particles.arrays import Array, as_array, check_count, check_positive
from particles.attention.base import AttentionPush, Kernel
from particles.errors import ArgumentError
from particles.given import check_heads, check_values_apart
from particles.heads import HeadLaw, ValuesApart
from particles.noise import Noise, Stream, check_splits, refined
from particles.pushes import Move
from particles.retraction import Retraction, normalize

Layer = tuple[Move, ...]


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
        check_count(self.d, "d", 2)
        check_positive(self.dt, "dt")

    def layer(self, step: int) -> Layer:
        """Layer number `step`."""
        found = self.function(step)
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True, eq=False)
class RandomTransformer:
    """The finite transformer: fresh heads in each layer, C_m = (eta/H) V_m, depth time dt = eta.

    Parameters
    ----------
    heads : law of one head.   kernel : how it averages.
    eta : residual step.
    n_heads : heads per layer.
    noise : source of randomness.
    """

    heads: HeadLaw
    kernel: Kernel
    eta: float
    n_heads: int
    noise: Noise
    retraction: Retraction = normalize

    def __post_init__(self) -> None:
        check_positive(self.eta, "eta")
        check_count(self.n_heads, "heads")
        check_heads(self.heads, self.n_heads)

    @property
    def dt(self) -> float:
        """Depth time of a layer, eta."""
        return self.eta

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.heads.d

    @property
    def noise_scale(self) -> float:
        """eps = eta/H; diffusive time is eps times depth time."""
        return self.eta / self.n_heads

    def layer(self, step: int) -> Layer:
        """Layer number `step`."""
        heads = self.heads.sample(self.noise.generator(Stream.HEADS, step), self.n_heads)
        out = self.noise_scale * heads.out
        push = AttentionPush(self.kernel, out, heads.query, heads.key, self.retraction, heads.inner, heads.parameters)
        return (push,)


@dataclass(frozen=True, eq=False)
class Homogenized:
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
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.heads.d

    @property
    def _drawn_dt(self) -> float:
        """Step of the path as it was drawn: the step that fresh nodes serve for."""
        return self.dt * self.splits / self.substeps

    def coarsen(self, factor: int) -> "Homogenized":
        """The same path with steps `factor` times as long: its increments are sums of this law's.

        Fresh nodes allow it as far as `refine` went before: they change from one step of the path as drawn to the next.
        """
        check_count(factor, "factor")
        undone = math.gcd(factor, self.splits)
        if not self.fixed and undone < factor:
            raise ValueError("only layers with fixed nodes can be coarsened; set fixed=True (nodes_fixed = true)")
        substeps = self.substeps * (factor // undone)
        return replace(self, dt=self.dt * factor, substeps=substeps, splits=self.splits // undone)

    def refine(self, factor: int) -> "Homogenized":
        """The same path with steps `factor` times as short, a power of two: fixed and fresh nodes.

        The Gaussian increments of a step are split by Brownian bridges (`particles.noise.refined`), so those of
        the fine steps sum to them; its fine steps keep its nodes.  With fresh nodes and a mean of the values c stays
        that of the step as drawn: mean and covariance of (4) hold over each of its steps, for every factor.
        """
        check_splits(factor, "factor")
        undone = math.gcd(factor, self.substeps)
        splits = self.splits * (factor // undone)
        return replace(self, dt=self.dt / factor, substeps=self.substeps // undone, splits=splits)

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


@dataclass(frozen=True, eq=False)
class RecordedLayers:
    """Given layers: depth time counts them (dt = 1).

    Parameters
    ----------
    out : (L, M, d, d), the C_m of each layer, every step size inside; or (L, M, d, k), left factors, beside `inner`.
    query, key : (L, M, head_dim, d), A_m = key_m^T query_m.
    kernel : how the heads average.
    inner : (L, M, k, d), the right factors, C_m = out_m inner_m.  None stands for the identity.
    """

    out: Array
    query: Array
    key: Array
    kernel: Kernel
    retraction: Retraction = normalize
    inner: Array | None = None

    def __post_init__(self) -> None:
        name = "mixing" if self.inner is None else "out"
        out = as_array(self.out, name, (None, None, None, None))
        n_layers, n_heads, d, rank = out.shape
        if n_layers < 1 or n_heads < 1 or d < 2 or (self.inner is None and rank != d):
            raise ArgumentError(name, out.shape, "have shape (layer, head, d, d) with d >= 2")
        query = as_array(self.query, "query", (n_layers, n_heads, None, d))
        object.__setattr__(self, "out", out)
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", as_array(self.key, "key", (n_layers, n_heads, query.shape[2], d)))
        if self.inner is not None:
            object.__setattr__(self, "inner", as_array(self.inner, "inner", (n_layers, n_heads, rank, d)))

    @classmethod
    def from_query_key(
        cls, mixing: Array, query_key: Array, kernel: Kernel, retraction: Retraction = normalize
    ) -> "RecordedLayers":
        """Layers given by the full matrices A_m = query_key[layer, head], shape (L, M, d, d)."""
        forms = as_array(query_key, "query_key", (None, None, None, None))
        identity = np.broadcast_to(np.eye(forms.shape[3]), (*forms.shape[:2], forms.shape[3], forms.shape[3]))
        if forms.shape[2] != forms.shape[3]:
            raise ArgumentError("query_key", forms.shape, "have shape (layer, head, d, d)")
        return cls(mixing, forms, np.ascontiguousarray(identity), kernel, retraction)

    @property
    def dt(self) -> float:
        """Depth time of a layer, 1."""
        return 1.0

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return int(self.out.shape[2])

    @property
    def beta(self) -> float:
        """Inverse temperature of the kernel; TypeError where it has none."""
        if not hasattr(self.kernel, "beta"):
            raise TypeError(f"layers files hold the beta of a kernel; {type(self.kernel).__name__} has none")
        return float(self.kernel.beta)

    @property
    def mixing(self) -> Array:
        """The C_m in full, (L, M, d, d)."""
        return self.out if self.inner is None else self.out @ self.inner

    @property
    def noise_scale(self) -> None:
        """None: recorded layers have no noise scale."""
        return None

    def __len__(self) -> int:
        return int(self.out.shape[0])

    def layer(self, step: int) -> Layer:
        """Layer number `step`; ValueError past the last one."""
        if not 0 <= step < len(self):
            raise ValueError(f"{len(self)} layers are recorded, layer {step} is not among them")
        inner = None if self.inner is None else self.inner[step]
        out, query, key = self.out[step], self.query[step], self.key[step]
        return (AttentionPush(self.kernel, out, query, key, self.retraction, inner),)


def record(law: LayerLaw, n_layers: int) -> RecordedLayers:
    """Write down the first `n_layers` layers of a law of single attention pushes."""
    pushes = []
    for step in range(n_layers):
        layer = law.layer(step)
        if len(layer) != 1 or not isinstance(layer[0], AttentionPush):
            kinds = ", ".join(type(push).__name__ for push in layer)
            raise ValueError(f"layer {step} is ({kinds}); only single attention pushes can be recorded")
        if layer[0].parameters is not None:
            raise ValueError(f"layer {step} has a kernel that differs from head to head; layers files hold one for all")
        pushes.append(layer[0])
    stack: Callable[[list[Array]], Array] = np.stack
    return RecordedLayers(
        stack([p.mixing for p in pushes]),
        stack([p.query for p in pushes]),
        stack([p.key for p in pushes]),
        pushes[0].kernel,
        pushes[0].retraction,
    )
