"""The picture of docs/architecture.md, from the imports of the source:  python docs/rooms.py [OUT.svg]

A box is a room (a folder) with its lines of source; the files that stand in no room make two dashed boxes, those above
the rooms, which they put together, and those below, which rooms use.  An arrow says who imports whom; one that follows
from others is left out.
"""

import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.house import STOREYS, House  # noqa: E402

COLOURS = {"particles": "#0072b2", "spde": "#009e73", "validation": "#d55e00", "tokenlaw": "#7b4b94"}
WIDTH = 3  # rooms beside each other
HIGH = 0.33  # half a box
ABOVE, BELOW = "above", "below"

Arrows = dict[str, set[str]]
Place = tuple[float, float, float]  # x, y of the middle, width


def rooms(house: House) -> dict[str, str]:
    """Module -> room.  Files in no room stand above the rooms if one of them leads back to such files, else below.

    The face of a room is that room, as what others import; the face of a package stands nowhere.
    """
    inner = {module for module in house.files if "/" in _folder(house, module)}
    leads = {module: {other for _, other, _ in house.imports(module)} for module in house.files}
    found = {}
    for module in house.files:
        path = _folder(house, module)
        if module in inner:
            found[module] = path
        elif not house.is_face(module):
            through = _all_below(module, leads) & inner
            back = {other for one in through for other in leads[one]} - inner
            found[module] = f"{path}/{ABOVE if any(_folder(house, one) == path for one in back) else BELOW}"
    return found


def _folder(house: House, module: str) -> str:
    return house.files[module].parent.relative_to(house.root).as_posix()


def arrows(house: House, storey: str) -> Arrows:
    """Room -> rooms of the same package that it imports, without what follows from the rest.

    Where rooms import each other in a ring, which files do not, the arrow of the fewest imports is left out.
    """
    room = {module: name for module, name in rooms(house).items() if name.startswith(f"{storey}/")}
    counts = Counter(
        (room[module], room[other])
        for module in room
        if not house.is_face(module)
        for _, other, _ in house.imports(module)
        if other in room
    )
    below: Arrows = {name: set() for name in sorted(room.values())}
    for above, under in counts:
        if above != under:
            below[above].add(under)
    while True:
        try:
            TopologicalSorter(below).prepare()
            break
        except CycleError as error:
            ring = error.args[1]
            above, under = min(zip(ring[1:], ring[:-1], strict=True), key=lambda pair: counts[pair])
            below[above].discard(under)
    return {above: unders - {far for under in unders for far in _all_below(under, below)}
            for above, unders in below.items()}  # fmt: skip


def _all_below(room: str, below: Arrows) -> set[str]:
    found, left = set[str](), list(below[room])
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += below[one]
    return found


def rows(below: Arrows) -> list[list[str]]:
    """Rooms in rows, each above those it imports; the files in no room have a row of their own."""
    sorter = TopologicalSorter(below)
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        alone, others = [room for room in ready if _alone(room)], [room for room in ready if not _alone(room)]
        found += [[room] for room in alone]
        found += [others[start : start + WIDTH] for start in range(0, len(others), WIDTH)]
        sorter.done(*ready)
    return found[::-1]


def _alone(room: str) -> bool:
    return room.endswith((f"/{ABOVE}", f"/{BELOW}"))


def _text(house: House, room: str) -> str:
    """Name of a room with its lines, to hundreds; names of the files that stand in none."""
    name = room.partition("/")[2]
    if not _alone(room):
        return f"{name}  {round(house.rooms()[room], -2):,}"
    modules = [module.rpartition(".")[2] for module, where in rooms(house).items() if where == room]
    return "\n".join(wrap("  ".join(module for module in modules if module != "__main__"), 56))


def draw(house: House) -> Figure:
    """The picture, narrow enough for a page that is."""
    figure = Figure(figsize=(4.6, 11.2))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), xticks=[], yticks=[])
    axes.set_axis_off()
    y = 0.0
    for storey in STOREYS[::-1]:
        top, places, below = y, dict[str, Place](), arrows(house, storey)
        for row in rows(below):
            for k, room in enumerate(row):
                text, x = _text(house, room), (k + 0.5) * WIDTH / len(row)
                width = 0.94 if not _alone(room) else 0.3 + 0.042 * max(map(len, text.split("\n")))
                places[room] = (x, y, width)
                box = FancyBboxPatch((x - width / 2, y - HIGH), width, 2 * HIGH, lw=1.1, facecolor="white",
                                     boxstyle="round,pad=0,rounding_size=0.06", edgecolor=COLOURS[storey], zorder=3,
                                     linestyle="--" if _alone(room) else "-")  # fmt: skip
                box.set_gid(f"room {room}")
                axes.add_patch(box)
                axes.text(x, y, text, ha="center", va="center", fontsize=7.8 if _alone(room) else 8.5, zorder=4)
            y -= 1.0
        axes.axhspan(top + 0.62, y + 0.5, color=COLOURS[storey], alpha=0.1, lw=0)
        axes.text(0.05, top + 0.52, storey, ha="left", va="top", fontsize=11, weight="bold", color=COLOURS[storey])
        _draw_arrows(axes, below, places)
        if storey != STOREYS[0]:
            style = {"arrowstyle": "simple,head_width=1.2,head_length=0.6,tail_width=0.5", "color": "#444"}
            axes.annotate("", (WIDTH / 2, y + 0.12), (WIDTH / 2, y + 0.55), arrowprops=style, zorder=5)
        y -= 0.5
    axes.set_ylim(y + 1.0, 0.65)
    return figure


def _draw_arrows(axes: mpl.axes.Axes, below: Arrows, places: dict[str, Place]) -> None:
    for above, unders in below.items():
        for under in sorted(unders):
            start, end, style = _way(places[above], places[under], list(places.values()))
            arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, lw=1, color="#444", shrinkA=0,
                                    shrinkB=0, zorder=2, connectionstyle=style)  # fmt: skip
            arrow.set_gid(f"arrow {above} {under}")
            axes.add_patch(arrow)


def _way(here: Place, there: Place, others: list[Place]) -> tuple[tuple[float, float], tuple[float, float], str]:
    """From the foot of a box to the head of another; where a box stands between, from or to the sides."""
    (x, y, width), (to_x, to_y, to_width) = here, there
    between = [place for place in others if to_y < place[1] < y]
    start = min(max(to_x, x - width / 2 + 0.2), x + width / 2 - 0.2)
    end = min(max(x, to_x - to_width / 2 + 0.2), to_x + to_width / 2 - 0.2)
    if not between or (x == to_x and all(abs(x - other) > wide / 2 for other, _, wide in between)):
        return (start, y - HIGH), (end, to_y + HIGH), "arc3"
    if x == to_x:
        return (x - width / 2, y), (x - to_width / 2, to_y), "arc3,rad=0.6"
    side = 1 if to_x > x else -1
    if abs(x - WIDTH / 2) < abs(to_x - WIDTH / 2):
        return (x + side * width / 2, y), (to_x, to_y + HIGH), "angle3,angleA=0,angleB=90"
    return (x, y - HIGH), (to_x - side * to_width / 2, to_y), "angle3,angleA=90,angleB=0"


def structure(house: House) -> list[str]:
    """What the picture says, without the numbers: rooms and arrows."""
    found = []
    for storey in STOREYS:
        below = arrows(house, storey)
        found += [f"room {room}" for room in below]
        found += [f"arrow {above} {under}" for above, unders in below.items() for under in unders]
    return sorted(found)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "rooms.svg"
    with mpl.rc_context({"svg.hashsalt": "rooms"}):
        draw(House()).savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None, dpi=130)
    print(out)
