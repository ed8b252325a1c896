"""The deterministic limits: tokens that follow the mean of the layers, and the first correction to it.

ballistic dX = b dt, modified dX = (b + corrector) dt, b = P_x u, u = E[V m_A[mu](x)], mathematics (3):

    corrector = -(eta/2) nabla_b b - eta <x, u> b - eps P_x K(x, x) x.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar

import numpy as np

from particles.arrays import Array, check_count, check_not_negative, check_positive, unit
from particles.attention.base import AttentionPush, Kernel
from particles.errors import ArgumentError, made
from particles.given import must_average
from particles.heads import FixedHeads, ValuesApart
from particles.layers.base import Layer, OfHeads
from particles.layers.schemes import Euler, RungeKutta4, Scheme
from particles.measure import Cloud
from particles.noise import Noise, Stream, check_splits
from particles.pushes import Field, MakeField, Riders, field_degree
from particles.retraction import Retraction, normalize, tangent

EXACT_SHIFT = 1e-5  # displacement of central differences where fields are direct sums: cube root of the rounding
SERIES_SHIFT = 1e-3  # likewise where they are harmonic series, whose truncation error jumps with their degree

Sets = tuple[Array, ...]
"""Points of the measure, then of each set of riders."""


def mean_push(
    heads: ValuesApart | FixedHeads, kernel: Kernel, dt: float, nodes: int, noise: Noise, retraction: Retraction
) -> AttentionPush:
    """The push by dt u: C_m = dt Vbar/M at M nodes of the law of A, or C_h = dt V_h/H at the heads that are given."""
    if isinstance(heads, FixedHeads):
        return AttentionPush(kernel, dt / len(heads.value) * heads.value, heads.query, heads.key, retraction)
    query, key = heads.sample_query_key(noise.generator(Stream.HEADS), nodes)
    mixing = np.broadcast_to(dt / nodes * heads.mean_value, (nodes, heads.d, heads.d))
    return AttentionPush(kernel, np.ascontiguousarray(mixing), query, key, retraction)


def _check(law: "Ballistic | Modified") -> None:
    if not isinstance(law.heads, ValuesApart | FixedHeads):
        raise TypeError(f"a mean needs fixed heads or values independent of A; {type(law.heads).__name__} are neither")
    must_average(law.kernel)
    check_positive(law.dt, "dt")
    check_count(law.nodes, "nodes")


def _values(field: Field, sets: Sets) -> Sets:
    return tuple(field(points) if len(points) else points for points in sets)


def _split(sets: Sets) -> tuple[Array, Riders]:
    return sets[0], sets[1:]


@dataclass(frozen=True, eq=False)
class BallisticPush:
    """One step of dX = b dt.

    Attributes
    ----------
    mean : push by dt u.   scheme : time stepping.
    """

    mean: AttentionPush
    scheme: Scheme
    smooth: ClassVar[bool] = True

    def move(self, measure: Cloud, riders: Riders, make: MakeField) -> tuple[Cloud, Riders]:
        """One step; the scheme decides how many fields it takes."""
        return self.scheme.step(partial(self._velocity, make), measure, riders, self.mean.retraction)

    def _velocity(self, make: MakeField, measure: Cloud, riders: Riders) -> tuple[Array, Riders]:
        return _split(_values(make(self.mean, measure), (measure.points, *riders)))


@dataclass(frozen=True, eq=False)
class ModifiedPush(BallisticPush):
    """One step of dX = (b + corrector) dt, mathematics (3).

    Attributes
    ----------
    mean : push by dt u, with the retraction whose corrector is wanted.
    scheme : time stepping.   dt : depth time of the step.   eta : residual step.
    noise_scale : eps; 0 where the heads are not random.

    Notes
    -----
    nabla_b b is P_x times a central difference along b, in which the tokens of the measure move with the point.  Its
    displacement h balances truncation, of order h^2, against e/h, e the rounding or truncation of a field: 1e-5 for
    direct sums, 1e-3 for series.  A series cut at e = 1e-6 leaves at most eta e/(2h) per unit of depth time, and that
    only where its degree changes between the two ends; measured at beta = 1.5: 2e-10 in the mean, 1e-8 in the density
    of size 0.5 (tests/particles/layers/test_drift.py).
    """

    dt: float
    eta: float
    noise_scale: float

    def _velocity(self, make: MakeField, measure: Cloud, riders: Riders) -> tuple[Array, Riders]:
        """U; it takes three fields, and one for every node where eps > 0."""
        sets = (measure.points, *riders)
        along, spread, degree = self._mean_and_spread(make, measure, sets)
        drift = tuple(tangent(x, u) for x, u in zip(sets, along, strict=True))
        turn = self._turn(make, measure, sets, drift, SERIES_SHIFT if degree else EXACT_SHIFT)
        result = [b - self.eta / (2 * self.dt) * t for b, t in zip(drift, turn, strict=True)]
        if radial := self.mean.retraction.radial:  # what nrm(x + U) adds at second order, -<x, U> P U, in the mean
            for x, u, b, k, total in zip(sets, along, drift, spread, result, strict=True):
                total -= radial * self.eta / self.dt * np.einsum("ij,ij->i", x, u)[:, None] * b
                total -= radial * self.noise_scale / self.dt * tangent(x, k)
        return _split(tuple(result))

    def _mean_and_spread(self, make: MakeField, measure: Cloud, sets: Sets) -> tuple[Sets, Sets, int]:
        """U = dt u, dt^2 K(x, x) x with the covariance of u over the nodes, and the degree of the fields.

        The part sigma_v^2 s(x, x) x of K x is normal to the sphere and left out.
        """
        if not (self.noise_scale > 0 and self.mean.retraction.radial):
            field = make(self.mean, measure)
            return _values(field, sets), tuple(np.zeros_like(points) for points in sets), field_degree(field)
        total, square = [[np.zeros_like(points) for points in sets] for _ in range(2)]
        n_nodes, degree = len(self.mean.mixing), 0
        for one in range(n_nodes):
            field = make(self.mean.only(slice(one, one + 1)), measure)
            degree = max(degree, field_degree(field))
            for x, u, k, values in zip(sets, total, square, _values(field, sets), strict=True):
                u += values
                k += n_nodes * np.einsum("ij,ij->i", x, values)[:, None] * values
        for x, u, k in zip(sets, total, square, strict=True):
            k -= np.einsum("ij,ij->i", x, u)[:, None] * u
        return tuple(total), tuple(square), degree

    def _turn(self, make: MakeField, measure: Cloud, sets: Sets, drift: Sets, shift: float) -> Sets:
        """dt^2 nabla_b b; where |m_A| <= 1 no point moves farther than `shift`."""
        longest = float(np.linalg.norm(self.mean.mixing, ord=2, axis=(1, 2)).sum())
        if longest == 0:
            return tuple(np.zeros_like(points) for points in sets)
        step = shift / longest
        ends = []
        for sign in (1.0, -1.0):
            moved = tuple(unit(x + sign * step * b) for x, b in zip(sets, drift, strict=True))
            values = _values(make(self.mean, Cloud(moved[0], measure.weights)), moved)
            ends.append([tangent(x, u) for x, u in zip(moved, values, strict=True)])
        return tuple(
            tangent(x, (ahead - behind) / (2 * step)) for x, ahead, behind in zip(sets, *ends, strict=True)
        )


@made("the kernel is behind the heads: Ballistic(heads, Softmax(beta), dt=..., nodes=..., noise=...)")
@dataclass(frozen=True, eq=False)
class Ballistic(OfHeads):
    """Layers of the ballistic limit dX = b dt, all alike.

    Parameters
    ----------
    heads : law of one head; fixed heads are their own nodes.   kernel : how they average.
    dt : step in depth time.
    nodes : number M of forms A drawn once for all steps, weights 1/M; not used with fixed heads.
    noise : source of the nodes.
    scheme : time stepping.
    retraction : used by `Euler`, whose layer is the plain attention push.
    """

    heads: ValuesApart | FixedHeads
    kernel: Kernel
    dt: float
    nodes: int
    noise: Noise
    scheme: Scheme = RungeKutta4()  # noqa: RUF009 - immutable
    retraction: Retraction = normalize

    def __post_init__(self) -> None:
        _check(self)

    @property
    def noise_scale(self) -> None:
        """None: there is no noise, and no diffusive time."""
        return None

    @cached_property
    def mean(self) -> AttentionPush:
        """Push by dt u."""
        return mean_push(self.heads, self.kernel, self.dt, self.nodes, self.noise, self.retraction)

    def refine(self, factor: int) -> "Ballistic":
        """The same path with steps `factor` times as short: there is no noise, the nodes stay."""
        check_splits(factor, "factor")
        return replace(self, dt=self.dt / factor)

    def layer(self, step: int) -> Layer:
        """Layer number `step`; an Euler step is a plain attention push, which can be recorded."""
        return (self.mean,) if isinstance(self.scheme, Euler) else (BallisticPush(self.mean, self.scheme),)


@made("the kernel is behind the heads: Modified(heads, Softmax(beta), dt=..., eta=..., ..., noise=...)")
@dataclass(frozen=True, eq=False)
class Modified(OfHeads):
    """Layers of the ballistic limit with the corrector of a transformer of residual step eta, mathematics (3).

    Parameters
    ----------
    heads, kernel, dt, nodes, noise, scheme : as in `Ballistic`; `Euler` has itself an error
        dt/2 nabla_b b, so dt << eta then.
    eta : residual step.
    noise_scale : eps = eta/H, 0 for infinitely many heads.
    retraction : that of the transformer; the terms of nrm(x + U) are absent with `geodesic`.
    """

    heads: ValuesApart | FixedHeads
    kernel: Kernel
    dt: float
    eta: float
    noise_scale: float
    nodes: int
    noise: Noise
    scheme: Scheme = RungeKutta4()  # noqa: RUF009 - immutable
    retraction: Retraction = normalize

    def __post_init__(self) -> None:
        _check(self)
        check_positive(self.eta, "eta")
        check_not_negative(self.noise_scale, "noise_scale")
        if getattr(self.retraction, "radial", None) is None:
            known = "be normalize or geodesic, whose corrector is known"
            raise ArgumentError("retraction", str(self.retraction), known)

    def refine(self, factor: int) -> "Modified":
        """The same path with steps `factor` times as short: there is no noise, the nodes stay."""
        check_splits(factor, "factor")
        return replace(self, dt=self.dt / factor)

    @cached_property
    def _push(self) -> ModifiedPush:
        mean = mean_push(self.heads, self.kernel, self.dt, self.nodes, self.noise, self.retraction)
        eps = 0.0 if isinstance(self.heads, FixedHeads) else self.noise_scale
        return ModifiedPush(mean, self.scheme, self.dt, self.eta, eps)

    def layer(self, step: int) -> Layer:
        return (self._push,)
