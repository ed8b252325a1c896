"""Where carried nodes stand: on a given grid, or, by default, where the mass of the initial law is.

A law in one piece of concentration kappa > SPREAD gets the image of a Gauss grid under the conformal map of the sphere
that contracts it to the axis of the piece; in stereographic coordinates r -> eps r with eps^2 = SPREAD / kappa.  Pulled
back by it the piece is about as wide as the sphere, whatever kappa, and the map is analytic, so the rule keeps the
convergence of the grid.  Wide pieces share one grid.  A piece of a mixture is weighted by its own density.

Where a flow leaves finer grids wrong as well, panels take their place, halved where the run that failed was steep.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from particles import Array, Cloud, InitialDensity, VonMisesFisherMixture
from spde.domain.base import Domain
from spde.given import density_at
from spde.panels import ORDER, Panels

Size = tuple[int, int]
SPREAD = 4.0  # concentration up to which pieces share a grid, and that of a contracted piece seen in its own grid
ALONE, SHARED = 1152, 2048  # nodes of a law in one contracted piece; of the grid that wide pieces share
GROWTH = 1.5  # more nodes in each direction from one level of grids to the next
MOST = 40_000  # nodes beyond which no grid goes
GRIDS = 2  # levels up to which a run that begins again does so with grids: right for what is smooth
MOST_IN_PANELS = 100_000  # nodes that panels may have: so many are needed where a flow tears the sphere
MASS_TOLERANCE = 1e-6  # of the weights of a given grid
AUTO_MASS_TOLERANCE = 1e-9  # of those of nodes that are chosen


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a law: its density, which integrates to its share, and where it is; kappa <= SPREAD: everywhere."""

    pdf: Callable[[Array], Array]
    axis: Array
    kappa: float


def pieces_of(law: InitialDensity, mean: Array) -> list[Piece]:
    """Wide components of a mixture together, narrow ones alone; other laws in one piece about their mean (d,)."""
    d = len(mean)
    if not isinstance(law, VonMisesFisherMixture):
        length = float(np.linalg.norm(mean))
        kappa = (d - 1) / 2 / max(1 - length, 1e-15)  # of the narrow von Mises-Fisher law with this mean
        return [Piece(law.pdf, mean, kappa if length > 0 else 0.0)]
    narrow = law.kappas > SPREAD
    found = [Piece(_part(law, one), law.means[one], float(law.kappas[one])) for one in np.flatnonzero(narrow)]
    if not narrow.all():
        found.insert(0, Piece(_part(law, ~narrow), law.means[0], 0.0))
    return found


def _part(law: VonMisesFisherMixture, which: "np.ndarray | np.intp") -> Callable[[Array], Array]:
    """Density of some components of a mixture, times their share of it."""
    weights, kappas = np.atleast_1d(law.weights[which]), np.atleast_1d(law.kappas[which])
    means = np.atleast_2d(law.means[which])
    part, share = VonMisesFisherMixture(weights, means, kappas), float(weights.sum())
    return lambda points: share * part.pdf(points)


def coarser(size: Size) -> Size:
    """A grid of a twelfth fewer nodes in each direction (a very small one: of more), never the same."""
    latitudes, longitudes = size
    if min(size) < 4:
        return latitudes + 1, longitudes + 2
    return latitudes - max(1, round(latitudes / 12)), longitudes - 2 * max(1, round(longitudes / 24))


def contracted(points: Array, area: Array, axis: Array, kappa: float) -> tuple[Array, Array]:
    """A quadrature contracted to an axis (d,), where a piece of concentration kappa is; nodes (n, d), areas (n,)."""
    if kappa <= SPREAD:
        return points, area
    shrink = math.sqrt(SPREAD / kappa)
    height = points[:, -1]
    below = 1 + height + shrink**2 * (1 - height)
    scale = 2 * shrink / below
    moved = np.column_stack([points[:, :-1] * scale[:, None], 1 - 2 * shrink**2 * (1 - height) / below])
    return moved @ _frame(axis).T, area * scale ** (len(axis) - 1)


def _frame(axis: Array) -> Array:
    """A rotation (d, d) whose last column is the axis."""
    pole = axis / np.linalg.norm(axis)
    frame, triangle = np.linalg.qr(np.column_stack([pole, np.eye(len(axis))]))
    frame = frame * np.sign(triangle[0, 0])
    return np.column_stack([frame[:, 1:], frame[:, 0]])


@dataclass(frozen=True, eq=False)
class Carrying:
    """The carried nodes of a law, and how they were chosen.

    Attributes
    ----------
    sphere, law : where, and of what.   pieces : its parts.
    size : of the grid, where it is given.   level : of nodes that are chosen, from 0; None where they are given.
    panels : in the place of the grids, after a run that failed.
    """

    sphere: Domain
    law: InitialDensity
    pieces: tuple[Piece, ...]
    size: Size | None = None
    level: int | None = None
    panels: Panels | None = None

    @classmethod
    def of(
        cls, law: InitialDensity, sphere: Domain, mean: Array, size: Size | None, enough: Size, rounding: float = 0.0
    ) -> "Carrying":
        """Nodes on a grid of the given size; without one as many as the law needs, where its mass is.

        Raises ValueError where they do not integrate the density; `enough` is a size that would.  rounding : how far
        its mass may be from 1 because of the precision of its values.
        """
        if size is not None:
            found = cls(sphere, law, (Piece(law.pdf, mean, 0.0),), size)
            mass = float(found._rule(False)[1].sum())
            if abs(mass - 1) > MASS_TOLERANCE:
                raise ValueError(
                    f"carried_nodes = [{size[0]}, {size[1]}] give the initial density the mass {mass:.6g}; "
                    f"[{enough[0]}, {enough[1]}] are enough"
                )
            return found
        if (length := float(np.linalg.norm(mean))) > 1 + MASS_TOLERANCE:
            raise ValueError(f"the initial density is negative somewhere: its mean has the length {length:.4g}")
        chosen: Carrying | None = cls(sphere, law, tuple(pieces_of(law, mean)), level=0)
        while chosen is not None:
            mass = float(chosen._rule(False)[1].sum())
            if abs(mass - 1) <= max(AUTO_MASS_TOLERANCE, rounding):
                return chosen
            chosen = chosen.finer()
        raise ValueError(
            f'carried_nodes = "auto" gives the initial density the mass {mass:.6g}; '
            f"[{enough[0]}, {enough[1]}] are enough"
        )

    @property
    def sizes(self) -> list[Size]:
        """Size of the grid of each piece."""
        if self.size is not None:
            return [self.size]
        share = 1 / math.sqrt(len(self.pieces))
        return [auto_size(self.sphere, self.level or 0, share, one.kappa) for one in self.pieces]

    def finer(self, levels: int = 1) -> "Carrying | None":
        """The same with finer grids; None where they are given, or would be too many."""
        if self.level is None or self.panels is not None:
            return None
        found = Carrying(self.sphere, self.law, self.pieces, None, self.level + levels)
        return found if sum(len(self.sphere.quadrature(size)[1]) for size in found.sizes) <= MOST else None

    @property
    def may_split(self) -> bool:
        """Whether `split` finds panels."""
        if self.level is None:
            return False
        return (self._first_panels if self.panels is None else self.panels).size < MOST_IN_PANELS

    def split(self, moved: Array, ridden: Array) -> "Carrying | None":
        """The same with finer panels, by what became of the nodes and of the second ones in a run, (n, d) each.

        From grids panels are begun, of about the nodes of the first finer level.  None where nodes are given, or would
        be too many.
        """
        if self.level is None:
            return None
        panels: Panels | None = self._first_panels
        if self.panels is not None:
            found = []
            for second, points in enumerate((moved, ridden)):
                weights = self._rule(bool(second))[1]
                places = np.zeros((len(weights), self.sphere.d))
                places[weights > 0] = points
                found.append((weights / weights.sum(), places))
            panels = self.panels.halved(found[0], found[1], MOST_IN_PANELS)
        elif self._first_panels.size > MOST_IN_PANELS:
            panels = None
        return None if panels is None else self.at(self.level + 1, panels)

    @property
    def _first_panels(self) -> Panels:
        grids, more = self.at(0).sizes, GROWTH ** (self.sphere.d - 1)
        return Panels.uniform(self.sphere.d, [round(more * len(self.sphere.quadrature(size)[1])) for size in grids])

    def at(self, level: int, panels: Panels | None = None) -> "Carrying":
        """The same at another level, or with panels."""
        return Carrying(self.sphere, self.law, self.pieces, None, level, panels)

    @property
    def text(self) -> str:
        """The nodes in words."""
        if self.panels is None:
            found = " + ".join(" x ".join(map(str, size)) for size in self.sizes)
        else:
            found = f"{len(self.panels.boxes)} panels of " + " x ".join([str(ORDER)] * (self.sphere.d - 1))
        return found if self.level is None else f"auto, level {self.level}: {found}"

    def nodes(self) -> tuple[Cloud, Array]:
        """Carried nodes, and the log of the density there."""
        return self._cloud(False)

    def second(self) -> Cloud:
        """Another rule of the same kind with fewer nodes: what it gives otherwise is the error of the rule."""
        return self._cloud(True)[0]

    def _cloud(self, second: bool) -> tuple[Cloud, Array]:
        points, weights, values = self._rule(second)
        kept = weights > 0
        return Cloud(np.ascontiguousarray(points[kept]), weights[kept] / weights[kept].sum()), np.log(values[kept])

    def _rule(self, second: bool) -> tuple[Array, Array, Array]:
        """Nodes, weights and the density of the law there."""
        parts = list(self._parts(second))
        points, weights = (np.concatenate([part[k] for part in parts]) for k in range(2))
        values = parts[0][2] if len(parts) == 1 else density_at(self.law, points)[0]
        return points, weights, values

    def _parts(self, second: bool) -> Iterator[tuple[Array, Array, Array]]:
        for piece, quadrature in zip(self.pieces, self._quadratures(second), strict=True):
            points, area = contracted(*quadrature, piece.axis, piece.kappa)
            values, _ = density_at(piece, points)
            if not values.min() >= -1e-10 * values.max():
                raise ValueError(f"the initial density is negative ({values.min():.3g}) where a carried node is")
            yield points, area * values, values

    def _quadratures(self, second: bool) -> Iterator[tuple[Array, Array]]:
        """Nodes on the whole sphere, and their areas, for each of the pieces."""
        if self.panels is None:
            yield from (self.sphere.quadrature(coarser(size) if second else size) for size in self.sizes)
            return
        points, area = self.panels.rule(ORDER - 1 if second else ORDER)
        for piece in range(len(self.pieces)):
            own = self.panels.pieces == piece
            yield points[own].reshape(-1, self.sphere.d), area[own].ravel()


def auto_size(sphere: Domain, level: int, share: float = 1.0, kappa: float = 0.0) -> Size:
    """Size of a grid of a level, for one of the pieces of a law."""
    return sphere.size_near(round((ALONE if kappa > SPREAD else SHARED) * share * GROWTH ** (2 * level)))
