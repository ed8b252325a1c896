"""Everything of matplotlib that draws here, so that a picture depends on nobody's environment.

A kernel's MPLBACKEND, a user's matplotlibrc and MATPLOTLIBRC, and a style in use neither stop a picture nor change it:
the backend is Agg by canvas, without pyplot, and figures are made and written with matplotlib's own defaults.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def _whatever_the_backend() -> Iterator[None]:
    """Import matplotlib where MPLBACKEND names what is not there, and set it as far as it can be afterwards."""
    fresh = "matplotlib" not in sys.modules
    wanted = os.environ.pop("MPLBACKEND", None) if fresh else None
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)  # lines of a matplotlibrc that is not used here
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(
            "matplotlib cannot be loaded: a matplotlibrc (in the working folder, of MATPLOTLIBRC, or the user's own) "
            "is not UTF-8; mend it or move it away"
        ) from error
    finally:
        log.setLevel(level)
        if wanted is not None:
            os.environ["MPLBACKEND"] = wanted
    if wanted:
        with suppress(ValueError):  # for pictures of the caller's own
            mpl.rcParams["backend"] = wanted


with _whatever_the_backend():
    import matplotlib as mpl
    from matplotlib import colormaps as colormaps
    from matplotlib.axes import Axes as Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable as ScalarMappable
    from matplotlib.collections import QuadMesh as QuadMesh
    from matplotlib.colors import CenteredNorm as CenteredNorm
    from matplotlib.colors import Colormap as Colormap
    from matplotlib.colors import LogNorm as LogNorm
    from matplotlib.colors import Normalize as Normalize
    from matplotlib.colors import PowerNorm as PowerNorm
    from matplotlib.colors import to_hex as to_hex
    from matplotlib.figure import Figure as Figure
    from matplotlib.patches import Circle as Circle
    from matplotlib.ticker import MaxNLocator as MaxNLocator
    from matplotlib.ticker import NullFormatter as NullFormatter
    from matplotlib.ticker import StrMethodFormatter as StrMethodFormatter


@contextmanager
def own_style(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Matplotlib's own defaults, and `settings` on top, in place of the user's; those come back at the end."""
    defaults: dict[Any, Any] = {k: v for k, v in mpl.rcParamsDefault.items() if k != "backend"}
    with mpl.rc_context():
        mpl.rcParams.update(defaults | dict(settings or {}))
        yield


def new_figure(width: float, height: float, layout: Any = None) -> Figure:
    """An empty figure, sizes in inches, on an Agg canvas; to be made and filled within `own_style`."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def written(figure: Figure, path: str | os.PathLike[str], kind: str, dpi: float) -> None:
    """Write a figure in a format (png, pdf, svg, ...)."""
    with own_style():
        if figure.get_layout_engine() is not None:  # its margins go by the ticks of a first one
            figure.draw_without_rendering()
        figure.savefig(path, format=kind, dpi=dpi)
