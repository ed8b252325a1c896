"""The stream of a network and its branches, forward and backward, in coordinates of its span.  mathematics, section 9.

A branch reads the tokens X (d x n), makes O (r x n) of them, and adds b W O, W (d x r) with entries N(0, s^2).  W is
drawn along the axes of X and, beyond these, as the triangular factor of what is left; then the columns of the sum are
turned into n axes again.  A gradient P at the sum has known coordinates along these axes and, beyond, a uniformly
random orientation: all that comes after depends on X alone, and its law does not change by rotations that leave X
where it is.  Going back, W^T P is known where W was drawn, and W has new entries where it was not asked.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from particles.arrays import Array
from particles.networks.heads import Attended, AttentionHeads
from particles.networks.parts import Norm, Placement
from particles.networks.vectors import Turn, axes_and_factor, compress, draw, image, root, split
from particles.networks.wide import Limit, Units


@dataclass(frozen=True, eq=False)
class Gradient:
    """P: coordinates along the axes of the stream, (m, n), and a factor (c, n) of it beyond, in random orientation."""

    along: Array
    beyond: Array

    def square(self) -> float:
        """|P|^2, over all tokens."""
        return float(np.vdot(self.along, self.along) + np.vdot(self.beyond, self.beyond))


@dataclass(frozen=True, eq=False)
class Output:
    """A matrix W of normal entries behind hidden units O = Q factor (K, n): W Q along known axes and beyond them.

    axes : Q (K, r); None where Q is the identity.
    """

    axes: Array | None
    along: Array
    across: Array

    def back(self, along: Array, rest: Array, rng: np.random.Generator) -> Array:
        """W^T P at the hidden units, from P along all axes that W knows, and a factor of it beyond them."""
        known = self.along.T @ along[: len(self.along)] + self.across.T @ along[len(self.along) :]
        if self.axes is None:
            return np.asarray(known)
        new = draw(rng, len(self.axes), len(along) + len(rest)) @ np.concatenate([along, rest])
        found: Array = self.axes @ (known - self.axes.T @ new) + new
        return found


@dataclass(frozen=True, eq=False)
class Passed:
    """What a branch did, for the way back."""

    read: Array
    sources: tuple[tuple[Any, Any], ...]
    outputs: tuple[Output, ...]
    moves: tuple[Array, ...]
    total: Array
    turn: Turn


@dataclass(frozen=True)
class Branch:
    """Blocks that read the same tokens and are added together: x + b (F(x) + ...).

    blocks : with the deviations of their output matrices.   step : b.   axes : leading ones that norms know.
    """

    blocks: tuple[tuple[AttentionHeads | Units | Limit, float], ...]
    norm: Norm
    placement: Placement
    step: float
    d: int

    def forward(
        self, stream: Array, rng: np.random.Generator, taped: bool = False, dtype: Any = np.float64
    ) -> tuple[Array, Passed | None, Attended | None]:
        """The stream (m, n) behind the branch; with `taped` what `backward` needs; what its attention made.

        dtype : in which blocks compute; the stream is held in double precision.
        """
        read = self._normed(stream) if self.placement.before else stream
        seen: list[Attended] = []
        parts, sources = [], []
        for block, deviation in self.blocks:
            if isinstance(block, Limit):
                parts.append(deviation * block.factor(read))
                continue
            made = block.forward(read.astype(dtype, copy=False), rng, taped)
            sources.append((block, made))
            parts.append(deviation * made.out)
            seen += [made] if isinstance(made, Attended) else []
        if not self.placement.behind:  # one matrix beside the other is one matrix
            parts = [np.concatenate(parts)]
        outputs, moves, longest = [], [], len(stream)
        for part in parts:
            axes, factor = axes_and_factor(part) if taped and len(part) > part.shape[1] else (None, root(part))
            moved, along, across = image(factor, longest, self.d, rng)
            outputs.append(Output(axes, along, across))
            moves.append(moved)
            longest = len(moved)
        total = _longer(stream, longest)
        for moved in moves:
            total += self.step * (self._normed(_longer(moved, longest)) if self.placement.behind else moved)
        after = self._normed(total) if self.placement.after else total
        rows, turn = compress(after, self.norm.axes, taped)
        tape = Passed(read, tuple(sources), tuple(outputs), tuple(moves), total, turn) if taped else None
        return rows, tape, seen[0] if seen else None

    def backward(self, stream: Array, passed: Passed, gradient: Gradient, rng: np.random.Generator) -> Gradient:
        """The gradient at the stream (m, n) that `forward` read, from the one behind it."""
        turn, m = passed.turn, len(stream)
        seen, rest = split(gradient.beyond, self.d - turn.after, turn.before - turn.after, rng)
        along = turn.back(np.concatenate([gradient.along, seen]))
        if self.placement.after:
            along, rest = self._through_norm(passed.total, along, rest)
        hidden, given = [], []
        for output, moved in zip(passed.outputs, passed.moves, strict=True):
            at, beyond = self.step * along, self.step * rest
            if self.placement.behind:
                at, beyond = self._through_norm(_longer(moved, len(at)), at, beyond)
            known = len(moved)
            given.append(np.concatenate([at, beyond]))
            hidden.append(output.back(at[:known], np.concatenate([at[known:], beyond]), rng))
        read, new = self._into_blocks(passed, np.concatenate(hidden), given, m)
        if self.placement.before:
            read, new = self._through_norm(stream, read, new)
        outside = np.concatenate([along[m:], rest])
        moved, _, _ = image(new, len(outside), self.d - m, rng)
        return Gradient(along[:m] + read, root(_longer(outside, len(moved)) + moved))

    def _into_blocks(self, passed: Passed, hidden: Array, given: list[Array], m: int) -> tuple[Array, Array]:
        """Gradient at what the blocks read along its axes (m, n), and a factor of it beyond them."""
        read, news, place = np.zeros((m, hidden.shape[1])), [], 0
        for (block, made), (_, deviation), at in zip(passed.sources, self.blocks, given * 2, strict=False):
            part = deviation * hidden[place : place + len(made.out)]
            place += len(made.out)
            if isinstance(block, AttentionHeads):
                got, new = block.backward(made, part, deviation * root(at))
            else:
                got, new = block.backward(made, part)
            read += got
            news.append(new)
        return read, root(np.concatenate(news))

    def _normed(self, rows: Array) -> Array:
        scaled = rows * self.norm.scale(rows, self.d)
        scaled[: self.norm.axes] = 0
        return scaled

    def _through_norm(self, rows: Array, along: Array, beyond: Array) -> tuple[Array, Array]:
        """The derivative of the norm at rows (p, n), applied to a gradient along its axes and beyond them."""
        axes, scale = self.norm.axes, self.norm.scale(rows, self.d)
        unit = self._normed(rows) / np.sqrt(self.d)
        found = along - unit * np.einsum("ij,ij->j", unit, along)
        found[:axes] = 0
        return found * scale, beyond * scale


def _longer(rows: Array, count: int) -> Array:
    """With zeros along further axes."""
    return np.concatenate([rows, np.zeros((count - len(rows), rows.shape[1]))])
