"""Places of a figure: rows of three spheres above one or two rows of curves, and notes; in inches, so none overlaps."""

from __future__ import annotations

from tokenlaw.pictures.drawing import Axes, Figure, new_figure

__all__ = ["bar", "canvas", "note"]

WIDTH = 7.2  # inches: two columns of a journal
GLOBE = 2.15  # inches, height of a row of spheres with its titles
PANEL = 1.95  # inches, height of the curves
ROW_GAP = 0.55  # inches between two rows of curves
BELOW = 0.78  # inches: axis labels and the footnote


def canvas(
    n_globes: int, n_panels: int, beside: float = 0.7, n_below: int = 0
) -> tuple[Figure, list[Axes], list[Axes]]:
    """Rows of three spheres above a row of panels and, below it, another; in inches, so that nothing overlaps."""
    rows, columns = -(-n_globes // 3), min(n_globes, 3)
    above = 0.12 + GLOBE * rows
    lowest = BELOW + (PANEL + ROW_GAP if n_below else 0.0)  # foot of the first row of panels
    height = (lowest + PANEL if n_panels else lowest - ROW_GAP if n_below else BELOW) + above + (0.15 if rows else 0.0)
    figure = new_figure(WIDTH, height)

    def axes(left: float, bottom: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))

    side = 2.05
    margin = (WIDTH - beside - side * columns) / 2  # the colour bar takes `beside` on the right
    globes = [
        axes(margin + side * (k % 3), height - 0.12 - GLOBE * (k // 3 + 1) + 0.18, side, GLOBE - 0.4)
        for k in range(n_globes)
    ]
    pad = 0.65
    row_axes = []
    for count, foot in ((n_panels, lowest), (n_below, BELOW)):
        width = (WIDTH - 0.18) / max(count, 1) - pad
        row_axes += [axes(pad + k * (width + pad), foot, width, PANEL) for k in range(count)]
    return figure, globes, row_axes


def bar(figure: Figure, globes: list[Axes]) -> Axes:
    """Axes of the colour bar, to the right of the spheres."""
    boxes = [axes.get_position() for axes in globes]
    bottom, top = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    middle, tall = (bottom + top) / 2, 0.72 * (top - bottom)
    return figure.add_axes((max(box.x1 for box in boxes) + 0.012, middle - tall / 2, 0.014, tall))


def note(figure: Figure, text: str, line: int = 0) -> None:
    """A line of small text at the foot of a figure, or above that."""
    figure.text(
        0.5, (0.1 + 0.12 * line) / figure.get_figheight(), text, ha="center", va="bottom", fontsize=7, color="#404040"
    )
