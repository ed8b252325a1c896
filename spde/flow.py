"""The time loop of densities: the measure is pushed forward by each layer.  mathematics, section 7.

    field of the layer from the carried nodes -> T at carried nodes, passive points and grid nodes
    -> adjoint non-uniform transform of w_g rho(x_g) at T(x_g) -> coefficients
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr

from particles import (
    ArgumentError,
    Array,
    BeginAgain,
    Characteristics,
    Cloud,
    Diffusion,
    Field,
    FieldFactory,
    Flow,
    Layer,
    LayerLaw,
    MakeField,
    PreNorm,
    Push,
    Riders,
    SolverError,
    check_kernel,
    check_tolerance,
    tangent_move,
)
from particles.attention import field_of
from particles.equations import Controlled, Equation, ExponentialRungeKutta4
from particles.files import DIGITS
from particles.layers import diffuses, parted
from spde.carried import auto_size
from spde.density import FIRST_SIZE, Density
from spde.diffusion import first_nodes, smoothed
from spde.domain.base import Domain
from spde.domain.choose import SPHERES
from spde.energies import energies
from spde.exponential import ExponentialStep
from spde.field.choice import default_field
from spde.files.records import record_of, static_of
from spde.given import passive_points
from spde.resolution import Resolution
from spde.second import SecondNodes
from spde.state import DensityState, NodesTooFew, density_state
from spde.watch import WatchedField, must_be_finite, stopping, watched
from spde.words import of_a_layer, of_a_record, of_free_energy

MOMENT_TOL = 1e-6


@dataclass(frozen=True, eq=False)
class DensityFlow(Flow[DensityState]):
    """How a density is advanced and observed: everything of `solve` that does not change with depth.

    Parameters
    ----------
    sphere : grid and transforms.   law : law of the layers.
    field : factory of the velocity field.
    remap_every : layers between two remaps of the coefficients; 0 never: the carried nodes alone.
    on_unresolved : "warn" (once) or "stop" (SolverError) when the pointwise density is lost.
    characteristics : whether `start` follows the density along the carried nodes.
    carried : latitudes and longitudes of the nodes that private noise makes anew in each step.
    moment_tol : error of mean and second moment that is not told.
    refine : whether a run begins again with finer nodes where the estimate of that error is larger; else it warns.
    save_passive : whether records hold the passive points.
    """

    sphere: Domain
    law: LayerLaw
    field: FieldFactory = default_field
    remap_every: int = 1
    on_unresolved: str = "warn"
    characteristics: bool = False
    carried: tuple[int, int] = FIRST_SIZE
    moment_tol: float = MOMENT_TOL
    refine: bool = False
    save_passive: bool = False

    def __post_init__(self) -> None:
        if self.law.d != self.sphere.d:
            known = " and ".join(f"S^{d - 1} (d = {d})" for d in SPHERES)
            raise ValueError(
                f"densities live on {known}; the density has d = {self.sphere.d}, the layers have d = {self.law.d}"
            )
        check_tolerance(self.moment_tol, "moment_tol")
        if self._diffuses and self.remap_every != 1:
            raise ArgumentError("remap_every", self.remap_every, "be 1 with private noise")
        if self._diffuses and self.characteristics:
            raise ArgumentError("characteristics", True, "be left out with private noise, which has no flow to follow")
        if self.on_unresolved == "stop" and not self.remap_every:
            raise ArgumentError("on_unresolved", "stop", "be \"warn\" with remap_every = 0, where nothing is resolved")
        if isinstance(self.law, PreNorm):
            text = "be no residual stream: directions alone, as a density has them, do not say how they move on"
            raise ArgumentError("law", "PreNorm", text)

    @property
    def _diffuses(self) -> bool:
        return diffuses(self.law)

    @cached_property
    def _exponential(self) -> ExponentialStep | None:
        """The step in coefficients alone, where the law asks for it."""
        law = self.law
        if isinstance(law, Equation) and isinstance(law.scheme, ExponentialRungeKutta4):
            return ExponentialStep(self.sphere, law)
        return None

    def start(self, density: Density, passive: Array | None = None) -> DensityState:
        """State at depth 0, with unit vectors (P, d) that ride on the flow; ValueError where they are none."""
        check_kernel(getattr(self.law, "kernel", None), self.sphere.d)
        riders = np.zeros((0, self.sphere.d)) if passive is None else passive_points(passive, self.sphere.d)
        along = None
        if self.characteristics:
            if density.node_log_density is None:
                raise ArgumentError("characteristics", True, "be left out where tokens are the initial density")
            along = Characteristics.start(density.nodes.points, density.node_log_density)
        if self._exponential is not None:
            if len(riders):
                raise ArgumentError("passive", passive, "be left out where tokens ride on the density")
            nodes, second = self._exponential.nodes(density.coefficients), None
        elif self._diffuses:
            nodes, second = first_nodes(density, self.carried)
        else:
            nodes = density.nodes
            second = None if density.carrying is None else SecondNodes.start(density.carrying.second())
        return DensityState(
            0, density.coefficients, nodes, riders, characteristics=along, second=second, level=density.level,
            panels=density.boxes, begun=density,
        )  # fmt: skip

    def fresh(self, state: DensityState) -> DensityState:
        return replace(state, said=state.said.copy())

    def again(self, start: DensityState, why: BeginAgain) -> "tuple[DensityFlow, DensityState]":
        """With finer nodes."""
        if not isinstance(why, NodesTooFew) or start.begun is None:
            raise why
        density = why.finer(start.begun)
        size = auto_size(density.sphere, density.level or 0)
        flow = replace(self, carried=size, refine=density.may_refine(self._diffuses))
        return flow, replace(flow.start(density, start.passive), said=why.state.said.anew())

    def step(self, state: DensityState) -> DensityState:
        """The density behind one more layer; SolverError where it is lost and on_unresolved = "stop"."""
        with stopping(state, self.law.dt):
            if self._exponential is None:
                moved = self._behind(replace(state, field_degree=0), self.law.layer(state.step))
            else:
                moved = self._at_once(state, self._exponential)
        moved = replace(moved, step=state.step + 1)
        if self.on_unresolved == "stop" and self.remap_every and Resolution.of(self.density(moved), moved).lost:
            advice = "raise lmax" if self._exponential is None else "lower dt or raise lmax"
            raise SolverError(
                f"the pointwise density is no longer resolved; {advice}, or on_unresolved = \"warn\" to go on",
                step=state.step, depth_time=state.step * self.law.dt, state=state,
            )  # fmt: skip
        return moved

    def _behind(self, state: DensityState, layer: Layer) -> DensityState:
        """After a layer; one of the splitting whose error is controlled is many."""
        if len(layer) == 1 and isinstance(layer[0], Controlled) and layer[0].diffuses and not len(state.passive):
            return layer[0].through(self._behind, self._gap, state)
        for pushes, diffusion in parted(layer):
            if pushes or diffusion is None:
                state = self._pushed(self._on_grid(state), pushes)
            if diffusion is not None:
                state = replace(state, passive=diffusion.scatter(state.passive))
            state = self._remapped(state, diffusion)
        return state

    def _gap(self, one: DensityState, two: DensityState) -> float:
        """Distance of two densities in L2."""
        share = np.where(self.sphere.orders > 0, 2, 1)
        return float(np.sqrt(share @ np.abs(one.coefficients - two.coefficients) ** 2))

    def _at_once(self, state: DensityState, step: ExponentialStep) -> DensityState:
        """Behind drift and private noise together."""
        coefficients = step(state.coefficients)
        must_be_finite((coefficients.real, coefficients.imag))
        return replace(state, coefficients=coefficients, nodes=step.nodes(coefficients))

    def _on_grid(self, state: DensityState) -> DensityState:
        """With the grid nodes of a remap that is behind, where they are wanted."""
        if not self.remap_every or state.moving is not None:
            return state
        values = self.sphere.synthesis(state.coefficients).ravel()
        return replace(state, moving=Cloud(self.sphere.points, self.sphere.weights * values))

    def _pushed(self, state: DensityState, pushes: Layer) -> DensityState:
        """After pushes of a layer; FloatingPointError where a number is none."""
        nodes, second, moving, along = state.nodes, state.second, state.moving, state.characteristics
        riders: Riders = (state.passive,)
        riders += () if second is None else (second.riders,)
        riders += () if moving is None else (moving.points,)
        fields: list[WatchedField] = []
        n_targets = len(nodes.points) + (0 if moving is None else len(moving.points))
        make, plain = self._makers(state.step, fields, n_targets)
        for push in pushes:
            if along is None:
                nodes, riders = push.move(nodes, riders, make)
            else:
                nodes, riders, along = tangent_move(push, nodes, riders, make, along)
        must_be_finite((nodes.points, *riders, *(() if along is None else (along.frame,))))
        said = state.said.copy()
        given = getattr(self.law, "tolerance", None) is None  # the length of the steps
        folded = 0 if along is None else along.folded_since(state.characteristics)
        of_a_layer(said, fields if given else (), folded, state.step)
        return replace(
            state,
            nodes=nodes,
            passive=riders[0],
            moving=None if moving is None else Cloud(np.asfortranarray(riders[-1]), moving.weights),
            field_degree=max([state.field_degree, *(field.degree for field in fields)]),
            characteristics=along,
            field_error=state.field_error.after(field.defect for field in fields),
            second=None if second is None else second.after(riders[1], pushes, plain, state.step),
            said=said,
        )

    def _makers(self, step: int, fields: list[WatchedField], n_targets: int) -> tuple[MakeField, MakeField]:
        """What makes the fields of a layer for n_targets points: watched ones, kept in `fields`, and plain ones."""

        def plain(push: Push, measure: Cloud) -> Field:
            return field_of(self.field, push, measure, n_targets)

        def make(push: Push, measure: Cloud) -> Field:
            field = plain(push, measure)
            fields.append(watched(field, self.sphere, push, measure, n_targets, step))
            return fields[-1]

        return make, plain

    def _remapped(self, state: DensityState, diffusion: Diffusion | None) -> DensityState:
        """In a layer: coefficients are those of the moved grid nodes where it is time; then the heat."""
        if not self.remap_every or (state.step + 1) % self.remap_every:
            return state
        if state.moving is not None:
            coefficients = self.sphere.adjoint_at(state.moving.weights, state.moving.points)
            state = replace(state, coefficients=coefficients, moving=None)
        if diffusion is None:
            return state
        warmed, nodes, second = smoothed(
            self.sphere, state.coefficients, diffusion.strength, self.carried, state.second
        )
        return replace(state, coefficients=warmed, nodes=nodes, second=second)

    def density(self, state: DensityState) -> Density:
        """The density of a state; between two remaps (or without any) projected from the moved nodes."""
        cloud = state.moving if self.remap_every else state.nodes
        if cloud is None:
            return Density(self.sphere, state.coefficients, state.nodes)
        return Density(self.sphere, self.sphere.adjoint_at(cloud.weights, cloud.points), state.nodes)

    def record(self, state: DensityState) -> xr.Dataset:
        """Variables of a density file at one depth."""
        density, depth_time = self.density(state), round(state.step * self.law.dt, DIGITS)
        found = Resolution.of(density, state)
        if self.refine and found.nodes > self.moment_tol:
            raise NodesTooFew(state, found.nodes, depth_time, self.moment_tol)
        of_a_record(
            state.said,
            found,
            depth_time,
            field_error=state.field_error.total,
            moment_tol=self.moment_tol,
            chosen=state.level is not None and not self._diffuses,
            local=bool(self.remap_every) and self.on_unresolved == "warn",
        )
        along = state.characteristics
        more = energies(self.law, density, self.field, None if along is None else along.entropy(state.nodes.weights))
        if "free_energy" in more and not getattr(self.law, "common", ()):
            of_free_energy(state.said, float(more["free_energy"][1]), depth_time)
        record = record_of(state, density, self.law, found, bool(self.remap_every), more)
        if self.save_passive:
            record["passive"] = (("depth_time", "passive_point", "component"), state.passive[None])
        return record

    def static(self, start: DensityState) -> xr.Dataset:
        """What a density file says once; with characteristics the weights of the nodes too."""
        found = static_of(self.sphere, start.nodes if self.characteristics else None)
        return found if start.begun is None else found.assign_attrs(carried_nodes=self._nodes_text(start.begun))

    def _nodes_text(self, density: Density) -> str:
        """The carried nodes in words."""
        if self._exponential is not None:
            return "the points of the grid"
        if not self._diffuses:
            return density.nodes_text
        level = "" if density.level is None else f"auto, level {density.level}: "
        return f"{level}{self.carried[0]} x {self.carried[1]}, made anew in each step"

    def restore(self, arrays: dict[str, Array]) -> DensityState:
        return density_state(arrays)
