"""Where a density run stands: everything to go on from, bitwise, and its arrays for a file."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np

from particles import Array, BeginAgain, Characteristics, Cloud, Coefficients
from particles.derivatives import characteristics_of
from spde.carried import GRIDS
from spde.density import Density
from spde.said import Said
from spde.second import SecondNodes, second_of

JUMP = 30  # error in moment_tol above which a run begins again two levels higher


@dataclass(frozen=True)
class FieldError:
    """What the errors of the field have done to the low moments so far, estimated.

    Attributes
    ----------
    total : sum over the layers so far.   last : of the last layer whose field was evaluated twice, counted for every
        layer since.
    """

    total: float = 0.0
    last: float = 0.0

    def after(self, defects: Iterable[float]) -> "FieldError":
        """After a layer whose fields had these errors; NaN where none was found."""
        known = [defect for defect in defects if not math.isnan(defect)]
        last = max(known, default=self.last)
        return FieldError(self.total + last, last)


@dataclass(frozen=True, eq=False)
class DensityState:
    """A density after `step` layers.

    Attributes
    ----------
    coefficients : (modes,) at the last remap.
    nodes : carried nodes now.
    passive : (P, d) points that ride on the flow without acting on it.
    moving : grid nodes of the last remap, moved since then, with weights w_g rho(x_g); None right after a remap.
        Each component of the points is contiguous: sums may differ in the last bit where it is not.
    field_degree : largest degree of the last field, 0 at the start.
    characteristics : density along the carried nodes; None where it is not wanted.
    field_error : estimate of what the field's tolerance has cost.
    second : a second set of carried nodes; None where there is none (tokens).
    level : how often the carried nodes were made finer; None where they were given.
    panels : (P, 2 d) boxes of the panels that carried nodes stand in, see `Panels`; None where they stand on grids.
    said : the warnings of the run so far.   begun : the density at depth 0; None in a state that is read from a file.
    """

    step: int
    coefficients: Coefficients
    nodes: Cloud
    passive: Array
    moving: Cloud | None = None
    field_degree: int = 0
    characteristics: Characteristics | None = None
    field_error: FieldError = FieldError()
    second: SecondNodes | None = None
    level: int | None = None
    panels: Array | None = None
    said: Said = dataclass_field(default_factory=Said, repr=False)
    begun: Density | None = dataclass_field(default=None, repr=False)

    def arrays(self) -> dict[str, Array]:
        """The state by name, real arrays only."""
        arrays = {
            "step": np.asarray(self.step),
            "coefficients_real": self.coefficients.real,
            "coefficients_imag": self.coefficients.imag,
            "node": self.nodes.points,
            "node_weight": self.nodes.weights,
            "passive": self.passive,
            "field_degree": np.asarray(self.field_degree),
            "field_error": np.array([self.field_error.total, self.field_error.last]),
            "is_moving": np.asarray(int(self.moving is not None)),
        }
        if self.moving is not None:
            arrays |= {"moving": self.moving.points, "moving_weight": self.moving.weights}
        if self.characteristics is not None:
            arrays |= self.characteristics.arrays()
        if self.second is not None:
            arrays |= self.second.arrays()
        if self.level is not None:
            arrays |= {"node_level": np.asarray(self.level)}
        if self.panels is not None:
            arrays |= {"node_panel": self.panels}
        return arrays


def density_state(arrays: dict[str, Array]) -> DensityState:
    """Inverse of `DensityState.arrays`."""
    coefficients = np.empty(arrays["coefficients_real"].shape, dtype=np.complex128)
    coefficients.real = arrays["coefficients_real"]  # a sum with 1j * imag would lose the sign of zeros
    coefficients.imag = arrays["coefficients_imag"]
    return DensityState(
        int(arrays["step"]),
        coefficients,
        Cloud(arrays["node"], arrays["node_weight"]),
        arrays["passive"],
        Cloud(np.asfortranarray(arrays["moving"]), arrays["moving_weight"]) if int(arrays["is_moving"]) else None,
        int(arrays["field_degree"]),
        characteristics_of(arrays),
        FieldError(*map(float, arrays["field_error"])),
        second_of(arrays),
        int(arrays["node_level"]) if "node_level" in arrays else None,
        arrays.get("node_panel"),
    )


class NodesTooFew(BeginAgain):
    """Chosen nodes do not keep the low moments to moment_tol: the run is to begin again with finer ones."""

    def __init__(self, state: DensityState, error: float, depth_time: float, moment_tol: float) -> None:
        super().__init__(
            f"{len(state.nodes.points)} carried nodes leave an error of about {error:.1e} in mean and second moment at "
            f"depth time {depth_time:g} (moment_tol {moment_tol:.0e}); the run begins again with finer ones"
        )
        self.levels = 1 if error <= JUMP * moment_tol else 2
        self.state = state

    def finer(self, density: Density) -> Density:
        """The density to begin again with: on finer grids, beyond GRIDS levels without private noise in panels."""
        second, level = self.state.second, self.state.level or 0
        anew = second is None or second.drift is not None
        finer = density.finer(self.levels) or density.finer() if anew or level < GRIDS else None
        if finer is None and second is not None and not anew:
            finer = density.split(self.state.nodes.points, second.ridden)
        return finer or density
