"""The time loop of densities: the measure is pushed forward by each layer.  mathematics, section 7.

    field of the layer from the carried nodes -> T at carried nodes, passive points and grid nodes
    -> adjoint non-uniform transform of w_g rho(x_g) at T(x_g) -> coefficients
"""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from particles import output
from particles.arrays import Array, SolverError, as_array
from particles.attention import Attention, FieldFactory, field_of
from particles.characteristics import Characteristics, tangent_move
from particles.given import check_kernel
from particles.harmonics import Coefficients
from particles.layers import LayerLaw
from particles.private import Diffusion, WithPrivateNoise
from particles.pushes import AttentionPush, Field, FieldPush
from particles.residual import PreNorm
from particles.simulate import Progress, run, schedule
from particles.tokens import Cloud, WeightedPoints, unit_lengths
from spde.density import Density
from spde.diffusion import heat, nodes_anew
from spde.domain import SPHERES, Domain
from spde.field_choice import default_field
from spde.records import record_of, static_of
from spde.state import DensityState
from spde.watch import Watch, WatchedField, must_be_finite, stopping, unresolved, watched


@dataclass(frozen=True, eq=False)
class DensityFlow:
    """How a density is advanced and observed: everything of `solve` that does not change with depth.

    Parameters
    ----------
    sphere : grid and transforms.   law : law of the layers.   attention : kernel of the heads.
    field : factory of the velocity field.
    remap_every : layers between two remaps of the coefficients; 0 never: the carried nodes alone.
    on_unresolved : "warn" (once) or "stop" (SolverError) when the pointwise density is lost.
    characteristics : whether `start` follows the density along the carried nodes.
    carried : latitudes and longitudes of the nodes that private noise makes anew in each step.
    """

    sphere: Domain
    law: LayerLaw
    attention: Attention
    field: FieldFactory = default_field
    remap_every: int = 1
    on_unresolved: str = "warn"
    characteristics: bool = False
    carried: tuple[int, int] = (24, 48)
    _watch: Watch = dataclass_field(default_factory=Watch, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.law.d != self.sphere.d:
            known = " and ".join(f"S^{d - 1} (d = {d})" for d in SPHERES)
            raise ValueError(
                f"densities live on {known}; the density has d = {self.sphere.d}, the layers have d = {self.law.d}"
            )
        if self._diffuses and self.remap_every != 1:
            raise ValueError(f"remap_every must be 1 with private noise, got {self.remap_every}")
        if self._diffuses and self.characteristics:
            raise ValueError("characteristics follow a flow, and private noise has none: choose one of the two")
        if isinstance(self.law, PreNorm):
            raise ValueError("layers of a residual stream (PreNorm) move no density: directions are not Markov")

    @property
    def _diffuses(self) -> bool:
        return isinstance(self.law, WithPrivateNoise) and self.law.nu > 0

    def start(self, density: Density, passive: Array | None = None) -> DensityState:
        """State at depth 0, with unit vectors (P, d) that ride on the flow; ValueError where they are none."""
        check_kernel(self.attention, self.sphere.d)
        riders = np.zeros((0, self.sphere.d)) if passive is None else _points(passive, self.sphere.d)
        along = None
        if self.characteristics:
            if density.node_log_density is None:
                raise ValueError("characteristics need an initial density; tokens as the initial density have none")
            along = Characteristics.start(density.nodes.points, density.node_log_density)
        return DensityState(0, density.coefficients, density.nodes, riders, characteristics=along)

    def advance(self, state: DensityState, until: int, progress: Progress | None = None) -> DensityState:
        """Apply the layers state.step ... until - 1."""
        while state.step < until:
            moved = self._step(state)
            if self.on_unresolved == "stop" and self.remap_every and unresolved(self.density(moved)):
                raise SolverError(
                    "the pointwise density is no longer resolved; raise lmax, or on_unresolved = \"warn\" to go on",
                    step=state.step, depth_time=state.step * self.law.dt, state=state,
                )  # fmt: skip
            state = moved
            if progress is not None:
                progress(state.step)
        return state

    def _step(self, state: DensityState) -> DensityState:
        coefficients, nodes, moving, along = state.coefficients, state.nodes, state.moving, state.characteristics
        if self.remap_every and moving is None:
            values = self.sphere.synthesis(coefficients).ravel()
            moving = Cloud(self.sphere.points, self.sphere.weights * values)
        riders = (state.passive, *(() if moving is None else (moving.points,)))
        n_targets = len(nodes.points) + (0 if moving is None else len(moving.points))
        fields: list[WatchedField] = []

        def make(push: AttentionPush | FieldPush, measure: Cloud) -> Field:
            field = field_of(self.field, self.attention, push, measure, n_targets)
            fields.append(watched(field, self.sphere, self.attention, push, measure, n_targets, state.step))
            return fields[-1]

        diffusion = None
        with stopping(state, self.law.dt):
            for push in self.law.layer(state.step):
                if isinstance(push, Diffusion):
                    diffusion = push
                    riders = (push.scatter(riders[0]), *riders[1:])
                elif diffusion is not None:
                    raise ValueError("the private step must be the last push of a layer that moves a density")
                elif along is None:
                    nodes, riders = push.move(nodes, riders, make)
                else:
                    nodes, riders, along = tangent_move(push, nodes, riders, make, along)
            frames = () if along is None else (along.frame,)
            must_be_finite((nodes.points, *riders, *frames))
        self._watch.step(fields, state.step)
        if along is not None and state.characteristics is not None:
            self._watch.folds(int((along.folds > state.characteristics.folds).sum()), state.step)
        if moving is not None:
            moving = Cloud(np.asfortranarray(riders[1]), moving.weights)
            if (state.step + 1) % self.remap_every == 0:
                coefficients = self.sphere.adjoint_at(moving.weights, moving.points)
                moving = None
        if diffusion is not None:
            coefficients = heat(self.sphere, coefficients, diffusion.strength)
            nodes = self._made_anew(coefficients, state)
        degree = max((field.degree for field in fields), default=0)
        error = state.field_error.after(field.defect for field in fields)
        return DensityState(state.step + 1, coefficients, nodes, riders[0], moving, degree, along, error)

    def _made_anew(self, coefficients: Coefficients, state: DensityState) -> Cloud:
        """Carried nodes of a density that was smoothed; SolverError where it is negative."""
        try:
            return nodes_anew(self.sphere, coefficients, self.carried)
        except ValueError as error:
            depth = state.step * self.law.dt
            raise SolverError(str(error), step=state.step, depth_time=depth, state=state) from None

    def density(self, state: DensityState) -> Density:
        """The density of a state; between two remaps (or without any) projected from the moved nodes."""
        cloud = state.moving if self.remap_every else state.nodes
        if cloud is None:
            return Density(self.sphere, state.coefficients, state.nodes)
        return Density(self.sphere, self.sphere.adjoint_at(cloud.weights, cloud.points), state.nodes)

    def observe(self, state: DensityState) -> xr.Dataset:
        """The record of a state: variables of a density file at one depth."""
        density, depth_time, remapped = self.density(state), state.step * self.law.dt, bool(self.remap_every)
        lost = unresolved(density)
        self._watch.field(state.field_error.total, depth_time)
        if remapped:
            self._watch.density(density, depth_time, lost and self.on_unresolved == "warn", self._diffuses)
        return record_of(state, density, self.law, lost, remapped)

    def static(self, nodes: Cloud) -> xr.Dataset:
        """What a density file says once; with characteristics the weights of the nodes too."""
        return static_of(self.sphere, nodes if self.characteristics else None)


def _points(passive: ArrayLike, d: int) -> Array:
    if isinstance(passive, WeightedPoints):
        raise TypeError("passive points have no weights: give their positions, passive = tokens.points")
    points = as_array(passive, "passive", (None, d))
    if len(points):
        unit_lengths(points, "passive point")
    return points


def solve(
    density: Density,
    law: LayerLaw,
    attention: Attention,
    *,
    n_steps: int,
    save_every: int = 1,
    field: FieldFactory = default_field,
    passive: Array | None = None,
    remap_every: int = 1,
    on_unresolved: str = "warn",
    characteristics: bool = False,
    carried: tuple[int, int] = (24, 48),
    checkpoint: output.Recorder | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Solve the stochastic nonlinear Fokker-Planck equation (5) along one realization of the layers.

    Parameters
    ----------
    density : initial density, on S^2 or S^1.
    law : law of the layers, of the same d.
    attention : kernel of the heads.
    n_steps, save_every : numbers of layers; the first and the last state are always saved.
    field : factory of the velocity field.
    characteristics : follow the density along the carried nodes through any collapse; adds node, node_log_density,
        node_weight, entropy, area_defect, lyapunov and folds.
    passive : (P, d) unit vectors (to 1e-6) that ride on the flow (twins of tokens, samples); saved as `passive`.
    remap_every, on_unresolved, carried : see `DensityFlow`.
    checkpoint : recorder to use instead of memory.
    progress : called with the number of layers applied.

    Returns
    -------
    xarray.Dataset with density(depth_time, lat, lon), on the circle density(depth_time, lon),
    coefficients(depth_time, mode, part), moments and diagnostics.

    Raises
    ------
    TypeError, ValueError : characteristics of layers or densities that have none.
    SolverError : the state is no longer finite, or not resolved with on_unresolved = "stop", or negative where
        private noise makes nodes anew.

    Examples
    --------
    >>> from particles import GaussianHeads, Homogenized, Noise, Softmax, VonMisesFisherMixture
    >>> from spde import Density, Sphere, solve
    >>> start = Density.from_law(VonMisesFisherMixture([1.0], [[0.0, 0.0, 1.0]], [2.0]), Sphere(31))
    >>> law = Homogenized(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), dt=0.02, nodes=8, noise=Noise(7))
    >>> run = solve(start, law, Softmax(2.0), n_steps=10)
    >>> bool(abs(run.mass - 1).max() < 1e-12)
    True
    """
    flow = DensityFlow(
        density.sphere, law, attention, field, remap_every, on_unresolved, characteristics, carried
    )
    recorder = checkpoint if checkpoint is not None else output.Recorder(static=flow.static(density.nodes))

    def observe(state: DensityState) -> xr.Dataset:
        found = flow.observe(state)
        if len(state.passive):
            found["passive"] = (("depth_time", "passive_point", "component"), state.passive[None])
        return found

    run(
        flow.start(density, passive),
        advance=partial(flow.advance, progress=progress),
        observe=observe,
        save_steps=schedule(n_steps, save_every),
        recorder=recorder,
    )
    return recorder.result()
