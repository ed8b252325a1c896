"""Where carried nodes stand: on a given grid, or, by default, where the mass of the initial law is.

A law in one piece of concentration kappa > SPREAD gets the image of a Gauss grid under the conformal map of the sphere
that contracts it to the axis of the piece; in stereographic coordinates r -> eps r with eps^2 = SPREAD / kappa.  Pulled
back by it the piece is about as wide as the sphere, whatever kappa, and the map is analytic, so the rule keeps the
convergence of the grid.  Wide pieces share one grid.  A piece of a mixture is weighted by its own density.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from particles.arrays import Array
from particles.initial import InitialDensity, VonMisesFisherMixture
from particles.tokens import Cloud
from spde.domain import Domain
from spde.given import density_at

Size = tuple[int, int]
SPREAD = 4.0  # concentration up to which pieces share a grid, and that of a contracted piece seen in its own grid
ALONE, SHARED = 1152, 2048  # nodes of a law in one contracted piece; of the grid that wide pieces share
GROWTH = 1.5  # more nodes in each direction from one level to the next
MOST = 40_000  # nodes beyond which no level goes
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


def contracted(sphere: Domain, size: Size, axis: Array, kappa: float) -> tuple[Array, Array]:
    """A quadrature contracted to an axis (d,), where a piece of concentration kappa is; nodes (n, d), areas (n,)."""
    points, area = sphere.quadrature(size)
    if kappa <= SPREAD:
        return points, area
    shrink = math.sqrt(SPREAD / kappa)
    height = points[:, -1]
    below = 1 + height + shrink**2 * (1 - height)
    scale = 2 * shrink / below
    moved = np.column_stack([points[:, :-1] * scale[:, None], 1 - 2 * shrink**2 * (1 - height) / below])
    return moved @ _frame(axis).T, area * scale ** (sphere.d - 1)


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
    """

    sphere: Domain
    law: InitialDensity
    pieces: tuple[Piece, ...]
    size: Size | None = None
    level: int | None = None

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
        """The same with finer nodes; None where they are given, or would be too many."""
        if self.level is None:
            return None
        found = Carrying(self.sphere, self.law, self.pieces, None, self.level + levels)
        return found if sum(len(self.sphere.quadrature(size)[1]) for size in found.sizes) <= MOST else None

    def at(self, level: int) -> "Carrying":
        """The same at another level."""
        return Carrying(self.sphere, self.law, self.pieces, None, level)

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
        for size, piece in zip(self.sizes, self.pieces, strict=True):
            points, area = contracted(self.sphere, coarser(size) if second else size, piece.axis, piece.kappa)
            values, _ = density_at(piece, points)
            if not values.min() >= -1e-10 * values.max():
                raise ValueError(f"the initial density is negative ({values.min():.3g}) where a carried node is")
            yield points, area * values, values


def auto_size(sphere: Domain, level: int, share: float = 1.0, kappa: float = 0.0) -> Size:
    """Size of a grid of a level, for one of the pieces of a law."""
    return sphere.size_near(round((ALONE if kappa > SPREAD else SHARED) * share * GROWTH ** (2 * level)))
