"""Panels: the sphere in boxes with a Gauss rule each, split where the flow has made the moments steep.

Moments at a depth are integrals over the initial law of what the flow makes of the points.  A flow that takes a wide
cloud to several clusters is steep along the curves between their basins, and smooth elsewhere: boxes there are halved,
across their worse direction, until the sum is right.

The boxes lie on the faces of the cube around the sphere: a face in the direction e sees the points nrm(e + t), with
t_k = tan(pi u_k / 4) along its other axes and u in [-1, 1]^(d-1).
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from particles import Array

ORDER = 5  # nodes of a panel in each direction; 4 and 7 need more nodes in all where the flow is steep
SHARE = 0.8  # of the sum of the errors: the panels that make it up are halved


@dataclass(frozen=True, eq=False)
class Panels:
    """Boxes (P, 2 d): piece of the law, face, then from and to in each of the d - 1 coordinates; sorted by piece."""

    boxes: Array

    @classmethod
    def uniform(cls, d: int, counts: list[int]) -> "Panels":
        """Equal boxes for each of the pieces of a law, with about so many nodes each."""
        boxes = []
        for piece, count in enumerate(counts):
            edge = np.linspace(-1, 1, 1 + max(2, round((count / (2 * d)) ** (1 / (d - 1)) / ORDER)))
            sides = np.stack([edge[:-1], edge[1:]], axis=1)
            boxes += [[piece, face, *np.ravel(box)] for face in range(2 * d) for box in product(sides, repeat=d - 1)]
        return cls(np.array(boxes))

    @property
    def d(self) -> int:
        """Dimension of the space."""
        return int(self.boxes.shape[1]) // 2

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(len(self.boxes) * ORDER ** (self.d - 1))

    @property
    def pieces(self) -> NDArray[np.int64]:
        """The piece of each panel, (P,)."""
        return self.boxes[:, 0].astype(np.int64)

    def rule(self, order: int) -> tuple[Array, Array]:
        """Nodes (P, order^(d-1), d) of a product rule on each panel, and their areas (P, order^(d-1))."""
        dims, count = self.d - 1, len(self.boxes)
        t, w = np.polynomial.legendre.leggauss(order)
        points, area = np.ones((count, *[order] * dims, self.d)), np.ones((count, *[order] * dims))
        for k in range(dims):
            low, high = self.boxes[:, 2 + 2 * k, None], self.boxes[:, 3 + 2 * k, None]
            shape = (count, *[order if j == k else 1 for j in range(dims)])
            tangent = np.tan(math.pi / 8 * (low + high + (high - low) * t)).reshape(shape)
            points[..., k] = tangent
            area *= math.pi / 8 * ((high - low) * w).reshape(shape) * (1 + tangent**2)
        length = np.linalg.norm(points, axis=-1)
        points, area = points / length[..., None], area / length**self.d
        faces = _faces(self.d)[self.boxes[:, 1].astype(np.int64)]
        local = points.reshape(count, -1, self.d)
        turned: Array = np.einsum("pnj,pji->pni", local, faces)
        return turned, area.reshape(count, -1)

    def halved(self, fine: tuple[Array, Array], coarse: tuple[Array, Array], most: int) -> "Panels | None":
        """Where two rules differ most in mass, mean and second moment; None where more than `most` nodes are needed.

        fine, coarse : weights (n,) and moved nodes (n, d) of the rules of ORDER and ORDER - 1.
        """
        room = most // ORDER ** (self.d - 1) - len(self.boxes)
        if room < 1:
            return None
        one, other = (self._terms(*found) for found in (fine, coarse))
        error = np.abs(one.sum(axis=1) - other.sum(axis=1)).max(axis=1)
        order = np.argsort(-error, kind="stable")
        share = np.cumsum(error[order])
        worst = np.sort(order[: min(room, 1 + int(np.searchsorted(share, SHARE * share[-1])))])
        across = self._steepest(one[worst])
        low, high = 2 + 2 * across, 3 + 2 * across
        halves = self.boxes[worst], self.boxes[worst]
        rows = np.arange(len(worst))
        middle = (halves[0][rows, low] + halves[0][rows, high]) / 2
        halves[0][rows, high] = middle
        halves[1][rows, low] = middle
        boxes = np.concatenate([np.delete(self.boxes, worst, axis=0), *halves])
        return Panels(boxes[np.argsort(boxes[:, 0], kind="stable")])

    def _terms(self, weights: Array, points: Array) -> Array:
        """What each node adds to mass, mean and second moment, (P, nodes of a panel, 1 + d + d (d + 1) / 2)."""
        rows, columns = np.triu_indices(self.d)
        terms = np.column_stack([np.ones(len(points)), points, points[:, rows] * points[:, columns]])
        return (weights[:, None] * terms).reshape(len(self.boxes), -1, terms.shape[1])

    def _steepest(self, terms: Array) -> NDArray[np.int64]:
        """The direction in which the last coefficient of a Legendre series of what is summed is largest."""
        dims = self.d - 1
        t, _ = np.polynomial.legendre.leggauss(ORDER)
        last = np.polynomial.legendre.legval(t, np.eye(ORDER)[-1])  # times the weights, which the terms have
        cube = terms.reshape(len(terms), *[ORDER] * dims, -1)
        tails = []
        for k in range(dims):
            tail = np.moveaxis(cube, 1 + k, -1) @ last  # the weights of the other directions are those of a mean
            tails.append(np.abs(tail).reshape(len(terms), -1, terms.shape[-1]).sum(axis=1).max(axis=1))
        worst: NDArray[np.int64] = np.argmax(tails, axis=0)
        return worst


def _faces(d: int) -> Array:
    """Rotations or reflections (2 d, d, d) whose rows are the axes of a face, the last one its direction."""
    faces = []
    for axis, sign in product(range(d), (1.0, -1.0)):
        rows = np.roll(np.eye(d), -axis - 1, axis=0)
        rows[-1] *= sign
        faces.append(rows)
    return np.array(faces)
